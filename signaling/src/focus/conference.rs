//! Runs one conference: joins its room, follows who comes and goes, keeps a moderator there, and
//! ends when nobody is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bridge_core::{Command, ConferenceId, EndpointAddress, EndpointId, Event};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::mute::{self, Mute};
use super::participant::{Features, Participant};
use super::sources::Sources;
use super::{Context, Refusal, Request, StartMuted};
use crate::seam::MediaEngine;
use crate::secret;
use crate::xml::{Condition, Element, ns};

/// Something for a conference.
#[derive(Debug)]
pub(crate) enum Input {
    /// From its room.
    Stanza(Element),
    /// From its bridge.
    Event(Event),
    /// Somebody wants it.
    Request(Request),
}

/// A conference.
pub(crate) struct Conference<M> {
    pub(super) context: Arc<Context<M>>,
    pub(super) room: String,
    pub(super) id: ConferenceId,
    /// Name of the conference on its bridge, as clients are told.
    pub(super) bridge_session: String,
    inbox: mpsc::Receiver<Input>,
    stage: Stage,
    waiting: Vec<oneshot::Sender<Result<(), Refusal>>>,
    pub(super) participants: BTreeMap<String, Participant>,
    pub(super) sources: Sources,
    pub(super) start_muted: StartMuted,
    joins: u64,
    /// Sessions that were ever begun at the bridge.
    pub(super) sessions: u64,
    /// Whether the bridge has the conference.
    pub(super) on_bridge: bool,
    /// What our presence says of the bridge: allocated, failing.
    shown: Option<(bool, bool)>,
    pub(super) bridge_failed: bool,
    wanted_until: Instant,
    /// Since when there are too few participants for a session.
    alone_since: Option<Instant>,
    /// Questions what a participant can: IQ id to name.
    asked: HashMap<String, String>,
    /// Who is being made moderator.
    made_moderator: Option<String>,
}

/// How far the focus is in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Joining,
    Joined,
    Ended(Refusal),
}

impl<M: MediaEngine> Conference<M> {
    /// A conference for that room, its id at the bridge, and where its inputs go.
    pub(crate) fn new(
        context: Arc<Context<M>>,
        room: &str,
    ) -> (Self, ConferenceId, mpsc::Sender<Input>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let id = conference_id();
        context.health.conferences.add();
        context.health.conferences_created.add();
        let conference = Self {
            wanted_until: Instant::now() + context.config.initial_timeout,
            context,
            room: room.to_owned(),
            id: id.clone(),
            bridge_session: uuid::Uuid::new_v4().to_string(),
            inbox,
            stage: Stage::Joining,
            waiting: Vec::new(),
            participants: BTreeMap::new(),
            sources: Sources::default(),
            start_muted: StartMuted::default(),
            joins: 0,
            sessions: 0,
            on_bridge: false,
            shown: None,
            bridge_failed: false,
            alone_since: None,
            asked: HashMap::new(),
            made_moderator: None,
        };
        (conference, id, sender)
    }

    /// Runs until nobody is left.
    pub(crate) async fn run(mut self) {
        tracing::info!(room = %self.room, "the conference begins");
        let join = Element::new("x", ns::MUC);
        self.context.send(self.presence().child(join)).await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !matches!(self.stage, Stage::Ended(_)) {
            tokio::select! {
                input = self.inbox.recv() => match input {
                    Some(input) => self.handle(input).await,
                    None => break,
                },
                _ = tick.tick() => {}
            }
            self.settle().await;
        }
        self.end().await;
    }

    async fn handle(&mut self, input: Input) {
        match input {
            Input::Stanza(stanza) => match stanza.name.as_str() {
                "presence" => self.presence_of(&stanza).await,
                "iq" => self.iq(&stanza).await,
                _ => {}
            },
            Input::Event(event) => self.bridge_event(event).await,
            Input::Request(request) => self.requested(request),
        }
    }

    fn requested(&mut self, request: Request) {
        // A focus that is not let in does not wait longer for being asked again.
        if self.stage != Stage::Joining {
            self.wanted_until = Instant::now() + self.context.config.initial_timeout;
        }
        if self.participants.is_empty() {
            self.start_muted = request.start_muted;
        }
        self.waiting.push(request.answer);
        if self.stage == Stage::Joined {
            self.answer_waiting(&Ok(()));
        }
    }

    fn answer_waiting(&mut self, answer: &Result<(), Refusal>) {
        for waiting in self.waiting.drain(..) {
            if waiting.send(answer.clone()).is_err() {
                tracing::debug!("nobody waits for the conference any more");
            }
        }
    }

