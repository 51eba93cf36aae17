//! A selective forwarding unit as a library: a sans-IO engine and an optional shell of sockets and
//! threads. The modules stand in the order of a packet's way.

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

pub mod srtp;

pub mod rtp;

pub mod rtcp;

pub mod codec;
#[cfg(feature = "unstable-toolbox")]
pub mod fuzz;

#[cfg(feature = "unstable-toolbox")]
pub use ingest::bench::IngestBench;

#[cfg(feature = "unstable-toolbox")]
pub use egress::bench::{AllocateBench, EgressBench};

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
pub use stats::BridgeStats;
pub use time::Time;
