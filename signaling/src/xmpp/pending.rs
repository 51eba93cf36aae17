//! Remembers which IQs are under way, so that only the one who was asked can answer.
//!
//! Clients match answers by `id` alone. An answer is let through only when its sender, its
//! addressee and its id are those of a request that was delivered; it then comes from the address
//! that was asked.

use std::collections::HashMap;

/// A request under way, as its answer will name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Real full address of the one who was asked.
    pub(crate) answerer: String,
    /// The requester as the answerer sees it.
    pub(crate) requester: String,
    /// The id.
    pub(crate) id: String,
}

/// Where the answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Real full address of the one who asked.
    pub(crate) requester: String,
    /// The address that was asked.
    pub(crate) asked: String,
}

/// All requests under way.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    requests: HashMap<Key, (u64, Request)>,
    counts: HashMap<String, usize>,
}

impl Pending {
    /// Remembers a request; false when its sender has too many under way.
    pub(crate) fn insert(&mut self, now: u64, key: Key, request: Request, most: usize) -> bool {
        let count = self.counts.entry(request.requester.clone()).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        if let Some((_, replaced)) = self.requests.insert(key, (now, request)) {
            self.forget(&replaced.requester);
        }
        true
    }

    /// Takes the request that this answer belongs to.
    pub(crate) fn take(&mut self, key: &Key) -> Option<Request> {
        let (_, request) = self.requests.remove(key)?;
        self.forget(&request.requester);
        Some(request)
    }

    /// Takes the requests that this session will not answer, and drops those it made.
    pub(crate) fn end(&mut self, session: &str) -> Vec<(Key, Request)> {
        let ended =
            self.extract(|key, _, request| key.answerer == session || request.requester == session);
        ended
            .into_iter()
            .filter(|(_, request)| request.requester != session)
            .collect()
    }

    /// Drops requests older than [`LIFETIME_MS`].
    pub(crate) fn expire(&mut self, now: u64) {
        self.extract(|_, sent, _| now.saturating_sub(sent) > LIFETIME_MS);
    }

    fn extract(&mut self, pick: impl Fn(&Key, u64, &Request) -> bool) -> Vec<(Key, Request)> {
        let picked: Vec<_> = self
            .requests
            .extract_if(|key, (sent, request)| pick(key, *sent, request))
            .map(|(key, (_, request))| (key, request))
            .collect();
        for (_, request) in &picked {
            self.forget(&request.requester);
        }
        picked
    }

    fn forget(&mut self, requester: &str) {
        if let Some(count) = self.counts.get_mut(requester) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(requester);
            }
        }
    }
}

/// Time in which an answer must come; clients give up after ten seconds.
const LIFETIME_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(answerer: &str, id: &str) -> Key {
        Key {
            answerer: answerer.to_owned(),
            requester: "r@muc/a".to_owned(),
            id: id.to_owned(),
        }
    }

    fn request() -> Request {
        Request {
            requester: "a@d/1".to_owned(),
            asked: "r@muc/b".to_owned(),
        }
    }

    #[test]
    fn an_answer_is_taken_once_and_only_from_the_one_asked() {
        let mut pending = Pending::default();
        assert!(pending.insert(0, key("b@d/1", "7"), request(), 9));
        assert_eq!(pending.take(&key("c@d/1", "7")), None);
        assert_eq!(pending.take(&key("b@d/1", "8")), None);
        assert_eq!(pending.take(&key("b@d/1", "7")), Some(request()));
        assert_eq!(pending.take(&key("b@d/1", "7")), None);
        assert!(pending.counts.is_empty());
    }

    #[test]
    fn a_requester_has_a_bound_and_time_frees_it() {
        let mut pending = Pending::default();
        assert!(pending.insert(0, key("b@d/1", "1"), request(), 2));
        assert!(pending.insert(0, key("b@d/1", "1"), request(), 2));
        assert!(pending.insert(0, key("b@d/1", "2"), request(), 2));
        assert!(!pending.insert(0, key("b@d/1", "3"), request(), 2));
        pending.expire(LIFETIME_MS + 1);
        assert!(pending.counts.is_empty() && pending.requests.is_empty());
    }

    #[test]
    fn the_end_of_the_one_asked_is_told() {
        let mut pending = Pending::default();
        assert!(pending.insert(0, key("b@d/1", "1"), request(), 9));
        assert_eq!(pending.end("b@d/1"), [(key("b@d/1", "1"), request())]);
        assert!(pending.insert(0, key("b@d/1", "1"), request(), 9));
        assert_eq!(pending.end("a@d/1"), []);
        assert!(pending.counts.is_empty());
    }
}