    /// Does what the new state calls for.
    async fn settle(&mut self) {
        let now = Instant::now();
        if self.stage == Stage::Joining && now >= self.wanted_until {
            let text = "the server does not let the focus in";
            self.stage = Stage::Ended(Refusal::new(Condition::ServiceUnavailable, text));
        }
        if self.stage != Stage::Joined {
            return;
        }
        self.give_up_asking(now).await;
        self.keep_moderator().await;
        let enough = self.participants.len() >= self.context.config.min_participants;
        if enough {
            self.alone_since = None;
            self.invite_due(now).await;
        } else {
            let since = *self.alone_since.get_or_insert(now);
            if now.duration_since(since) >= self.context.config.single_participant_timeout {
                self.end_sessions("expired", "Idle session timeout").await;
            }
        }
        self.show_bridge().await;
        if self.participants.is_empty() && now >= self.wanted_until {
            self.stage = Stage::Ended(Refusal::new(Condition::ItemNotFound, "nobody came"));
        }
    }

    /// Leaves the room and the bridge.
    async fn end(mut self) {
        self.inbox.close();
        let refusal = match &self.stage {
            Stage::Ended(refusal) => refusal.clone(),
            _ => Refusal::new(Condition::ServiceUnavailable, "the conference ended"),
        };
        self.answer_waiting(&Err(refusal));
        for _ in &self.participants {
            self.context.health.participants.subtract();
        }
        if self.on_bridge {
            self.expire_on_bridge().await;
        }
        self.context
            .send(self.presence().with("type", "unavailable"))
            .await;
        self.context.health.conferences.subtract();
        tracing::info!(room = %self.room, "the conference is over");
    }

    pub(super) async fn expire_on_bridge(&mut self) {
        self.on_bridge = false;
        let command = Command::ExpireConference {
            conference: self.id.clone(),
        };
        if let Err(error) = self.context.end(command).await {
            tracing::warn!(room = %self.room, %error, "the bridge keeps a conference");
        }
    }

    /// An empty presence of ours.
    fn presence(&self) -> Element {
        Element::new("presence", ns::CLIENT).with("to", self.occupant(self.context.nick()))
    }

    /// Shows all of our presence again when it changed.
    async fn show_bridge(&mut self) {
        let state = (self.on_bridge, self.bridge_failed);
        if self.shown == Some(state) {
            return;
        }
        self.shown = Some(state);
        let mut properties = Element::new("conference-properties", ns::FOCUS)
            .child(property("support-terminate-restart", "true"));
        if self.on_bridge || self.bridge_failed {
            let count = if self.on_bridge { "1" } else { "0" };
            properties = properties.child(property("bridge-count", count));
        }
        let versions = Element::new("versions", ns::JITMEET).child(
            Element::new("component", ns::JITMEET)
                .with("name", "focus")
                .text(env!("CARGO_PKG_VERSION")),
        );
        let mut presence = self.presence().child(versions).child(properties);
        if self.bridge_failed {
            presence = presence.child(Element::new("bridgeNotAvailable", ns::FOCUS));
        }
        self.context.send(presence).await;
    }

    async fn presence_of(&mut self, presence: &Element) {
        let Some(nick) = self.nick_of(presence).map(str::to_owned) else {
            return;
        };
        if nick == self.context.nick() {
            self.own_presence(presence).await;
            return;
        }
        match presence.attr("type") {
            None => self.seen(&nick, presence).await,
            Some("unavailable") => self.left(&nick).await,
            Some(_) => {}
        }
    }

    async fn own_presence(&mut self, presence: &Element) {
        match (presence.attr("type"), &self.stage) {
            (None, Stage::Joining) => {
                self.stage = Stage::Joined;
                self.make_public().await;
                self.answer_waiting(&Ok(()));
            }
            (Some("error"), Stage::Joining) => {
                let refusal = Refusal::new(Condition::NotAllowed, "the focus cannot join the room");
                self.stage = Stage::Ended(refusal);
            }
            (Some("unavailable"), Stage::Joined) => {
                let refusal = Refusal::new(Condition::ItemNotFound, "the room is gone");
                self.stage = Stage::Ended(refusal);
            }
            _ => {}
        }
    }

    /// Lets everyone in the room see real addresses, without which clients ignore each other.
    async fn make_public(&self) {
        let field = |name: &str, value: &str| {
            Element::new("field", ns::DATA_FORM)
                .with("var", name)
                .child(Element::new("value", ns::DATA_FORM).text(value))
        };
        let form = Element::new("x", ns::DATA_FORM)
            .with("type", "submit")
            .child(field("FORM_TYPE", ns::MUC_CONFIG))
            .child(field("muc#roomconfig_whois", "anyone"));
        let query = Element::new("query", ns::MUC_OWNER).child(form);
        self.context.send(request("set", &self.room, query)).await;
    }

