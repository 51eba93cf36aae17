//! Reads and writes RTCP: one format per file, each with its parser and its emitter.
//!
//! A compound packet is read without allocation by [`packets`]; each view was checked whole when
//! it was made, so its accessors cannot fail. It is written by [`CompoundWriter`], whose methods
//! stand in the files of their formats. Nothing here trusts what a packet says of others: the
//! caller decides whose BYE or report counts.

mod bye;

mod compound;

mod interval;

mod keyframe;

mod nack;

mod remb;

mod report;

mod sdes;

mod twcc;

pub(crate) use interval::{draw, next_report};

pub use bye::Bye;
pub use compound::{CompoundWriter, Packets, RtcpPacket, packets};
pub use keyframe::{FullIntra, FullIntraEntry, PictureLoss};
pub use nack::{Nack, NackedSequences};
pub use remb::Remb;
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, SenderInfo, SenderReport};
pub use sdes::{Cnames, Sdes};
pub use twcc::{Twcc, TwccStatus, TwccStatuses};
