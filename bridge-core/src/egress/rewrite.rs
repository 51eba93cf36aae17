//! Gives packets of changing encodings and sources the numbers of one steady RTP stream.
//!
//! An epoch is the time in which one encoding is forwarded; it begins with a keyframe. Within an
//! epoch all numbers shift by constants, but for the sequence number, which closes over packets
//! that are left out. A packet that has not come yet keeps its place, so that it can come late; a
//! packet of an earlier epoch has none any more. After an incomplete frame the new epoch leaves
//! one number free, so that the receiver knows of it.
//!
//! The timestamp of a new epoch follows the sender's clock if both encodings have recent sender
//! reports, else the times of arrival; it is always after the last one, and not more ahead of it
//! than the time that passed and [`AHEAD_MAX`]. A keyframe is never refused for it.

use core::time::Duration;

use super::history::Shift;
use crate::codec::vp8::PictureId;
use crate::ingest::source::{Encoding, Facts, MediaPacket, Pending, SenderClock, Source};
use crate::ingest::store::Entry;
use crate::limits::{HISTORY_PACKETS_MAX, SEQUENCE_PIECES_MAX};
use crate::rtp::sequence;
use crate::time::Time;

/// The state of one outgoing stream.
#[derive(Debug)]
pub(crate) struct Rewriter {
    /// The highest number given, or the one before the first.
    highest_out: u64,
    /// The newest frame.
    last: Option<Newest>,
    epoch: Option<Epoch>,
    /// Counts the sources that the stream has carried: clocks of different ones do not compare.
    tenancy: u32,
}

/// The newest frame of an outgoing stream: its numbers as sent, and where they come from.
#[derive(Clone, Copy, Debug)]
struct Newest {
    timestamp: u32,
    picture_id: u16,
    tl0_index: u8,
    /// Whether its last packet has been sent.
    is_complete: bool,
    /// When its first packet came.
    arrival: Time,
    encoding: u8,
    timestamp_shift: u32,
    tenancy: u32,
}

/// The time in which one encoding is forwarded.
#[derive(Clone, Debug)]
struct Epoch {
    encoding: u8,
    /// Its first packet.
    first: u64,
    /// Its highest packet so far, left out or not.
    highest: u64,
    /// The timestamp of that one, and whether it was left out.
    newest: (u32, bool),
    shift: Shift,
    pieces: Pieces,
}

impl Rewriter {
    /// A stream whose first packet has the number after `before_first`.
    pub(crate) const fn new(before_first: u64) -> Self {
        Self {
            highest_out: before_first,
            last: None,
            epoch: None,
            tenancy: 0,
        }
    }

    /// Another source takes over: nothing of the earlier one is accepted any more.
    pub(crate) fn change_source(&mut self) {
        self.close();
        self.tenancy = self.tenancy.wrapping_add(1);
    }

    /// Nothing of the current epoch is accepted any more.
    pub(crate) fn close(&mut self) {
        self.epoch = None;
    }

    /// The highest number given.
    pub(crate) const fn highest_out(&self) -> u64 {
        self.highest_out
    }

    /// The number that was sent as `wire`: the latest one that ends so, if there is one.
    pub(crate) fn sent_number(&self, wire: u16) -> Option<u64> {
        let behind = sequence::wire(self.highest_out).wrapping_sub(wire);
        if behind >= 1 << 15 {
            return None;
        }
        self.highest_out.checked_sub(u64::from(behind))
    }

    /// The encoding of the epoch and the shift of its timestamps.
    pub(crate) fn clock(&self) -> Option<(u8, u32)> {
        let epoch = self.epoch.as_ref()?;
        Some((epoch.encoding, epoch.shift.timestamp))
    }

    /// The shift of the epoch.
    pub(crate) fn shift(&self) -> Shift {
        self.epoch
            .as_ref()
            .map(|epoch| epoch.shift)
            .unwrap_or_default()
    }

    /// Whether a packet comes after all that its epoch has seen.
    pub(crate) fn is_in_order(&self, encoding: u8, sequence: u64) -> bool {
        let epoch = self.epoch.as_ref();
        epoch.is_none_or(|epoch| epoch.encoding != encoding || sequence > epoch.highest)
    }

