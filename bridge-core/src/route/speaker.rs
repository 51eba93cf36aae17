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
}

impl DominantSpeaker {
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

    /// Who dominates now.
    pub(crate) const fn dominant(&self) -> Option<EndpointKey> {
        self.dominant
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
