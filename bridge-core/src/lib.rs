//! Forwards the media of conferences: a selective forwarding unit as a library.
//!
//! The bridge takes each participant's sound and pictures once and sends every other participant
//! what it can use of them: one simulcast encoding of each source, as many sources as it asks for,
//! within its bandwidth. It decodes nothing. Signaling is yours: a [`Command`] says who is there
//! and how to reach them, an [`Event`] says what happened.
//!
//! - With feature `io` (default) a [`Bridge`] is a whole one, with its sockets and threads.
//! - Without it the crate is pure computation: [`engine::Engine`] is told the time and what
//!   arrived, and says what to send.
//! - Feature `sim` has virtual time, lossy links and scripted participants (module `sim`).
//! - Feature `unstable-toolbox` makes wire formats public for benches and fuzzing; no promises.
//!
//! ```no_run
//! # #[cfg(feature = "io")]
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! use bridge_core::{Bridge, Event, ReceiverConstraints};
//!
//! let (bridge, mut events) = Bridge::builder()
//!     .udp("0.0.0.0:10000".parse()?)
//!     .announce("203.0.113.7".parse()?)
//!     .start()?;
//!
//! let room = bridge.conference("standup")?;
//! for name in ["alice", "bob"] {
//!     let endpoint = room.endpoint(name)?;
//!     let answer = my_signaling::exchange(name, endpoint.local_transport());
//!     endpoint.connect(&answer.transport)?;
//!     endpoint.set_media(answer.media)?;
//!     endpoint.set_sources(answer.sources)?;
//!     endpoint.set_constraints(ReceiverConstraints {
//!         last_n: Some(5),
//!         default_max_height: Some(720),
//!         ..ReceiverConstraints::default()
//!     })?;
//! }
//!
//! while let Some(event) = events.recv() {
//!     match event {
//!         Event::EndpointConnected { endpoint, .. } => println!("{endpoint} is in"),
//!         Event::DominantSpeaker { endpoint } => println!("{endpoint} speaks"),
//!         Event::EndpointExpired { endpoint, .. } => println!("{endpoint} left"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "io"))]
//! # fn main() {}
//! # mod my_signaling {
//! #     use bridge_core::description::*;
//! #     pub struct Answer {
//! #         pub transport: TransportDescription,
//! #         pub media: Vec<MediaDescription>,
//! #         pub sources: Vec<SourceDescription>,
//! #     }
//! #     pub fn exchange(_: &str, _: &TransportDescription) -> Answer { unimplemented!() }
//! # }
//! ```
//!
//! The modules stand in the order of a packet's way.

#[cfg(feature = "io")]
pub mod bridge;

pub mod command;

pub mod config;

pub mod description;

pub mod error;

pub mod event;

pub mod id;

pub mod limits;

pub mod stats;

pub mod time;

mod map;

mod random;

mod slab;

mod wire;

pub mod engine;

pub mod packet;

mod ice;

pub mod dtls;

#[cfg(feature = "unstable-toolbox")]
pub mod srtp;

#[cfg(not(feature = "unstable-toolbox"))]
#[expect(unreachable_pub, unused_imports, reason = "for the toolbox")]
mod srtp;

#[cfg(feature = "unstable-toolbox")]
pub mod rtp;

#[cfg(not(feature = "unstable-toolbox"))]
#[expect(dead_code, unreachable_pub, unused_imports, reason = "for the toolbox")]
mod rtp;

#[cfg(feature = "unstable-toolbox")]
pub mod rtcp;

#[cfg(not(feature = "unstable-toolbox"))]
#[expect(dead_code, unreachable_pub, unused_imports, reason = "for the toolbox")]
mod rtcp;

#[cfg(feature = "unstable-toolbox")]
pub mod codec;

#[cfg(not(feature = "unstable-toolbox"))]
#[expect(unreachable_pub, reason = "for the toolbox")]
mod codec;

#[cfg(feature = "unstable-toolbox")]
pub mod fuzz;

#[cfg(feature = "unstable-toolbox")]
pub use ingest::bench::IngestBench;

#[cfg(feature = "unstable-toolbox")]
pub use egress::bench::{AllocateBench, BoundBench, EgressBench};

#[cfg(feature = "unstable-toolbox")]
pub use engine::bench::DemuxBench;

#[cfg(all(feature = "io", feature = "unstable-toolbox"))]
pub use io::bench::{ReceiveBench, SendBench, SendWay};

#[cfg(all(feature = "io", feature = "sim", feature = "unstable-toolbox"))]
pub use io::crew::{Crew, Nanos, Spent};

mod ingest;

mod route;

mod egress;

#[cfg(feature = "io")]
mod io;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "io")]
pub use bridge::{Bridge, BridgeBuilder, Conference, Endpoint, Events};
pub use command::{Command, EndpointOptions, Reply, Ticket};
pub use description::ReceiverConstraints;
pub use dtls::DtlsVersion;
pub use error::{Discard, Error, Result};
pub use event::Event;
pub use id::{ConferenceId, EndpointAddress, EndpointId, SourceName};
pub use srtp::{GcmBackend, KeyingMaterial, SrtpProfile};
pub use stats::BridgeStats;
pub use time::Time;
