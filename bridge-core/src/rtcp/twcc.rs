//! Transport-wide feedback: when each packet of a transport arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! A packet is a base number, a count, symbols in 16-bit chunks (a run of one symbol, 14 of one
//! bit or 7 of two bits), and a time difference for each packet that arrived. The parser checks all
//! of it before anything is given out, in time that grows with a bounded number of statuses.

use super::compound::{CompoundWriter, FEEDBACK_LENGTH, FeedbackSsrcs, TRANSPORT_FEEDBACK, TWCC};
use crate::id::Ssrc;
use crate::limits::TWCC_STATUSES_MAX;
use crate::time::Time;
use crate::wire;

/// Feedback on the packets of a transport.
#[derive(Clone, Copy, Debug)]
pub struct Twcc<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// A stream of the transport; its value means nothing.
    pub media: Ssrc,
    /// The first packet reported on.
    pub base: u16,
    /// How many packets are reported on, lost ones included.
    pub count: u16,
    /// Counts the feedback packets, so that a lost one is noticed.
    pub feedback_count: u8,
    /// Where the reporter's clock stands: 24 bits, in units of 64 ms.
    reference: i32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwccStatus {
    /// The packet's transport-wide number, as on the wire.
    pub sequence: u16,
    /// When it arrived, in microseconds of the reporter's clock; `None` when it did not (yet).
    /// The clock starts anywhere, and jumps back every 12 days.
    pub arrival: Option<i64>,
}

/// The packets reported on, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct TwccStatuses<'a> {
    symbols: Symbols<'a>,
    deltas: &'a [u8],
    sequence: u16,
    ticks: i64,
}

impl<'a> Twcc<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let FeedbackSsrcs { sender, media } = FeedbackSsrcs::parse(body)?;
        let body = body.get(FEEDBACK_LENGTH..)?;
        let count = wire::u16_at(body, 2)?;
        let chunks = body.get(FIXED_LENGTH..)?;
        if count == 0 || usize::from(count) > TWCC_STATUSES_MAX {
            return None;
        }
        let mut symbols = Symbols::new(chunks, count);
        let mut length = 0;
        for _ in 0..count {
            length += symbols.next()?.delta_length()?;
        }
        // The symbols are used up: what their iterator has left is the deltas and padding.
        let deltas = symbols.chunks.get(..length)?;
        Some(Self {
            sender,
            media,
            base: wire::u16_at(body, 0)?,
            count,
            feedback_count: *body.get(7)?,
            reference: (wire::u24_at(body, 4)? << 8).cast_signed() >> 8,
            chunks,
            deltas,
        })
    }

    /// What became of each packet.
    #[must_use]
    pub const fn statuses(&self) -> TwccStatuses<'a> {
        TwccStatuses {
            symbols: Symbols::new(self.chunks, self.count),
            deltas: self.deltas,
            sequence: self.base,
            ticks: self.reference as i64 * TICKS_PER_REFERENCE,
        }
    }
}

impl Iterator for TwccStatuses<'_> {
    type Item = TwccStatus;

    fn next(&mut self) -> Option<TwccStatus> {
        let symbol = self.symbols.next()?;
        let (delta, rest) = self.deltas.split_at_checked(symbol.delta_length()?)?;
        self.deltas = rest;
        let step = match *delta {
            [] => None,
            [small] => Some(i64::from(small)),
            _ => Some(i64::from(wire::u16_at(delta, 0)?.cast_signed())),
        };
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let arrival = step.map(|step| {
            self.ticks += step;
            self.ticks * MICROS_PER_TICK
        });
        Some(TwccStatus { sequence, arrival })
    }
}

/// One packet's two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbol(u8);

impl Symbol {
    const LOST: Self = Self(0);
    const SMALL: Self = Self(1);
    const LARGE: Self = Self(2);

    /// Bytes of its time difference; `None` for the reserved symbol.
    fn delta_length(self) -> Option<usize> {
        Some(usize::from(self.0)).filter(|length| *length < 3)
    }
}

/// Reads symbols from the chunks.
#[derive(Clone, Debug)]
struct Symbols<'a> {
    chunks: &'a [u8],
    chunk: u16,
    left_in_chunk: u16,
    left: u16,
}

impl<'a> Symbols<'a> {
    const fn new(chunks: &'a [u8], count: u16) -> Self {
        Self {
            chunks,
            chunk: 0,
            left_in_chunk: 0,
            left: count,
        }
    }
}