    /// The place of a late packet of this epoch.
    pub(crate) fn late(&self, encoding: u8, sequence: u64) -> Option<u64> {
        let epoch = self.epoch.as_ref()?;
        if epoch.encoding != encoding || sequence < epoch.first {
            return None;
        }
        epoch.pieces.out(sequence)
    }

    /// The packet of this epoch whose place `out` is: its encoding and number there.
    pub(crate) fn packet_at(&self, out: u64) -> Option<Pending> {
        let epoch = self.epoch.as_ref()?;
        let sequence = epoch.pieces.sequence(out)?;
        Some(Pending {
            encoding: epoch.encoding,
            sequence,
        })
    }

    /// What gives a packet without content the timestamp of the newest frame.
    pub(crate) fn shift_of_nothing(&self) -> Shift {
        Shift {
            timestamp: self.last.map_or(0, |last| last.timestamp),
            ..Shift::default()
        }
    }

    /// Begins an epoch with `packet`, and gives its number.
    pub(crate) fn start(&mut self, source: &Source, encoding: u8, packet: &MediaPacket) -> u64 {
        let is_cut = self.last.is_some_and(|last| !last.is_complete);
        self.highest_out += if is_cut { 2 } else { 1 };
        self.epoch = Some(Epoch {
            encoding,
            first: packet.sequence,
            highest: packet.sequence,
            newest: (packet.header.timestamp, false),
            shift: self.shift_for(source, encoding, packet),
            pieces: Pieces::new(packet.sequence, self.highest_out),
        });
        self.note_frame(packet);
        self.highest_out
    }

    /// The number of the next packet of the epoch. Packets between it and the one before keep a
    /// place, unless they came and are never forwarded or belong to a frame that is left out.
    pub(crate) fn forward(&mut self, encoding: &Encoding, packet: &MediaPacket) -> u64 {
        self.step_over_gap(encoding, packet);
        self.highest_out += 1;
        if let Some(epoch) = &mut self.epoch {
            epoch.highest = packet.sequence;
            epoch.newest = (packet.header.timestamp, false);
        }
        self.note_frame(packet);
        self.highest_out
    }

    /// The next packet of the epoch is left out: the numbers close over it.
    pub(crate) fn skip(&mut self, encoding: &Encoding, packet: &MediaPacket) {
        self.step_over_gap(encoding, packet);
        if let Some(epoch) = &mut self.epoch {
            epoch.highest = packet.sequence;
            epoch.newest = (packet.header.timestamp, true);
            epoch.pieces.close_over(packet.sequence);
        }
    }

    fn step_over_gap(&mut self, encoding: &Encoding, packet: &MediaPacket) {
        let Some(epoch) = &mut self.epoch else {
            return;
        };
        let of_skipped_frame = epoch.newest == (packet.header.timestamp, true);
        if packet.sequence - epoch.highest > GAP_MAX {
            // So much cannot come late: the receiver sees a gap of one.
            let from = packet.sequence;
            epoch
                .pieces
                .jump(epoch.highest + 1, from, self.highest_out + 2);
            self.highest_out += 1;
            return;
        }
        for sequence in epoch.highest + 1..packet.sequence {
            let will_not_come = match encoding.store.entry(sequence) {
                Entry::Skipped | Entry::Gone => true,
                Entry::Missing | Entry::Held(_) => of_skipped_frame,
            };
            if will_not_come {
                epoch.pieces.close_over(sequence);
            } else {
                self.highest_out += 1;
            }
        }
    }

