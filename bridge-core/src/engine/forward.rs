//! Ends a pass: decides routes where something changed, lets every receiver send what came for it,
//! and does what timers have made due.

use super::endpoint::{Activity, Endpoint};
use super::timers::Timer;
use super::{Engine, Outbox, Path, Room, Run};
use crate::error::Discard;
use crate::event::Event;
use crate::id::{ConferenceKey, EndpointAddress, EndpointKey, SourceKey};
use crate::ingest::source::Source;
use crate::limits::{FEEDBACK_BYTES_MAX, TAILROOM_BYTES};
use crate::route::conference::Conference;
use crate::route::table::View;
use crate::slab::Slab;
use crate::srtp::OutboundContext;
use crate::stats::BridgeStats;
use crate::time::Time;

impl Engine {
    /// Sees to it that the conference is looked at in this pass's flush.
    pub(super) fn mark_ready(&mut self, key: ConferenceKey) {
        if let Some(room) = self.conferences.get_mut(key) {
            room.hold.hurry();
        }
        self.mark_waiting(key);
    }

    /// Sees to it that one receiver is looked at in the flush, whatever else comes.
    pub(super) fn mark_due(&mut self, key: ConferenceKey, receiver: EndpointKey) {
        if let Some(room) = self.conferences.get_mut(key) {
            room.due.push(receiver);
        }
    }

    /// Sees to it that the conference is looked at when its pictures have waited long enough, in
    /// this pass's flush if none waits.
    pub(super) fn mark_waiting(&mut self, key: ConferenceKey) {
        if let Some(room) = self.conferences.get_mut(key)
            && !core::mem::replace(&mut room.is_ready, true)
        {
            self.ready.push(key);
        }
    }

    /// Forwards what waits.
    pub(super) fn forward(&mut self, now: Time, out: &mut impl Outbox) {
        let (mut at, mut kept) = (0, 0);
        self.held = None;
        // Wishes for keyframes may make other conferences' feedback due, never their media: one
        // round is enough, and the list keeps its memory.
        while let Some(key) = self.ready.get(at).copied() {
            at += 1;
            let until = self.hold_of(key).filter(|until| *until > now);
            if let (Some(until), Some(place)) = (until, self.ready.get_mut(kept)) {
                *place = key;
                kept += 1;
                self.held = self.held.into_iter().chain([until]).min();
                continue;
            }
            self.forward_conference(now, key, out);
            self.hurry_senders(now, key, out);
            self.pass_wishes_on(key, out);
            self.tell_roster(key, out);
        }
        self.ready.truncate(kept);
    }

    fn hold_of(&self, key: ConferenceKey) -> Option<Time> {
        self.conferences.get(key)?.hold.until(self.config.hold)
    }

    fn forward_conference(&mut self, now: Time, key: ConferenceKey, out: &mut impl Outbox) {
        let Self {
            conferences,
            endpoints,
            deadlines,
            random,
            stats,
            ..
        } = self;
        let Some(room) = conferences.get_mut(key) else {
            return;
        };
        room.is_ready = false;
        room.hold.release();
        room.follow_speaker(endpoints, stats, out);
        let has_changed = room.follow_changes();
        let mut wishes_changed = core::mem::take(&mut room.wishes_due) || has_changed;
        let all = has_changed || room.concerns_all(endpoints);
        let mut at = 0;
        while let Some(key) = room.receiver(at, all) {
            at += 1;
            let endpoint = endpoints.get_mut(key);
            let Some(endpoint) = endpoint.filter(|endpoint| endpoint.connected) else {
                continue;
            };
            let sources = &room.conference.sources;
            if has_changed || endpoint.receiver.is_route_due(now) {
                let view = View {
                    sources,
                    names: room.conference.names(),
                    order: &room.order,
                    own: key,
                };
                let edition = endpoint.receiver.edition();
                wishes_changed |= endpoint.receiver.route(now, &view, random, out);
                if endpoint.receiver.edition() != edition {
                    room.audience.expire();
                }
            }
            if let Some((path, context)) = endpoint.transport.outbound() {
                let receiver = &mut endpoint.receiver;
                let active = &room.conference.active;
                receiver.flush(now, active, sources, path, context, out, stats);
            }
            for (source, encoding) in endpoint.receiver.keyframe_wishes() {
                room.conference.request_keyframe(now, source, encoding);
            }
            let deadline = endpoint.receiver.deadline();
            if deadline != endpoint.timers.get(Timer::Egress) {
                endpoint.timers.set(Timer::Egress, deadline);
                deadlines.set(key, endpoint.timers.next());
            }
        }
        room.due.clear();
        if wishes_changed {
            room.tell_senders(endpoints, out);
        }
        room.conference.clear_pending();
    }

