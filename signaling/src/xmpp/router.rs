//! Gives each stanza to the one it is for: the domain, a room, the focus, or another session.
//!
//! Plain data without sockets and clocks. Who sends is known by the session and stamped on every
//! stanza; what a stanza claims about its sender is never believed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::jid::Jid;
use super::pending::{Key, Pending, Request};
use super::{XmppConfig, XmppCounter, XmppStats, disco};
use crate::feature::{external_services, ping};
use crate::muc::{Rooms, Sender};
use crate::xml::{Condition, Element, ns};

/// Names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey(pub(crate) u64);

/// A stanza for a session.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) session: SessionKey,
    pub(crate) stanza: Element,
}

/// Sessions, rooms and requests under way.
#[derive(Debug)]
pub(crate) struct Router {
    domain: String,
    muc: String,
    focus: String,
    focus_user: String,
    sessions: HashMap<SessionKey, Sender>,
    keys: HashMap<String, SessionKey>,
    rooms: Rooms,
    pending: Pending,
    outbox: VecDeque<Delivery>,
    stats: Arc<XmppStats>,
}

impl Router {
    pub(crate) fn new(config: &XmppConfig, stats: Arc<XmppStats>) -> Self {
        Self {
            domain: config.domain.clone(),
            muc: config.muc_domain(),
            focus: config.focus_address(),
            focus_user: config.focus_user.clone(),
            sessions: HashMap::new(),
            keys: HashMap::new(),
            rooms: Rooms::new(config.muc_domain(), config.limits),
            pending: Pending::default(),
            outbox: VecDeque::new(),
            stats,
        }
    }

    /// A session begins; gives the one it replaces.
    pub(crate) fn bind(
        &mut self,
        key: SessionKey,
        jid: Jid,
        is_service: bool,
    ) -> Option<SessionKey> {
        let replaced = self.keys.get(&jid.to_string()).copied();
        if let Some(replaced) = replaced {
            self.end(replaced);
        }
        self.keys.insert(jid.to_string(), key);
        self.sessions.insert(key, Sender { jid, is_service });
        self.stats.set(XmppCounter::Sessions, self.sessions.len());
        replaced
    }

    /// A session ends: it leaves its rooms, and nobody waits for its answers any more.
    pub(crate) fn end(&mut self, key: SessionKey) {
        let Some(sender) = self.sessions.remove(&key) else {
            return;
        };
        let name = sender.jid.to_string();
        self.keys.remove(&name);
        self.stats.set(XmppCounter::Sessions, self.sessions.len());
        let mut out = Vec::new();
        self.rooms.leave_all(&sender, &mut out);
        for (key, request) in self.pending.end(&name) {
            let iq = Element::new("iq", ns::CLIENT)
                .with("type", "get")
                .with("id", key.id)
                .with("from", request.requester)
                .with("to", request.asked);
            out.extend(iq.error_reply(Condition::RecipientUnavailable));
        }
        self.emit_all(out);
        self.count_rooms();
    }

    /// A stanza from a session; `now` in Unix milliseconds.
    pub(crate) fn handle(&mut self, now: u64, key: SessionKey, mut stanza: Element) {
        let Some(sender) = self.sessions.get(&key).cloned() else {
            return;
        };
        self.stats.count(XmppCounter::StanzasReceived);
        let own = sender.jid.to_string();
        stanza.set("from", own.clone());
        let Some(to) = Jid::parse(stanza.attr("to").unwrap_or(&self.domain)) else {
            return self.refuse(&stanza, Condition::JidMalformed);
        };
        if stanza.name == "iq" && !stanza.is_request() {
            return self.answer(&own, &stanza);
        }
        if stanza.name == "iq" && stanza.attr("id").is_none() {
            return self.refuse(&stanza, Condition::BadRequest);
        }
        if to.domain == self.muc {
            self.handle_room(now, &sender, &to, &stanza);
        } else if to.domain == self.focus {
            self.handle_focus(now, &own, &stanza);
        } else if to.resource.is_empty()
            && (to.domain == self.domain || to.bare() == sender.jid.bare())
        {
            self.handle_domain(&stanza);
        } else {
            self.handle_direct(now, &sender, &to, stanza);
        }
    }

    /// Drops what has waited too long; `now` in Unix milliseconds.
    pub(crate) fn expire(&mut self, now: u64) {
        self.pending.expire(now);
    }

    /// The next stanza to deliver.
    pub(crate) fn next_delivery(&mut self) -> Option<Delivery> {
        self.outbox.pop_front()
    }

    /// An answer to an IQ: only to one who asked this sender with this id.
    fn answer(&mut self, own: &str, stanza: &Element) {
        let (Some(to), Some(id)) = (stanza.attr("to"), stanza.attr("id")) else {
            return;
        };
        if to == self.domain {
            return; // the answer to a ping of ours
        }
        let key = Key {
            answerer: own.to_owned(),
            requester: Jid::parse(to).map_or_else(String::new, |to| to.to_string()),
            id: id.to_owned(),
        };
        let Some(request) = self.pending.take(&key) else {
            self.stats.count(XmppCounter::StrayAnswers);
            return;
        };
        let mut answer = stanza.clone();
        answer.set("from", request.asked);
        answer.set("to", request.requester);
        self.emit(answer);
    }