    /// Somebody is in the room, or says something new of itself.
    async fn seen(&mut self, nick: &str, presence: &Element) {
        let item = presence
            .find("x", ns::MUC_USER)
            .and_then(|x| x.find("item", ns::MUC_USER));
        let Some((item, jid)) = item.and_then(|item| Some((item, item.attr("jid")?))) else {
            return;
        };
        let moderator = item.attr("role") == Some("moderator");
        if moderator && self.made_moderator.as_deref() == Some(nick) {
            self.made_moderator = None;
        }
        // Another address under the same name is another client.
        if self.participants.get(nick).is_some_and(|it| it.jid != jid) {
            self.left(nick).await;
        }
        if let Some(participant) = self.participants.get_mut(nick) {
            participant.moderator = moderator;
            return;
        }
        self.joins += 1;
        let mut participant = Participant::new(jid, self.joins, Instant::now());
        participant.moderator = moderator;
        self.participants.insert(nick.to_owned(), participant);
        self.context.health.participants.add();
        self.context.health.participants_created.add();
        let query = Element::new("query", ns::DISCO_INFO);
        let iq = request("get", &self.occupant(nick), query);
        let id = iq.attr("id").unwrap_or_default().to_owned();
        self.asked.insert(id, nick.to_owned());
        self.context.send(iq).await;
    }

    async fn left(&mut self, nick: &str) {
        if !self.participants.contains_key(nick) {
            return;
        }
        self.end_session(nick, None).await;
        self.participants.remove(nick);
        self.asked.retain(|_, asked| asked != nick);
        self.context.health.participants.subtract();
        if self.made_moderator.as_deref() == Some(nick) {
            self.made_moderator = None;
        }
    }

    async fn give_up_asking(&mut self, now: Instant) {
        for participant in self.participants.values_mut() {
            let late = now.duration_since(participant.since) >= DISCO_TIMEOUT;
            if participant.features.is_none() && late {
                participant.features = Some(Features::UNKNOWN);
                participant.invite_at = Some(now);
            }
        }
    }

    /// Without a moderator the one who has been here longest becomes it.
    async fn keep_moderator(&mut self) {
        if self.participants.values().any(|it| it.moderator) {
            return;
        }
        let first = self.participants.iter().min_by_key(|(_, it)| it.order);
        let Some((nick, participant)) = first else {
            return;
        };
        if self.made_moderator.as_deref() == Some(nick) {
            return;
        }
        let bare = participant.jid.split('/').next().unwrap_or_default();
        let item = Element::new("item", ns::MUC_ADMIN)
            .with("affiliation", "owner")
            .with("jid", bare);
        let query = Element::new("query", ns::MUC_ADMIN).child(item);
        self.made_moderator = Some(nick.clone());
        self.context.send(request("set", &self.room, query)).await;
    }

    async fn iq(&mut self, iq: &Element) {
        if !iq.is_request() {
            self.answered(iq).await;
            return;
        }
        let answer = match self.asked_of_us(iq).await {
            Ok(()) => Some(iq.reply("result")),
            Err(refusal) => {
                tracing::debug!(room = %self.room, text = %refusal.text, "refused");
                refusal.answer(iq)
            }
        };
        if let Some(answer) = answer {
            self.context.send(answer).await;
        }
    }

    async fn asked_of_us(&mut self, iq: &Element) -> Result<(), Refusal> {
        let stranger = || Refusal::new(Condition::Forbidden, "only participants may ask");
        let nick = self
            .nick_of(iq)
            .filter(|nick| self.participants.contains_key(*nick));
        let nick = nick.ok_or_else(stranger)?.to_owned();
        let payload = iq
            .payload()
            .ok_or_else(|| Refusal::new(Condition::BadRequest, "an empty question"))?;
        if payload.is("jingle", crate::jingle::ns::JINGLE) {
            return self.jingle(&nick, payload).await;
        }
        if let Some(mute) = Mute::read(payload) {
            return self.mute(&nick, mute?).await;
        }
        if payload.is("ping", ns::PING) {
            return Ok(());
        }
        Err(Refusal::new(
            Condition::FeatureNotImplemented,
            "not something the focus does",
        ))
    }

