//! Keeps the bridge channels: who may open one, what a receiver must know, and who is connected.
//!
//! All that the bridge has told a receiver is kept, so that a socket that is opened late or again
//! begins with the whole state. A queue that is full closes its socket: the client opens another
//! one and gets the state anew.

pub mod message;

pub mod websocket;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use bridge_core::description::{SourceDescription, VideoType};
use bridge_core::event::MappedSource;
use bridge_core::id::Ssrc;
use bridge_core::{ConferenceId, EndpointAddress, EndpointId, Event, SourceName, limits};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::secret;

/// Something for a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message; those that are the same for all share their bytes.
    Text(Utf8Bytes),
    /// The end: close code and reason.
    Close(u16, &'static str),
}

/// What the channels have done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// Messages from clients.
    pub received: u64,
    /// Messages to clients.
    pub sent: u64,
    /// Messages that were not understood.
    pub malformed: u64,
    /// Sockets closed because they were too slow.
    pub overflowed: u64,
}

/// All bridge channels of a bridge.
#[derive(Debug)]
pub struct Channels {
    bridge: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    conferences: HashMap<ConferenceId, Conference>,
    by_key: HashMap<String, ConferenceId>,
    sockets: u64,
    stats: ChannelStats,
}

#[derive(Debug, Default)]
struct Conference {
    key: String,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    /// Latest first.
    speakers: Vec<EndpointId>,
}

#[derive(Debug)]
struct Endpoint {
    password: String,
    socket: Option<Socket>,
    active: bool,
    forwarded: Vec<SourceName>,
    video: BTreeMap<Ssrc, MappedSource>,
    audio: BTreeMap<Ssrc, MappedSource>,
    constraints: BTreeMap<SourceName, i32>,
    /// What the endpoint said of its own sources, perhaps before the bridge knew them.
    video_types: BTreeMap<SourceName, VideoType>,
}

#[derive(Debug)]
struct Socket {
    number: u64,
    queue: mpsc::Sender<Outgoing>,
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) endpoint: EndpointAddress,
    pub(crate) number: u64,
    pub(crate) queue: mpsc::Receiver<Outgoing>,
}

