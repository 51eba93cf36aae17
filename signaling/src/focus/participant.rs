//! Holds what the focus knows of one participant: how to reach it, what it can, its session.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bridge_core::description::TransportDescription;
use tokio::time::Instant;

use crate::jingle::source::Streams;
use crate::xml::Element;
use crate::xml::ns::DISCO_INFO;

/// What a client can, as far as the offer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Takes sources as compact JSON.
    pub json_sources: bool,
    /// Lets the bridge rewrite SSRCs.
    pub ssrc_rewriting: bool,
    /// Sends transport-wide feedback.
    pub transport_cc: bool,
    /// Sends and takes retransmissions.
    pub rtx: bool,
}

impl Features {
    /// Of a client that does not say.
    pub const UNKNOWN: Self = Self {
        json_sources: false,
        ssrc_rewriting: false,
        transport_cc: false,
        rtx: false,
    };

    /// From the answer to disco#info.
    #[must_use]
    pub fn read(query: &Element) -> Self {
        let has = |feature: &str| {
            query
                .elements()
                .any(|it| it.is("feature", DISCO_INFO) && it.attr("var") == Some(feature))
        };
        Self {
            json_sources: has("http://jitsi.org/json-encoded-sources"),
            ssrc_rewriting: has("http://jitsi.org/ssrc-rewriting-1"),
            transport_cc: has("http://jitsi.org/tcc"),
            rtx: has("urn:ietf:rfc:4588"),
        }
    }
}

/// A Jingle session with one participant.
#[derive(Debug)]
pub(crate) struct Session {
    /// Session id.
    pub(crate) sid: String,
    /// Its number at the bridge.
    pub(crate) number: u64,
    /// Whether the client took the offer.
    pub(crate) accepted: bool,
    /// The peer's end, once it is known.
    pub(crate) transport: Option<TransportDescription>,
    /// What the client was told of others' sources; unused when SSRCs are rewritten.
    pub(crate) told: BTreeMap<String, Streams>,
    /// What the bridge holds back for a moderator: sound, pictures.
    pub(crate) held: (bool, bool),
    /// Id of the IQ that brought the offer.
    pub(crate) offer: String,
}

/// One participant of a conference.
#[derive(Debug)]
pub(crate) struct Participant {
    /// Real address.
    pub(crate) jid: String,
    /// Place in the order of joining.
    pub(crate) order: u64,
    /// Whether it moderates.
    pub(crate) moderator: bool,
    /// What it can; `None` while it is asked.
    pub(crate) features: Option<Features>,
    /// Since when it is here, for the time that it may take to say what it can.
    pub(crate) since: Instant,
    /// Running session.
    pub(crate) session: Option<Session>,
    /// When it is to get a (new) session; `None` when it has one or wants none.
    pub(crate) invite_at: Option<Instant>,
    /// Failed sessions in a row.
    pub(crate) failures: u32,
    /// Restarts that the client asked for.
    pub(crate) restarts: RestartLimit,
    /// What a moderator muted.
    pub(crate) muted: super::mute::Muted,
}

impl Participant {
    pub(crate) fn new(jid: &str, order: u64, now: Instant) -> Self {
        Self {
            jid: jid.to_owned(),
            order,
            moderator: false,
            features: None,
            since: now,
            session: None,
            invite_at: None,
            failures: 0,
            restarts: RestartLimit::default(),
            muted: super::mute::Muted::default(),
        }
    }

    /// The session of that id.
    pub(crate) fn session(&mut self, sid: &str) -> Option<&mut Session> {
        self.session.as_mut().filter(|session| session.sid == sid)
    }

    /// Whether that is its session at the bridge now.
    pub(crate) fn has_session(&self, number: u64) -> bool {
        self.session.as_ref().is_some_and(|it| it.number == number)
    }

    /// Plans another session after a failed one: after a second, then ever later.
    pub(crate) fn invite_later(&mut self, now: Instant) {
        let delay = Duration::from_secs(1 << self.failures.min(6));
        self.failures += 1;
        self.invite_at = Some(now + delay);
    }
}

/// Bounds how often a client may ask for a new session: not within 5 s, not over 5 per minute.
#[derive(Debug, Default)]
pub(crate) struct RestartLimit(VecDeque<Instant>);

impl RestartLimit {
    /// Whether it may, and if so counts it.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        while self
            .0
            .front()
            .is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(60))
        {
            self.0.pop_front();
        }
        let soon = self
            .0
            .back()
            .is_some_and(|at| now.duration_since(*at) < Duration::from_secs(5));
        let allowed = !soon && self.0.len() < 5;
        if allowed {
            self.0.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_five_seconds_apart_and_five_in_a_minute() {
        let mut limit = RestartLimit::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let allowed: Vec<u64> = (0..70).filter(|s| limit.allow(at(*s))).collect();
        assert_eq!(allowed, [0, 5, 10, 15, 20, 60, 65]);
    }

    #[test]
    fn features_are_read_from_the_answer() {
        let query = Element::new("query", DISCO_INFO).children(
            ["http://jitsi.org/tcc", "http://jitsi.org/ssrc-rewriting-1"]
                .map(|var| Element::new("feature", DISCO_INFO).with("var", var)),
        );
        let expected = Features {
            transport_cc: true,
            ssrc_rewriting: true,
            ..Features::UNKNOWN
        };
        assert_eq!(Features::read(&query), expected);
    }
}
