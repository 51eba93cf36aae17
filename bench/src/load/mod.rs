//! Plays the clients of a conference server and says what it costs to serve them.
//!
//! One thread carries all media (`generator.rs`, `leg.rs`, `inbox.rs`, `media.rs`), joins run side
//! by side on an async runtime (`via/`, `handshake.rs`), and `run.rs` measures. A load generator
//! parses only what the server under test sends; it is no part of the product.

use std::fmt;

mod compare;

mod generator;

mod handshake;

mod histogram;

mod http;

mod inbox;

mod leg;

mod media;

pub mod options;

mod plan;

mod process;

mod report;

mod run;

mod sdp;

mod server;

mod svg;

mod timeline;

mod via;

mod voice;

pub use compare::{Comparison, compare};
pub use report::Report;
pub use run::run;

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

fn failure(what: &str, error: impl fmt::Display) -> Failure {
    Failure(format!("{what}: {error}"))
}
