//! Brings people together over a bridge: XMPP rooms, the focus, HTTPS and the web client, each a
//! counterpart of one part of Jitsi Meet, in one process.
//!
//! ```text
//!   browser, Jitsi client                                        operator, load generator
//!      │ WebSocket, BOSH, TCP      │ GET /            │ /colibri-ws        │ HTTP, JSON
//!   listen ── xmpp ── muc       http::assets       channel         http::health, colibri
//!                │ stanzas                            │                    │
//!              focus ── jingle                        │                    │
//!                └─────────────── seam::MediaEngine ──┴────────────────────┘
//!                                       │ Command, Reply, Event
//!                                 local_bridge ── bridge-core
//! ```
//!
//! Two seams let one part be replaced alone ([`seam`]): whatever implements
//! [`Signaling`](seam::Signaling) drives an engine, whatever implements
//! [`MediaEngine`](seam::MediaEngine) forwards media. The focus is an XMPP user like any other, so
//! it does not care whose server it is on.
//!
//! The way of a stanza: [`listen`] frames it and keeps the limits, [`xml`] reads it and lets
//! nothing through that clients read differently, [`xmpp`] stamps who sends it and routes it,
//! [`muc`] gives it to a room, and [`focus`] turns Jingle ([`jingle`]) into commands of the bridge.
//! What a stanza claims about its sender is never believed.
//!
//! [`start`](mod@start) puts all of it together as the binary does:
//!
//! ```no_run
//! use signaling::config::Config;
//! use signaling::start::{Role, start};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let changes = [("web.http".to_owned(), "127.0.0.1:0".to_owned())];
//! let config = Config::load(None, &changes)?;
//! let running = start(&config, Role::All).await?;
//! println!("meet on http://{}/", running.address("web.http").expect("it listens"));
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

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
