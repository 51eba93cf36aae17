//! Counts what one participant receives, from headers that everybody can read, and writes the
//! reports that a browser would send.

use core::time::Duration;

use bridge_core::Time;
use bridge_core::id::Ssrc;
use bridge_core::rtcp::{CompoundWriter, ReportBlock};
use bridge_core::rtp::sequence::SequenceExtender;
use bridge_core::rtp::{RtpHeader, extension};

/// Packets that wait to be reported at most; a browser that is so far behind gives up as well.
const ARRIVALS_MAX: usize = 4_000;

/// Blocks of one report (RFC 3550: five bits).
const BLOCKS_MAX: usize = 31;

/// Time between two transport-wide feedbacks.
pub(crate) const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two reports.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What came for one participant.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    flows: Vec<Flow>,
    /// The flow of the packet before: frames come in one piece.
    last: usize,
    arrivals: Vec<(u64, Time)>,
    transport: SequenceExtender,
    next_arrival: u64,
    feedback_count: u8,
}

/// One stream.
#[derive(Debug)]
struct Flow {
    ssrc: u32,
    sequence: SequenceExtender,
    /// Packets since measuring began, and the number at which it did.
    packets: u64,
    begin: u64,
    /// The same since the last report.
    reported: (u64, u64),
    received: u64,
    lost: i32,
}

/// Sums over flows in the time measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Packets that came.
    pub(crate) packets: u64,
    /// Packets that were numbered by the server: came or got lost.
    pub(crate) numbered: u64,
    /// Flows of which anything came.
    pub(crate) flows: usize,
}

impl Inbox {
    /// Takes note of a packet. Says whether it is the first one of its stream.
    pub(crate) fn take(&mut self, header: &RtpHeader) -> bool {
        let ssrc = header.ssrc.0;
        if self
            .flows
            .get(self.last)
            .is_none_or(|flow| flow.ssrc != ssrc)
        {
            let found = self.flows.iter().position(|flow| flow.ssrc == ssrc);
            self.last = found.unwrap_or(self.flows.len());
        }
        let is_new = self.last == self.flows.len();
        if is_new {
            self.flows.push(Flow::new(header));
        }
        if let Some(flow) = self.flows.get_mut(self.last) {
            flow.sequence.extend(header.sequence);
            flow.packets += 1;
            flow.received += 1;
        }
        is_new
    }

    /// Takes note of when a packet with a transport-wide number came.
    pub(crate) fn note(&mut self, bytes: &[u8], header: &RtpHeader, id: u8, now: Time) {
        let element = extension::find(bytes, header, id);
        let number = element.and_then(extension::transport_sequence);
        if let (Some(number), true) = (number, self.arrivals.len() < ARRIVALS_MAX) {
            self.arrivals.push((self.transport.extend(number), now));
        }
    }

    /// Whether there is something to give feedback on.
    pub(crate) const fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Writes one transport-wide feedback, and says whether it did; there may be more to say.
    pub(crate) fn feedback(&mut self, writer: &mut CompoundWriter<'_>, sender: u32) -> bool {
        self.arrivals.sort_unstable_by_key(|(number, _)| *number);
        self.arrivals.dedup_by_key(|(number, _)| *number);
        let media = self.flows.first().map_or(0, |flow| flow.ssrc);
        let next = writer.twcc(
            Ssrc(sender),
            Ssrc(media),
            self.feedback_count,
            self.next_arrival,
            self.arrivals.iter().copied(),
        );
        match next {
            Some(next) => {
                self.feedback_count = self.feedback_count.wrapping_add(1);
                self.next_arrival = next;
                self.arrivals.retain(|(number, _)| *number >= next);
            }
            None => self.arrivals.clear(),
        }
        next.is_some()
    }

