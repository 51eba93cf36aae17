//! Takes in what arrives: STUN goes to the agent it names, DTLS to the handshake, SRTP through
//! authentication to `ingest/`, SRTCP to both sides of the endpoint.

use super::demux::{DatagramKind, Owner, classify};
use super::timers::Timer;
use super::transport::{Datagram, TransportEvent};
use super::{Engine, HandshakeEvent, Outbox, Path, Run, ShardMessage};
use crate::description::MediaKind;
use crate::error::Discard;
use crate::event::{Event, TransportFailure};
use crate::ice::{self, Peek, Token, shard_of_ufrag};
use crate::id::{ConferenceKey, EndpointKey, ShardId};
use crate::packet::Packet;
use crate::rtcp::{self, RtcpPacket};
use crate::rtp::RtpHeader;
use crate::stats::BridgeStats;
use crate::time::Time;

impl Engine {
    /// Takes a datagram of the socket.
    pub(super) fn receive(&mut self, now: Time, path: Path, packet: Packet, out: &mut impl Outbox) {
        self.stats.packets_received += 1;
        self.stats.bytes_received += u64::try_from(packet.bytes().len()).unwrap_or(0);
        let owner = match classify(packet.bytes()) {
            DatagramKind::Unknown => Err(Discard::UnknownKind),
            DatagramKind::Stun => self.owner_of_stun(now, &path, packet.bytes()),
            _ => self.demux.owner(&path).ok_or(Discard::UnknownPath),
        };
        match owner {
            Ok(Owner::Endpoint(key)) => self.receive_for(now, key, path, packet, out),
            Ok(Owner::Shard(shard)) => self.hand_over(shard, path, packet, out),
            Err(reason) => self.discard(packet, reason),
        }
    }

    /// Takes a message of another shard.
    pub(super) fn receive_shard(
        &mut self,
        now: Time,
        message: ShardMessage,
        out: &mut impl Outbox,
    ) {
        match message {
            ShardMessage::Datagram { path, packet } => {
                // Counted where it came in. What is not ours either goes no further, so that no
                // datagram can circle.
                let owner = match classify(packet.bytes()) {
                    DatagramKind::Stun => self.owner_of_stun(now, &path, packet.bytes()),
                    _ => self.demux.owner(&path).ok_or(Discard::UnknownPath),
                };
                match owner {
                    Ok(Owner::Endpoint(key)) => self.receive_for(now, key, path, packet, out),
                    Ok(Owner::Shard(_)) => self.discard(packet, Discard::UnknownPath),
                    Err(reason) => self.discard(packet, reason),
                }
            }
            ShardMessage::Path { path, owner } => self.demux.give_away(path, owner),
            ShardMessage::PathForgotten { path, owner } => {
                self.demux.release(&path, Owner::Shard(owner));
            }
            ShardMessage::Load { shard, endpoints } => self.note_load(shard, endpoints),
            ShardMessage::FanOut(message) => self.receive_fan_out(now, message, out),
        }
    }

    /// Takes news of a handshake.
    pub(super) fn receive_handshake(
        &mut self,
        now: Time,
        key: EndpointKey,
        event: HandshakeEvent,
        out: &mut impl Outbox,
    ) {
        if let HandshakeEvent::Farewell { path, packet } = event {
            put_out(path, packet.bytes(), out, &mut self.stats);
            self.pool.give(packet);
        } else if let Some(endpoint) = self.endpoints.get_mut(key) {
            endpoint.transport.handle_handshake(event);
            self.drive_transport(now, key, out);
        }
    }

    fn hand_over(&mut self, shard: ShardId, path: Path, packet: Packet, out: &mut impl Outbox) {
        match out.shard(shard, ShardMessage::Datagram { path, packet }) {
            None => self.stats.packets_handed_over += 1,
            Some(ShardMessage::Datagram { packet, .. }) => {
                self.discard(packet, Discard::HandoffFull);
            }
            Some(_) => self.stats.discarded.count(Discard::HandoffFull),
        }
    }

