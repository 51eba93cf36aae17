//! Lays the packets of one pass out in runs of the send arena, and seals them there.
//!
//! `runs.rs` cuts the runs. What finds no place in the arena is lost as on the network: its
//! sequence number is given, a NACK brings it again. Transport-wide numbers are given only to what
//! has a place.
//!
//! All segments of a run are written first and sealed then, so that sealing takes several packets
//! in lockstep.

use super::Receiver;
use super::history::{Sent, Shift};
use super::runs::{self, Cut, Length};
use super::tag::{Negotiated, Stamp};
use crate::engine::{Outbox, Path, Run};
use crate::error::Discard;
use crate::id::SourceKey;
use crate::ingest::source::{Facts, MediaPacket, Pending, Source};
use crate::rtp::RtpHeader;
use crate::rtp::packet::{FIXED_HEADER_LENGTH, set_extension};
use crate::rtp::sequence;
use crate::slab::Slab;
use crate::srtp::{OutboundContext, Sealing, seal_rtp_all};
use crate::stats::BridgeStats;
use crate::time::Time;

/// The packets of a pass, in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    packets: Vec<Packed>,
}

/// A packet that will be sent at the end of the pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    /// Place of its slot.
    pub(crate) slot: usize,
    /// Its source.
    pub(crate) source: SourceKey,
    /// Where the source's store has it.
    pub(crate) pending: Pending,
    /// Outgoing sequence number of its media stream.
    pub(crate) out: u64,
    /// What is added to its numbers.
    pub(crate) shift: Shift,
    /// Whether it goes without its payload.
    pub(crate) is_empty: bool,
    /// Bytes of padding that it went out with, if it is to go again with the same bytes.
    pub(crate) padding: u8,
    /// In which form.
    pub(crate) form: Form,
}

/// How a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For the first time.
    Media,
    /// Again, on the stream for retransmissions (RFC 4588).
    Rtx,
    /// Again, with the same bytes.
    Again,
}

/// A planned packet and its place in a run.
#[derive(Clone, Copy, Debug)]
struct Packed {
    planned: Planned,
    layout: Layout,
    /// What it is sealed with, once it is written.
    index: Option<u64>,
}

/// Lengths in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Header and extension.
    header: usize,
    /// What follows, without padding and tag.
    payload: usize,
    padding: u8,
    /// Whether padding may be added.
    is_elastic: bool,
}

impl Batch {
    /// Whether nothing is planned.
    pub(crate) const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Adds a packet; an empty one has none, and is of a picture. `evens_out` says whether it may
    /// be padded: one of a picture that goes for the first time.
    pub(crate) fn plan(
        &mut self,
        planned: Planned,
        packet: Option<&MediaPacket>,
        negotiated: &Negotiated,
        evens_out: bool,
    ) {
        let (kind, level) = match packet.map(|packet| &packet.facts) {
            Some(Facts::Audio { level, .. }) => (&negotiated.audio, *level),
            Some(Facts::Vp8(_)) | None => (&negotiated.video, None),
        };
        let prefix = match (planned.form, packet) {
            (Form::Rtx, _) => ORIGINAL_SEQUENCE_LENGTH,
            (_, Some(_)) => 0,
            (_, None) => PADDING_LENGTH,
        };
        let layout = Layout {
            header: kind.header_length(level.is_some()),
            payload: prefix + packet.map_or(0, |packet| packet.payload_length.into()),
            padding: planned.padding,
            is_elastic: evens_out
                && planned.form == Form::Media
                && packet.is_some_and(|packet| matches!(packet.facts, Facts::Vp8(_))),
        };
        self.packets.push(Packed {
            planned,
            layout,
            index: None,
        });
    }
}

impl Layout {
    fn total(self) -> usize {
        self.header + self.payload + usize::from(self.padding)
    }

    fn length(self) -> Length {
        Length {
            total: self.total(),
            is_elastic: self.is_elastic,
        }
    }

    /// Pads it to so many bytes.
    fn stretch(&mut self, total: usize) {
        let more = total.saturating_sub(self.total());
        self.padding = self
            .padding
            .saturating_add(u8::try_from(more).unwrap_or(u8::MAX));
    }
}

