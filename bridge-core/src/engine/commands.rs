//! Carries out what signaling asks.

use core::time::Duration;

use super::endpoint::Endpoint;
use super::transport::{Transport, TransportOptions};
use super::{Engine, HandshakeRequest, Outbox, Room};
use crate::command::{Command, EndpointOptions, Reply, Ticket};
use crate::description::{Candidate, Fingerprint, FingerprintHash, TransportDescription};
use crate::egress::{Receiver, ReceiverOptions};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ice::{Token, local_candidates};
use crate::id::{ConferenceId, ConferenceKey, EndpointAddress, EndpointKey, Ssrc};
use crate::ingest::Ingest;
use crate::route::conference::{Conference, FeedbackSsrcs};
use crate::stats::BridgeStats;
use crate::time::Time;

impl Engine {
    /// Does what signaling asks; `None` when another shard has to, and will answer.
    pub(super) fn execute(
        &mut self,
        now: Time,
        ticket: Ticket,
        command: Command,
        out: &mut impl Outbox,
    ) -> Result<Option<Reply>> {
        match command {
            Command::CreateConference { conference } => self.create_conference(now, conference)?,
            Command::ExpireConference { conference } => {
                let key = self.conference(&conference)?;
                self.expire_conference(now, key, out);
            }
            Command::CreateEndpoint { endpoint, options } => {
                return self.admit(now, ticket, endpoint, options, out);
            }
            Command::Stats => return Ok(Some(Reply::Stats(Box::new(self.stats())))),
            Command::SetTransport { ref endpoint, .. }
            | Command::SetMedia { ref endpoint, .. }
            | Command::SetSources { ref endpoint, .. }
            | Command::SetConstraints { ref endpoint, .. }
            | Command::SetVideoType { ref endpoint, .. }
            | Command::ForceMute { ref endpoint, .. }
            | Command::RestartIce { ref endpoint }
            | Command::ExpireEndpoint { ref endpoint } => {
                let key = self.endpoint(endpoint)?;
                if key.0.shard() != self.config.shard {
                    let conference = self.conference(&endpoint.conference)?;
                    return self.execute_away(ticket, key, conference, command, out);
                }
                return self.execute_for(now, key, command, out).map(Some);
            }
        }
        Ok(Some(Reply::Done))
    }

    /// Carries out what concerns one endpoint of this shard.
    pub(super) fn execute_for(
        &mut self,
        now: Time,
        key: EndpointKey,
        command: Command,
        out: &mut impl Outbox,
    ) -> Result<Reply> {
        let endpoint = self
            .endpoints
            .get_mut(key)
            .ok_or(Error::Unknown("endpoint"))?;
        let conference_key = endpoint.conference;
        let room = self.conferences.get_mut(conference_key);
        let conference = &mut room.ok_or(Error::Unknown("conference"))?.conference;
        match command {
            Command::SetTransport { transport, .. } => {
                endpoint.transport.set_remote(now, &transport)?;
                self.drive_transport(now, key, out);
            }
            Command::RestartIce { .. } => {
                endpoint.transport.restart_ice(now)?;
                self.drive_transport(now, key, out);
                self.learn_ufrags(key);
                return Ok(Reply::Transport(self.local_transport(key)?));
            }
            Command::SetMedia { media, .. } => {
                for description in &media {
                    endpoint.ingest.set_media(description)?;
                }
                endpoint.receiver.set_media(now, &media);
            }
            Command::SetSources { sources, .. } => {
                endpoint
                    .ingest
                    .set_sources(conference, &sources, &mut self.pool)?;
            }
            Command::SetConstraints { constraints, .. } => {
                endpoint.receiver.set_constraints(now, &constraints);
            }
            Command::SetVideoType {
                source, video_type, ..
            } => conference.set_video_type(key, &source, video_type)?,
            Command::ForceMute { audio, video, .. } => {
                endpoint.ingest.force_mute(conference, audio, video);
            }
            Command::ExpireEndpoint { .. } => {
                self.expire_endpoint(now, key, out);
            }
            _ => return Err(Error::Misuse("a command without an endpoint")),
        }
        self.mark_due(conference_key, key);
        self.mark_ready(conference_key);
        Ok(Reply::Done)
    }

    fn create_conference(&mut self, now: Time, id: ConferenceId) -> Result<()> {
        if self.names.contains_key(&id) {
            return Err(Error::Exists("conference"));
        }
        if self.conferences.len() >= self.config.limits.conferences {
            return Err(Error::Limit("conferences"));
        }
        let feedback = FeedbackSsrcs {
            audio: Ssrc(self.random.u32()),
            video: Ssrc(self.random.u32()),
        };
        let conference = Conference::new(id.clone(), feedback, self.config.shard, self.map_seed);
        let key = self
            .conferences
            .insert_with(|key| Room::new(conference, key));
        self.names.insert(id, key);
        self.note_vacancy(now, key);
        self.stats.conferences_created += 1;
        Ok(())
    }