    /// Whose a STUN message is: by the ufrag it names, or by the transaction it answers. A
    /// stranger's makes no state and gets no answer.
    fn owner_of_stun(&mut self, now: Time, path: &Path, bytes: &[u8]) -> Result<Owner, Discard> {
        let is_known = self.demux.owner(path).is_some();
        if !is_known && !self.strangers.allows(now, path.remote.ip()) {
            return Err(Discard::StunRateLimited);
        }
        match ice::peek(bytes)? {
            Peek::Request { local_ufrag, .. } => {
                let shard = shard_of_ufrag(local_ufrag)?;
                if shard != self.config.shard {
                    return self.other_shard(shard).ok_or(Discard::StunUnknownUfrag);
                }
                let key = self
                    .ufrags
                    .get(local_ufrag)
                    .ok_or(Discard::StunUnknownUfrag)?;
                Ok(Owner::Endpoint(*key))
            }
            Peek::Response(transaction) => {
                let token = Token::of_transaction(transaction);
                if token.shard != self.config.shard {
                    return self.other_shard(token.shard).ok_or(Discard::StunUnexpected);
                }
                Ok(Owner::Endpoint(token.endpoint))
            }
        }
    }

    fn other_shard(&self, shard: ShardId) -> Option<Owner> {
        (shard.0 < self.config.shards).then_some(Owner::Shard(shard))
    }

    /// Takes a datagram that is an endpoint's by its path or by its own word.
    fn receive_for(
        &mut self,
        now: Time,
        key: EndpointKey,
        path: Path,
        packet: Packet,
        out: &mut impl Outbox,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        if !endpoint
            .rate
            .take(now, packet.bytes().len(), &self.config.limits)
        {
            return self.discard(packet, Discard::RateLimited);
        }
        match classify(packet.bytes()) {
            DatagramKind::Rtp => self.receive_rtp(now, key, packet, out),
            DatagramKind::Rtcp => self.receive_rtcp(now, key, packet, out),
            DatagramKind::Stun => {
                let result = endpoint.transport.handle_stun(now, path, packet.bytes());
                match result {
                    Ok(()) => {
                        // Its timer moves anyway: no look at it is due while checks come.
                        endpoint.put_off_look(now);
                        self.pool.give(packet);
                        self.note_heard(now, key, out);
                    }
                    Err(reason) => self.discard(packet, reason),
                }
                self.drive_transport(now, key, out);
            }
            DatagramKind::Dtls => {
                if let Err((packet, reason)) = endpoint.transport.handle_dtls(path, packet) {
                    self.discard(packet, reason);
                }
                self.drive_transport(now, key, out);
            }
            DatagramKind::Unknown => self.discard(packet, Discard::UnknownKind),
        }
    }

    fn receive_rtp(
        &mut self,
        now: Time,
        key: EndpointKey,
        mut packet: Packet,
        out: &mut impl Outbox,
    ) {
        let unprotected = RtpHeader::parse(packet.bytes()).and_then(|header| {
            let endpoint = self.endpoints.get_mut(key).ok_or(Discard::UnknownPath)?;
            let context = endpoint.transport.inbound().ok_or(Discard::NoKeys)?;
            context.unprotect_rtp(&mut packet, &header)?;
            Ok(header)
        });
        let header = match unprotected {
            Ok(header) => header,
            Err(reason) => return self.discard(packet, reason),
        };
        self.note_heard(now, key, out);
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        let Some(room) = self.conferences.get_mut(endpoint.conference) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        let taken =
            endpoint
                .ingest
                .handle_rtp(now, packet, &header, &mut room.conference, &mut self.pool);
        let conference = endpoint.conference;
        let deadline = endpoint.ingest.deadline();
        endpoint.timers.set(Timer::Ingest, deadline);
        if let Some(deadline) = deadline {
            self.deadlines.bring_forward(key, deadline);
        }
        if !room.conference.relay.is_empty() {
            self.relay(conference, out);
        }
        match taken {
            Ok(()) => self.file(now, key, conference),
            Err(reason) => self.stats.discarded.count(reason),
        }
    }