    /// Writes a report on all streams; `false` when there is none.
    pub(crate) fn report(&mut self, writer: &mut CompoundWriter<'_>, sender: u32) -> bool {
        let blocks: Vec<_> = self
            .flows
            .iter_mut()
            .take(BLOCKS_MAX)
            .map(Flow::block)
            .collect();
        !blocks.is_empty() && writer.receiver_report(Ssrc(sender), &blocks)
    }

    /// SSRCs of all streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = u32> {
        self.flows.iter().map(|flow| flow.ssrc)
    }

    /// Forgets what was counted so far: measuring begins.
    pub(crate) fn begin(&mut self) {
        for flow in &mut self.flows {
            flow.packets = 0;
            flow.begin = flow.next();
        }
    }

    /// What was counted since.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for flow in self.flows.iter().filter(|flow| flow.packets > 0) {
            totals.packets += flow.packets;
            totals.numbered += flow.next().saturating_sub(flow.begin);
            totals.flows += 1;
        }
        totals
    }
}

impl Flow {
    fn new(header: &RtpHeader) -> Self {
        let first = SequenceExtender::new().extend(header.sequence);
        Self {
            ssrc: header.ssrc.0,
            sequence: SequenceExtender::new(),
            packets: 0,
            begin: first,
            reported: (first, 0),
            received: 0,
            lost: 0,
        }
    }

    fn next(&self) -> u64 {
        self.sequence
            .highest()
            .map_or(self.begin, |highest| highest + 1)
    }

    fn block(&mut self) -> ReportBlock {
        let (from, received) = self.reported;
        let numbered = self.next().saturating_sub(from);
        let lost = numbered.saturating_sub(self.received.saturating_sub(received));
        self.reported = (self.next(), self.received);
        self.lost = self
            .lost
            .saturating_add(i32::try_from(lost).unwrap_or(i32::MAX));
        let fraction = lost * 256 / numbered.max(1);
        let [.., a, b, c, d] = self.next().saturating_sub(1).to_be_bytes();
        ReportBlock {
            ssrc: Ssrc(self.ssrc),
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: self.lost.min(0x7f_ffff),
            highest_sequence: u32::from_be_bytes([a, b, c, d]),
            jitter: 0,
            last_sender_report: 0,
            delay_since_last: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bridge_core::id::PayloadType;
    use bridge_core::rtcp::{RtcpPacket, packets};

    use super::*;

    fn header(ssrc: u32, sequence: u16) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: PayloadType(100),
            sequence,
            timestamp: 0,
            ssrc: Ssrc(ssrc),
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 12,
        }
    }

    #[test]
    fn loss_is_what_was_numbered_and_did_not_come() {
        let mut inbox = Inbox::default();
        assert!(inbox.take(&header(1, 65_534)));
        assert!(!inbox.take(&header(1, 65_535)));
        inbox.begin();
        for sequence in [0, 1, 3, 2, 5] {
            assert!(!inbox.take(&header(1, sequence)));
        }
        assert!(inbox.take(&header(2, 9)));
        let expected = Totals {
            packets: 6,
            numbered: 7,
            flows: 2,
        };
        assert_eq!(inbox.totals(), expected);
        let mut out = [0; 200];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(inbox.report(&mut writer, 77));
        let length = writer.len();
        let Some(Ok(RtcpPacket::ReceiverReport(report))) = packets(&out[..length]).next() else {
            panic!("no report");
        };
        let lost: Vec<_> = report
            .blocks()
            .map(|it| (it.cumulative_lost, it.fraction_lost))
            .collect();
        assert_eq!(lost, [(1, 32), (0, 0)]);
    }

    #[test]
    fn each_arrival_is_reported_once() {
        let mut inbox = Inbox::default();
        let mut out = [0; 1_000];
        for at in 0..10_u16 {
            inbox
                .arrivals
                .push((inbox.transport.extend(at), Time::from_millis(u64::from(at))));
        }
        let mut writer = CompoundWriter::new(&mut out);
        assert!(inbox.feedback(&mut writer, 1));
        assert!(!writer.is_empty() && !inbox.has_arrivals());
    }
}
