//! Rooms, focus and HTTPS on top of bridge-core.

pub mod config;

pub mod seam;

pub mod xml;

pub mod xmpp;

pub mod listen;

pub mod muc;

pub mod feature;

pub mod auth;

pub mod jingle;

pub mod focus;

pub mod channel;

pub mod colibri;

pub mod http;

pub mod local_bridge;

pub mod start;

mod secret;

#[cfg(feature = "unstable-toolbox")]
pub mod fuzz;