    fn receive_rtcp(
        &mut self,
        now: Time,
        key: EndpointKey,
        mut packet: Packet,
        out: &mut impl Outbox,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        let unprotected = match endpoint.transport.inbound() {
            Some(context) => context.unprotect_rtcp(&mut packet),
            None => Err(Discard::NoKeys),
        };
        if let Err(reason) = unprotected {
            return self.discard(packet, reason);
        }
        self.note_heard(now, key, out);
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        let Some(room) = self.conferences.get_mut(endpoint.conference) else {
            return self.discard(packet, Discard::UnknownPath);
        };
        for report in rtcp::packets(packet.bytes()) {
            match report {
                Ok(report) => {
                    if asks_for_packets(&report) {
                        room.hold.hurry();
                    }
                    let conference = &mut room.conference;
                    if let Err(reason) = endpoint.ingest.handle_rtcp(now, &report, conference) {
                        self.stats.discarded.count(reason);
                    }
                    endpoint.receiver.handle_rtcp(now, &report, &mut self.stats);
                }
                Err(reason) => self.stats.discarded.count(reason),
            }
        }
        self.pool.give(packet);
        if let Some(rtt) = endpoint.receiver.rtt() {
            endpoint.ingest.set_rtt(rtt);
        }
        let conference = endpoint.conference;
        if endpoint.receiver.is_due(now) {
            room.due.push(key);
        }
        if !room.conference.relay.is_empty() {
            self.relay(conference, out);
        }
        self.mark_waiting(conference);
    }