impl Iterator for Symbols<'_> {
    type Item = Symbol;

    fn next(&mut self) -> Option<Symbol> {
        self.left = self.left.checked_sub(1)?;
        while self.left_in_chunk == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk()?;
            self.chunks = rest;
            self.chunk = u16::from_be_bytes(*chunk);
            self.left_in_chunk = match self.chunk >> 14 {
                0b10 => 14,
                0b11 => 7,
                _ => self.chunk & RUN_MAX,
            };
        }
        self.left_in_chunk -= 1;
        let bits = match self.chunk >> 14 {
            0b10 => (self.chunk >> self.left_in_chunk) & 1,
            0b11 => (self.chunk >> (2 * self.left_in_chunk)) & 3,
            _ => self.chunk >> 13,
        };
        Some(Symbol(u8::try_from(bits & 3).unwrap_or(3)))
    }
}

impl CompoundWriter<'_> {
    /// Adds feedback on the packets from number `from` on. `arrivals` are the packets that came,
    /// by ascending number (extended, so that it does not wrap); those between are reported lost.
    /// As many are taken as fit into the buffer, the numbers and the time differences.
    ///
    /// Gives the number after the last one reported, from which the next feedback goes on; `None`
    /// when there was no room or nothing arrived, and nothing was written.
    pub fn twcc(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        feedback_count: u8,
        from: u64,
        arrivals: impl Iterator<Item = (u64, Time)>,
    ) -> Option<u64> {
        let mut arrivals = arrivals.peekable();
        let &(first, arrival) = arrivals.peek()?;
        // After a long silence the gap is not worth reporting.
        let is_near = first < from.saturating_add(GAP_MAX);
        let base = if is_near { from.min(first) } else { first };
        let reference = ticks(arrival).div_euclid(TICKS_PER_REFERENCE);
        let room = self
            .body_room()
            .checked_sub(FEEDBACK_LENGTH + FIXED_LENGTH)?;
        let mut report = Report::new(base, reference * TICKS_PER_REFERENCE);
        for (sequence, arrival) in arrivals {
            if !report.take(sequence, ticks(arrival), room) {
                break;
            }
        }
        let length = (FIXED_LENGTH + report.length()).next_multiple_of(4);
        let ssrcs = FeedbackSsrcs { sender, media };
        let symbols = report.symbols();
        let count = u16::try_from(symbols.len())
            .ok()
            .filter(|count| *count > 0)?;
        let body = self.feedback(TRANSPORT_FEEDBACK, TWCC, ssrcs, length)?;
        body.fill(0);
        let [.., high, low] = base.to_be_bytes();
        wire::put(body, 0, &[high, low]);
        wire::put(body, 2, &count.to_be_bytes());
        let [.., a, b, c] = reference.to_be_bytes();
        wire::put(body, 4, &[a, b, c, feedback_count]);
        let mut at = FIXED_LENGTH;
        for chunk in Chunks(symbols) {
            wire::put(body, at, &chunk.to_be_bytes());
            at += 2;
        }
        wire::put(body, at, report.deltas());
        Some(base + u64::from(count))
    }
}

/// Symbols and time differences gathered for one feedback packet.
struct Report {
    base: u64,
    ticks: i64,
    symbols: [Symbol; REPORTED_MAX],
    symbol_count: usize,
    deltas: [u8; 2 * REPORTED_MAX],
    delta_length: usize,
}

impl Report {
    const fn new(base: u64, ticks: i64) -> Self {
        Self {
            base,
            ticks,
            symbols: [Symbol::LOST; REPORTED_MAX],
            symbol_count: 0,
            deltas: [0; 2 * REPORTED_MAX],
            delta_length: 0,
        }
    }

    /// Adds a packet if the numbers and `room` allow.
    fn take(&mut self, sequence: u64, ticks: i64, room: usize) -> bool {
        let Some(place) = sequence
            .checked_sub(self.base)
            .and_then(|place| usize::try_from(place).ok())
        else {
            return true;
        };
        if place < self.symbol_count {
            return true;
        }
        let Ok(delta) = i16::try_from(ticks - self.ticks) else {
            return false;
        };
        let bytes = delta.to_be_bytes();
        let (symbol, bytes) = match bytes {
            [0, _] => (Symbol::SMALL, bytes.get(1..).unwrap_or_default()),
            _ => (Symbol::LARGE, bytes.as_slice()),
        };
        if chunks_length_max(place + 1) + self.delta_length + bytes.len() > room {
            return false;
        }
        let Some(slot) = self.symbols.get_mut(place) else {
            return false;
        };
        *slot = symbol;
        self.symbol_count = place + 1;
        self.ticks = ticks;
        wire::put(&mut self.deltas, self.delta_length, bytes);
        self.delta_length += bytes.len();
        true
    }