    /// Lets an endpoint in: here, or on the shard that has the fewest.
    fn admit(
        &mut self,
        now: Time,
        ticket: Ticket,
        address: EndpointAddress,
        options: EndpointOptions,
        out: &mut impl Outbox,
    ) -> Result<Option<Reply>> {
        let conference = self.conference(&address.conference)?;
        let limits = &self.config.limits;
        let room = self
            .conferences
            .get(conference)
            .ok_or(Error::Unknown("conference"))?;
        let is_coming = room.coming.iter().any(|(_, id)| *id == address.endpoint);
        if is_coming || self.endpoint(&address).is_ok() {
            return Err(Error::Exists("endpoint"));
        }
        let (own, others) = (self.endpoints.len(), self.others_load());
        if own + others >= limits.endpoints || room.size() >= limits.endpoints_per_conference {
            return Err(Error::Limit("endpoints"));
        }
        let shard = self.place(room);
        if shard != self.config.shard {
            self.create_elsewhere(ticket, conference, shard, address, options, out)?;
            return Ok(None);
        }
        let (key, reply) = self.create_endpoint(now, address.clone(), conference, &options)?;
        self.endpoint_names.insert(address, key);
        self.note_vacancy(now, conference);
        Ok(Some(reply))
    }

    /// Makes an endpoint on this shard.
    pub(super) fn create_endpoint(
        &mut self,
        now: Time,
        address: EndpointAddress,
        conference: ConferenceKey,
        options: &EndpointOptions,
    ) -> Result<(EndpointKey, Reply)> {
        let room = self
            .conferences
            .get(conference)
            .ok_or(Error::Unknown("conference"))?;
        let feedback = room.conference.feedback;
        let key = self.insert_endpoint(now, address, conference, options)?;
        if let Some(room) = self.conferences.get_mut(conference) {
            if room.home == conference {
                room.conference.join(key);
            } else {
                room.conference.local.push(key);
            }
        }
        self.stats.endpoints_created += 1;
        self.learn_ufrags(key);
        self.reschedule(key);
        self.mark_ready(conference);
        let reply = Reply::Endpoint {
            transport: self.local_transport(key)?,
            audio_feedback: feedback.audio,
            video_feedback: feedback.video,
        };
        Ok((key, reply))
    }

    fn insert_endpoint(
        &mut self,
        now: Time,
        address: EndpointAddress,
        conference: ConferenceKey,
        options: &EndpointOptions,
    ) -> Result<EndpointKey> {
        let candidates = self.candidates(options.loopback);
        let receiver_options = ReceiverOptions {
            ssrc_rewriting: options.ssrc_rewriting,
            initial_max_height: self.config.initial_max_height,
            trust_no_estimate: self.config.trust_no_estimate,
            evens_out: self.config.evens_out,
        };
        let shard = self.config.shard;
        let bitrate_max = self.config.limits.bits_per_second;
        let gcm = self.config.gcm;
        let session = options.session;
        let random = &mut self.random;
        self.endpoints.try_insert_with(|key| {
            let token = Token {
                shard,
                endpoint: key,
            };
            let options = TransportOptions {
                token,
                role: options.ice_role,
                candidates,
                gcm,
            };
            let transport = Transport::new(now, options, random)?;
            let ingest = Ingest::new(key, address.endpoint.clone(), bitrate_max);
            let receiver = Receiver::new(now, address.clone(), receiver_options);
            let parts = (transport, ingest, receiver);
            let mut endpoint = Endpoint::new(now, address, conference, parts);
            endpoint.session = session;
            Ok(endpoint)
        })
    }

    /// Our candidates, as far as an endpoint is to know them.
    fn candidates(&self, loopback: bool) -> Vec<Candidate> {
        let of = |announced: bool| -> Vec<_> {
            let addresses = self.config.addresses.iter();
            addresses
                .filter(|local| local.announced == announced)
                .map(|local| local.address)
                .filter(|address| loopback || !address.ip().is_loopback())
                .collect()
        };
        local_candidates(&of(false), &of(true))
    }

    fn local_transport(&self, key: EndpointKey) -> Result<TransportDescription> {
        let endpoint = self.endpoints.get(key).ok_or(Error::Unknown("endpoint"))?;
        let nothing = || Fingerprint {
            hash: FingerprintHash::Sha256,
            value: vec![0; FingerprintHash::Sha256.length()],
        };
        let fingerprint = self.config.fingerprint.clone().unwrap_or_else(nothing);
        Ok(endpoint.transport.description(&fingerprint))
    }

