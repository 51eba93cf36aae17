//! Handles the Jingle sessions of a conference: offers, answers, sources, restarts, ends.

use bridge_core::description::{IceRole, MediaKind, TransportDescription, VideoType};
use bridge_core::{Command, EndpointOptions, Reply, limits};
use tokio::time::Instant;

use super::conference::{Conference, request};
use super::participant::{Features, Session};
use super::{Refusal, Whence, offer, sources};
use crate::jingle::session::{self, Action, Jingle, Offer};
use crate::jingle::source::{self, Streams};
use crate::seam::MediaEngine;
use crate::secret;
use crate::xml::{Condition, Element};

/// What the bridge gave for a participant.
struct Allocation {
    number: u64,
    transport: TransportDescription,
    feedback: Streams,
    channel: Option<String>,
}

impl<M: MediaEngine> Conference<M> {
    /// Offers a session to everyone whose time has come.
    pub(super) async fn invite_due(&mut self, now: Instant) {
        let due: Vec<(String, Features)> = self
            .participants
            .iter()
            .filter(|(_, it)| it.invite_at.is_some_and(|at| at <= now))
            .filter_map(|(nick, it)| Some((nick.clone(), it.features?)))
            .collect();
        for (nick, features) in due {
            self.end_session(&nick, Some(("success", "moving"))).await;
            match self.allocate(&nick, features).await {
                Ok(allocation) => self.offer(&nick, features, allocation).await,
                Err(error) => {
                    tracing::warn!(room = %self.room, %error, "no place at the bridge");
                    self.bridge_failed = !self.on_bridge;
                    if let Some(participant) = self.participants.get_mut(&nick) {
                        participant.invite_later(now);
                    }
                }
            }
        }
    }

    async fn allocate(&mut self, nick: &str, features: Features) -> Result<Allocation, String> {
        let endpoint = self
            .address(nick)
            .ok_or("a name that is none at the bridge")?;
        if !self.on_bridge {
            let conference = self.id.clone();
            self.context
                .request(Command::CreateConference { conference })
                .await?;
            self.on_bridge = true;
            self.bridge_failed = false;
        }
        let jid = self.participants.get(nick).map_or("", |it| &it.jid);
        let whence: Whence = (self.context.whence)(jid);
        self.sessions += 1;
        let number = self.sessions;
        let options = EndpointOptions {
            ice_role: IceRole::Controlling,
            ssrc_rewriting: features.ssrc_rewriting,
            loopback: whence.loopback,
            session: number,
        };
        let command = Command::CreateEndpoint {
            endpoint: endpoint.clone(),
            options,
        };
        let Reply::Endpoint {
            transport,
            audio_feedback,
            video_feedback,
        } = self.context.request(command).await?
        else {
            return Err("the bridge answers something else".to_owned());
        };
        let config = &self.context.config;
        let base = config.channel_url.as_deref().or(whence.url.as_deref());
        let base = base.unwrap_or(&config.channel_fallback);
        Ok(Allocation {
            number,
            transport,
            feedback: offer::feedback_sources(audio_feedback, video_feedback),
            channel: self.context.media.channel_url(&endpoint, base),
        })
    }

    async fn offer(&mut self, nick: &str, features: Features, allocation: Allocation) {
        let media = offer::media(features);
        let others: Vec<(String, Streams)> = if features.ssrc_rewriting {
            Vec::new()
        } else {
            let others = self.sources.all().filter(|(owner, _)| *owner != nick);
            others
                .map(|(owner, it)| (owner.to_owned(), sources::visible(it)))
                .collect()
        };
        let owned: Vec<(&str, &Streams)> = core::iter::once((offer::BRIDGE, &allocation.feedback))
            .chain(
                others
                    .iter()
                    .map(|(owner, streams)| (owner.as_str(), streams)),
            )
            .collect();
        let (json, in_xml) = if features.json_sources {
            (Some(source::write_json(&owned)), Vec::new())
        } else {
            (None, source::by_kind(&owned))
        };
        let muted = self.start_muted;
        let count = self.participants.len();
        let after = |limit: Option<usize>| limit.is_some_and(|limit| count > limit);
        let sid = secret::hexadecimal::<8>();
        let payload = session::initiate(Offer {
            sid: &sid,
            initiator: &self.occupant(self.context.nick()),
            bridge_session: &self.bridge_session,
            transport: &allocation.transport,
            channel: allocation.channel.as_deref(),
            media: &media,
            sources: in_xml,
            json,
            start_muted: (after(muted.audio), after(muted.video)),
        });
        let iq = request("set", &self.occupant(nick), payload);
        if let Some(participant) = self.participants.get_mut(nick) {
            participant.invite_at = None;
            participant.session = Some(Session {
                sid,
                number: allocation.number,
                accepted: false,
                transport: None,
                told: others.into_iter().collect(),
                held: (false, false),
                offer: iq.attr("id").unwrap_or_default().to_owned(),
            });
        }
        self.context.send(iq).await;
    }