    fn note_frame(&mut self, packet: &MediaPacket) {
        let Some(Epoch {
            shift, encoding, ..
        }) = self.epoch
        else {
            return;
        };
        let before = self.last;
        let (picture_before, tl0_before) =
            before.map_or((0, 0), |last| (last.picture_id, last.tl0_index));
        let timestamp = packet.header.timestamp.wrapping_add(shift.timestamp);
        let same_frame = before.filter(|last| last.timestamp == timestamp);
        let (picture_id, tl0_index) = match &packet.facts {
            Facts::Vp8(vp8) => (
                vp8.picture_id.map(|id| shift.picture_id_of(id)),
                vp8.tl0_picture_index.map(|index| shift.tl0_index_of(index)),
            ),
            Facts::Audio { .. } => (None, None),
        };
        self.last = Some(Newest {
            timestamp,
            picture_id: picture_id.unwrap_or(picture_before),
            tl0_index: tl0_index.unwrap_or(tl0_before),
            is_complete: packet.header.marker || matches!(packet.facts, Facts::Audio { .. }),
            arrival: same_frame.map_or(packet.arrival, |last| last.arrival),
            encoding,
            timestamp_shift: shift.timestamp,
            tenancy: self.tenancy,
        });
    }

    /// The shift of an epoch that begins with `packet`. The first packet of a stream keeps its
    /// numbers.
    fn shift_for(&self, source: &Source, encoding: u8, packet: &MediaPacket) -> Shift {
        let Some(last) = &self.last else {
            return Shift::default();
        };
        let rate = clock_rate(source, encoding);
        let elapsed = ticks(packet.arrival.since(last.arrival), rate);
        let ahead_max = elapsed.saturating_add(ticks(AHEAD_MAX, rate));
        let by_clock = (last.tenancy == self.tenancy)
            .then(|| by_sender_clock(source, last, encoding, packet, rate))
            .flatten()
            .map(|timestamp| timestamp.wrapping_sub(last.timestamp).cast_signed());
        let ahead = by_clock.unwrap_or(elapsed).clamp(1, ahead_max);
        let timestamp = last.timestamp.wrapping_add_signed(ahead);
        let (picture_id, tl0_index) = match &packet.facts {
            Facts::Vp8(vp8) => (vp8.picture_id, vp8.tl0_picture_index),
            Facts::Audio { .. } => (None, None),
        };
        let next_picture = last.picture_id.wrapping_add(1);
        let next_tl0 = last.tl0_index.wrapping_add(1);
        Shift {
            timestamp: timestamp.wrapping_sub(packet.header.timestamp),
            picture_id: picture_id.map_or(0, |id| next_picture.wrapping_sub(id.value)),
            tl0_index: tl0_index.map_or(0, |index| next_tl0.wrapping_sub(index)),
        }
    }
}

impl Shift {
    /// The picture id to send for `id`, in its width.
    pub(crate) const fn picture_id_of(self, id: PictureId) -> u16 {
        id.value.wrapping_add(self.picture_id) & id.mask()
    }

    /// The TL0PICIDX to send for `index`.
    pub(crate) const fn tl0_index_of(self, index: u8) -> u8 {
        index.wrapping_add(self.tl0_index)
    }
}

/// The timestamp of `packet` on the outgoing stream by the sender's clock: as before if the
/// encoding is the same, else by the sender reports of both encodings if they are recent.
fn by_sender_clock(
    source: &Source,
    last: &Newest,
    encoding: u8,
    packet: &MediaPacket,
    rate: u32,
) -> Option<u32> {
    let timestamp = packet.header.timestamp;
    if encoding == last.encoding {
        return Some(timestamp.wrapping_add(last.timestamp_shift));
    }
    let clock = |encoding: u8| -> Option<SenderClock> {
        let clock = source.encodings.get(usize::from(encoding))?.sender_report?;
        (packet.arrival.since(clock.arrival) <= SENDER_REPORT_AGE_MAX).then_some(clock)
    };
    let (from, to) = (clock(encoding)?, clock(last.encoding)?);
    // Both clocks at the same moment: the difference of NTP times, in 2^-32 s, as ticks.
    let apart = i128::from(from.ntp.wrapping_sub(to.ntp).cast_signed());
    let apart = i32::try_from((apart * i128::from(rate)) >> 32).ok()?;
    let on_last = to.rtp.wrapping_add_signed(apart);
    let since_report = timestamp.wrapping_sub(from.rtp);
    Some(
        on_last
            .wrapping_add(since_report)
            .wrapping_add(last.timestamp_shift),
    )
}

