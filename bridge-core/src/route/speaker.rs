//! Finds the dominant speaker of a conference after Volfin and Cohen ("Dominant speaker
//! identification for multipoint videoconferencing", 2013), with Jitsi's constants.
//!
//! Each speaker's levels are condensed three times: immediate (one level), medium (5 immediates)
//! and long (10 mediums). A challenger takes over when its speech scores exceed the dominant
//! speaker's over all three spans, which a cough or a door does not. Levels come with packets;
//! time that passes without is filled with silence when it is looked at, so there is no timer.

use core::time::Duration;

use crate::id::EndpointKey;
use crate::time::Time;

/// Speakers of one conference, and who dominates.
#[derive(Debug, Default)]
pub(crate) struct DominantSpeaker {
    /// In the order of keys.
    speakers: Vec<(EndpointKey, Speaker)>,
    dominant: Option<EndpointKey>,
    decided: Option<Time>,
    /// Most recent dominant speakers first, then the others as they joined.
    order: Vec<EndpointKey>,
    changed: bool,
    /// Another shard decides.
    follows: bool,
}

impl DominantSpeaker {
    /// Takes over the order of the home shard; levels are its business from now on.
    pub(crate) fn follow(&mut self, order: &[EndpointKey]) {
        self.follows = true;
        self.order.clear();
        self.order.extend_from_slice(order);
    }

    /// A new endpoint, last in the order until it speaks.
    pub(crate) fn join(&mut self, endpoint: EndpointKey) {
        if !self.order.contains(&endpoint) {
            self.order.push(endpoint);
        }
    }

    /// An endpoint that is gone.
    pub(crate) fn leave(&mut self, endpoint: EndpointKey) {
        self.order.retain(|other| *other != endpoint);
        if let Ok(at) = self.find(endpoint) {
            self.speakers.remove(at);
        }
        if self.dominant == Some(endpoint) {
            self.dominant = None;
        }
    }

    /// All endpoints: the most recent dominant speakers first, then the others as they joined.
    pub(crate) fn order(&self) -> &[EndpointKey] {
        &self.order
    }

    /// The new dominant speaker, if there is one since the last call.
    pub(crate) fn take_change(&mut self) -> Option<EndpointKey> {
        if core::mem::take(&mut self.changed) {
            self.dominant
        } else {
            None
        }
    }

    /// Takes the level of a packet in −dBov (0 loudest, 127 silence; RFC 6464), and decides anew
    /// when it is time.
    pub(crate) fn level(&mut self, now: Time, endpoint: EndpointKey, level: u8) {
        if self.follows {
            return;
        }
        let at = match self.find(endpoint) {
            Ok(at) => at,
            Err(at) => {
                self.speakers.insert(at, (endpoint, Speaker::new(now)));
                at
            }
        };
        if let Some((_, speaker)) = self.speakers.get_mut(at) {
            speaker.level(now, LEVEL_MAX.saturating_sub(level));
        }
        match self.decided {
            Some(decided) if now.since(decided) < DECISION_INTERVAL => {}
            _ => {
                self.decided = Some(now);
                self.decide(now);
            }
        }
    }

    fn decide(&mut self, now: Time) {
        self.speakers
            .retain(|(_, speaker)| now.since(speaker.heard) < SPEAKER_IDLE);
        for (_, speaker) in &mut self.speakers {
            speaker.evaluate(now);
        }
        let reigning = self
            .dominant
            .and_then(|dominant| self.find(dominant).ok())
            .and_then(|at| self.speakers.get(at))
            .map(|(_, speaker)| speaker.scores);
        let winner = match reigning {
            Some(scores) => self.challenger(&scores),
            None => self.first(),
        };
        let Some(winner) = winner.filter(|winner| self.dominant != Some(*winner)) else {
            return;
        };
        self.dominant = Some(winner);
        self.changed = true;
        if let Some(at) = self.order.iter().position(|other| *other == winner)
            && let Some(ahead) = self.order.get_mut(..=at)
        {
            ahead.rotate_right(1);
        }
    }