    /// Media of an endpoint waits under its source: a picture may wait for others, sound not.
    fn file(&mut self, now: Time, sender: EndpointKey, key: ConferenceKey) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let conference = &room.conference;
        let newest = conference.active.last();
        let newest = newest.and_then(|source| conference.sources.get(*source));
        match newest.map(|source| source.kind) {
            Some(MediaKind::Video) => room.hold.note_picture(now, sender),
            Some(MediaKind::Audio) => {
                room.hold.hurry();
                self.rest.note_sound(now);
            }
            None => room.hold.hurry(),
        }
        self.mark_waiting(key);
    }

    /// Notes that the endpoint is there.
    fn note_heard(&mut self, now: Time, key: EndpointKey, out: &mut impl Outbox) {
        self.rest.note(now, key);
        if let Some(endpoint) = self.endpoints.get_mut(key)
            && endpoint.hear(now)
        {
            out.event(Event::EndpointActive {
                endpoint: endpoint.address.clone(),
                active: true,
            });
            endpoint.look(now);
            self.reschedule(key);
        }
    }

    /// Sends what the transport wants to send, does what it asks for, and sets its timer.
    pub(super) fn drive_transport(&mut self, now: Time, key: EndpointKey, out: &mut impl Outbox) {
        while let Some(event) = self
            .endpoints
            .get_mut(key)
            .and_then(|e| e.transport.poll_event())
        {
            self.follow_transport(now, key, event, out);
        }
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return;
        };
        while let Some(datagram) = endpoint.transport.poll_datagram() {
            put_out(datagram.path(), datagram.bytes(), out, &mut self.stats);
            if let Datagram::Dtls { packet, .. } = datagram {
                self.pool.give(packet);
            }
        }
        let media_path = endpoint.transport.outbound().map(|(path, _)| path);
        if core::mem::replace(&mut endpoint.media_path, media_path) != media_path {
            out.media_path(key, media_path);
        }
        let deadline = endpoint.transport.deadline();
        endpoint.timers.set(Timer::Transport, deadline);
        self.reschedule(key);
    }

    fn follow_transport(
        &mut self,
        now: Time,
        key: EndpointKey,
        event: TransportEvent,
        out: &mut impl Outbox,
    ) {
        match event {
            TransportEvent::Handshake(request) => out.handshake(key, request),
            TransportEvent::PathSeen(path) => self.claim_path(path, key, true),
            TransportEvent::PathValidated(path) => {
                self.claim_path(path, key, false);
                self.tell_shards(out, |owner| ShardMessage::Path { path, owner });
            }
            TransportEvent::PathForgotten(path) => self.release_path(path, key, out),
            TransportEvent::UfragForgotten(ufrag) => {
                if self.ufrags.get(&ufrag) == Some(&key) {
                    self.ufrags.remove(&ufrag);
                }
            }
            TransportEvent::Connected { rtt } => self.note_connected(now, key, rtt, out),
            TransportEvent::Failed(reason) => {
                match reason {
                    TransportFailure::Dtls | TransportFailure::Fingerprint => {
                        self.stats.dtls_failed += 1;
                    }
                    TransportFailure::Ice => self.stats.ice_failed += 1,
                    TransportFailure::ConsentLost | TransportFailure::Closed => {}
                }
                if let Some(endpoint) = self.endpoints.get_mut(key) {
                    endpoint.connected = false;
                    out.event(Event::EndpointFailed {
                        endpoint: endpoint.address.clone(),
                        session: endpoint.session,
                        reason,
                    });
                }
            }
        }
    }

    fn claim_path(&mut self, path: Path, key: EndpointKey, weak: bool) {
        if self.demux.claim(path, key, weak)
            && let Some(endpoint) = self.endpoints.get_mut(key)
            && !endpoint.paths.contains(&path)
        {
            endpoint.paths.push(path);
        }
    }

    /// Forgets a path of an endpoint, which may be gone already.
    pub(super) fn release_path(&mut self, path: Path, key: EndpointKey, out: &mut impl Outbox) {
        if let Some(endpoint) = self.endpoints.get_mut(key) {
            endpoint.paths.retain(|other| *other != path);
        }
        if self.demux.release(&path, Owner::Endpoint(key)) {
            self.tell_shards(out, |owner| ShardMessage::PathForgotten { path, owner });
        }
    }

    fn note_connected(
        &mut self,
        now: Time,
        key: EndpointKey,
        rtt: Option<core::time::Duration>,
        out: &mut impl Outbox,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return;
        };
        endpoint.connected = true;
        endpoint.hear(now);
        endpoint.look(now);
        if let Some(rtt) = rtt {
            endpoint.ingest.set_rtt(rtt);
        }
        out.event(Event::EndpointConnected {
            endpoint: endpoint.address.clone(),
            session: endpoint.session,
            rtt,
        });
        let conference = endpoint.conference;
        if let Some(room) = self.conferences.get_mut(conference) {
            room.decided = None;
        }
        self.mark_ready(conference);
    }

    /// Tells all other shards something that does no harm when it is lost.
    pub(super) fn tell_shards(
        &mut self,
        out: &mut impl Outbox,
        message: impl Fn(ShardId) -> ShardMessage,
    ) {
        let own = self.config.shard;
        for shard in (0..self.config.shards)
            .map(ShardId)
            .filter(|shard| *shard != own)
        {
            if out.shard(shard, message(own)).is_some() {
                self.stats.discarded.count(Discard::HandoffFull);
            }
        }
    }
}

/// Puts out one datagram that is no media.
fn put_out(path: Path, bytes: &[u8], out: &mut impl Outbox, stats: &mut BridgeStats) {
    let run = Run {
        path,
        segment: bytes.len(),
        total: bytes.len(),
    };
    match out.reserve([run]) {
        Some([place]) if place.len() == bytes.len() => place.copy_from_slice(bytes),
        _ => stats.discarded.count(Discard::SendFull),
    }
}

/// Whether somebody's picture stands still until the report is answered.
const fn asks_for_packets(report: &RtcpPacket<'_>) -> bool {
    matches!(
        report,
        RtcpPacket::Nack(_) | RtcpPacket::PictureLoss(_) | RtcpPacket::FullIntra(_)
    )
}
