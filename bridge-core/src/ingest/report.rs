//! Measures how one RTP stream is received (RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8).
//!
//! Packets are authenticated, so there is no probation of new sources. The blocks are put into
//! compounds by `feedback.rs`.

use crate::id::Ssrc;
use crate::rtcp::ReportBlock;
use crate::rtp::RtpHeader;
use crate::rtp::sequence::SequenceExtender;
use crate::time::Time;

use super::Arrived;
use super::source::{Encoding, SenderClock};

/// Notes an arrived packet at its stream; gives its extended number there.
pub(super) fn record(arrived: &Arrived<'_>, encoding: &mut Encoding) -> u64 {
    let reception = if arrived.stream.is_rtx {
        &mut encoding.rtx_reception
    } else {
        &mut encoding.reception
    };
    reception.record(arrived.now, &arrived.header, arrived.payload.clock_rate)
}

impl Encoding {
    /// Whether what a sender says of its clocks agrees with its packets, within seconds: nobody's
    /// lips may be put hours away.
    pub(super) fn is_plausible(&self, clock: &SenderClock) -> bool {
        let Some((timestamp, arrival)) = self.newest.filter(|_| clock.ntp != 0) else {
            return false;
        };
        let elapsed =
            ticks(clock.arrival, self.clock_rate).wrapping_sub(ticks(arrival, self.clock_rate));
        let distance = clock.rtp.wrapping_sub(timestamp.wrapping_add(elapsed));
        distance.cast_signed().unsigned_abs() <= self.clock_rate.saturating_mul(CLOCK_DISTANCE_MAX)
    }
}

/// Reception of one RTP stream.
#[derive(Debug, Default)]
pub(super) struct Reception {
    extender: SequenceExtender,
    /// First sequence number expected.
    base: Option<u64>,
    received: u64,
    /// `expected` and `received` at the last report.
    prior: (u64, u64),
    /// Interarrival jitter in sixteenths of a timestamp unit.
    jitter: u32,
    transit: Option<u32>,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    last_report: Option<(u32, Time)>,
    /// Whether a packet came since the last report.
    is_fresh: bool,
}

impl Reception {
    /// Notes a packet and gives its extended sequence number.
    pub(super) fn record(&mut self, now: Time, header: &RtpHeader, clock_rate: u32) -> u64 {
        let sequence = self.extender.extend(header.sequence);
        self.base = Some(self.base.map_or(sequence, |base| base.min(sequence)));
        self.received = self.received.saturating_add(1);
        self.is_fresh = true;
        let transit = ticks(now, clock_rate).wrapping_sub(header.timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let step = transit.wrapping_sub(previous).cast_signed().unsigned_abs();
            // A step of more than a minute is a restart of the clock, not jitter.
            if step < clock_rate.saturating_mul(60) {
                self.jitter = self.jitter - ((self.jitter + 8) >> 4) + step.min(JITTER_STEP_MAX);
            }
        }
        sequence
    }

    /// The extended number of a sequence number that came by another stream.
    pub(super) fn place(&self, sequence: u16) -> u64 {
        self.extender.peek(sequence)
    }

    /// Remembers a sender report, to be echoed.
    pub(super) const fn note_sender_report(&mut self, now: Time, ntp: u64) {
        let [_, _, a, b, c, d, _, _] = ntp.to_be_bytes();
        self.last_report = Some((u32::from_be_bytes([a, b, c, d]), now));
    }

    /// The block about this stream, if anything came since the last one.
    pub(super) fn take_block(&mut self, now: Time, ssrc: Ssrc) -> Option<ReportBlock> {
        if !core::mem::take(&mut self.is_fresh) {
            return None;
        }
        let (base, highest) = (self.base?, self.extender.highest()?);
        let expected = highest - base + 1;
        let (expected_prior, received_prior) = self.prior;
        self.prior = (expected, self.received);
        let expected_since = expected.saturating_sub(expected_prior);
        let received_since = self.received.saturating_sub(received_prior);
        let (last_sender_report, delay) = self.last_report.map_or((0, 0), |(ntp, arrival)| {
            (ntp, units_of_65536th(now, arrival))
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction(expected_since, received_since),
            cumulative_lost: cumulative(expected, self.received),
            // The extender starts one cycle in, reports count from none.
            highest_sequence: low_half(highest).wrapping_sub(1 << 16),
            jitter: self.jitter >> 4,
            last_sender_report,
            delay_since_last: delay,
        })
    }
}

/// Lost share of the expected packets, in 256ths; 0 when duplicates outnumber losses.
fn fraction(expected: u64, received: u64) -> u8 {
    let lost = expected.saturating_sub(received);
    let share = (lost << 8).checked_div(expected).unwrap_or(0);
    u8::try_from(share).unwrap_or(u8::MAX)
}

/// Lost packets, cut to 24 signed bits.
fn cumulative(expected: u64, received: u64) -> i32 {
    let lost =
        i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(received).unwrap_or(i64::MAX);
    i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0)
}

