//! Tells one receiver how the clocks of its streams relate (RFC 3550 section 6.4.1).
//!
//! The sender's wall clock goes on as it is, and its media clock with the shift of the stream's
//! epoch: so sound and picture of one sender stay in step, whatever was rewritten. The reports come
//! back in the receiver's blocks, and give the round trip.

use core::time::Duration;

use super::slots::Slot;
use crate::id::SourceKey;
use crate::ingest::source::{SenderClock, Source};
use crate::rtcp::{CompoundWriter, ReportBlock, SenderInfo};
use crate::slab::Slab;
use crate::time::Time;

/// What was reported of one outgoing stream.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// The sender's report that was told last, and the shift it was told with.
    told: Option<(Time, u32)>,
    /// Middle of the wall clock that was told last, and when.
    latest: Option<(u32, Time)>,
    packets: u32,
    octets: u32,
}

impl Reported {
    /// A packet was sent.
    pub(crate) const fn note_sent(&mut self, payload: u32) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload);
    }

    /// Another source, with another wall clock, has the stream.
    pub(crate) const fn change_source(&mut self) {
        self.told = None;
        self.latest = None;
    }

    /// The round trip by a block of the receiver's, if it answers the latest report.
    pub(crate) fn round_trip(&self, now: Time, block: &ReportBlock) -> Option<Duration> {
        let (middle, at) = self.latest?;
        if block.last_sender_report != middle {
            return None;
        }
        let held = u64::from(block.delay_since_last).saturating_mul(1_000_000_000) >> 16;
        now.since(at).checked_sub(Duration::from_nanos(held))
    }
}

/// Writes the report of a stream if there is news since the last one; `false` when there is no
/// room for it.
pub(crate) fn write(
    now: Time,
    slot: &mut Slot,
    sources: &Slab<SourceKey, Source>,
    writer: &mut CompoundWriter<'_>,
) -> bool {
    let Some((clock, shift)) = news(slot, sources) else {
        return true;
    };
    let info = SenderInfo {
        ssrc: slot.ssrc,
        ntp: clock.ntp,
        rtp_timestamp: clock.rtp.wrapping_add(shift),
        packets: slot.reported.packets,
        octets: slot.reported.octets,
    };
    let has_room = writer.sender_report(&info, &[]);
    if has_room {
        slot.reported.told = Some((clock.arrival, shift));
        slot.reported.latest = Some((middle(clock.ntp), now));
    }
    has_room
}

/// The sender's clock and the shift of a stream, if they were not told yet.
fn news(slot: &Slot, sources: &Slab<SourceKey, Source>) -> Option<(SenderClock, u32)> {
    let source = sources.get(slot.source?)?;
    let (encoding, shift) = slot.rewriter.clock()?;
    let clock = source.encodings.get(usize::from(encoding))?.sender_report?;
    (slot.reported.told != Some((clock.arrival, shift))).then_some((clock, shift))
}

/// The middle 32 bits of a wall clock, as report blocks repeat them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper seconds are cut off by design"
)]
const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}