impl Channels {
    /// The channels of the bridge of that id.
    #[must_use]
    pub fn new(bridge: &str) -> Self {
        Self {
            bridge: bridge.to_owned(),
            state: Mutex::default(),
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> ChannelStats {
        self.lock().stats
    }

    /// Lets the endpoint open a channel, and gives the path for it. An endpoint that has one
    /// keeps its path.
    #[must_use]
    pub fn open(&self, address: &EndpointAddress) -> String {
        let mut state = self.lock();
        let state = &mut *state;
        let conference = state
            .conferences
            .entry(address.conference.clone())
            .or_insert_with(|| {
                let key = secret::hexadecimal::<8>();
                state.by_key.insert(key.clone(), address.conference.clone());
                Conference {
                    key,
                    ..Conference::default()
                }
            });
        let endpoint = conference
            .endpoints
            .entry(address.endpoint.clone())
            .or_insert_with(|| Endpoint {
                password: secret::password(),
                socket: None,
                active: true,
                forwarded: Vec::new(),
                video: BTreeMap::new(),
                audio: BTreeMap::new(),
                constraints: BTreeMap::new(),
                video_types: BTreeMap::new(),
            });
        format!(
            "/colibri-ws/{}/{}/{}?pwd={}",
            utf8_percent_encode(&self.bridge, NON_ALPHANUMERIC),
            conference.key,
            utf8_percent_encode(address.endpoint.as_str(), NON_ALPHANUMERIC),
            endpoint.password
        )
    }

    /// Takes the endpoint's channel away; an open socket is closed.
    pub fn close(&self, address: &EndpointAddress) {
        let mut state = self.lock();
        let Some(conference) = state.conferences.get_mut(&address.conference) else {
            return;
        };
        if let Some(endpoint) = conference.endpoints.remove(&address.endpoint) {
            endpoint.end();
        }
        conference.speakers.retain(|it| *it != address.endpoint);
    }

    /// Takes all channels of a conference away.
    pub fn close_conference(&self, id: &ConferenceId) {
        let mut state = self.lock();
        if let Some(conference) = state.conferences.remove(id) {
            state.by_key.remove(&conference.key);
            for endpoint in conference.endpoints.into_values() {
                endpoint.end();
            }
        }
    }

    /// Tells those whom it concerns what happened in the bridge.
    pub fn tell(&self, event: &Event) {
        let mut state = self.lock();
        let State {
            conferences, stats, ..
        } = &mut *state;
        match event {
            Event::DominantSpeaker {
                endpoint:
                    EndpointAddress {
                        conference,
                        endpoint,
                    },
            } => {
                if let Some(conference) = conferences.get_mut(conference) {
                    conference.speaks(endpoint, stats);
                }
            }
            Event::EndpointActive {
                endpoint:
                    EndpointAddress {
                        conference,
                        endpoint,
                    },
                active,
            } => {
                if let Some(conference) = conferences.get_mut(conference) {
                    conference.becomes(endpoint, *active, stats);
                }
            }
            Event::ForwardedSources { endpoint, sources } => {
                with(conferences, endpoint, |it| {
                    it.forwarded.clone_from(sources);
                    it.say(message::forwarded_sources(sources), stats);
                });
            }
            Event::VideoSourcesMapped { endpoint, mapped } => {
                with(conferences, endpoint, |it| {
                    it.video
                        .extend(mapped.iter().map(|slot| (slot.ssrc, slot.clone())));
                    it.say(message::video_sources(mapped.iter()), stats);
                });
            }
            Event::AudioSourcesMapped { endpoint, mapped } => {
                with(conferences, endpoint, |it| {
                    it.audio
                        .extend(mapped.iter().map(|slot| (slot.ssrc, slot.clone())));
                    it.say(message::audio_sources(mapped.iter()), stats);
                });
            }
            Event::SenderConstraints {
                endpoint,
                source,
                max_height,
            } => {
                with(conferences, endpoint, |it| {
                    it.constraints.insert(source.clone(), *max_height);
                    it.say(message::sender_constraints(source, *max_height), stats);
                });
            }
            _ => {}
        }
    }

    /// Opens a socket if bridge, conference, endpoint and password are right. A former socket of
    /// the endpoint is closed.
    pub(crate) fn attach(
        &self,
        bridge: &str,
        key: &str,
        endpoint: &str,
        password: &str,
    ) -> Option<Attached> {
        let mut state = self.lock();
        let State {
            conferences,
            by_key,
            sockets,
            stats,
        } = &mut *state;
        let id = by_key.get(key).filter(|_| bridge == self.bridge)?;
        let conference = conferences.get_mut(id)?;
        let name = EndpointId::new(endpoint).ok()?;
        let known = conference.endpoints.get(&name)?;
        if !secret::equal(&known.password, password) {
            return None;
        }
        let replay = known.replay(conference);
        let found = conference.endpoints.get_mut(&name)?;
        *sockets += 1;
        let (sender, queue) = mpsc::channel(QUEUE);
        if let Some(old) = found.socket.replace(Socket {
            number: *sockets,
            queue: sender,
        }) {
            old.close(1000, "replaced");
        }
        for message in replay {
            found.say(message, stats);
        }
        let endpoint = EndpointAddress {
            conference: id.clone(),
            endpoint: name,
        };
        Some(Attached {
            endpoint,
            number: *sockets,
            queue,
        })
    }

    /// Forgets a socket that was closed, unless a newer one took its place.
    pub(crate) fn detach(&self, address: &EndpointAddress, number: u64) {
        with(&mut self.lock().conferences, address, |it| {
            it.socket.take_if(|socket| socket.number == number);
        });
    }

    /// Answers a greeting.
    pub(crate) fn greet(&self, address: &EndpointAddress) {
        let mut state = self.lock();
        let State {
            conferences, stats, ..
        } = &mut *state;
        with(conferences, address, |it| it.say(message::hello(), stats));
    }

    /// Passes a message on to one or all others of the conference, with its true sender.
    pub(crate) fn relay(
        &self,
        from: &EndpointAddress,
        to: Option<&str>,
        mut fields: Map<String, Value>,
    ) {
        fields.insert("from".to_owned(), from.endpoint.as_str().into());
        let text = Utf8Bytes::from(Value::Object(fields).to_string());
        let mut state = self.lock();
        let State {
            conferences, stats, ..
        } = &mut *state;
        let Some(conference) = conferences.get(&from.conference) else {
            return;
        };
        for (id, endpoint) in &conference.endpoints {
            if *id != from.endpoint && to.is_none_or(|to| to == id.as_str()) {
                endpoint.pass(&text, stats);
            }
        }
    }

    /// Remembers what an endpoint says that one of its sources shows.
    pub(crate) fn note_video_type(
        &self,
        address: &EndpointAddress,
        source: &SourceName,
        shows: VideoType,
    ) {
        with(&mut self.lock().conferences, address, |it| {
            if it.video_types.len() < limits::SOURCES_PER_ENDPOINT_MAX
                || it.video_types.contains_key(source)
            {
                it.video_types.insert(source.clone(), shows);
            }
        });
    }

    /// Puts what an endpoint said of its sources into their description, and forgets what it was
    /// told of those that it has no more.
    pub(crate) fn amend(&self, address: &EndpointAddress, sources: &mut [SourceDescription]) {
        with(&mut self.lock().conferences, address, |it| {
            it.constraints
                .retain(|name, _| sources.iter().any(|source| source.name == *name));
            for source in sources {
                if let Some(shows) = it.video_types.get(&source.name) {
                    source.video_type = *shows;
                }
            }
        });
    }

    /// Counts a message from a client.
    pub(crate) fn count_received(&self, understood: bool) {
        let stats = &mut self.lock().stats;
        stats.received += 1;
        stats.malformed += u64::from(!understood);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with(
    conferences: &mut HashMap<ConferenceId, Conference>,
    address: &EndpointAddress,
    act: impl FnOnce(&mut Endpoint),
) {
    let conference = conferences.get_mut(&address.conference);
    if let Some(endpoint) = conference.and_then(|it| it.endpoints.get_mut(&address.endpoint)) {
        act(endpoint);
    }
}

impl Conference {
    fn speaks(&mut self, speaker: &EndpointId, stats: &mut ChannelStats) {
        self.speakers.retain(|it| it != speaker);
        self.speakers.insert(0, speaker.clone());
        self.speakers.truncate(SPEAKERS);
        if let Some(text) = self.speaker_message() {
            self.say_all(text, stats);
        }
    }

    fn becomes(&mut self, id: &EndpointId, active: bool, stats: &mut ChannelStats) {
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            endpoint.active = active;
            self.say_all(message::connectivity(id, active), stats);
        }
    }

    fn say_all(&mut self, text: String, stats: &mut ChannelStats) {
        let text = Utf8Bytes::from(text);
        for endpoint in self.endpoints.values_mut() {
            endpoint.say(text.clone(), stats);
        }
    }

    fn speaker_message(&self) -> Option<String> {
        let (speaker, previous) = self.speakers.split_first()?;
        Some(message::dominant_speaker(speaker, previous))
    }
}

impl Endpoint {
    /// What a new socket begins with.
    fn replay(&self, conference: &Conference) -> Vec<String> {
        let present = |slot: &&MappedSource| conference.endpoints.contains_key(&slot.owner);
        let mut messages = vec![message::hello()];
        messages.extend(
            self.constraints
                .iter()
                .map(|(name, height)| message::sender_constraints(name, *height)),
        );
        messages.push(message::forwarded_sources(&self.forwarded));
        if self.video.values().any(|slot| present(&slot)) {
            messages.push(message::video_sources(self.video.values().filter(present)));
        }
        if self.audio.values().any(|slot| present(&slot)) {
            messages.push(message::audio_sources(self.audio.values().filter(present)));
        }
        messages.extend(
            conference
                .endpoints
                .iter()
                .filter(|(_, endpoint)| !endpoint.active)
                .map(|(id, _)| message::connectivity(id, false)),
        );
        messages.extend(conference.speaker_message());
        messages
    }

    /// Sends a part of the state. Without room the socket is closed: it would miss something.
    fn say(&mut self, text: impl Into<Utf8Bytes>, stats: &mut ChannelStats) {
        let Some(socket) = &self.socket else { return };
        stats.sent += 1;
        if socket.queue.try_send(Outgoing::Text(text.into())).is_err() {
            stats.overflowed += 1;
            self.socket = None;
        }
    }

    /// Sends something that is no part of the state. Half of the queue is kept for the state, so
    /// that nobody gets another's socket closed by talking.
    fn pass(&self, text: &Utf8Bytes, stats: &mut ChannelStats) {
        if let Some(socket) = &self.socket
            && socket.queue.capacity() > QUEUE / 2
            && socket.queue.try_send(Outgoing::Text(text.clone())).is_ok()
        {
            stats.sent += 1;
        }
    }

    fn end(self) {
        if let Some(socket) = self.socket {
            socket.close(1001, "expired");
        }
    }
}

impl Socket {
    /// Ends the socket; when its queue is full, dropping it ends it as well.
    fn close(self, code: u16, reason: &'static str) {
        if self.queue.try_send(Outgoing::Close(code, reason)).is_err() {
            tracing::debug!("a bridge channel is closed with a full queue");
        }
    }
}

/// Messages that may wait for one socket.
const QUEUE: usize = 512;

/// Speakers that are remembered, the present one included.
const SPEAKERS: usize = 11;

#[cfg(test)]
mod tests {
    use bridge_core::description::MediaKind;

    use super::*;

    fn address(name: &str) -> EndpointAddress {
        EndpointAddress {
            conference: ConferenceId::new("m").unwrap(),
            endpoint: EndpointId::new(name).unwrap(),
        }
    }

    fn name(name: &str) -> SourceName {
        SourceName::new(name).unwrap()
    }

    fn attach(channels: &Channels, path: &str) -> Option<Attached> {
        let (path, password) = path.split_once("?pwd=").unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        channels.attach(parts[2], parts[3], parts[4], password)
    }

    fn classes(attached: &mut Attached) -> Vec<String> {
        let mut classes = Vec::new();
        while let Ok(outgoing) = attached.queue.try_recv() {
            let Outgoing::Text(text) = outgoing else {
                classes.push("close".to_owned());
                continue;
            };
            let value: Value = serde_json::from_str(&text).unwrap();
            classes.push(value["colibriClass"].as_str().unwrap().to_owned());
        }
        classes
    }

    fn slot(owner: &str, ssrc: u32) -> MappedSource {
        MappedSource {
            source: name(&format!("{owner}-v0")),
            owner: EndpointId::new(owner).unwrap(),
            ssrc: Ssrc(ssrc),
            rtx: None,
            video_type: VideoType::Camera,
        }
    }

    #[test]
    fn talk_of_others_never_takes_the_place_of_the_state() {
        let channels = Channels::new("b");
        let path = channels.open(&address("a"));
        let mut attached = attach(&channels, &path).unwrap();
        for _ in 0..2 * QUEUE {
            channels.relay(&address("b"), None, Map::new());
        }
        for _ in 0..QUEUE / 4 {
            channels.greet(&address("a"));
        }
        assert_eq!(channels.stats().overflowed, 0);
        let mut count = 0;
        while attached.queue.try_recv().is_ok() {
            count += 1;
        }
        assert!(count < QUEUE, "{count}");
    }

    #[test]
    fn what_was_said_of_sources_that_are_gone_is_forgotten() {
        let channels = Channels::new("b");
        let endpoint = address("a");
        let path = channels.open(&endpoint);
        for source in ["a-v0", "a-v1"] {
            channels.tell(&Event::SenderConstraints {
                endpoint: endpoint.clone(),
                source: name(source),
                max_height: 720,
            });
        }
        let mut kept = [SourceDescription {
            name: name("a-v0"),
            kind: MediaKind::Video,
            video_type: VideoType::Camera,
            ssrcs: vec![Ssrc(1)],
            groups: Vec::new(),
        }];
        channels.amend(&endpoint, &mut kept);
        let classes = classes(&mut attach(&channels, &path).unwrap());
        let told = classes.iter().filter(|it| *it == "SenderSourceConstraints");
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn a_late_socket_begins_with_the_whole_state() {
        let channels = Channels::new("b");
        let path = channels.open(&address("a"));
        assert_eq!(
            channels.open(&address("a")),
            path,
            "the path of an endpoint stays"
        );
        for other in ["c", "d"] {
            assert!(channels.open(&address(other)).contains(other));
        }
        let endpoint = address("a");
        let (source, sources) = (name("a-v0"), vec![name("c-v0")]);
        for event in [
            Event::SenderConstraints {
                endpoint: endpoint.clone(),
                source,
                max_height: 720,
            },
            Event::ForwardedSources {
                endpoint: endpoint.clone(),
                sources,
            },
            Event::VideoSourcesMapped {
                endpoint: endpoint.clone(),
                mapped: vec![slot("c", 1)],
            },
            Event::AudioSourcesMapped {
                endpoint,
                mapped: vec![slot("gone", 2)],
            },
            Event::EndpointActive {
                endpoint: address("d"),
                active: false,
            },
            Event::DominantSpeaker {
                endpoint: address("c"),
            },
        ] {
            channels.tell(&event);
        }
        let mut attached = attach(&channels, &path).unwrap();
        let expected = [
            "ServerHello",
            "SenderSourceConstraints",
            "ForwardedSources",
            "VideoSourcesMap",
            "EndpointConnectivityStatusChangeEvent",
            "DominantSpeakerEndpointChangeEvent",
        ];
        assert_eq!(
            classes(&mut attached),
            expected,
            "and nothing of those who are gone"
        );
    }

    #[test]
    fn a_slow_socket_is_closed_and_the_next_has_the_state() {
        let channels = Channels::new("b");
        let path = channels.open(&address("a"));
        let mut slow = attach(&channels, &path).unwrap();
        for height in 0..1_000 {
            let (endpoint, source) = (address("a"), name("a-v0"));
            channels.tell(&Event::SenderConstraints {
                endpoint,
                source,
                max_height: height,
            });
        }
        assert_eq!(classes(&mut slow).len(), QUEUE);
        assert_eq!(channels.stats().overflowed, 1);
        assert!(slow.queue.is_closed());
        let mut next = attach(&channels, &path).unwrap();
        assert_eq!(classes(&mut next).len(), 3);
        channels.detach(&address("a"), slow.number);
        channels.tell(&Event::DominantSpeaker {
            endpoint: address("a"),
        });
        assert_eq!(
            classes(&mut next).len(),
            1,
            "an old socket does not take a new one away"
        );
    }

    #[test]
    fn closing_takes_the_password_away() {
        let channels = Channels::new("b");
        let path = channels.open(&address("a"));
        let mut attached = attach(&channels, &path).unwrap();
        channels.close(&address("a"));
        assert_eq!(classes(&mut attached).pop().as_deref(), Some("close"));
        assert!(attach(&channels, &path).is_none());
        let path = channels.open(&address("a"));
        channels.close_conference(&address("a").conference);
        assert!(attach(&channels, &path).is_none());
    }

    #[test]
    fn what_was_said_of_a_source_early_is_kept() {
        let channels = Channels::new("b");
        assert!(channels.open(&address("a")).contains('a'));
        channels.note_video_type(&address("a"), &name("a-v0"), VideoType::Desktop);
        let mut sources = [SourceDescription {
            name: name("a-v0"),
            kind: MediaKind::Video,
            video_type: VideoType::Camera,
            ssrcs: vec![Ssrc(1)],
            groups: Vec::new(),
        }];
        channels.amend(&address("a"), &mut sources);
        assert_eq!(sources[0].video_type, VideoType::Desktop);
    }
}