/// Low 32 bits: cycles and sequence number as RFC 3550 wants them.
const fn low_half(sequence: u64) -> u32 {
    let [.., a, b, c, d] = sequence.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// `now` on a clock of `rate` hertz, wrapping.
fn ticks(now: Time, rate: u32) -> u32 {
    let nanos = now.as_nanos();
    let rate = u64::from(rate);
    let whole = (nanos / NANOS).wrapping_mul(rate);
    low_half(whole.wrapping_add(nanos % NANOS * rate / NANOS))
}

/// Time since `earlier` in units of 1/65536 s.
fn units_of_65536th(now: Time, earlier: Time) -> u32 {
    let nanos = u64::try_from(now.since(earlier).as_nanos()).unwrap_or(u64::MAX);
    let units = (nanos / NANOS).saturating_mul(65_536) + nanos % NANOS * 65_536 / NANOS;
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Seconds that a sender report may be away from the packets.
const CLOCK_DISTANCE_MAX: u32 = 10;

const NANOS: u64 = 1_000_000_000;

/// Steps are cut here, so that the filter cannot overflow.
const JITTER_STEP_MAX: u32 = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PayloadType;

    const CLOCK: u32 = 8_000;

    fn record(reception: &mut Reception, micros: u64, sequence: u16, timestamp: u32) -> u64 {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType(0),
            sequence,
            timestamp,
            ssrc: Ssrc(1),
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 12,
        };
        reception.record(Time::from_micros(micros), &header, CLOCK)
    }

    fn block(reception: &mut Reception) -> ReportBlock {
        reception.take_block(Time::from_millis(0), Ssrc(1)).unwrap()
    }

    #[test]
    fn loss_is_told_since_the_last_report_and_in_all() {
        let mut reception = Reception::default();
        let cases: [(&[u16], u8, i32, u32); 5] = [
            (&[65_534, 65_535, 1], 64, 1, 0x0001_0001),
            (&[2, 3, 4], 0, 1, 0x0001_0004),
            (&[3, 4, 4, 4], 0, -3, 0x0001_0004),
            (&[6, 12], 192, 3, 0x0001_000c),
            (&[5, 7], 0, 1, 0x0001_000c),
        ];
        for (sequences, fraction, cumulative, highest) in cases {
            for sequence in sequences {
                record(&mut reception, 0, *sequence, 0);
            }
            let block = block(&mut reception);
            let told = (
                block.fraction_lost,
                block.cumulative_lost,
                block.highest_sequence,
            );
            assert_eq!(told, (fraction, cumulative, highest), "{sequences:?}");
            assert!(reception.take_block(Time::ZERO, Ssrc(1)).is_none(), "told");
        }
    }

    #[test]
    fn extreme_counts_saturate() {
        assert_eq!(cumulative(u64::MAX, 0), 0x7f_ffff);
        assert_eq!(cumulative(0, u64::MAX), -0x80_0000);
        assert_eq!(fraction(0, 0), 0);
        assert_eq!(fraction(1 << 40, 0), 255);
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        let mut reception = Reception::default();
        let mut expected = 0.0_f64;
        let mut previous: Option<i64> = None;
        for packet in 0..200_u16 {
            let late = i64::from(packet * 37 % 11) * 8;
            let sent = i64::from(packet) * 160;
            let micros = u64::try_from((sent + late) * 125).unwrap();
            record(&mut reception, micros, packet, u32::from(packet) * 160);
            if let Some(previous) = previous {
                let step = f64::from(i32::try_from((late - previous).abs()).unwrap());
                expected += (step - expected) / 16.0;
            }
            previous = Some(late);
        }
        let jitter = f64::from(block(&mut reception).jitter);
        assert!((jitter - expected).abs() <= 1.5, "{jitter} for {expected}");
    }

    #[test]
    fn jitter_survives_any_timestamps() {
        let mut reception = Reception::default();
        let mut timestamp = 1_u32;
        for packet in 0..10_000_u16 {
            timestamp = timestamp
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            record(&mut reception, u64::from(packet), packet, timestamp);
        }
        assert!(block(&mut reception).jitter <= CLOCK * 60);
    }

    #[test]
    fn a_sender_report_is_echoed_with_its_age() {
        let mut reception = Reception::default();
        record(&mut reception, 0, 1, 0);
        let before = block(&mut reception);
        assert_eq!((before.last_sender_report, before.delay_since_last), (0, 0));
        reception.note_sender_report(Time::from_millis(100), 0x1111_2222_3333_4444);
        record(&mut reception, 0, 2, 0);
        let block = reception
            .take_block(Time::from_millis(1_600), Ssrc(1))
            .unwrap();
        assert_eq!(block.last_sender_report, 0x2222_3333);
        assert_eq!(block.delay_since_last, 65_536 * 3 / 2);
    }
}
