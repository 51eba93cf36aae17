//! Holds the conferences by room, begins them on request, and gives each what is for it.

use std::collections::HashMap;
use std::sync::Arc;

use bridge_core::{ConferenceId, EndpointAddress, Event};
use tokio::sync::{mpsc, oneshot};

use super::conference::{Conference, Input};
use super::{Context, Refusal, Request, StartMuted};
use crate::seam::MediaEngine;
use crate::xml::{Condition, Element, ns};
use crate::xmpp::jid::{Jid, is_room_node};

/// The table of conferences.
pub(crate) struct Conferences<M> {
    context: Arc<Context<M>>,
    rooms: HashMap<String, Entry>,
    by_id: HashMap<ConferenceId, String>,
}

struct Entry {
    id: ConferenceId,
    inbox: mpsc::Sender<Input>,
}

impl<M: MediaEngine> Conferences<M> {
    pub(crate) fn new(context: Arc<Context<M>>) -> Self {
        Self {
            context,
            rooms: HashMap::new(),
            by_id: HashMap::new(),
        }
    }

    /// Takes a stanza of the server.
    pub(crate) fn stanza(&mut self, stanza: Element) {
        let room = bare(stanza.attr("from").unwrap_or_default());
        let domain = room.split_once('@').map(|(_, domain)| domain);
        if domain != Some(&self.context.config.rooms) {
            self.asked(&stanza);
            return;
        }
        let Some(entry) = self.rooms.get(room) else {
            if stanza.is_request() {
                let refusal = Refusal::new(Condition::ItemNotFound, "no such conference");
                self.answer(refusal.answer(&stanza));
            }
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(Input::Stanza(stanza))) =
            entry.inbox.try_send(Input::Stanza(stanza))
        {
            self.context.health.stanzas_dropped.add();
            let refusal = Refusal::new(Condition::ResourceConstraint, "the conference is too busy");
            self.answer(refusal.answer(&stanza));
        }
    }

    /// Takes an event of the bridge.
    pub(crate) fn event(&self, event: Event) {
        let (Event::EndpointConnected {
            endpoint: EndpointAddress { conference: id, .. },
            ..
        }
        | Event::EndpointFailed {
            endpoint: EndpointAddress { conference: id, .. },
            ..
        }
        | Event::EndpointExpired {
            endpoint: EndpointAddress { conference: id, .. },
            ..
        }
        | Event::ConferenceExpired { conference: id }) = &event
        else {
            return;
        };
        let entry = self.by_id.get(id).and_then(|room| self.rooms.get(room));
        if let Some(entry) = entry
            && entry.inbox.try_send(Input::Event(event)).is_err()
        {
            tracing::debug!("a conference misses an event of its bridge");
        }
    }

