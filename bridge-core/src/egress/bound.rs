//! Bounds what is sent to one receiver, plainly, by its loss or by what it says itself.
//!
//! This is no bandwidth estimator: it sees no delay, sends no probes, and paces nothing. The
//! estimator (GoogCC) comes with its own issue and takes this file's place. Until then:
//!
//! - A receiver with transport-wide feedback is bounded by its loss. Over 10 % lost, the bound
//!   falls to a little less than what was delivered, and stays there for a while, which doubles
//!   each time that more was tried in vain. Under 2 %, it rises by 8 % a second, but never beyond
//!   three times what was delivered, and the start bound. A short outage counts for nothing.
//! - Loss that stays when the rate has fallen is the link's own: the fall is taken back, and only
//!   what is lost beyond it counts from then on.
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
    /// Bytes of the packets that were sent and not reported on yet, by the end of their
    /// transport-wide number; 0 is none.
    sizes: Vec<u16>,
    window: Window,
    /// The latest fall.
    fall: Option<Fall>,
    /// Permille that the link loses whatever is sent.
    own_loss: u64,
    /// Since when nearly nothing comes.
    outage: Option<Time>,
}

/// What became, in a while, of what was sent.
#[derive(Debug)]
struct Window {
    start: Time,
    received: u64,
    received_bytes: u64,
    lost: u64,
    lost_bytes: u64,
}

/// How the bound fell.
#[derive(Clone, Copy, Debug)]
struct Fall {
    at: Time,
    /// The bound before and after.
    from: u64,
    to: u64,
    /// What was delivered before, bits per second, and permille lost.
    delivered: u64,
    lost: u64,
    /// Time in which no more than `to` is tried.
    hold: Duration,
    /// Whether it is still to be seen if the loss ends by it.
    is_on_trial: bool,
}

impl Window {
    const fn new(start: Time) -> Self {
        Self {
            start,
            received: 0,
            received_bytes: 0,
            lost: 0,
            lost_bytes: 0,
        }
    }

    /// Whether it tells anything by now: soon, when much more is lost than `own_loss` permille.
    fn is_over(&self, now: Time, own_loss: u64) -> bool {
        let total = self.received + self.lost;
        let is_urgent = self.excess_packets(own_loss + URGENT_LOSS) > 0
            && self.excess_packets(own_loss) >= LOST_MIN;
        let span = if is_urgent { HURRY } else { WINDOW };
        total >= PACKETS_MIN && now.since(self.start) >= span
    }

    /// Packets lost beyond that many permille.
    const fn excess_packets(&self, own_loss: u64) -> u64 {
        let own = (self.received + self.lost) * own_loss / 1_000;
        self.lost.saturating_sub(own)
    }

    /// Bits per second that were sent and delivered, and permille lost between.
    fn measure(&self, now: Time) -> (u64, u64, u64) {
        let millis = u64::try_from(now.since(self.start).as_millis()).unwrap_or(u64::MAX);
        let rate = |bytes: u64| bytes.saturating_mul(8_000) / millis.max(1);
        let delivered = rate(self.received_bytes);
        let total = (self.received + self.lost).max(1);
        let lost_permille = self.lost.saturating_mul(1_000) / total;
        (delivered + rate(self.lost_bytes), delivered, lost_permille)
    }
}