    fn handle_domain(&mut self, stanza: &Element) {
        match stanza.name.as_str() {
            "iq" => {
                let answer = ping::answer(stanza)
                    .or_else(|| disco::domain(stanza, &self.muc))
                    .or_else(|| external_services::answer(stanza))
                    .or_else(|| session_request(stanza));
                match answer {
                    Some(answer) => self.emit(answer),
                    None => self.refuse(stanza, Condition::ServiceUnavailable),
                }
            }
            // Presence for nobody in particular: there are no rosters.
            "presence" => {}
            _ => self.refuse(stanza, Condition::ServiceUnavailable),
        }
    }

    fn handle_room(&mut self, now: u64, sender: &Sender, to: &Jid, stanza: &Element) {
        let mut out = Vec::new();
        if stanza.name == "iq" && to.node.is_empty() {
            match ping::answer(stanza).or_else(|| disco::rooms(stanza)) {
                Some(answer) => out.push(answer),
                None => out.extend(stanza.error_reply(Condition::ServiceUnavailable)),
            }
        } else if stanza.name == "iq" && !to.resource.is_empty() {
            return self.relay(now, sender, to, stanza);
        } else {
            let refused = self.rooms.handle(now, sender, to, stanza, &mut out);
            self.stats
                .add(XmppCounter::JoinsRefused, u64::from(refused));
        }
        self.emit_all(out);
        self.count_rooms();
    }

    /// An IQ from one occupant to another.
    fn relay(&mut self, now: u64, sender: &Sender, to: &Jid, stanza: &Element) {
        let (from, target) = match self.rooms.relay(&sender.jid, to) {
            Ok(pair) => pair,
            Err(condition) => return self.refuse(stanza, condition),
        };
        if target == sender.jid.to_string()
            && let Some(answer) = ping::answer(stanza)
        {
            return self.emit(answer); // a ping of oneself (XEP-0410)
        }
        self.forward(now, stanza, from, target);
    }

    /// An IQ to the focus' address goes to the focus' user.
    fn handle_focus(&mut self, now: u64, own: &str, stanza: &Element) {
        let focus = self
            .sessions
            .values()
            .find(|s| s.is_service && s.jid.bare() == self.focus_user);
        match focus.map(|focus| focus.jid.to_string()) {
            Some(focus) if stanza.name == "iq" => {
                self.forward(now, stanza, own.to_owned(), focus);
            }
            Some(_) => self.refuse(stanza, Condition::ServiceUnavailable),
            None => self.refuse(stanza, Condition::RecipientUnavailable),
        }
    }

    /// A stanza to another session by its real address: only to and from services. Participants
    /// reach each other through a room.
    fn handle_direct(&mut self, now: u64, sender: &Sender, to: &Jid, mut stanza: Element) {
        if to.domain != self.domain && !to.domain.ends_with(&format!(".{}", self.domain)) {
            return self.refuse(&stanza, Condition::RemoteServerNotFound);
        }
        let key = self.keys.get(&to.to_string());
        let target = key.and_then(|key| self.sessions.get(key));
        let Some(target) = target.filter(|target| target.is_service || sender.is_service) else {
            return self.refuse(&stanza, Condition::ServiceUnavailable);
        };
        let target = target.jid.to_string();
        match stanza.name.as_str() {
            "iq" => self.forward(now, &stanza, sender.jid.to_string(), target),
            "message" => {
                stanza.set("to", target);
                self.emit(stanza);
            }
            _ => {}
        }
    }

    /// Delivers a request to `target` as from `from`, and remembers it for the answer.
    fn forward(&mut self, now: u64, stanza: &Element, from: String, target: String) {
        let attr = |name| stanza.attr(name).unwrap_or_default().to_owned();
        let key = Key {
            answerer: target.clone(),
            requester: from.clone(),
            id: attr("id"),
        };
        let request = Request {
            requester: attr("from"),
            asked: attr("to"),
        };
        let sender = self
            .keys
            .get(&request.requester)
            .and_then(|key| self.sessions.get(key));
        let is_service = sender.is_some_and(|sender| sender.is_service);
        let most = if is_service {
            MAX_PENDING_OF_SERVICE
        } else {
            MAX_PENDING
        };
        if !self.pending.insert(now, key, request, most) {
            return self.refuse(stanza, Condition::ResourceConstraint);
        }
        let mut stanza = stanza.clone();
        stanza.set("from", from);
        stanza.set("to", target);
        self.emit(stanza);
    }

    fn refuse(&mut self, stanza: &Element, condition: Condition) {
        if let Some(error) = stanza.error_reply(condition) {
            self.emit(error);
        }
    }

    fn emit_all(&mut self, stanzas: Vec<Element>) {
        for stanza in stanzas {
            self.emit(stanza);
        }
    }

    fn emit(&mut self, stanza: Element) {
        match stanza.attr("to").and_then(|to| self.keys.get(to)) {
            Some(&session) => self.outbox.push_back(Delivery { session, stanza }),
            None => self.stats.count(XmppCounter::StanzasDropped),
        }
    }

    fn count_rooms(&self) {
        let (rooms, occupants) = self.rooms.count();
        self.stats.set(XmppCounter::Rooms, rooms);
        self.stats.set(XmppCounter::Occupants, occupants);
    }
}

/// The obsolete request for a session (RFC 3921): there is nothing to do.
fn session_request(request: &Element) -> Option<Element> {
    let asked =
        request.attr("type") == Some("set") && request.find("session", ns::SESSION).is_some();
    asked.then(|| request.reply("result"))
}

/// Requests of a client under way.
const MAX_PENDING: usize = 128;

/// Requests of a service under way: the focus speaks to everybody.
const MAX_PENDING_OF_SERVICE: usize = 100_000;