fn clock_rate(source: &Source, encoding: u8) -> u32 {
    let encoding = source.encodings.get(usize::from(encoding));
    encoding.map_or(0, |encoding| encoding.clock_rate)
}

/// Ticks of a clock, at most what keeps a timestamp ahead of another.
fn ticks(span: Duration, rate: u32) -> i32 {
    let ticks = span.as_nanos().saturating_mul(u128::from(rate)) / 1_000_000_000;
    i32::try_from(ticks).unwrap_or(i32::MAX)
}

/// How incoming sequence numbers of an epoch become outgoing ones: by a constant distance in each
/// of the latest pieces. What lies between two pieces was left out.
#[derive(Clone, Debug)]
struct Pieces {
    /// Nearly all packets are of this one.
    newest: Piece,
    /// Those before it, the oldest at `oldest` once all places are taken. Apart from the newest, so
    /// that a slot is a few lines of the cache and not seventeen.
    older: Vec<Piece>,
    oldest: usize,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u64,
    end: u64,
    /// Added modulo 2^64.
    distance: u64,
}

impl Piece {
    fn out(&self, sequence: u64) -> Option<u64> {
        (self.start..self.end)
            .contains(&sequence)
            .then_some(sequence.wrapping_add(self.distance))
    }

    fn sequence(&self, out: u64) -> Option<u64> {
        let sequence = out.wrapping_sub(self.distance);
        (self.start..self.end)
            .contains(&sequence)
            .then_some(sequence)
    }
}

impl Pieces {
    const fn new(start: u64, out: u64) -> Self {
        Self {
            newest: Piece {
                start,
                end: u64::MAX,
                distance: out.wrapping_sub(start),
            },
            older: Vec::new(),
            oldest: 0,
        }
    }

    /// The outgoing number of `sequence`; `None` if it was left out or is too old.
    fn out(&self, sequence: u64) -> Option<u64> {
        let older = || self.older.iter().find_map(|piece| piece.out(sequence));
        self.newest.out(sequence).or_else(older)
    }

    /// The sequence number that has the outgoing one `out`; `None` if none has, or it is too old.
    fn sequence(&self, out: u64) -> Option<u64> {
        let older = || self.older.iter().find_map(|piece| piece.sequence(out));
        self.newest.sequence(out).or_else(older)
    }

    /// Numbers close over `sequence`, which is beyond all that have one.
    fn close_over(&mut self, sequence: u64) {
        let distance = self.newest.distance.wrapping_sub(1);
        if self.newest.start == sequence {
            self.newest.start = sequence + 1;
            self.newest.distance = distance;
        } else {
            self.begin(sequence, sequence + 1, distance);
        }
    }

    /// The piece so far ends before `end`, and `start` has the number `out`.
    fn jump(&mut self, end: u64, start: u64, out: u64) {
        self.begin(end, start, out.wrapping_sub(start));
    }

    fn begin(&mut self, end: u64, start: u64, distance: u64) {
        let newest = Piece {
            start,
            end: u64::MAX,
            distance,
        };
        let ended = Piece {
            end,
            ..core::mem::replace(&mut self.newest, newest)
        };
        if self.older.len() < OLDER_PIECES_MAX {
            self.older.push(ended);
        } else if let Some(place) = self.older.get_mut(self.oldest) {
            *place = ended;
            self.oldest = (self.oldest + 1) % OLDER_PIECES_MAX;
        }
    }
}

/// Pieces that are kept besides the newest.
const OLDER_PIECES_MAX: usize = SEQUENCE_PIECES_MAX - 1;

/// Sender reports older than this say nothing of today's clocks.
const SENDER_REPORT_AGE_MAX: Duration = Duration::from_secs(10);

/// How much later than the time that passed a new epoch may seem.
const AHEAD_MAX: Duration = Duration::from_millis(25);

/// More missing packets in a row than this are not waited for.
const GAP_MAX: u64 = HISTORY_PACKETS_MAX as u64;