    /// The one that beats the dominant speaker over all spans, most clearly over the medium one.
    fn challenger(&self, reigning: &Scores) -> Option<EndpointKey> {
        let mut best = None;
        let mut best_medium = MEDIUM_LEAD;
        for (endpoint, speaker) in &self.speakers {
            let lead = |mine: f64, theirs: f64| (mine / theirs).ln();
            let medium = lead(speaker.scores.medium, reigning.medium);
            if lead(speaker.scores.immediate, reigning.immediate) > IMMEDIATE_LEAD
                && lead(speaker.scores.long, reigning.long) > LONG_LEAD
                && medium > best_medium
            {
                best = Some(*endpoint);
                best_medium = medium;
            }
        }
        best
    }

    /// With nobody to beat: the best over the medium span, the first to have joined among equals.
    fn first(&self) -> Option<EndpointKey> {
        let medium = |endpoint: &EndpointKey| {
            let at = self.find(*endpoint).ok()?;
            self.speakers.get(at).map(|(_, one)| one.scores.medium)
        };
        let mut best: Option<(EndpointKey, f64)> = None;
        for endpoint in &self.order {
            if let Some(score) = medium(endpoint)
                && best.is_none_or(|(_, other)| score > other)
            {
                best = Some((*endpoint, score));
            }
        }
        best.map(|(endpoint, _)| endpoint)
    }

    fn find(&self, endpoint: EndpointKey) -> Result<usize, usize> {
        self.speakers
            .binary_search_by_key(&endpoint, |(key, _)| *key)
    }
}

/// What one speaker was heard to say.
#[derive(Debug)]
struct Speaker {
    /// Latest packet.
    heard: Time,
    /// Up to when silence has been filled in.
    filled: Time,
    /// Newest first; 127 is loudest here.
    levels: [u8; LEVELS],
    immediates: [u8; LEVELS],
    mediums: [u8; MEDIUMS],
    long: u8,
    floor: Floor,
    scores: Scores,
    /// Levels came since the scores were computed.
    is_stale: bool,
}

/// How likely it is speech, over three spans.
#[derive(Clone, Copy, Debug)]
struct Scores {
    immediate: f64,
    medium: f64,
    long: f64,
}

/// The background noise: lower levels count at once, higher ones after a while.
#[derive(Debug, Default)]
struct Floor {
    /// Lowest level above silence; 0 before the first.
    lowest: u8,
    /// The same over the present window.
    next: u8,
    window: u16,
}

impl Speaker {
    const fn new(now: Time) -> Self {
        Self {
            heard: now,
            filled: now,
            levels: [0; LEVELS],
            immediates: [0; LEVELS],
            mediums: [0; MEDIUMS],
            long: 0,
            floor: Floor {
                lowest: 0,
                next: 0,
                window: 0,
            },
            scores: Scores {
                immediate: SCORE_MIN,
                medium: SCORE_MIN,
                long: SCORE_MIN,
            },
            is_stale: true,
        }
    }

    fn level(&mut self, now: Time, level: u8) {
        self.fill(now);
        self.push(level);
        self.heard = now;
        self.filled = now;
    }

    /// Puts in a silent level for each full idle time.
    fn fill(&mut self, now: Time) {
        for _ in 0..LEVELS {
            if now.since(self.filled) <= LEVEL_IDLE {
                return;
            }
            self.filled = self.filled + LEVEL_IDLE;
            self.push(0);
        }
        self.filled = now;
    }

    fn push(&mut self, level: u8) {
        self.levels.rotate_right(1);
        if let Some(newest) = self.levels.first_mut() {
            *newest = level;
        }
        self.floor.note(level);
        self.is_stale = true;
    }

