//! Serves HTTP: the web client and clients' protocols for people, state and control for operators.

pub mod assets;

pub mod health;

pub mod metrics;

pub mod rest;

pub mod server;

pub mod tls;
