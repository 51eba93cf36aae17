//! Keeps the peer's consent to be sent to fresh (RFC 7675): a check every five seconds or so, and
//! silence when none was answered for thirty.
//!
//! Each check is sent once: a lost one is made up for by the next. Answers to any of the checks
//! of the last thirty seconds count.
//!
//! A path rests while nothing is sent on it but checks and their answers, and the peer's own checks
//! come. Who sends nothing need not have consent (RFC 7675 section 5.1), so there every other check
//! is left out, and the one that is sent leaves with the answer to one of the peer's. That wakes
//! nobody, and costs half. Consent never lapses by it, and a check that stays without answer, a
//! peer that falls silent, or the first media brings the full pace back.

use core::time::Duration;

use super::stun::TransactionId;
use crate::random::Random;
use crate::time::{COMMON_STEP, Time};

/// Consent for one pair.
#[derive(Clone, Debug)]
pub(crate) struct Consent {
    confirmed: Time,
    /// When to ask again at the full pace.
    next: Time,
    /// Whether nothing was answered since the last check.
    is_open: bool,
    asked: [Option<TransactionId>; ASKED_MAX],
    position: usize,
}

impl Consent {
    /// Begins at the answer to a check.
    pub(crate) fn new(now: Time, random: &mut Random) -> Self {
        Self {
            confirmed: now,
            next: next(now, random),
            is_open: false,
            asked: [None; ASKED_MAX],
            position: 0,
        }
    }

    /// When to call [`Self::is_due`] or [`Self::is_lost`] again; `heard` as there.
    pub(crate) fn deadline(&self, heard: Option<Time>) -> Time {
        self.due(heard).min(self.confirmed + EXPIRY)
    }

    /// Whether to ask, come what may. On a path that rests `heard` is when the peer last sent a
    /// check.
    pub(crate) fn is_due(&self, now: Time, heard: Option<Time>) -> bool {
        now >= self.due(heard)
    }

    /// Whether to ask on a path that rests, now that an answer goes there anyway.
    pub(crate) fn is_ripe(&self, now: Time) -> bool {
        now >= self.next + INTERVAL
    }

    fn due(&self, heard: Option<Time>) -> Time {
        let silent = heard.map(|heard| (heard + SILENCE).round_up(COMMON_STEP));
        let silent = silent.filter(|_| !self.is_open);
        silent.map_or(self.next, |silent| silent.max(self.next))
    }

    /// Whether nothing may be sent any more.
    pub(crate) fn is_lost(&self, now: Time) -> bool {
        now >= self.confirmed + EXPIRY
    }

    /// Whether at least one check stayed without answer long after it could have come.
    pub(crate) fn is_doubtful(&self, now: Time) -> bool {
        self.is_open && now >= self.confirmed + INTERVAL * 2
    }

    /// Notes that a check was sent.
    pub(crate) fn asked(&mut self, now: Time, transaction: TransactionId, random: &mut Random) {
        self.next = next(now, random);
        self.is_open = true;
        if let Some(place) = self.asked.get_mut(self.position) {
            *place = Some(transaction);
        }
        self.position = (self.position + 1) % ASKED_MAX;
    }

    /// Whether `transaction` is a check of ours that was not answered yet.
    pub(crate) fn has_asked(&self, transaction: TransactionId) -> bool {
        self.asked.contains(&Some(transaction))
    }

    /// Takes the answer to a check, once.
    pub(crate) fn answered(&mut self, now: Time, transaction: TransactionId) {
        if let Some(place) = self
            .asked
            .iter_mut()
            .find(|asked| **asked == Some(transaction))
        {
            *place = None;
            self.confirm(now);
        }
    }

    /// Counts an answered check that was not a consent check.
    pub(crate) fn confirm(&mut self, now: Time) {
        self.confirmed = now;
        self.is_open = false;
    }
}

/// When to ask again: in four to six seconds by chance, so that a peer's checks and ours do not
/// keep step (RFC 7675 section 5.1), at a moment that many endpoints of a shard share.
fn next(now: Time, random: &mut Random) -> Time {
    let span = (INTERVAL * 4 / 10).saturating_sub(COMMON_STEP).as_millis();
    let extra = (u128::from(random.u32()) * span) >> 32;
    let interval = INTERVAL * 8 / 10 + Duration::from_millis(u64::try_from(extra).unwrap_or(0));
    (now + interval).round_up(COMMON_STEP)
}

const INTERVAL: Duration = Duration::from_secs(5);
const EXPIRY: Duration = Duration::from_secs(30);
/// A peer whose checks stay away for so long no longer lets its path rest: browsers send one every
/// two to six seconds. Less than what an endpoint counts as inactive after.
const SILENCE: Duration = Duration::from_secs(7);
/// Checks of the last thirty seconds, at four seconds each.
const ASKED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_spread_between_four_and_six_seconds_at_shared_moments() {
        let mut random = Random::new([1; 32]);
        let all: Vec<_> = (0..500)
            .map(|at| {
                let now = Time::from_millis(at);
                let next = next(now, &mut random);
                assert_eq!(next, next.round_up(COMMON_STEP));
                next.since(now).as_millis()
            })
            .collect();
        assert!(all.iter().all(|ms| (4_000..=6_000).contains(ms)));
        assert!(all.iter().any(|ms| *ms < 4_200) && all.iter().any(|ms| *ms > 5_800));
    }

    #[test]
    fn only_an_answer_to_a_check_of_ours_renews_consent_and_only_once() {
        let mut random = Random::new([1; 32]);
        let mut consent = Consent::new(Time::ZERO, &mut random);
        let at = |s| Time::ZERO + Duration::from_secs(s);
        consent.asked(at(5), [1; 12], &mut random);
        consent.answered(at(6), [2; 12]);
        assert!(consent.is_lost(at(30)));
        consent.answered(at(7), [1; 12]);
        assert!(!consent.is_lost(at(36)));
        consent.answered(at(29), [1; 12]);
        assert!(consent.is_lost(at(37)), "a replayed answer does not count");
    }

    #[test]
    fn a_path_rests_while_the_peer_is_heard_and_no_check_of_ours_is_without_answer() {
        let mut random = Random::new([1; 32]);
        let mut consent = Consent::new(Time::ZERO, &mut random);
        let at = |s| Time::ZERO + Duration::from_secs(s);
        assert!(consent.is_due(at(6), None));
        assert!(!consent.is_due(at(6), Some(at(4))) && !consent.is_ripe(at(8)));
        assert!(consent.is_ripe(at(11)) && !consent.is_due(at(11), Some(at(11))));
        assert!(consent.is_due(at(12), Some(at(4))), "not heard for long");
        consent.asked(at(12), [1; 12], &mut random);
        assert!(!consent.is_due(at(15), Some(at(4))), "never faster");
        assert!(consent.is_due(at(18), Some(at(18))), "no answer");
        consent.answered(at(18), [1; 12]);
        assert!(!consent.is_due(at(18), Some(at(18))));
    }

    #[test]
    fn a_late_answer_still_counts() {
        let mut random = Random::new([1; 32]);
        let mut consent = Consent::new(Time::ZERO, &mut random);
        let at = |s| Time::ZERO + Duration::from_secs(s);
        for n in 1..=6 {
            consent.asked(at(4 * u64::from(n)), [n; 12], &mut random);
        }
        consent.answered(at(29), [1; 12]);
        assert!(!consent.is_lost(at(58)));
    }
}
