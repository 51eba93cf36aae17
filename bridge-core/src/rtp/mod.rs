//! Reads and changes RTP packets in place (RFC 3550, RFC 8285).

pub mod extension;

pub mod packet;

pub mod sequence;

pub use packet::{ExtensionBlock, RtpHeader};