    /// Lets senders know what receivers wish of them.
    fn hurry_senders(&mut self, now: Time, key: ConferenceKey, out: &mut impl Outbox) {
        while let Some(sender) = self
            .conferences
            .get_mut(key)
            .and_then(|room| room.conference.urgent.pop())
        {
            if let Some(endpoint) = self.endpoints.get_mut(sender) {
                endpoint.ingest.wake(now);
                self.send_feedback(now, sender, out);
            }
        }
    }

    /// Does what is due.
    pub(super) fn run_timers(&mut self, now: Time, out: &mut impl Outbox) {
        self.end_vacancies(now, out);
        while let Some(key) = self.deadlines.pop_due(now) {
            let Some(endpoint) = self.endpoints.get_mut(key) else {
                continue;
            };
            let transport = endpoint.timers.take_due(Timer::Transport, now);
            let ingest = endpoint.timers.take_due(Timer::Ingest, now);
            let egress = endpoint.timers.take_due(Timer::Egress, now);
            let activity = endpoint.timers.take_due(Timer::Activity, now);
            if activity && !self.look_at(now, key, out) {
                continue;
            }
            if transport && let Some(endpoint) = self.endpoints.get_mut(key) {
                endpoint.transport.handle_timeout(now);
                self.drive_transport(now, key, out);
            }
            if ingest || egress {
                self.send_feedback(now, key, out);
                self.route_due(now, key);
            }
            // Neither is due unless media flows.
            if (ingest || egress)
                && let Some(endpoint) = self.endpoints.get_mut(key)
                && endpoint.transport.note_use(now)
            {
                let deadline = endpoint.transport.deadline();
                endpoint.timers.set(Timer::Transport, deadline);
            }
            self.reschedule(key);
        }
    }

    /// Looks whether the endpoint is still there; `false` if it is gone.
    fn look_at(&mut self, now: Time, key: EndpointKey, out: &mut impl Outbox) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return false;
        };
        match endpoint.look(now) {
            Activity::Unchanged => {}
            Activity::Paused => out.event(Event::EndpointActive {
                endpoint: endpoint.address.clone(),
                active: false,
            }),
            Activity::Dead => {
                self.expire_endpoint(now, key, out);
                return false;
            }
        }
        true
    }

    /// Sends the endpoint what is due of both kinds, in as few datagrams as it takes: what it must
    /// know as a sender, and the reports on what it receives. Sets the timers of the next time.
    pub(super) fn send_feedback(&mut self, now: Time, key: EndpointKey, out: &mut impl Outbox) {
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return;
        };
        let Some(room) = self.conferences.get_mut(endpoint.conference) else {
            return;
        };
        endpoint.ingest.draw_report(now);
        endpoint.receiver.draw_report(now);
        let mut compound = Compound::new();
        loop {
            let conference = &mut room.conference;
            let asked = endpoint.ingest.poll_feedback(
                now,
                conference,
                &mut self.pool,
                compound.room_after(0),
            );
            let asked = asked.unwrap_or(0);
            let rest = compound.room_after(asked);
            let length = asked
                + endpoint
                    .receiver
                    .poll_report(now, &conference.sources, rest);
            if length == 0 {
                break;
            }
            compound.send(length, endpoint.transport.outbound(), out, &mut self.stats);
        }
        let deadline = endpoint.ingest.deadline();
        endpoint.timers.set(Timer::Ingest, deadline);
        if endpoint.connected && !endpoint.receiver.is_route_due(now) {
            let deadline = endpoint.receiver.deadline();
            endpoint.timers.set(Timer::Egress, deadline);
        }
        let conference = endpoint.conference;
        let has_changed = room.decided != Some(room.conference.changes);
        if !room.conference.relay.is_empty() {
            self.relay(conference, out);
        }
        if has_changed {
            self.mark_ready(conference);
        }
        self.reschedule(key);
    }

    /// Sees to it that the receiver's routes are decided anew in this pass, if that is due.
    fn route_due(&mut self, now: Time, key: EndpointKey) {
        if let Some(endpoint) = self.endpoints.get(key)
            && endpoint.connected
            && endpoint.receiver.is_route_due(now)
        {
            let conference = endpoint.conference;
            self.mark_due(conference, key);
            self.mark_ready(conference);
        }
    }

    /// Moves the endpoint's place in the heap to its earliest timer.
    pub(super) fn reschedule(&mut self, key: EndpointKey) {
        let next = self
            .endpoints
            .get(key)
            .and_then(|endpoint| endpoint.timers.next());
        self.deadlines.set(key, next);
    }
}

impl Room {
    /// Who is looked at in the flush: `all`, or those who have something to do.
    fn receiver(&self, at: usize, all: bool) -> Option<EndpointKey> {
        let receivers = if all {
            &self.conference.local
        } else {
            &self.due
        };
        receivers.get(at).copied()
    }

