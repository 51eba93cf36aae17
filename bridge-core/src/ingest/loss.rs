//! Notices what is missing and asks for it again (RFC 4585 section 6.2.1).
//!
//! Asked for at once, then once per round trip, until it comes, the tries are used up or it is too
//! old. When packets are given up the picture is broken for everybody, so a keyframe is wanted.

use core::time::Duration;

use crate::limits::{MISSING_AGE_MAX, MISSING_MAX, NACK_TRIES_MAX};
use crate::time::Time;

use super::Arrived;
use super::feedback::Schedule;
use super::source::Source;

/// Notes a packet's number in its encoding, if its sender takes NACKs.
pub(super) fn note(
    arrived: &Arrived<'_>,
    sequence: u64,
    source: &mut Source,
    schedule: &mut Schedule,
) {
    let index = usize::from(arrived.stream.encoding);
    let Some(encoding) = source.encodings.get_mut(index) else {
        return;
    };
    if !arrived.payload.nack {
        return;
    }
    let end = encoding.store.end();
    if encoding.missing.note(arrived.now, sequence, end) {
        schedule.hurry(arrived.now);
    }
    if encoding.missing.take_hopeless() && source.wish_keyframe(arrived.now, index) {
        schedule.hurry(arrived.now);
    }
}

/// Missing packets of one encoding, by number.
#[derive(Debug, Default)]
pub(super) struct Missing {
    entries: Vec<Lost>,
    /// Packets were given up since [`Missing::take_hopeless`].
    is_hopeless: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    sequence: u64,
    since: Time,
    next: Time,
    tries: u8,
}

impl Missing {
    /// Notes that `sequence` came; `end` is one past the highest that came before, or 0. `true`
    /// when packets are missing that were not before.
    fn note(&mut self, now: Time, sequence: u64, end: u64) -> bool {
        if sequence < end {
            if let Ok(at) = self.find(sequence) {
                self.entries.remove(at);
            }
            return false;
        }
        if end == 0 || sequence == end {
            return false;
        }
        if sequence - end > MISSING_MAX as u64 {
            self.entries.clear();
            self.is_hopeless = true;
            return false;
        }
        for sequence in end..sequence {
            self.entries.push(Lost {
                sequence,
                since: now,
                next: now,
                tries: 0,
            });
        }
        if let Some(excess) = self
            .entries
            .len()
            .checked_sub(MISSING_MAX)
            .filter(|n| *n > 0)
        {
            self.entries.drain(..excess);
            self.is_hopeless = true;
        }
        true
    }

    /// Forgets what is before a keyframe: nobody needs it any more.
    pub(super) fn forget_before(&mut self, sequence: u64) {
        let (Ok(count) | Err(count)) = self.find(sequence);
        self.entries.drain(..count);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.is_hopeless = false;
    }

    /// Whether packets were given up since the last call.
    pub(super) fn take_hopeless(&mut self) -> bool {
        core::mem::take(&mut self.is_hopeless)
    }

    /// When something is to be asked for.
    pub(super) fn due(&self) -> Option<Time> {
        self.entries.iter().map(|lost| lost.next).min()
    }

    /// The numbers to ask for now, ascending; each that is taken counts as asked for.
    pub(super) fn take_due(&mut self, now: Time, rtt: Duration) -> impl Iterator<Item = u64> {
        let before = self.entries.len();
        self.entries.retain(|lost| {
            lost.next > now
                || (lost.tries < NACK_TRIES_MAX && now.since(lost.since) <= MISSING_AGE_MAX)
        });
        self.is_hopeless |= self.entries.len() < before;
        let due = self.entries.iter_mut().filter(move |lost| lost.next <= now);
        due.map(move |lost| {
            lost.tries += 1;
            lost.next = now + rtt;
            lost.sequence
        })
    }

    fn find(&self, sequence: u64) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&sequence, |lost| lost.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn due(missing: &mut Missing, millis: u64) -> Vec<u64> {
        missing.take_due(Time::from_millis(millis), RTT).collect()
    }

    #[test]
    fn numbers_between_the_last_and_the_next_are_missing() {
        let mut missing = Missing::default();
        let start = Time::ZERO;
        assert!(!missing.note(start, 500, 0), "the first of all");
        assert!(!missing.note(start, 501, 501));
        assert!(missing.note(start, 504, 502));
        assert!(!missing.note(start, 503, 505), "late");
        assert!(!missing.note(start, 400, 505), "very late");
        assert_eq!(missing.due(), Some(start));
        assert_eq!(due(&mut missing, 0), [502]);
        assert_eq!(missing.due(), Some(Time::from_millis(100)));
        assert!(!missing.take_hopeless());
    }

    #[test]
    fn the_oldest_are_given_up_when_there_are_too_many() {
        let mut missing = Missing::default();
        let most = MISSING_MAX as u64;
        assert!(missing.note(Time::ZERO, 10 + most, 10));
        assert!(!missing.take_hopeless());
        assert!(missing.note(Time::ZERO, 13 + most, 11 + most));
        assert!(missing.take_hopeless());
        let asked = due(&mut missing, 0);
        assert_eq!(asked.len(), MISSING_MAX);
        assert_eq!(asked.first(), Some(&12));
        assert!(
            !missing.note(Time::ZERO, 3 * most, 14 + most),
            "a gap of more than all"
        );
        assert!(missing.take_hopeless());
        assert_eq!(missing.due(), None);
    }

    #[test]
    fn what_is_too_old_is_given_up_before_the_tries_are_used() {
        let mut missing = Missing::default();
        missing.note(Time::ZERO, 12, 10);
        assert_eq!(due(&mut missing, 0), [10, 11]);
        missing.forget_before(11);
        assert_eq!(due(&mut missing, 1_000), [11]);
        assert!(!missing.take_hopeless());
        assert!(due(&mut missing, 1_100).is_empty());
        assert!(missing.take_hopeless());
        assert!(!missing.take_hopeless());
    }
}