    /// The client did not take the offer: it gets another one later, if it stays.
    pub(super) async fn offer_failed(&mut self, nick: &str, id: &str) {
        let Some(participant) = self.participants.get_mut(nick) else {
            return;
        };
        if participant
            .session
            .as_ref()
            .is_some_and(|session| session.offer == id)
        {
            participant.invite_later(Instant::now());
            self.end_session(nick, None).await;
        }
    }

    /// The bridge lost a session: the participant gets a new one after a while, in which it may
    /// turn out that it has left. What became of a session before this one no longer matters.
    pub(super) fn session_lost(&mut self, nick: &str, number: u64) {
        if let Some(participant) = self.participants.get_mut(nick)
            && participant.has_session(number)
            && participant.invite_at.is_none()
        {
            participant.invite_later(Instant::now());
            self.context.health.sessions_moved.add();
        }
    }

    /// Ends a session, if there is one: at the bridge, for the others, and, with a reason, for the
    /// participant.
    pub(super) async fn end_session(&mut self, nick: &str, reason: Option<(&str, &str)>) {
        let session = self
            .participants
            .get_mut(nick)
            .and_then(|it| it.session.take());
        let Some(session) = session else { return };
        if let Some(endpoint) = self.address(nick).filter(|_| self.on_bridge)
            && let Err(error) = self.context.end(Command::ExpireEndpoint { endpoint }).await
        {
            tracing::warn!(room = %self.room, %error, "the bridge keeps an endpoint");
        }
        if let Some((condition, text)) = reason {
            let payload = session::terminate(&session.sid, condition, text);
            self.context
                .send(request("set", &self.occupant(nick), payload))
                .await;
        }
        self.sources.set(nick, Streams::default());
        self.spread(nick).await;
    }

    /// Ends all sessions, and the conference at the bridge.
    pub(super) async fn end_sessions(&mut self, condition: &str, text: &str) {
        let nicks: Vec<String> = self.participants.keys().cloned().collect();
        for nick in nicks {
            if self
                .participants
                .get(&nick)
                .is_some_and(|it| it.session.is_some())
            {
                self.end_session(&nick, Some((condition, text))).await;
            }
            if let Some(participant) = self.participants.get_mut(&nick)
                && participant.features.is_some()
            {
                participant.invite_at = Some(Instant::now());
            }
        }
        if self.on_bridge {
            self.expire_on_bridge().await;
            // The next session is another one, also by name.
            self.bridge_session = uuid::Uuid::new_v4().to_string();
        }
    }

    /// Does what a participant's Jingle asks for.
    pub(super) async fn jingle(&mut self, nick: &str, payload: &Element) -> Result<(), Refusal> {
        let jingle = Jingle::read(payload)?;
        let known = self
            .participants
            .get_mut(nick)
            .and_then(|it| it.session(jingle.sid));
        let Some(known) = known else {
            return Err(Refusal::new(Condition::ItemNotFound, "no such session"));
        };
        let accepted = known.accepted;
        match jingle.action {
            Action::SessionAccept if accepted => Err(Refusal::new(
                Condition::BadRequest,
                "the session is accepted already",
            )),
            Action::SessionAccept => self.accept(nick, &jingle).await,
            Action::SessionTerminate => self.terminated(nick, &jingle).await,
            Action::SessionInfo => self.info(nick, &jingle),
            Action::TransportInfo => self.transport_info(nick, &jingle).await,
            Action::SourceAdd | Action::SourceRemove if !accepted => Err(Refusal::new(
                Condition::BadRequest,
                "the session is not accepted yet",
            )),
            Action::SourceAdd => self.add_sources(nick, payload).await,
            Action::SourceRemove => self.remove_sources(nick, payload).await,
            Action::Other => Err(Refusal::new(
                Condition::FeatureNotImplemented,
                "not an action of the focus",
            )),
        }
    }