    /// Takes a wish for a conference.
    pub(crate) fn request(&mut self, mut request: Request) {
        if let Err(refusal) = self.check_room(&request.room) {
            give(request.answer, Err(refusal));
            return;
        }
        // A conference that has just ended takes nothing more; another one begins in its place.
        for _ in 0..2 {
            let Some(entry) = self.entry(&request.room) else {
                let text = "too many conferences";
                give(
                    request.answer,
                    Err(Refusal::new(Condition::ResourceConstraint, text)),
                );
                return;
            };
            match entry.inbox.try_send(Input::Request(request)) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Closed(Input::Request(back))) => {
                    self.forget(&back.room);
                    request = back;
                }
                Err(_) => return,
            }
        }
    }

    fn entry(&mut self, room: &str) -> Option<&Entry> {
        if !self.rooms.contains_key(room) {
            self.sweep();
            if self.rooms.len() >= self.context.config.conferences {
                return None;
            }
            let (conference, id, inbox) = Conference::new(self.context.clone(), room);
            tokio::spawn(conference.run());
            self.by_id.insert(id.clone(), room.to_owned());
            self.rooms.insert(room.to_owned(), Entry { id, inbox });
        }
        self.rooms.get(room)
    }

    /// Forgets conferences that have ended.
    fn sweep(&mut self) {
        self.rooms.retain(|_, entry| !entry.inbox.is_closed());
        self.by_id.retain(|_, room| self.rooms.contains_key(room));
    }

    fn forget(&mut self, room: &str) {
        if let Some(entry) = self.rooms.remove(room) {
            self.by_id.remove(&entry.id);
        }
    }

    fn check_room(&self, room: &str) -> Result<(), Refusal> {
        let (node, domain) = room.split_once('@').unwrap_or_default();
        if domain != self.context.config.rooms {
            return Err(Refusal::new(
                Condition::FeatureNotImplemented,
                "not a room of ours",
            ));
        }
        // Another spelling of a room that the server knows under its own would begin a second
        // conference for it.
        let spelled = Jid::parse(room).is_some_and(|jid| jid.to_string() == room);
        if !spelled || !is_room_node(node) {
            let text = "not the name of a room: lower-case, percent-encoded";
            return Err(Refusal::new(Condition::JidMalformed, text));
        }
        Ok(())
    }

    /// Answers what is asked from outside of rooms, over the focus' public address or its own.
    fn asked(&mut self, iq: &Element) {
        let Some(payload) = iq.payload().filter(|_| iq.is_request()) else {
            return;
        };
        if payload.is("conference", ns::FOCUS) {
            self.conference_asked(iq, payload);
            return;
        }
        let answer = if payload.is("query", ns::DISCO_INFO) {
            Some(iq.reply("result").child(description()))
        } else if payload.is("ping", ns::PING) {
            Some(iq.reply("result"))
        } else {
            iq.error_reply(Condition::FeatureNotImplemented)
        };
        self.answer(answer);
    }

    fn conference_asked(&mut self, iq: &Element, payload: &Element) {
        let Some(room) = payload.attr("room") else {
            let refusal = Refusal::new(Condition::BadRequest, "conference without room");
            self.answer(refusal.answer(iq));
            return;
        };
        let (answer, answered) = oneshot::channel();
        let start_muted = start_muted(payload);
        self.request(Request {
            room: room.to_owned(),
            start_muted,
            answer,
        });
        let ready = iq.reply("result").child(
            Element::new("conference", ns::FOCUS)
                .with("room", room)
                .with("ready", "true")
                .with("focusjid", bare(&self.context.config.user))
                .children(PROPERTIES.map(|(name, value)| {
                    Element::new("property", ns::FOCUS)
                        .with("name", name)
                        .with("value", value)
                })),
        );
        let (context, iq) = (self.context.clone(), iq.clone());
        tokio::spawn(async move {
            let lost = || Refusal::new(Condition::ServiceUnavailable, "the conference ended");
            let answer = match answered.await.unwrap_or_else(|_| Err(lost())) {
                Ok(()) => Some(ready),
                Err(refusal) => refusal.answer(&iq),
            };
            if let Some(answer) = answer {
                context.send(answer).await;
            }
        });
    }

    /// Sends an answer without waiting: whoever reads the server's stanzas must not wait for it.
    fn answer(&self, answer: Option<Element>) {
        if let Some(answer) = answer
            && self.context.stanzas.try_send(answer).is_err()
        {
            self.context.health.stanzas_dropped.add();
        }
    }
}

/// From which participant on clients start muted, as the one who asks has it in its settings.
fn start_muted(payload: &Element) -> StartMuted {
    let number = |name: &str| {
        payload
            .elements()
            .find(|it| it.is("property", ns::FOCUS) && it.attr("name") == Some(name))
            .and_then(|it| it.attr("value")?.parse().ok())
    };
    StartMuted {
        audio: number("startAudioMuted"),
        video: number("startVideoMuted"),
    }
}

fn description() -> Element {
    Element::new("query", ns::DISCO_INFO)
        .child(
            Element::new("identity", ns::DISCO_INFO)
                .with("category", "component")
                .with("type", "generic")
                .with("name", "focus"),
        )
        .children(
            [
                ns::DISCO_INFO,
                ns::PING,
                "https://jitsi.org/meet/jicofo/terminate-restart",
            ]
            .map(|feature| Element::new("feature", ns::DISCO_INFO).with("var", feature)),
        )
}

fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or_default()
}

/// Gives an answer; whoever asked may be gone.
fn give(to: oneshot::Sender<Result<(), Refusal>>, answer: Result<(), Refusal>) {
    if to.send(answer).is_err() {
        tracing::debug!("nobody waits for a conference any more");
    }
}

/// What the answer to a conference request says of us.
pub(crate) const PROPERTIES: [(&str, &str); 3] = [
    ("authentication", "false"),
    ("externalAuth", "false"),
    ("sipGatewayEnabled", "false"),
];