    fn evaluate(&mut self, now: Time) {
        self.fill(now);
        if !core::mem::take(&mut self.is_stale) || !self.condense_levels() {
            return;
        }
        let newest = |counts: &[u8]| counts.first().copied().unwrap_or(0);
        self.scores.immediate = score(newest(&self.immediates), 13, 0.78);
        if !condense(&self.immediates, &mut self.mediums, MEDIUM_THRESHOLD) {
            return;
        }
        self.scores.medium = score(newest(&self.mediums), 5, 24.0);
        let mut long = [self.long];
        if condense(&self.mediums, &mut long, LONG_THRESHOLD) {
            self.long = newest(&long);
            self.scores.long = score(self.long, 10, 47.0);
        }
    }

    /// Levels to immediates, without the noise; `true` when one changed.
    fn condense_levels(&mut self) -> bool {
        let floor = self.floor.lowest.saturating_add(SUBUNIT);
        let mut changed = false;
        for (immediate, level) in self.immediates.iter_mut().zip(&self.levels) {
            let loud = if *level < floor { 0 } else { *level / SUBUNIT };
            changed |= core::mem::replace(immediate, loud) != loud;
        }
        changed
    }
}

impl Floor {
    fn note(&mut self, level: u8) {
        if level == 0 {
            return;
        }
        if self.lowest == 0 || level < self.lowest {
            *self = Self {
                lowest: level,
                next: 0,
                window: 0,
            };
            return;
        }
        self.next = if self.next == 0 {
            level
        } else {
            self.next.min(level)
        };
        self.window += 1;
        if self.window >= FLOOR_WINDOW {
            let product = u16::from(self.lowest) * u16::from(self.next);
            self.lowest = u8::try_from(product.isqrt()).unwrap_or(LEVEL_MAX);
            self.next = 0;
            self.window = 0;
        }
    }
}

/// Counts, for each large unit, its small units above the threshold; `true` when a count changed.
fn condense(small: &[u8], large: &mut [u8], threshold: u8) -> bool {
    let each = small.len() / large.len();
    let mut changed = false;
    for (count, units) in large.iter_mut().zip(small.chunks_exact(each)) {
        let active = units.iter().filter(|unit| **unit > threshold).count();
        let active = u8::try_from(active).unwrap_or(u8::MAX);
        changed |= core::mem::replace(count, active) != active;
    }
    changed
}

/// Log-likelihood that `active` of `total` units are speech, against noise of rate `lambda`.
fn score(active: u8, total: u8, lambda: f64) -> f64 {
    let half = 0.5_f64.ln();
    let score = ln_binomial(total, active)
        + f64::from(active) * half
        + f64::from(total - active.min(total)) * half
        - lambda.ln()
        + lambda * f64::from(active);
    score.max(SCORE_MIN)
}

/// Natural logarithm of the number of ways to choose `k` of `n`.
fn ln_binomial(n: u8, k: u8) -> f64 {
    (1..=k.min(n))
        .map(|i| (f64::from(n - i + 1) / f64::from(i)).ln())
        .sum()
}

const LEVEL_MAX: u8 = 127;

/// Levels remembered: 10 mediums of 5.
const LEVELS: usize = 50;

const MEDIUMS: usize = 10;

/// Levels of one immediate unit: 13 of them make the scale.
const SUBUNIT: u8 = 10;

/// An immediate above this is activity.
const MEDIUM_THRESHOLD: u8 = 7;

/// A medium above this is activity.
const LONG_THRESHOLD: u8 = 4;

/// Leads, in logarithms of score ratios, that a challenger needs (C1, C2, C3).
const IMMEDIATE_LEAD: f64 = 3.0;

const MEDIUM_LEAD: f64 = 2.0;

const LONG_LEAD: f64 = 0.0;

const SCORE_MIN: f64 = 1e-10;

const DECISION_INTERVAL: Duration = Duration::from_millis(300);

/// Without a packet for this long, a level is silence.
const LEVEL_IDLE: Duration = Duration::from_millis(40);