    /// Adds those whom the packets that wait concern to those who have something to do; `true` if
    /// that is nearly everybody, who need not be told apart then.
    fn concerns_all(&mut self, endpoints: &Slab<EndpointKey, Endpoint>) -> bool {
        let Conference { active, local, .. } = &self.conference;
        if active.is_empty() {
            return false;
        }
        self.audience.refresh(local, endpoints);
        let lists = active.iter().map(|source| self.audience.of(*source));
        let count: usize = lists.clone().map(<[EndpointKey]>::len).sum();
        if self.due.len() + count >= local.len() {
            return true;
        }
        let is_mixed = active.len() > 1 || !self.due.is_empty();
        self.due.extend(lists.flatten());
        if is_mixed {
            // Nobody gets a packet twice.
            self.due.sort_unstable();
            self.due.dedup();
        }
        false
    }

    /// Tells who speaks now, if somebody else does; routes are decided anew then.
    fn follow_speaker(
        &mut self,
        endpoints: &Slab<EndpointKey, Endpoint>,
        stats: &mut BridgeStats,
        out: &mut impl Outbox,
    ) {
        if let Some(speaker) = self.conference.speaker.take_change() {
            stats.dominant_speaker_changes += 1;
            self.decided = None;
            self.conference.edition += 1;
            let away = || self.away.get(&speaker).map(|owner| owner.id.clone());
            let local = endpoints.get(speaker);
            let id = local.map_or_else(away, |local| Some(local.address.endpoint.clone()));
            if let Some(endpoint) = id {
                let conference = self.conference.id.clone();
                out.event(Event::DominantSpeaker {
                    endpoint: EndpointAddress {
                        conference,
                        endpoint,
                    },
                });
            }
        }
    }

    /// Orders the sources anew if anything changed; `true` if so.
    fn follow_changes(&mut self) -> bool {
        let conference = &self.conference;
        let has_changed = self.decided.replace(conference.changes) != Some(conference.changes);
        if has_changed {
            let (speakers, all) = (conference.speaker.order(), &conference.endpoints);
            self.order.rebuild(&conference.sources, speakers, all);
        }
        has_changed
    }

    /// Tells senders what receivers together want of them, where that changed; those of other
    /// shards by way of these.
    fn tell_senders(&mut self, endpoints: &Slab<EndpointKey, Endpoint>, out: &mut impl Outbox) {
        let conference = &self.conference;
        let receivers = conference
            .local
            .iter()
            .filter_map(|key| endpoints.get(*key));
        let tables = receivers
            .filter(|endpoint| endpoint.connected)
            .map(|endpoint| endpoint.receiver.table());
        let foreign = &mut self.foreign_wishes;
        let tell = |key: SourceKey, source: &Source, before: Option<i32>, max_height: i32| {
            if conference.is_own(source.owner) {
                out.event(Event::SenderConstraints {
                    endpoint: EndpointAddress {
                        conference: conference.id.clone(),
                        endpoint: source.owner_id.clone(),
                    },
                    source: source.name.clone(),
                    max_height,
                });
            } else if before.unwrap_or(0) != max_height {
                foreign.push((key, max_height));
            }
        };
        self.wishes.update(&conference.sources, tables, tell);
    }
}

/// A compound on its way out. It is sealed here and copied then: what cannot be sealed must never
/// reach the arena.
struct Compound([u8; FEEDBACK_BYTES_MAX + TAILROOM_BYTES]);

impl Compound {
    const fn new() -> Self {
        Self([0; FEEDBACK_BYTES_MAX + TAILROOM_BYTES])
    }

    /// What is free after the first `length` bytes.
    fn room_after(&mut self, length: usize) -> &mut [u8] {
        let room = self.0.get_mut(length..FEEDBACK_BYTES_MAX);
        room.unwrap_or_default()
    }

    /// Seals the first `length` bytes, and sends them if there is a way.
    fn send(
        &mut self,
        length: usize,
        way: Option<(Path, &mut OutboundContext)>,
        out: &mut impl Outbox,
        stats: &mut BridgeStats,
    ) {
        let Some((path, context)) = way else {
            return;
        };
        let sealed = match context.seal_rtcp(&mut self.0, length) {
            Ok(total) => self.0.get(..total).unwrap_or_default(),
            Err(reason) => return stats.discarded.count(reason),
        };
        let run = Run {
            path,
            segment: sealed.len(),
            total: sealed.len(),
        };
        match out.reserve([run]) {
            Some([place]) if place.len() == sealed.len() => place.copy_from_slice(sealed),
            _ => stats.discarded.count(Discard::SendFull),
        }
    }
}
