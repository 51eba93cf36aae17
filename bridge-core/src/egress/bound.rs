//! Bounds what is sent to one receiver, plainly, by its loss or by what it says itself.
//!
//! This is no bandwidth estimator: it sees no delay, sends no probes, and paces nothing. The
//! estimator (GoogCC) comes with its own issue and takes this file's place. Until then:
//!
//! - A receiver with transport-wide feedback is bounded by its loss, once a second, as the
//!   loss-based part of the original GCC does it: over 10 % lost, less by half of the loss; under
//!   2 %, 8 % more, but never beyond three times what was delivered, and the start bound.
//! - One that sends REMB is bounded by it; by the smaller of both if it does both.
//! - One that does neither is held to the start bound, or not at all if the operator says so
//!   (`trust-no-estimate`, for load generators).

use core::time::Duration;

use super::tag::Negotiated;
use crate::rtcp::Twcc;
use crate::time::Time;

/// The bound of one receiver.
#[derive(Debug)]
pub(crate) struct Bound {
    by_loss: u64,
    by_receiver: Option<u64>,
    trust_no_estimate: bool,
    window_start: Time,
    received: u64,
    lost: u64,
    sent_bytes: u64,
}

impl Bound {
    pub(crate) const fn new(now: Time, trust_no_estimate: bool) -> Self {
        Self {
            by_loss: START,
            by_receiver: None,
            trust_no_estimate,
            window_start: now,
            received: 0,
            lost: 0,
            sent_bytes: 0,
        }
    }

    /// Bits per second; `None` is unlimited.
    pub(crate) fn bitrate(&self, negotiated: &Negotiated) -> Option<u64> {
        let by_receiver = self.by_receiver.filter(|_| negotiated.video.remb);
        if negotiated.has_transport_feedback() {
            Some(by_receiver.map_or(self.by_loss, |remb| remb.min(self.by_loss)))
        } else if by_receiver.is_some() {
            by_receiver
        } else if self.trust_no_estimate && !negotiated.video.remb {
            None
        } else {
            Some(START)
        }
    }

    /// Bytes were sent.
    pub(crate) const fn note_sent(&mut self, bytes: u64) {
        self.sent_bytes = self.sent_bytes.saturating_add(bytes);
    }

    /// The receiver's own estimate.
    pub(crate) fn handle_remb(&mut self, bitrate: u64) {
        self.by_receiver = Some(bitrate.clamp(LEAST, MOST));
    }

    /// Feedback on the packets of the transport.
    pub(crate) fn handle_twcc(&mut self, now: Time, feedback: &Twcc<'_>) {
        for status in feedback.statuses() {
            if status.arrival.is_some() {
                self.received += 1;
            } else {
                self.lost += 1;
            }
        }
        let span = now.since(self.window_start);
        let total = self.received + self.lost;
        if span < WINDOW || total < PACKETS_MIN {
            return;
        }
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let delivered = self.sent_bytes.saturating_mul(8_000) / millis * self.received / total;
        let lost_percent = self.lost * 100 / total;
        if lost_percent > 10 {
            self.by_loss = self.by_loss / 200 * (200 - lost_percent);
        } else if lost_percent < 2 {
            let most = delivered.saturating_mul(3).max(START).max(self.by_loss);
            self.by_loss = (self.by_loss / 100 * 108).min(most);
        }
        self.by_loss = self.by_loss.clamp(LEAST, MOST);
        self.window_start = now;
        self.received = 0;
        self.lost = 0;
        self.sent_bytes = 0;
    }
}

/// Bound before anything is known (as JVB's first estimate), bits per second.
const START: u64 = 2_500_000;

const LEAST: u64 = 30_000;

const MOST: u64 = 20_000_000;

const WINDOW: Duration = Duration::from_secs(1);