    fn symbols(&self) -> &[Symbol] {
        self.symbols.get(..self.symbol_count).unwrap_or_default()
    }

    fn deltas(&self) -> &[u8] {
        self.deltas.get(..self.delta_length).unwrap_or_default()
    }

    fn length(&self) -> usize {
        2 * Chunks(self.symbols()).count() + self.delta_length
    }
}

/// Bytes that the chunks of `count` symbols take at most, with padding: every chunk but the last
/// holds seven or more.
const fn chunks_length_max(count: usize) -> usize {
    2 * (count / 7 + 1) + 3
}

/// Packs symbols into chunks: long runs, else 14 of one bit, else 7 of two.
struct Chunks<'a>(&'a [Symbol]);

impl Iterator for Chunks<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let first = *self.0.first()?;
        let run = self.0.iter().take_while(|symbol| **symbol == first);
        let run = run.take(usize::from(RUN_MAX)).count();
        let narrow = self.0.get(..14).unwrap_or(self.0);
        let (chunk, taken) = if run >= 14 || run == self.0.len() {
            let run_bits = u16::try_from(run).unwrap_or(RUN_MAX);
            (u16::from(first.0) << 13 | run_bits, run)
        } else if narrow.iter().all(|symbol| symbol.0 < 2) {
            (0b10 << 14 | pack(narrow, 14, 1), narrow.len())
        } else {
            let wide = self.0.get(..7).unwrap_or(self.0);
            (0b11 << 14 | pack(wide, 7, 2), wide.len())
        };
        self.0 = self.0.get(taken..).unwrap_or_default();
        Some(chunk)
    }
}

/// The symbols at `bits` each, from the left of `places`.
fn pack(symbols: &[Symbol], places: usize, bits: u32) -> u16 {
    let packed = symbols
        .iter()
        .fold(0, |packed, symbol| packed << bits | u16::from(symbol.0));
    let free = places.saturating_sub(symbols.len());
    packed << (bits * u32::try_from(free).unwrap_or(0))
}

fn ticks(time: Time) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX) / MICROS_PER_TICK
}

/// Bytes of base, count, reference time and feedback count.
const FIXED_LENGTH: usize = 8;

/// One tick of a time difference.
const MICROS_PER_TICK: i64 = 250;

/// One unit of the reference time is 64 ms.
const TICKS_PER_REFERENCE: i64 = 256;

/// The longest run of one chunk: 13 bits.
const RUN_MAX: u16 = 0x1fff;

/// Statuses of one feedback packet that we write.
const REPORTED_MAX: usize = 512;

