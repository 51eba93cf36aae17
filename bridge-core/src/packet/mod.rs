//! Holds datagrams in buffers that are used again.

pub mod buffer;

pub mod pool;

pub use buffer::{Packet, SharedPacket};
pub use pool::Pool;