/// Packets below which a share of loss says nothing.
const PACKETS_MIN: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{Feedback, HeaderExtension, MediaDescription, MediaKind};
    use crate::egress::script::media;
    use crate::id::Ssrc;
    use crate::rtcp::{CompoundWriter, RtcpPacket, packets};

    fn negotiated(wanted: &[Feedback]) -> Negotiated {
        let mut video = media(MediaKind::Video, true);
        for payload_type in &mut video.payload_types {
            payload_type.feedback.retain(|one| wanted.contains(one));
        }
        let audio = MediaDescription {
            header_extensions: vec![(HeaderExtension::AudioLevel, 1)],
            ..media(MediaKind::Audio, true)
        };
        let mut negotiated = Negotiated::default();
        negotiated.set_media(&[audio, video]);
        negotiated
    }

    /// Passes seconds in which `lost` of a hundred packets are lost, of `bytes` each second.
    fn pass(bound: &mut Bound, seconds: core::ops::Range<u64>, lost: u64, bytes: u64) {
        let arrivals = (lost..100).map(|number| (number, Time::ZERO));
        let mut out = [0; 1_200];
        let mut writer = CompoundWriter::new(&mut out);
        assert_eq!(writer.twcc(Ssrc(1), Ssrc(2), 0, 0, arrivals), Some(100));
        let length = writer.len();
        let Some(Ok(RtcpPacket::Twcc(feedback))) = packets(&out[..length]).next() else {
            panic!("no feedback");
        };
        for second in seconds {
            bound.note_sent(bytes);
            bound.handle_twcc(Time::from_millis(1_000 * (second + 1)), &feedback);
        }
    }

    #[test]
    fn who_gives_no_estimate_is_held_to_the_start_or_trusted() {
        let none = negotiated(&[]);
        assert_eq!(Bound::new(Time::ZERO, false).bitrate(&none), Some(START));
        assert_eq!(Bound::new(Time::ZERO, true).bitrate(&none), None);
        let remb = negotiated(&[Feedback::Remb]);
        assert_eq!(Bound::new(Time::ZERO, true).bitrate(&remb), Some(START));
    }

    #[test]
    fn remb_counts_where_it_was_negotiated_and_the_smaller_bound_wins() {
        let mut bound = Bound::new(Time::ZERO, false);
        bound.handle_remb(900_000);
        assert_eq!(bound.bitrate(&negotiated(&[])), Some(START));
        assert_eq!(bound.bitrate(&negotiated(&[Feedback::Remb])), Some(900_000));
        let both = negotiated(&[Feedback::Remb, Feedback::TransportCc]);
        assert_eq!(bound.bitrate(&both), Some(900_000));
        bound.handle_remb(u64::MAX);
        assert_eq!(bound.bitrate(&both), Some(START));
        bound.handle_remb(0);
        assert_eq!(bound.bitrate(&both), Some(LEAST));
    }

    #[test]
    fn loss_lowers_the_bound_and_its_absence_raises_it_up_to_what_is_delivered() {
        let twcc = negotiated(&[Feedback::TransportCc]);
        let mut bound = Bound::new(Time::ZERO, false);
        pass(&mut bound, 0..1, 20, 0);
        assert_eq!(
            bound.bitrate(&twcc),
            Some(2_250_000),
            "less by half of 20 %"
        );
        pass(&mut bound, 1..5, 5, 0);
        assert_eq!(
            bound.bitrate(&twcc),
            Some(2_250_000),
            "neither much nor little"
        );
        pass(&mut bound, 5..6, 0, 0);
        assert_eq!(bound.bitrate(&twcc), Some(2_430_000), "8 % more");
        pass(&mut bound, 6..30, 0, 0);
        assert_eq!(bound.bitrate(&twcc), Some(START), "nothing was sent");
        pass(&mut bound, 30..60, 0, 250_000);
        assert_eq!(
            bound.bitrate(&twcc),
            Some(6_000_000),
            "three times what was"
        );
        pass(&mut bound, 60..120, 90, 250_000);
        assert_eq!(bound.bitrate(&twcc), Some(LEAST));
    }
}