/// A gap in front of the first packet that is still reported as lost.
const GAP_MAX: u64 = REPORTED_MAX as u64 / 2;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    fn read(bytes: &[u8]) -> Twcc<'_> {
        match packets(bytes).next() {
            Some(Ok(RtcpPacket::Twcc(twcc))) => twcc,
            other => panic!("{other:?}"),
        }
    }

    fn written(room: usize, from: u64, arrivals: &[(u64, Time)]) -> (Option<u64>, Vec<u8>) {
        let mut out = vec![0xff; room];
        let mut writer = CompoundWriter::new(&mut out);
        let next = writer.twcc(Ssrc(1), Ssrc(2), 3, from, arrivals.iter().copied());
        let length = writer.len();
        out.truncate(length);
        (next, out)
    }

    #[test]
    fn feedback_is_constructed_and_deconstructed() {
        // 64 ms and a little, then early, much later, and back in time; 65,536 is lost.
        let micros = [64_500, 64_750, 164_750, 164_500];
        let numbers = [65_534, 65_535, 65_537, 65_538];
        let arrivals: Vec<_> = (numbers.into_iter())
            .zip(micros.map(Time::from_micros))
            .collect();
        let (next, bytes) = written(100, 65_533, &arrivals);
        assert_eq!(next, Some(65_539));
        let twcc = read(&bytes);
        assert_eq!((twcc.sender, twcc.media), (Ssrc(1), Ssrc(2)));
        assert_eq!((twcc.base, twcc.count, twcc.feedback_count), (65_533, 6, 3));
        let statuses: Vec<_> = twcc.statuses().map(|s| (s.sequence, s.arrival)).collect();
        let expected = [
            (65_533, None),
            (65_534, Some(64_500)),
            (65_535, Some(64_750)),
            (0, None),
            (1, Some(164_750)),
            (2, Some(164_500)),
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn known_bytes_are_deconstructed() {
        let bytes = [
            0x8f, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, // header and sources
            0, 5, 0, 10, 0xff, 0xff, 0xff, 9, // base 5, ten of them, reference -1
            0x20, 3, // a run of three small ones
            0xd2, 0x00, // two bits each: small, lost, large, then lost
            4, 8, 12, 16, 0xff, 0xfc, 0, 0, // time differences, padding
        ];
        let twcc = read(&bytes);
        let arrivals: Vec<_> = twcc.statuses().map(|s| s.arrival).collect();
        let at = |ticks: i64| Some((ticks - 256) * 250);
        let seen = [
            at(4),
            at(12),
            at(24),
            at(40),
            None,
            at(36),
            None,
            None,
            None,
            None,
        ];
        assert_eq!(arrivals, seen);
    }

    #[test]
    fn any_pattern_of_loss_and_jitter_comes_back_in_as_many_packets_as_it_takes() {
        let mut random = crate::random::Random::new([7; 32]);
        for round in 0..200 {
            let loss = round % 100;
            let mut now = Time::from_millis(1_000);
            let mut arrivals = Vec::new();
            for sequence in 0..1_500_u64 {
                now = now + core::time::Duration::from_micros(u64::from(random.u32() % 80_000));
                if random.u32() % 100 >= loss {
                    arrivals.push((sequence, now));
                }
            }
            let (mut from, mut seen) = (0, Vec::new());
            while let Some(start) = arrivals.iter().position(|(sequence, _)| *sequence >= from) {
                let (next, bytes) = written(300, from, &arrivals[start..]);
                let next = next.unwrap();
                assert!(next > from && bytes.len() <= 300);
                for status in read(&bytes).statuses() {
                    seen.extend(status.arrival.map(|arrival| (status.sequence, arrival)));
                }
                from = next;
            }
            let sent: Vec<_> = arrivals
                .iter()
                .map(|(sequence, at)| (u16::try_from(*sequence).unwrap(), ticks(*at) * 250))
                .collect();
            assert_eq!(seen, sent);
        }
    }

    #[test]
    fn a_time_difference_too_large_for_16_bits_ends_the_packet() {
        let arrivals = [(0, Time::ZERO), (1, Time::from_millis(9_000))];
        let (next, first) = written(100, 0, &arrivals);
        assert_eq!((next, read(&first).count), (Some(1), 1));
        assert_eq!(written(100, 1, &arrivals[1..]).0, Some(2));
    }

    #[test]
    fn a_long_gap_is_left_out_and_an_old_packet_passed_over() {
        let arrivals = [
            (100_000, Time::ZERO),
            (99_000, Time::ZERO),
            (100_001, Time::ZERO),
        ];
        let (next, bytes) = written(100, 5, &arrivals);
        assert_eq!(next, Some(100_002));
        assert_eq!(read(&bytes).count, 2);
    }

    #[test]
    fn no_room_or_nothing_arrived_writes_nothing() {
        assert_eq!(written(100, 0, &[]), (None, vec![]));
        assert_eq!(written(20, 0, &[(0, Time::ZERO)]), (None, vec![]));
    }

    #[test]
    fn impossible_lengths_and_symbols_are_refused() {
        let body = |count: u16, rest: &[u8]| {
            let mut body = vec![0; 10];
            body.extend(count.to_be_bytes());
            body.extend([0; 4]);
            body.extend(rest);
            Twcc::parse(&body).is_some()
        };
        assert!(body(1, &[0x20, 1, 9, 0]));
        assert!(!body(0, &[0x20, 1, 9, 0]), "nothing");
        assert!(!body(1, &[0x20, 1]), "no difference");
        assert!(!body(2, &[0x40, 2, 9, 0]), "large differences cut");
        assert!(!body(3, &[0x20, 2, 9, 9]), "a symbol short");
        assert!(!body(1, &[0x60, 1, 9, 9, 9, 9]), "the reserved symbol");
        assert!(!body(1, &[0, 0, 0, 0]), "runs of none");
        assert!(!body(u16::MAX, &[0x1f, 0xff].repeat(9)), "too many");
        assert!(body(8_192, &[0x1f, 0xff, 0, 1]), "as many as allowed");
        assert!(Twcc::parse(&[0; 15]).is_none());
    }
}