    async fn accept(&mut self, nick: &str, jingle: &Jingle<'_>) -> Result<(), Refusal> {
        let missing = || Refusal::new(Condition::BadRequest, "session-accept without transport");
        let transport = jingle.transport()?.ok_or_else(missing)?;
        if transport.fingerprints.is_empty() {
            return Err(Refusal::new(
                Condition::BadRequest,
                "session-accept without fingerprint",
            ));
        }
        let features = self
            .participants
            .get(nick)
            .and_then(|it| it.features)
            .unwrap_or(Features::UNKNOWN);
        let media = offer::accepted(jingle.media()?, features);
        let streams = self
            .sources
            .with(nick, &source::read(nick, jingle.payload)?)?;
        let described = streams.describe()?;
        let Some(endpoint) = self.address(nick) else {
            return Err(Refusal::new(
                Condition::BadRequest,
                "a name that is none at the bridge",
            ));
        };
        for command in [
            Command::SetTransport {
                endpoint: endpoint.clone(),
                transport: transport.clone(),
            },
            Command::SetMedia {
                endpoint: endpoint.clone(),
                media,
            },
            Command::SetSources {
                endpoint,
                sources: described,
            },
        ] {
            self.ask_bridge(command).await?;
        }
        if let Some(session) = self
            .participants
            .get_mut(nick)
            .and_then(|it| it.session.as_mut())
        {
            session.accepted = true;
            session.transport = Some(transport);
        }
        self.sources.set(nick, streams);
        self.hold_back(nick).await;
        self.spread(nick).await;
        self.catch_up(nick).await;
        Ok(())
    }

    async fn terminated(&mut self, nick: &str, jingle: &Jingle<'_>) -> Result<(), Refusal> {
        let restart = jingle
            .bridge_session
            .as_ref()
            .is_some_and(|session| session.restart);
        let now = Instant::now();
        if let Some(participant) = self.participants.get_mut(nick) {
            if restart && !participant.restarts.allow(now) {
                return Err(Refusal::new(Condition::ResourceConstraint, "rate-limited"));
            }
            participant.invite_at = restart.then_some(now);
        }
        if restart {
            self.context.health.restarts_requested.add();
        }
        tracing::info!(room = %self.room, nick, reason = jingle.reason, restart, "session ended");
        self.end_session(nick, None).await;
        Ok(())
    }

    fn info(&mut self, nick: &str, jingle: &Jingle<'_>) -> Result<(), Refusal> {
        let Some(named) = &jingle.bridge_session else {
            return Ok(());
        };
        if named.id != self.bridge_session {
            return Ok(());
        }
        if named.ice_restart {
            return Err(Refusal::new(
                Condition::FeatureNotImplemented,
                "no restart in place",
            ));
        }
        let failed = jingle
            .ice_state
            .as_deref()
            .is_some_and(|state| state.trim() == "failed");
        if let Some(participant) = self.participants.get_mut(nick).filter(|_| failed) {
            if !participant.restarts.allow(Instant::now()) {
                return Err(Refusal::new(Condition::ResourceConstraint, "rate-limited"));
            }
            participant.invite_at = Some(Instant::now());
        }
        Ok(())
    }

    /// More candidates, or other credentials: an ICE restart by the client.
    async fn transport_info(&mut self, nick: &str, jingle: &Jingle<'_>) -> Result<(), Refusal> {
        let Some(news) = jingle.transport()? else {
            return Ok(());
        };
        let endpoint = self.address(nick);
        let session = self
            .participants
            .get_mut(nick)
            .and_then(|it| it.session.as_mut());
        let known = session.and_then(|session| session.transport.as_mut());
        // Before the answer there is nothing to add to; the client is found by its checks.
        let Some((endpoint, known)) = endpoint.zip(known) else {
            return Ok(());
        };
        if news.ufrag == known.ufrag {
            for candidate in news.candidates {
                let room = known.candidates.len() < limits::REMOTE_CANDIDATES_MAX;
                if room && !known.candidates.contains(&candidate) {
                    known.candidates.push(candidate);
                }
            }
        } else {
            known.ufrag = news.ufrag;
            known.password = news.password;
            known.candidates = news.candidates;
        }
        let transport = known.clone();
        self.ask_bridge(Command::SetTransport {
            endpoint,
            transport,
        })
        .await
    }

    async fn add_sources(&mut self, nick: &str, payload: &Element) -> Result<(), Refusal> {
        let more = source::read(nick, payload)?;
        if more.is_empty() && more.groups.is_empty() {
            return Err(Refusal::new(
                Condition::BadRequest,
                "no source in Jingle form",
            ));
        }
        let all = self.sources.with(nick, &more)?;
        self.change_sources(nick, all).await
    }

