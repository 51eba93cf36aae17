//! Lays the packets of one pass out in runs of the send arena, and seals them there.
//!
//! A run is one system call with segmentation offload: segments of equal length, the last of which
//! may be shorter. Order is never changed for a longer run. What finds no place in the arena is
//! lost as on the network: its sequence number is given, a NACK brings it again. Transport-wide
//! numbers are given only to what has a place.
//!
//! All segments of a run are written first and sealed then, so that sealing can take several
//! packets, or those of several receivers, in lockstep (`srtp::seal_rtp_many`).

use super::Receiver;
use super::history::{Sent, Shift};
use super::tag::{Negotiated, Stamp};
use crate::engine::{Outbox, Path, Run};
use crate::error::Discard;
use crate::id::SourceKey;
use crate::ingest::source::{Facts, MediaPacket, Pending, Source};
use crate::limits::RUN_SEGMENTS_MAX;
use crate::rtp::RtpHeader;
use crate::rtp::packet::{FIXED_HEADER_LENGTH, set_extension};
use crate::rtp::sequence;
use crate::slab::Slab;
use crate::srtp::OutboundContext;
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
    /// What follows, without the tag.
    payload: usize,
}

impl Batch {
    /// Adds a packet; an empty one has none, and is of a picture.
    pub(crate) fn plan(
        &mut self,
        planned: Planned,
        packet: Option<&MediaPacket>,
        negotiated: &Negotiated,
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
        };
        self.packets.push(Packed {
            planned,
            layout,
            index: None,
        });
    }
}

impl Layout {
    const fn total(self) -> usize {
        self.header + self.payload
    }
}

/// How many of the packets make the next run: those of equal length, and one shorter.
fn run_length(packets: &[Packed]) -> usize {
    let total = |packed: &Packed| packed.layout.total();
    let first = packets.first().map_or(0, total);
    let most = packets.iter().take(RUN_SEGMENTS_MAX);
    let equal = most.take_while(|packed| total(packed) == first).count();
    let next = packets.get(equal).filter(|_| equal < RUN_SEGMENTS_MAX);
    equal + usize::from(next.is_some_and(|packed| total(packed) < first))
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
        while let Some((run, after)) = rest.split_at_mut_checked(run_length(rest).max(1)) {
            rest = after;
            let lengths = run.iter().map(|packed| packed.layout.total() + overhead);
            let segment = lengths.clone().next().unwrap_or(overhead);
            let total = lengths.sum();
            let place = Run {
                path,
                segment,
                total,
            };
            let Some([room]) = outbox.reserve([place]) else {
                run.iter()
                    .for_each(|_| stats.discarded.count(Discard::SendFull));
                continue;
            };
            for (packed, segment) in run.iter_mut().zip(room.chunks_mut(segment)) {
                packed.index = self.write(now, packed, sources, segment, stats);
            }
            for (packed, segment) in run.iter().zip(room.chunks_mut(segment)) {
                let sealed = match packed.index {
                    Some(index) => context.seal_rtp(index, segment, packed.layout.header),
                    None => Err(Discard::RtpMalformed),
                };
                if let Err(reason) = sealed {
                    // Nothing readable may leave.
                    segment.fill(0);
                    stats.discarded.count(reason);
                }
            }
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
        let sent = slot.history.get_mut(planned.out);
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
            has_padding: planned.is_empty && planned.form != Form::Rtx,
            extension: None,
            length: 0,
        };
        fixed.emit_fixed(header)?;
        let extensions = header.get_mut(FIXED_HEADER_LENGTH..)?;
        if !extensions.is_empty() {
            kind.write_extensions(&stamp, extensions);
            set_extension(header, true);
        }
        write_payload(planned, packet, payload.get_mut(..layout.payload)?)?;
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
    let at = again.as_ref().map_or(now, |sent| sent.at);
    let earlier = again.as_ref().and_then(|sent| sent.transport_sequence);
    let transport_sequence = earlier.unwrap_or_else(|| {
        // One that does not carry it takes none: it would seem to be lost.
        transport_sequence.map_or(0, |number| {
            *number = number.wrapping_add(1);
            *number
        })
    });
    if let Some(sent) = again {
        sent.transport_sequence = Some(transport_sequence);
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