/// Takes the next run off the packets and pads all but its last; gives the length of its segments
/// without the tag. `None` when there is nothing left.
fn take_run<'a>(rest: &mut &'a mut [Packed]) -> Option<(&'a mut [Packed], usize)> {
    let Cut { count, segment } = runs::cut(rest.iter().map(|packed| packed.layout.length()));
    let (run, after) = core::mem::take(rest).split_at_mut_checked(count)?;
    *rest = after;
    let (_, padded) = run.split_last_mut()?;
    for packed in padded {
        packed.layout.stretch(segment);
    }
    Some((run, segment))
}

impl Receiver {
    /// Sends the batch: reserve, write, seal.
    pub(super) fn send(
        &mut self,
        now: Time,
        sources: &Slab<SourceKey, Source>,
        path: Path,
        context: &OutboundContext,
        outbox: &mut impl Outbox,
        stats: &mut BridgeStats,
    ) {
        let mut packets = core::mem::take(&mut self.batch.packets);
        let overhead = context.profile().rtp_overhead();
        let mut rest = packets.as_mut_slice();
        while let Some((run, segment)) = take_run(&mut rest) {
            let segment = segment + overhead;
            let lengths = run.iter().map(|packed| packed.layout.total() + overhead);
            let place = Run {
                path,
                segment,
                total: lengths.sum(),
            };
            let Some([room]) = outbox.reserve([place]) else {
                run.iter()
                    .for_each(|_| stats.discarded.count(Discard::SendFull));
                continue;
            };
            for (packed, segment) in run.iter_mut().zip(room.chunks_mut(segment)) {
                packed.index = self.write(now, packed, sources, segment, stats);
                if packed.index.is_none() {
                    // Nothing readable may leave.
                    segment.fill(0);
                    stats.discarded.count(Discard::RtpMalformed);
                }
            }
            let written = run.iter().zip(room.chunks_mut(segment));
            let written = written.filter_map(|(packed, segment)| {
                Some(Sealing {
                    context,
                    index: packed.index?,
                    segment,
                    header_length: packed.layout.header,
                })
            });
            seal_rtp_all(written, |reason| stats.discarded.count(reason));
        }
        packets.clear();
        self.batch.packets = packets;
    }

    /// Writes header and payload of a packet, and gives the index to seal it with.
    fn write(
        &mut self,
        now: Time,
        packed: &Packed,
        sources: &Slab<SourceKey, Source>,
        segment: &mut [u8],
        stats: &mut BridgeStats,
    ) -> Option<u64> {
        let Packed {
            planned, layout, ..
        } = packed;
        let packet = match planned.is_empty {
            true => None,
            false => Some(packet_of(sources, planned)?),
        };
        let slot = self.slots.get_mut(planned.slot)?;
        let kind = self.negotiated.of(slot.kind);
        let mut sent = slot.history.get_mut(planned.out);
        if let Some(sent) = &mut sent {
            match planned.form {
                Form::Media => sent.set_padding(layout.padding),
                // Other bytes must never be sealed with the same index.
                Form::Again if sent.padding() != layout.padding => return None,
                Form::Again | Form::Rtx => {}
            }
        }
        let stamp = stamp(
            now,
            planned.form,
            sent,
            packet,
            kind.is_numbered().then_some(&mut self.transport_sequence),
        );
        let (ssrc, payload_type, index) = if planned.form == Form::Rtx {
            slot.rtx_sequence += 1;
            (slot.rtx?, kind.rtx?, slot.rtx_sequence)
        } else {
            (slot.ssrc, kind.media?, planned.out)
        };
        let (header, payload) = segment.split_at_mut_checked(layout.header)?;
        let fixed = RtpHeader {
            payload_type,
            ssrc,
            sequence: sequence::wire(index),
            timestamp: packet
                .map_or(0, |packet| packet.header.timestamp)
                .wrapping_add(planned.shift.timestamp),
            marker: packet.is_some_and(|packet| packet.header.marker),
            csrc_count: 0,
            has_padding: layout.padding > 0 || (planned.is_empty && planned.form != Form::Rtx),
            extension: None,
            length: 0,
        };
        fixed.emit_fixed(header)?;
        let extensions = header.get_mut(FIXED_HEADER_LENGTH..)?;
        if !extensions.is_empty() {
            kind.write_extensions(&stamp, extensions);
            set_extension(header, true);
        }
        let (payload, padding) = payload.split_at_mut_checked(layout.payload)?;
        write_payload(planned, packet, payload)?;
        write_padding(padding.get_mut(..layout.padding.into())?);
        if kind.is_numbered() && planned.form != Form::Again {
            let number = stamp.transport_sequence;
            self.bound.note_sent(number, segment.len());
        }
        if let (Form::Media, Some(packet)) = (planned.form, packet) {
            slot.reported.note_sent(packet.payload_length.into());
            self.retransmissions.note_sent(segment.len() as u64);
            stats.packets_forwarded += 1;
        } else {
            stats.packets_retransmitted += 1;
        }
        Some(index)
    }
}