    /// Lets checks that name a ufrag of the endpoint find it.
    fn learn_ufrags(&mut self, key: EndpointKey) {
        if let Some(endpoint) = self.endpoints.get(key) {
            for ufrag in endpoint.transport.ufrags() {
                self.ufrags.insert(ufrag.to_owned(), key);
            }
        }
    }

    fn conference(&self, id: &ConferenceId) -> Result<ConferenceKey> {
        self.names
            .get(id)
            .copied()
            .ok_or(Error::Unknown("conference"))
    }

    fn endpoint(&self, address: &EndpointAddress) -> Result<EndpointKey> {
        self.endpoint_names
            .get(address)
            .copied()
            .ok_or(Error::Unknown("endpoint"))
    }

    /// Ends a conference with all its endpoints.
    pub(super) fn expire_conference(
        &mut self,
        now: Time,
        key: ConferenceKey,
        out: &mut impl Outbox,
    ) {
        let Some(room) = self.conferences.get(key) else {
            return;
        };
        if room.home != key {
            return self.drop_part(now, key, out);
        }
        self.dismiss(key, &room.conference.others.clone(), out);
        let Some(room) = self.conferences.get(key) else {
            return;
        };
        for endpoint in room.conference.local.clone() {
            self.expire_endpoint(now, endpoint, out);
        }
        if let Some(room) = self.conferences.remove(key) {
            if let Some(ends) = room.ends {
                self.vacancies.remove(&(ends, key));
            }
            let conference = room.conference.id;
            for owner in room.away.into_values() {
                self.endpoint_names.remove(&EndpointAddress {
                    conference: conference.clone(),
                    endpoint: owner.id,
                });
            }
            self.names.remove(&conference);
            out.event(Event::ConferenceExpired { conference });
        }
    }

    /// Notes whether the conference is empty, and so when it ends.
    pub(super) fn note_vacancy(&mut self, now: Time, key: ConferenceKey) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        if let Some(ends) = room.ends.take() {
            self.vacancies.remove(&(ends, key));
        }
        if room.size() == 0 {
            let ends = now + VACANCY_MAX;
            room.ends = Some(ends);
            self.vacancies.insert((ends, key));
        }
    }

    /// Ends the conferences that stayed empty.
    pub(super) fn end_vacancies(&mut self, now: Time, out: &mut impl Outbox) {
        while let Some((ends, key)) = self.vacancies.first().copied()
            && ends <= now
        {
            self.expire_conference(now, key, out);
        }
    }

    /// Forgets an endpoint and all that was remembered for it.
    pub(super) fn expire_endpoint(&mut self, now: Time, key: EndpointKey, out: &mut impl Outbox) {
        let Some(endpoint) = self.endpoints.remove(key) else {
            return;
        };
        for path in &endpoint.paths {
            self.release_path(*path, key, out);
        }
        if endpoint.media_path.is_some() {
            out.media_path(key, None);
        }
        for ufrag in endpoint.transport.ufrags() {
            self.ufrags.remove(ufrag);
        }
        self.deadlines.set(key, None);
        let room = self.conferences.get_mut(endpoint.conference);
        match room.map(|room| (room.home, &mut room.conference)) {
            Some((home, conference)) if home == endpoint.conference => {
                conference.leave(key, &mut self.pool);
                self.endpoint_names.remove(&endpoint.address);
                self.note_vacancy(now, endpoint.conference);
            }
            Some((home, conference)) => {
                conference.local.retain(|other| *other != key);
                self.tell_left(home, key, out);
            }
            None => {}
        }
        endpoint.add_to(&mut self.stats);
        let path = endpoint.transport.farewell_path();
        out.handshake(key, HandshakeRequest::Stop { path });
        out.event(Event::EndpointExpired {
            endpoint: endpoint.address,
            session: endpoint.session,
        });
        self.mark_ready(endpoint.conference);
    }

    /// Counters and gauges of this engine now.
    fn stats(&self) -> BridgeStats {
        let mut stats = self.stats.clone();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        stats.conferences = count(self.names.len());
        stats.endpoints = count(self.endpoints.len());
        for (key, room) in self.conferences.iter() {
            let endpoints = count(room.conference.endpoints.len());
            if room.home == key {
                stats.largest_conference = stats.largest_conference.max(endpoints);
            }
        }
        for (_, endpoint) in self.endpoints.iter() {
            stats.endpoints_connected += u64::from(endpoint.connected);
            endpoint.add_to(&mut stats);
        }
        stats
    }
}

/// A conference without endpoints ends after so long, should signaling have forgotten it.
const VACANCY_MAX: Duration = Duration::from_secs(60);
