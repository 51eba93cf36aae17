//! Remembers when each endpoint wants to be looked at, and whose turn is next.
//!
//! Each endpoint has a small table of named timers; the engine has one heap of the earliest of
//! each. The heap knows every endpoint's place in it, so moving a deadline is a few swaps and
//! nothing is allocated once it has grown. Equal deadlines fire in the order of their keys.

use crate::id::EndpointKey;
use crate::time::Time;

/// What an endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Checks, consent and the handshake.
    Transport,
    /// Feedback to the sender.
    Ingest,
    /// Reports to the receiver.
    Egress,
    /// Whether packets still come.
    Activity,
}

const TIMERS: usize = 4;

/// The named timers of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimerTable([Option<Time>; TIMERS]);

impl TimerTable {
    pub(super) fn set(&mut self, timer: Timer, at: Option<Time>) {
        if let Some(place) = self.0.get_mut(timer as usize) {
            *place = at;
        }
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Time> {
        self.0.get(timer as usize).copied().flatten()
    }

    /// Whether the timer has fired by `now`; if so it is off afterwards.
    pub(super) fn take_due(&mut self, timer: Timer, now: Time) -> bool {
        match self.0.get_mut(timer as usize) {
            Some(place) if place.is_some_and(|at| at <= now) => {
                *place = None;
                true
            }
            _ => false,
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }
}

/// The earliest deadline of each endpoint.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: Vec<(Time, EndpointKey)>,
    /// By the index of the endpoint's key: its place in the heap.
    places: Vec<Option<u32>>,
}

impl Deadlines {
    /// When to look next.
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.first().map(|entry| entry.0)
    }

    /// The endpoint that is longest overdue at `now`, taken out.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<EndpointKey> {
        let (at, key) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    /// Moves an endpoint's deadline; `None` takes it out.
    pub(super) fn set(&mut self, key: EndpointKey, at: Option<Time>) {
        match (self.place(key), at) {
            (Some(place), Some(at)) => {
                if let Some(entry) = self.heap.get_mut(place) {
                    *entry = (at, key);
                }
                self.settle(place);
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.set_place(key, None);
                if let Some(moved) = self.heap.get(place).map(|entry| entry.1) {
                    self.set_place(moved, Some(place));
                    self.settle(place);
                }
            }
            (None, Some(at)) => {
                self.heap.push((at, key));
                self.set_place(key, Some(self.heap.len() - 1));
                self.settle(self.heap.len() - 1);
            }
            (None, None) => {}
        }
    }

    /// Brings an endpoint's deadline forward to `at` if it is later or none.
    pub(super) fn bring_forward(&mut self, key: EndpointKey, at: Time) {
        let set = self.place(key).and_then(|place| self.heap.get(place));
        if set.is_none_or(|entry| entry.0 > at) {
            self.set(key, Some(at));
        }
    }

    fn place(&self, key: EndpointKey) -> Option<usize> {
        let place = *self.places.get(key.0.index as usize)?;
        place.map(|place| place as usize)
    }

    fn set_place(&mut self, key: EndpointKey, place: Option<usize>) {
        let index = key.0.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, None);
        }
        if let Some(entry) = self.places.get_mut(index) {
            *entry = place.and_then(|place| u32::try_from(place).ok());
        }
    }

    /// Moves the entry at `place` up or down until the heap is in order.
    fn settle(&mut self, mut place: usize) {
        while place > 0 && self.is_before(place, (place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = if self.is_before(right, left) {
                right
            } else {
                left
            };
            if !self.is_before(child, place) {
                return;
            }
            self.swap(child, place);
            place = child;
        }
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        match (self.heap.get(one), self.heap.get(other)) {
            (Some(one), Some(other)) => one < other,
            _ => false,
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            if let Some(key) = self.heap.get(place).map(|entry| entry.1) {
                self.set_place(key, Some(place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Key;
    use crate::random::Random;

    fn key(index: u32) -> EndpointKey {
        EndpointKey(Key {
            index,
            generation: 0,
        })
    }

    #[test]
    fn deadlines_fire_in_order_whatever_was_moved() {
        let mut random = Random::new([7; 32]);
        let mut deadlines = Deadlines::default();
        let mut model = std::collections::BTreeMap::new();
        for _ in 0..2_000 {
            let key = key(random.u32() % 50);
            let at = Time::from_millis(1 + u64::from(random.u32() % 1_000));
            if random.u32().is_multiple_of(4) {
                deadlines.set(key, None);
                model.remove(&key);
            } else {
                deadlines.set(key, Some(at));
                model.insert(key, at);
            }
            assert_eq!(deadlines.next(), model.values().min().copied());
        }
        let mut expected: Vec<_> = model.into_iter().map(|(key, at)| (at, key)).collect();
        expected.sort_unstable();
        for (at, key) in expected {
            assert_eq!(
                deadlines.pop_due(at - core::time::Duration::from_nanos(1)),
                None
            );
            assert_eq!(deadlines.pop_due(at), Some(key));
        }
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_deadline_is_only_brought_forward() {
        let mut deadlines = Deadlines::default();
        deadlines.bring_forward(key(3), Time::from_millis(5));
        deadlines.bring_forward(key(3), Time::from_millis(9));
        assert_eq!(deadlines.next(), Some(Time::from_millis(5)));
        deadlines.bring_forward(key(3), Time::from_millis(2));
        assert_eq!(deadlines.next(), Some(Time::from_millis(2)));
    }

    #[test]
    fn a_named_timer_fires_once() {
        let mut table = TimerTable::default();
        table.set(Timer::Egress, Some(Time::from_millis(4)));
        table.set(Timer::Ingest, Some(Time::from_millis(6)));
        assert_eq!(table.next(), Some(Time::from_millis(4)));
        assert!(!table.take_due(Timer::Egress, Time::from_millis(3)));
        assert!(table.take_due(Timer::Egress, Time::from_millis(4)));
        assert!(!table.take_due(Timer::Egress, Time::from_millis(4)));
        assert_eq!(table.next(), Some(Time::from_millis(6)));
    }
}