    async fn remove_sources(&mut self, nick: &str, payload: &Element) -> Result<(), Refusal> {
        let all = self.sources.without(nick, &source::read(nick, payload)?)?;
        self.change_sources(nick, all).await
    }

    async fn change_sources(&mut self, nick: &str, all: Streams) -> Result<(), Refusal> {
        if let Some(endpoint) = self.address(nick) {
            let sources = all.describe()?;
            self.ask_bridge(Command::SetSources { endpoint, sources })
                .await?;
        }
        self.sources.set(nick, all);
        self.hold_back(nick).await;
        self.spread(nick).await;
        Ok(())
    }

    /// Lets the bridge hold back what a moderator muted.
    pub(super) async fn hold_back(&mut self, nick: &str) {
        let streams = self.sources.of(nick).map_or(&[][..], |it| &it.streams);
        let mut pictures = streams.iter().filter(|it| it.kind == MediaKind::Video);
        let screen = pictures
            .clone()
            .any(|it| it.video_type == VideoType::Desktop);
        let camera = pictures.any(|it| it.video_type != VideoType::Desktop);
        let Some(participant) = self.participants.get_mut(nick) else {
            return;
        };
        let held = participant.muted.at_bridge(screen, camera);
        let Some(session) = participant.session.as_mut() else {
            return;
        };
        if session.held == held {
            return;
        }
        session.held = held;
        let Some(endpoint) = self.address(nick) else {
            return;
        };
        let (audio, video) = (Some(held.0), Some(held.1));
        let command = Command::ForceMute {
            endpoint,
            audio,
            video,
        };
        if let Err(error) = self.context.request(command).await {
            tracing::warn!(room = %self.room, %error, "the bridge does not mute");
        }
    }

    async fn ask_bridge(&self, command: Command) -> Result<(), Refusal> {
        match self.context.request(command).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal {
                condition: Condition::NotAcceptable,
                text: error,
            }),
        }
    }

    /// Tells everyone whose SSRCs are not rewritten what `owner` sends now.
    async fn spread(&mut self, owner: &str) {
        let listeners: Vec<String> = self
            .participants
            .iter()
            .filter(|(nick, it)| *nick != owner && it.features.is_some_and(|f| !f.ssrc_rewriting))
            .map(|(nick, _)| nick.clone())
            .collect();
        for listener in listeners {
            self.tell(&listener, owner).await;
        }
    }

    /// Tells one whose SSRCs are not rewritten what changed since its offer was made.
    async fn catch_up(&mut self, listener: &str) {
        let participant = self.participants.get(listener);
        if participant
            .and_then(|it| it.features)
            .is_none_or(|it| it.ssrc_rewriting)
        {
            return;
        }
        let told = participant
            .and_then(|it| it.session.as_ref())
            .map(|it| &it.told);
        let mut owners: Vec<String> = told
            .into_iter()
            .flat_map(|told| told.keys().cloned())
            .collect();
        owners.extend(self.sources.all().map(|(owner, _)| owner.to_owned()));
        owners.sort_unstable();
        owners.dedup();
        for owner in owners.iter().filter(|owner| *owner != listener) {
            self.tell(listener, owner).await;
        }
    }

    async fn tell(&mut self, listener: &str, owner: &str) {
        let now = self
            .sources
            .of(owner)
            .map(sources::visible)
            .unwrap_or_default();
        let Some(participant) = self.participants.get_mut(listener) else {
            return;
        };
        let json = participant.features.is_some_and(|it| it.json_sources);
        let Some(session) = participant.session.as_mut().filter(|it| it.accepted) else {
            return;
        };
        let before = session
            .told
            .insert(owner.to_owned(), now.clone())
            .unwrap_or_default();
        if now.is_empty() {
            session.told.remove(owner);
        }
        let sid = session.sid.clone();
        for (added, change) in [
            (false, sources::difference(&before, &now)),
            (true, sources::difference(&now, &before)),
        ] {
            if change.is_empty() {
                continue;
            }
            let owned = [(owner, &change)];
            let parts = if json {
                vec![source::write_json(&owned)]
            } else {
                source::write(&owned)
            };
            let payload = session::sources(added, &sid, parts);
            self.context
                .send(request("set", &self.occupant(listener), payload))
                .await;
        }
    }
}