/// The stamps of a packet. The same bytes again means the same stamps again.
fn stamp(
    now: Time,
    form: Form,
    sent: Option<&mut Sent>,
    packet: Option<&MediaPacket>,
    transport_sequence: Option<&mut u16>,
) -> Stamp {
    let again = sent.filter(|_| form != Form::Rtx);
    let at = again.as_ref().map_or(now, |sent| sent.at());
    let earlier = again.as_ref().and_then(|sent| sent.transport_sequence());
    let transport_sequence = earlier.unwrap_or_else(|| {
        // One that does not carry it takes none: it would seem to be lost.
        transport_sequence.map_or(0, |number| {
            *number = number.wrapping_add(1);
            *number
        })
    });
    if let Some(sent) = again {
        sent.set_transport_sequence(transport_sequence);
    }
    let audio_level = match packet.map(|packet| &packet.facts) {
        Some(Facts::Audio { level, voice }) => level.map(|level| level | u8::from(*voice) << 7),
        Some(Facts::Vp8(_)) | None => None,
    };
    Stamp {
        transport_sequence,
        at,
        audio_level,
    }
}

/// Copies the payload and renumbers its picture; a retransmission begins with the number of the
/// original (RFC 4588 section 4). Without a packet there is padding (RFC 3550 section 5.1).
fn write_payload(
    planned: &Planned,
    packet: Option<&MediaPacket>,
    mut out: &mut [u8],
) -> Option<()> {
    if planned.form == Form::Rtx {
        let (original, rest) = out.split_first_chunk_mut::<ORIGINAL_SEQUENCE_LENGTH>()?;
        *original = sequence::wire(planned.out).to_be_bytes();
        out = rest;
    }
    let Some(packet) = packet else {
        out.fill(1);
        return Some(());
    };
    let start = usize::from(packet.header.length);
    let payload = packet.packet.bytes().get(start..)?.get(..out.len())?;
    out.copy_from_slice(payload);
    if let Facts::Vp8(vp8) = &packet.facts {
        if let Some(id) = vp8.picture_id {
            vp8.set_picture_id(out, planned.shift.picture_id_of(id));
        }
        if let Some(index) = vp8.tl0_picture_index {
            vp8.set_tl0_picture_index(out, planned.shift.tl0_index_of(index));
        }
    }
    Some(())
}

/// Writes zeros and, last, how many bytes of padding there are (RFC 3550 section 5.1).
fn write_padding(padding: &mut [u8]) {
    let count = u8::try_from(padding.len()).unwrap_or(0);
    if let Some((last, zeros)) = padding.split_last_mut() {
        zeros.fill(0);
        *last = count;
    }
}

fn packet_of<'a>(
    sources: &'a Slab<SourceKey, Source>,
    planned: &Planned,
) -> Option<&'a MediaPacket> {
    let encodings = &sources.get(planned.source)?.encodings;
    let encoding = encodings.get(usize::from(planned.pending.encoding))?;
    encoding.store.get(planned.pending.sequence)
}

/// Bytes of the original sequence number.
const ORIGINAL_SEQUENCE_LENGTH: usize = 2;

/// Bytes of a payload of padding: the one that says that there is one.
const PADDING_LENGTH: usize = 1;
