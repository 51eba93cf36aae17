//! Keeps BOSH requests in order and repeats answers that got lost (XEP-0124, sections 14 and 15).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::xml::Element;

/// Requests and answers of a session; `A` is the way to answer.
#[derive(Debug)]
pub(crate) struct Window<A> {
    /// The last request that was handled.
    last: u64,
    most: usize,
    /// Requests that came before their turn.
    early: BTreeMap<u64, (Element, A)>,
    /// Handled requests without an answer, oldest first.
    waiting: VecDeque<(u64, Instant, A)>,
    /// The last answers, oldest first.
    answers: VecDeque<(u64, Arc<str>)>,
}

/// What a request is, by its number.
#[derive(Debug)]
pub(crate) enum Arrival<A> {
    /// It is kept for [`Window::next`].
    Fits,
    /// It was answered before; here is the answer again.
    Repeat(Arc<str>, A),
    /// It waits already; this older way to answer is of no use any more.
    Replaces(A),
    /// It is too far from its turn, or was forgotten.
    Outside(A),
}

impl<A> Window<A> {
    /// A session that begins with request `first`, and lets `most` be under way.
    pub(crate) const fn new(first: u64, most: usize) -> Self {
        Self {
            last: first,
            most,
            early: BTreeMap::new(),
            waiting: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// The first request is answered outside; its answer may have to be repeated.
    pub(crate) fn answer_first(&mut self, text: Arc<str>) {
        self.answers.push_back((self.last, text));
    }

    /// A request arrives.
    pub(crate) fn arrive(&mut self, rid: u64, body: Element, answer: A) -> Arrival<A> {
        if rid > self.last {
            if rid - self.last > self.most as u64 {
                return Arrival::Outside(answer);
            }
            return match self.early.insert(rid, (body, answer)) {
                None => Arrival::Fits,
                Some((_, older)) => Arrival::Replaces(older),
            };
        }
        if let Some((_, text)) = self.answers.iter().find(|(answered, _)| *answered == rid) {
            return Arrival::Repeat(Arc::clone(text), answer);
        }
        match self
            .waiting
            .iter_mut()
            .find(|(waiting, ..)| *waiting == rid)
        {
            Some((_, _, older)) => Arrival::Replaces(std::mem::replace(older, answer)),
            None => Arrival::Outside(answer),
        }
    }

    /// The next request whose turn it is; it waits for an answer from now on.
    pub(crate) fn next(&mut self) -> Option<Element> {
        let (body, answer) = self.early.remove(&self.last.checked_add(1)?)?;
        self.last += 1;
        self.waiting.push_back((self.last, Instant::now(), answer));
        Some(body)
    }

    /// How many requests wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the oldest one waits.
    pub(crate) fn oldest_since(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, since, _)| *since)
    }

    /// What an answer to the oldest one has to acknowledge: the last request that was handled,
    /// unless it is that one itself.
    pub(crate) fn ack(&self) -> Option<u64> {
        self.waiting
            .front()
            .and_then(|(rid, ..)| (*rid != self.last).then_some(self.last))
    }

    /// Answers the oldest request that waits.
    pub(crate) fn answer(&mut self, text: Arc<str>) -> Option<(A, Arc<str>)> {
        let (rid, _, answer) = self.waiting.pop_front()?;
        self.answers.push_back((rid, Arc::clone(&text)));
        while self.answers.len() > self.most {
            self.answers.pop_front();
        }
        Some((answer, text))
    }

    /// Takes those that came before their turn, at the end.
    pub(crate) fn early(&mut self) -> impl Iterator<Item = A> {
        std::mem::take(&mut self.early)
            .into_values()
            .map(|(_, answer)| answer)
    }

    /// Whether all requests that wait have lost their client.
    pub(crate) fn all_waiting(&self, gone: impl Fn(&A) -> bool) -> bool {
        self.waiting.iter().all(|(_, _, answer)| gone(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::ns;

    fn body() -> Element {
        Element::new("body", ns::BOSH)
    }

    fn text(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn requests_wait_for_their_turn() {
        let mut window = Window::new(10, 2);
        assert!(matches!(window.arrive(12, body(), 'b'), Arrival::Fits));
        assert!(window.next().is_none());
        assert!(matches!(window.arrive(11, body(), 'a'), Arrival::Fits));
        assert!(window.next().is_some() && window.next().is_some());
        assert!(window.next().is_none());
        assert_eq!(window.ack(), Some(12));
        assert_eq!(window.answer(text("1")), Some(('a', text("1"))));
        assert_eq!(window.ack(), None);
    }

    #[test]
    fn the_window_ends_on_both_sides() {
        let mut window = Window::new(10, 2);
        for rid in [0, 9, 13, u64::MAX] {
            assert!(
                matches!(window.arrive(rid, body(), rid), Arrival::Outside(_)),
                "{rid}"
            );
        }
        let mut last = Window::new(u64::MAX, 2);
        assert!(last.next().is_none());
        assert!(matches!(last.arrive(1, body(), 1), Arrival::Outside(_)));
    }

    #[test]
    fn the_last_answers_are_repeated_and_older_ones_forgotten() {
        let mut window = Window::new(10, 2);
        window.answer_first(text("first"));
        assert!(
            matches!(window.arrive(10, body(), 'x'), Arrival::Repeat(t, 'x') if &*t == "first")
        );
        for rid in 11..14 {
            assert!(matches!(window.arrive(rid, body(), 'a'), Arrival::Fits));
            assert!(window.next().is_some());
            assert!(window.answer(text(&rid.to_string())).is_some());
        }
        assert!(matches!(window.arrive(13, body(), 'x'), Arrival::Repeat(t, 'x') if &*t == "13"));
        assert!(matches!(
            window.arrive(11, body(), 'x'),
            Arrival::Outside('x')
        ));
    }

    #[test]
    fn a_request_that_waits_can_be_sent_again() {
        let mut window = Window::new(10, 2);
        assert!(matches!(window.arrive(11, body(), 'a'), Arrival::Fits));
        assert!(window.next().is_some());
        assert!(matches!(
            window.arrive(11, body(), 'b'),
            Arrival::Replaces('a')
        ));
        assert!(!window.all_waiting(|answer| *answer == 'a'));
        assert_eq!(window.answer(text("t")), Some(('b', text("t"))));
        assert!(window.all_waiting(|_| false), "none is left");
    }
}