    /// An answer to something that we asked.
    async fn answered(&mut self, iq: &Element) {
        let id = iq.attr("id").unwrap_or_default();
        let Some(nick) = self.nick_of(iq).map(str::to_owned) else {
            return;
        };
        if self.asked.get(id).is_some_and(|asked| *asked == nick) {
            self.asked.remove(id);
            let query = iq.find("query", ns::DISCO_INFO);
            let features = query.map_or(Features::UNKNOWN, Features::read);
            if let Some(participant) = self.participants.get_mut(&nick)
                && participant.features.is_none()
            {
                participant.features = Some(features);
                participant.invite_at = Some(Instant::now());
            }
        } else if iq.attr("type") == Some("error") {
            self.offer_failed(&nick, id).await;
        }
    }

    async fn mute(&mut self, nick: &str, wish: Mute<'_>) -> Result<(), Refusal> {
        let target = self
            .nick_in_room(wish.target)
            .filter(|target| self.participants.contains_key(*target))
            .ok_or_else(|| Refusal::new(Condition::ItemNotFound, "no such participant"))?
            .to_owned();
        let moderator = self.participants.get(nick).is_some_and(|it| it.moderator);
        mute::permit(moderator, nick == target, wish.muted)?;
        if let Some(participant) = self.participants.get_mut(&target) {
            participant.muted.set(wish.kind, wish.muted);
        }
        self.hold_back(&target).await;
        if nick != target {
            let notice = wish.notice(&self.occupant(nick));
            self.context
                .send(request("set", &self.occupant(&target), notice))
                .await;
        }
        Ok(())
    }

    async fn bridge_event(&mut self, event: Event) {
        match event {
            Event::EndpointConnected {
                endpoint, session, ..
            } => {
                if let Some(participant) = self.participants.get_mut(endpoint.endpoint.as_str())
                    && participant.has_session(session)
                {
                    participant.failures = 0;
                }
            }
            Event::EndpointFailed {
                endpoint,
                session,
                reason,
            } => {
                tracing::info!(%endpoint, ?reason, "the bridge lost a participant");
                self.session_lost(endpoint.endpoint.as_str(), session);
            }
            Event::EndpointExpired { endpoint, session } => {
                self.session_lost(endpoint.endpoint.as_str(), session);
            }
            Event::ConferenceExpired { .. } if self.on_bridge => {
                self.on_bridge = false;
                let sessions = self.participants.iter().filter_map(|(nick, it)| {
                    let session = it.session.as_ref()?;
                    Some((nick.clone(), session.number))
                });
                let sessions: Vec<(String, u64)> = sessions.collect();
                for (nick, number) in sessions {
                    self.session_lost(&nick, number);
                }
            }
            _ => {}
        }
    }

    /// Address of an occupant.
    pub(super) fn occupant(&self, nick: &str) -> String {
        format!("{}/{nick}", self.room)
    }

    /// Address of a participant at the bridge; `None` for a name that is none there.
    pub(super) fn address(&self, nick: &str) -> Option<EndpointAddress> {
        let endpoint = EndpointId::new(nick).ok()?;
        Some(EndpointAddress {
            conference: self.id.clone(),
            endpoint,
        })
    }

    /// Name in the room of whoever sent a stanza.
    fn nick_of<'a>(&self, stanza: &'a Element) -> Option<&'a str> {
        self.nick_in_room(stanza.attr("from")?)
    }

    fn nick_in_room<'a>(&self, occupant: &'a str) -> Option<&'a str> {
        occupant
            .strip_prefix(&*self.room)?
            .strip_prefix('/')
            .filter(|nick| !nick.is_empty())
    }
}

fn property(key: &str, value: &str) -> Element {
    Element::new("property", ns::FOCUS)
        .with("key", key)
        .with("value", value)
}

/// An IQ of ours with an id that nobody guesses.
pub(super) fn request(kind: &str, to: &str, payload: Element) -> Element {
    Element::new("iq", ns::CLIENT)
        .with("type", kind)
        .with("to", to)
        .with("id", secret::hexadecimal::<8>())
        .child(payload)
}

/// A name for the conference that was never used before.
#[expect(clippy::expect_used, reason = "a UUID is a valid name")]
fn conference_id() -> ConferenceId {
    ConferenceId::new(&uuid::Uuid::new_v4().to_string()).expect("a UUID is a name")
}

/// Inputs that may wait for one conference.
const INBOX: usize = 1_024;

/// How often a conference looks at its clock.
const TICK: Duration = Duration::from_secs(1);

/// How long a client may take to say what it can.
const DISCO_TIMEOUT: Duration = Duration::from_secs(5);