impl Bound {
    pub(crate) const fn new(now: Time, trust_no_estimate: bool) -> Self {
        Self {
            by_loss: START,
            by_receiver: None,
            trust_no_estimate,
            sizes: Vec::new(),
            window: Window::new(now),
            fall: None,
            own_loss: 0,
            outage: None,
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

    /// Whether the link is full of what was sent before the latest fall.
    pub(crate) fn is_draining(&self, now: Time) -> bool {
        self.fall.is_some_and(|fall| now.since(fall.at) < SETTLE)
    }

    /// A packet was sent under that transport-wide number.
    pub(crate) fn note_sent(&mut self, sequence: u16, bytes: usize) {
        if self.sizes.is_empty() {
            self.sizes = vec![0; PACKETS_UNDER_WAY_MAX];
        }
        if let Some(place) = self.sizes.get_mut(place_of(sequence)) {
            *place = u16::try_from(bytes).unwrap_or(u16::MAX);
        }
    }

    /// The receiver's own estimate.
    pub(crate) fn handle_remb(&mut self, bitrate: u64) {
        self.by_receiver = Some(bitrate.clamp(LEAST, MOST));
    }

    /// Feedback on the packets of the transport.
    pub(crate) fn handle_twcc(&mut self, now: Time, feedback: &Twcc<'_>) {
        for status in feedback.statuses() {
            // What was never sent, or is reported on again, counts for nothing.
            let size = self.sizes.get_mut(place_of(status.sequence));
            let bytes = u64::from(size.map(core::mem::take).unwrap_or_default());
            if bytes == 0 {
                continue;
            }
            if status.arrival.is_some() {
                self.window.received += 1;
                self.window.received_bytes += bytes;
            } else {
                self.window.lost += 1;
                self.window.lost_bytes += bytes;
            }
        }
        if self.window.is_over(now, self.own_loss) {
            let window = core::mem::replace(&mut self.window, Window::new(now));
            self.judge(now, &window);
        }
    }

    fn judge(&mut self, now: Time, window: &Window) {
        let (sent, delivered, lost) = window.measure(now);
        if lost > OUTAGE_LOSS {
            let since = *self.outage.get_or_insert(now);
            if now.since(since) < OUTAGE_MAX {
                // Nothing comes: that says nothing of the rate, unless it stays so.
                return;
            }
        } else {
            self.outage = None;
        }
        let fits = carried(delivered, self.own_loss) / 100 * KEEP_PERCENT;
        if self.fall.is_some_and(|fall| fall.is_on_trial) && self.try_fall(now, window, sent, fits)
        {
            return;
        }
        let excess = lost.saturating_sub(self.own_loss);
        if excess > MUCH_LOSS && window.excess_packets(self.own_loss) >= LOST_MIN {
            self.fall_to(now, fits, (delivered, lost));
            return;
        }
        if self.own_loss > 0 {
            self.own_loss = (self.own_loss * 7 + lost.min(OWN_LOSS_MAX)) / 8;
        }
        if excess < LITTLE_LOSS {
            self.rise(now, window, delivered);
        }
    }

    /// Looks what the latest fall has done; `true` if it is too early to say.
    fn try_fall(&mut self, now: Time, window: &Window, sent: u64, fits: u64) -> bool {
        let Some(fall) = &mut self.fall else {
            return false;
        };
        let (_, delivered, lost) = window.measure(now);
        if window.start.since(fall.at) < SETTLE {
            return true;
        }
        if lost > MUCH_LOSS && sent > fall.delivered / 100 * 90 {
            // Not everything has been lowered yet, or not by enough.
            self.by_loss = self.by_loss.min(fits).max(LEAST);
            fall.to = self.by_loss;
            return true;
        }
        fall.is_on_trial = false;
        if lost > MUCH_LOSS && window.excess_packets(0) >= LOST_MIN {
            self.own_loss = lost.min(OWN_LOSS_MAX);
            if lost * 4 > fall.lost * 3 {
                self.by_loss = fall.from;
                self.fall = None;
            } else {
                let fits = carried(delivered, self.own_loss);
                self.by_loss = self.by_loss.max(fits / 100 * KEEP_PERCENT);
            }
        }
        false
    }

    fn fall_to(&mut self, now: Time, fits: u64, (delivered, lost): (u64, u64)) {
        let (from, to) = (self.by_loss, self.by_loss.min(fits).max(LEAST));
        // More was tried and was too much: that is not tried again soon.
        let again = self.fall.filter(|fall| to < fall.to * 2);
        let hold = again.map_or(HOLD_MIN, |fall| {
            let factor = if from > fall.to { 2 } else { 1 };
            (fall.hold * factor).min(HOLD_MAX)
        });
        self.by_loss = to;
        self.fall = Some(Fall {
            at: now,
            from,
            to,
            delivered,
            lost,
            hold,
            is_on_trial: true,
        });
    }

    fn rise(&mut self, now: Time, window: &Window, delivered: u64) {
        let is_held = |fall: &Fall| now.since(fall.at) < fall.hold;
        if let Some(fall) = self.fall.filter(is_held) {
            self.by_loss = self.by_loss.max(fall.to);
            return;
        }
        let millis = u64::try_from(now.since(window.start).as_millis()).unwrap_or(u64::MAX);
        let percent = 100 + (8 * millis / 1_000).min(8);
        let most = delivered.saturating_mul(3).max(START).max(self.by_loss);
        self.by_loss = (self.by_loss / 100 * percent).min(most).clamp(LEAST, MOST);
    }
}

/// What must be sent for so much to be delivered over a link that loses `own_loss` permille.
const fn carried(delivered: u64, own_loss: u64) -> u64 {
    delivered.saturating_mul(1_000) / (1_000 - own_loss)
}

const fn place_of(sequence: u16) -> usize {
    sequence as usize % PACKETS_UNDER_WAY_MAX
}

/// Packets that feedback can be awaited for: a second of 10 Mbit/s.
const PACKETS_UNDER_WAY_MAX: usize = 1_024;

/// Bound before anything is known (as JVB's first estimate), bits per second.
const START: u64 = 2_500_000;

const LEAST: u64 = 30_000;

const MOST: u64 = 20_000_000;

const WINDOW: Duration = Duration::from_secs(1);

/// A window that loses much is over after so long.
const HURRY: Duration = Duration::from_millis(250);

/// Packets below which a share of loss says nothing.
const PACKETS_MIN: u64 = 20;

/// Permille of loss from which on the bound falls.
const MUCH_LOSS: u64 = 100;

/// Permille of loss below which it rises.
const LITTLE_LOSS: u64 = 20;

/// Permille of loss on which a decision is hurried.
const URGENT_LOSS: u64 = 300;

/// Packets lost below which a share says nothing.
const LOST_MIN: u64 = 12;

/// Permille of loss that is an outage, and the time after which that is the rate's fault.
const OUTAGE_LOSS: u64 = 900;

const OUTAGE_MAX: Duration = Duration::from_millis(1_000);

/// Permille that a link may lose on its own.
const OWN_LOSS_MAX: u64 = 300;

/// What the bound falls to, of what was delivered.
const KEEP_PERCENT: u64 = 85;

/// Time from a fall until what is lost is lost in spite of it: queues have drained.
const SETTLE: Duration = Duration::from_millis(600);

/// Time for which no more is tried after the first fall, and at the longest.
const HOLD_MIN: Duration = Duration::from_secs(10);

const HOLD_MAX: Duration = Duration::from_secs(120);

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
    fn pass(bound: &mut Bound, seconds: core::ops::Range<u64>, lost: u64, bytes: usize) {
        let arrivals = (lost..100).map(|number| (number, Time::ZERO));
        let mut out = [0; 1_200];
        let mut writer = CompoundWriter::new(&mut out);
        assert_eq!(writer.twcc(Ssrc(1), Ssrc(2), 0, 0, arrivals), Some(100));
        let length = writer.len();
        let Some(Ok(RtcpPacket::Twcc(feedback))) = packets(&out[..length]).next() else {
            panic!("no feedback");
        };
        for second in seconds {
            for number in 0..100 {
                bound.note_sent(number, bytes / 100);
            }
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

    const TWCC: &[Feedback] = &[Feedback::TransportCc];

    #[test]
    fn loss_lowers_the_bound_to_what_is_delivered_and_it_rises_again_after_a_while() {
        let twcc = negotiated(TWCC);
        let mut bound = Bound::new(Time::ZERO, false);
        pass(&mut bound, 0..1, 60, 250_000);
        let fallen = Some(680_000);
        assert_eq!(bound.bitrate(&twcc), fallen, "less than 800 kbit/s");
        pass(&mut bound, 1..5, 5, 80_000);
        assert_eq!(bound.bitrate(&twcc), fallen, "neither much nor little");
        pass(&mut bound, 5..10, 0, 80_000);
        assert_eq!(bound.bitrate(&twcc), fallen, "held");
        pass(&mut bound, 10..11, 0, 80_000);
        assert_eq!(bound.bitrate(&twcc), Some(734_400), "8 % more");
        pass(&mut bound, 11..40, 0, 80_000);
        assert_eq!(bound.bitrate(&twcc), Some(START), "little was sent");
        pass(&mut bound, 40..70, 0, 250_000);
        assert_eq!(
            bound.bitrate(&twcc),
            Some(6_000_000),
            "three times what was"
        );
    }

    #[test]
    fn what_was_too_much_is_not_tried_again_soon() {
        let twcc = negotiated(TWCC);
        let mut bound = Bound::new(Time::ZERO, false);
        let mut fell = Vec::new();
        let mut lost = 60;
        for second in 0..120 {
            let before = bound.bitrate(&twcc);
            // A link of 600 kbit/s and a picture of 500 or of 1,500.
            let bytes = if lost > 0 { 187_500 } else { 62_500 };
            pass(&mut bound, second..second + 1, lost, bytes);
            let after = bound.bitrate(&twcc);
            fell.extend((after < before).then_some(second));
            lost = if after > Some(1_650_000) { 60 } else { 0 };
        }
        let gaps: Vec<_> = fell.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() >= 2, "{fell:?}");
        assert!(gaps.windows(2).all(|pair| pair[1] > pair[0]), "{fell:?}");
        assert!(gaps[0] >= 20, "{fell:?}");
    }

    #[test]
    fn a_link_that_loses_whatever_is_sent_costs_no_quality() {
        let twcc = negotiated(TWCC);
        let mut bound = Bound::new(Time::ZERO, false);
        pass(&mut bound, 0..1, 15, 250_000);
        assert_eq!(bound.bitrate(&twcc), Some(1_445_000));
        pass(&mut bound, 1..3, 15, 62_500);
        assert_eq!(bound.bitrate(&twcc), Some(START), "it was not the rate");
        pass(&mut bound, 3..30, 15, 250_000);
        assert_eq!(bound.bitrate(&twcc), Some(5_100_000), "it rises");
        pass(&mut bound, 30..31, 60, 250_000);
        assert_eq!(bound.bitrate(&twcc), Some(799_935), "much more is lost");
        pass(&mut bound, 31..36, 99, 250_000);
        assert!(bound.bitrate(&twcc) < Some(50_000), "hardly anything comes");
    }
}
