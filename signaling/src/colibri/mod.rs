//! Speaks colibri2, the bridge's control protocol, as a direct face of commands and replies.

pub mod json;

pub mod model;

pub mod rest;