/// Without a packet for this long, a speaker is forgotten.
const SPEAKER_IDLE: Duration = Duration::from_secs(3_600);

/// Levels until the noise floor may rise: 15 s of 20 ms.
const FLOOR_WINDOW: u16 = 750;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Key;

    fn endpoint(index: u32) -> EndpointKey {
        EndpointKey(Key {
            index,
            generation: 0,
        })
    }

    /// What somebody does, as levels above silence of one packet each 20 ms.
    #[derive(Clone, Copy, Debug)]
    enum Doing {
        /// Syllables of about 200 ms, loud and less loud, with short breaks.
        Speaking,
        /// A fan: nearly steady.
        Humming,
        /// Room noise.
        Listening,
        /// Packets of digital silence.
        Muted,
        /// No packets at all.
        Away,
    }

    impl Doing {
        /// The level at a step, different for each person but always the same.
        fn level(self, person: u32, step: u32) -> Option<u8> {
            let noise = u8::try_from((step * 7_919 + person * 104_729) / 13 % 8).unwrap();
            match self {
                Self::Speaking if step % 13 == 12 => Some(25 + noise),
                Self::Speaking if step / 10 % 4 == 3 => Some(70 + noise),
                Self::Speaking => Some(95 + noise),
                Self::Humming => Some(60 + noise / 2),
                Self::Listening => Some(20 + noise),
                Self::Muted => Some(0),
                Self::Away => None,
            }
        }
    }

    /// Plays what each person does for some time; gives the changes in milliseconds.
    fn play(
        speaker: &mut DominantSpeaker,
        start: u64,
        millis: u64,
        doings: &[Doing],
    ) -> Vec<(u64, u32)> {
        let mut changes = Vec::new();
        for at in (start..start + millis).step_by(20) {
            for (person, doing) in (0..).zip(doings) {
                let step = u32::try_from(at / 20).unwrap();
                if let Some(level) = doing.level(person, step) {
                    speaker.level(Time::from_millis(at), endpoint(person), 127 - level);
                }
                if let Some(dominant) = speaker.take_change() {
                    changes.push((at, dominant.0.index));
                }
            }
        }
        changes
    }

    fn conference(people: u32) -> DominantSpeaker {
        let mut speaker = DominantSpeaker::default();
        (0..people).for_each(|person| speaker.join(endpoint(person)));
        speaker
    }

    #[test]
    fn scores_are_those_of_the_paper() {
        let cases = [
            (0, 13, 0.78, SCORE_MIN),
            (7, 13, 0.78, 4.145_299),
            (12, 13, 0.78, 3.162_499),
            (0, 5, 24.0, SCORE_MIN),
            (1, 5, 24.0, 18.965_648),
            (5, 5, 24.0, 113.356_210),
            (3, 10, 47.0, 135.005_868),
        ];
        for (active, total, lambda, expected) in cases {
            let score = score(active, total, lambda);
            assert!(
                (score - expected).abs() < 1e-5,
                "{active} of {total}: {score}"
            );
        }
    }

    #[test]
    fn who_speaks_becomes_dominant_within_two_seconds() {
        use Doing::{Listening, Speaking};
        let mut speaker = conference(3);
        play(&mut speaker, 0, 3_000, &[Listening, Listening, Listening]);
        for (turn, person) in [1_usize, 0, 2, 1].into_iter().enumerate() {
            let mut doings = [Listening; 3];
            doings[person] = Speaking;
            let start = 3_000 + 6_000 * turn as u64;
            let changes = play(&mut speaker, start, 6_000, &doings);
            let [(at, dominant)] = changes[..] else {
                panic!("turn {turn}: {changes:?}");
            };
            assert_eq!(dominant as usize, person, "turn {turn}");
            assert!(at - start <= 2_000, "turn {turn}: after {} ms", at - start);
        }
        let order: Vec<_> = speaker.order().iter().map(|one| one.0.index).collect();
        assert_eq!(order, [1, 2, 0], "most recent first");
    }

    #[test]
    fn nobody_but_a_speaker_takes_over() {
        use Doing::{Away, Humming, Listening, Muted, Speaking};
        for other in [Humming, Listening, Muted, Away] {
            let mut speaker = conference(2);
            play(&mut speaker, 0, 5_000, &[Speaking, Listening]);
            let changes = play(&mut speaker, 5_000, 20_000, &[Speaking, other]);
            assert_eq!(changes, [], "{other:?}");
            let changes = play(&mut speaker, 25_000, 20_000, &[Listening, other]);
            assert_eq!(changes, [], "{other:?} while all are silent");
        }
    }

    #[test]
    fn a_cough_does_not_take_over() {
        use Doing::{Listening, Speaking};
        let mut speaker = conference(2);
        play(&mut speaker, 0, 5_000, &[Speaking, Listening]);
        for cough in 0..10 {
            let start = 5_000 + 2_000 * cough;
            let changes = play(&mut speaker, start, 200, &[Speaking, Speaking]);
            assert_eq!(changes, []);
            let changes = play(&mut speaker, start + 200, 1_800, &[Speaking, Listening]);
            assert_eq!(changes, []);
        }
    }

    #[test]
    fn a_dominant_speaker_whose_packets_stop_is_succeeded() {
        use Doing::{Away, Listening, Speaking};
        let mut speaker = conference(2);
        play(&mut speaker, 0, 5_000, &[Speaking, Listening]);
        assert_eq!(speaker.dominant, Some(endpoint(0)));
        let changes = play(&mut speaker, 5_000, 3_000, &[Away, Speaking]);
        assert!(matches!(changes[..], [(..=7_000, 1)]), "{changes:?}");
    }

    #[test]
    fn a_dominant_speaker_who_leaves_is_succeeded_by_the_most_active() {
        use Doing::{Away, Listening, Speaking};
        let mut speaker = conference(3);
        play(&mut speaker, 0, 5_000, &[Speaking, Listening, Speaking]);
        assert_eq!(speaker.dominant, Some(endpoint(0)));
        speaker.leave(endpoint(0));
        assert_eq!(speaker.dominant, None);
        let changes = play(&mut speaker, 5_000, 400, &[Away, Listening, Speaking]);
        assert!(matches!(changes[..], [(_, 2)]), "{changes:?}");
        assert_eq!(speaker.order(), [endpoint(2), endpoint(1)]);
    }

    #[test]
    fn the_only_one_to_send_is_dominant_at_once() {
        let mut speaker = conference(2);
        speaker.level(Time::ZERO, endpoint(1), 127);
        assert_eq!(speaker.take_change(), Some(endpoint(1)));
        assert_eq!(speaker.take_change(), None);
    }

    #[test]
    fn a_forged_stream_of_levels_changes_the_speaker_at_most_at_each_decision() {
        let mut speaker = conference(4);
        let mut random = 1_u32;
        let mut changes = 0;
        for step in 0..50_000_u64 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [level, person, ..] = random.to_be_bytes();
            let person = endpoint(u32::from(person % 4));
            speaker.level(Time::from_micros(step * 100), person, level);
            changes += usize::from(speaker.take_change().is_some());
        }
        assert!(changes <= 5_000 / 300 + 1, "{changes}");
    }

    #[test]
    fn the_noise_floor_rises_only_after_a_window() {
        let mut floor = Floor::default();
        floor.note(0);
        assert_eq!(floor.lowest, 0);
        floor.note(16);
        for _ in 1..FLOOR_WINDOW {
            floor.note(64);
        }
        assert_eq!(floor.lowest, 16);
        floor.note(64);
        assert_eq!(floor.lowest, 32, "the geometric mean");
        floor.note(5);
        assert_eq!(floor.lowest, 5, "down at once");
    }
}
