//! Lets several shards hold one conference, so that a large one uses every core.
//!
//! The home shard decides what holds for all: who is in, what is announced, who speaks. It writes
//! that down ([`Roster`]) and the others follow with a part of the conference that has the same
//! sources. A packet is authenticated, decrypted and measured once, where its sender is, and goes
//! from there to each other shard that wants it, by reference. Commands come to the home shard,
//! which lets the endpoint's shard carry them out. ADR 0009 says why.
//!
//! | message | from, to | when its ring is full |
//! |---|---|---|
//! | `Packet`, `Skipped` | a sender's shard, those that want it | lost and counted |
//! | `Keyframe` | a receiver's shard, the sender's | lost and counted, wished again |
//! | `Vitals` | a sender's shard, all others | waits |
//! | `Wish` | a receiver's shard, over home, the sender's | waits |
//! | `Roster`, `Gone`, `Order` | home, the others | waits |
//! | `Joined`, `Refused`, `Left`, `Answer` | the others, home | waits |

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Engine, Outbox, Room, ShardMessage};
use crate::command::{Command, EndpointOptions, Reply, Ticket};
use crate::error::{Discard, Error, Result};
use crate::id::{ConferenceKey, EndpointAddress, EndpointId, EndpointKey, ShardId, SourceKey};
use crate::ingest::mirror::{self, Vitals};
use crate::ingest::source::{Facts, MediaPacket, Pending};
use crate::limits::BACKLOG_MAX;
use crate::route::conference::{Conference, Owner, Relay};
use crate::route::mute::ForceMute;
use crate::route::roster::Roster;
use crate::time::Time;

/// Something about a conference that several shards hold.
#[derive(Debug)]
pub struct FanOut {
    /// The home shard's key.
    conference: ConferenceKey,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A packet of a source, through with ingest.
    Packet {
        source: SourceKey,
        encoding: u8,
        clock_rate: u32,
        packet: MediaPacket,
    },
    /// A number of a source that closes without a packet.
    Skipped {
        source: SourceKey,
        skipped: Pending,
        is_silence: bool,
    },
    /// What is known of a source beside its packets.
    Vitals {
        source: SourceKey,
        vitals: Box<[Vitals]>,
    },
    /// A receiver needs a keyframe.
    Keyframe { source: SourceKey, encoding: u8 },
    /// The largest height that the receivers of a shard want.
    Wish {
        source: SourceKey,
        shard: ShardId,
        height: i32,
    },
    /// The conference as it is now.
    Roster(Arc<Roster>),
    /// The shard holds no part of the conference any more.
    Gone,
    /// A command that concerns an endpoint of the shard, or makes it.
    Order(Box<Order>),
    /// The answer to an order.
    Answer {
        ticket: Ticket,
        reply: Box<Result<Reply>>,
    },
    /// An endpoint is made.
    Joined {
        endpoint: EndpointKey,
        id: EndpointId,
    },
    /// An endpoint could not be made.
    Refused { id: EndpointId },
    /// An endpoint is gone.
    Left { endpoint: EndpointKey },
}

#[derive(Debug)]
struct Order {
    ticket: Ticket,
    /// `None` for one that is to be made.
    endpoint: Option<EndpointKey>,
    command: Command,
}

/// Messages that must arrive and found no room on their ring, in order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<(ShardId, ShardMessage)>,
    /// When to try again.
    pub(super) due: Option<Time>,
}

impl Backlog {
    /// Sends a message, or lets it wait behind others to the same shard; `false` when too many
    /// wait, which means that a shard does not work any more.
    fn send(&mut self, to: ShardId, message: ShardMessage, out: &mut impl Outbox) -> bool {
        let is_behind = self.waiting.iter().any(|(other, _)| *other == to);
        let refused = match is_behind {
            true => Some(message),
            false => out.shard(to, message),
        };
        let Some(message) = refused else {
            return true;
        };
        let has_room = self.waiting.len() < BACKLOG_MAX;
        if has_room {
            self.waiting.push_back((to, message));
        }
        has_room
    }

    /// Tries again what waits.
    fn retry(&mut self, now: Time, out: &mut impl Outbox) {
        let mut full: Vec<ShardId> = Vec::new();
        for _ in 0..self.waiting.len() {
            let Some((to, message)) = self.waiting.pop_front() else {
                break;
            };
            let refused = match full.contains(&to) {
                true => Some(message),
                false => out.shard(to, message),
            };
            if let Some(message) = refused {
                full.push(to);
                self.waiting.push_back((to, message));
            }
        }
        self.due = (!self.waiting.is_empty()).then(|| now + RETRY_INTERVAL);
    }
}

/// How soon a full ring is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

impl Engine {
    /// Sends what must arrive; `false` when that shard does not work any more.
    fn tell(
        &mut self,
        to: ShardId,
        conference: ConferenceKey,
        what: What,
        out: &mut impl Outbox,
    ) -> bool {
        let message = ShardMessage::FanOut(FanOut { conference, what });
        let is_sent = self.backlog.send(to, message, out);
        if !is_sent {
            self.stats.discarded.count(Discard::HandoffFull);
        }
        is_sent
    }

    /// Has an endpoint's shard carry out a command; it answers.
    fn order(
        &mut self,
        to: ShardId,
        conference: ConferenceKey,
        order: Order,
        out: &mut impl Outbox,
    ) -> Result<()> {
        if self.tell(to, conference, What::Order(Box::new(order)), out) {
            Ok(())
        } else {
            Err(Error::Limit("commands waiting"))
        }
    }

    /// Tries again what found no room, and tells how much there is to do here.
    pub(super) fn settle_shards(&mut self, now: Time, out: &mut impl Outbox) {
        let (own, endpoints) = (self.config.shard, self.endpoints.len());
        let place = self.loads.get_mut(usize::from(own.0));
        if let Some(load) = place.filter(|load| **load != endpoints) {
            *load = endpoints;
            self.tell_shards(out, |shard| ShardMessage::Load { shard, endpoints });
        }
        self.backlog.retry(now, out);
    }

    /// Another shard has so many endpoints.
    pub(super) fn note_load(&mut self, shard: ShardId, endpoints: usize) {
        if let Some(load) = self.loads.get_mut(usize::from(shard.0)) {
            *load = endpoints;
        }
    }

    /// Endpoints of all other shards.
    pub(super) fn others_load(&self) -> usize {
        let own = usize::from(self.config.shard.0);
        let others = self.loads.iter().enumerate().filter(|(at, _)| *at != own);
        others.map(|(_, load)| load).sum()
    }

    /// Where the next endpoint of a conference goes: home while the conference is small, then
    /// where the fewest are.
    pub(super) fn place(&self, room: &Room) -> ShardId {
        let own = self.config.shard;
        if room.size() < self.config.spread_from {
            return own;
        }
        let fewest = (0..).map(ShardId).zip(&self.loads);
        let fewest = fewest.min_by_key(|(shard, load)| (**load, *shard != own));
        fewest.map_or(own, |(shard, _)| shard)
    }

    /// Has another shard make an endpoint; it answers.
    pub(super) fn create_elsewhere(
        &mut self,
        ticket: Ticket,
        key: ConferenceKey,
        shard: ShardId,
        endpoint: EndpointAddress,
        options: EndpointOptions,
        out: &mut impl Outbox,
    ) -> Result<()> {
        let room = self.conferences.get_mut(key);
        let room = room.ok_or(Error::Unknown("conference"))?;
        let id = endpoint.endpoint.clone();
        room.coming.push((shard, id.clone()));
        room.count_shards();
        if let Some(load) = self.loads.get_mut(usize::from(shard.0)) {
            *load += 1;
        }
        self.tell_roster(key, out);
        let command = Command::CreateEndpoint { endpoint, options };
        let order = Order {
            ticket,
            endpoint: None,
            command,
        };
        let ordered = self.order(shard, key, order, out);
        if let (Err(_), Some(room)) = (&ordered, self.conferences.get_mut(key)) {
            room.coming.retain(|(_, other)| *other != id);
        }
        ordered
    }

    /// Carries out what concerns an endpoint of another shard: here, if it is about the whole
    /// conference, else there (`None`: that shard answers).
    pub(super) fn execute_away(
        &mut self,
        ticket: Ticket,
        key: EndpointKey,
        conference: ConferenceKey,
        command: Command,
        out: &mut impl Outbox,
    ) -> Result<Option<Reply>> {
        let room = self.conferences.get_mut(conference);
        let room = room.ok_or(Error::Unknown("conference"))?;
        let owner = room.away.get_mut(&key).ok_or(Error::Unknown("endpoint"))?;
        match command {
            Command::SetSources { sources, .. } => {
                room.conference
                    .set_sources(owner, &sources, &mut self.pool)?;
            }
            Command::SetVideoType {
                source, video_type, ..
            } => room.conference.set_video_type(key, &source, video_type)?,
            Command::ForceMute { audio, video, .. } => {
                if owner.mute.set(audio, video) {
                    room.conference.apply_mute(key, owner.mute);
                }
            }
            command => {
                let order = Order {
                    ticket,
                    endpoint: Some(key),
                    command,
                };
                self.order(key.0.shard(), conference, order, out)?;
                return Ok(None);
            }
        }
        self.mark_ready(conference);
        Ok(Some(Reply::Done))
    }

    /// Tells the other shards of a conference what it is now, if they do not know yet.
    pub(super) fn tell_roster(&mut self, key: ConferenceKey, out: &mut impl Outbox) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let conference = &room.conference;
        if room.home != key || core::mem::replace(&mut room.told, conference.edition) == room.told {
            return;
        }
        let others = conference.others.clone();
        if others.is_empty() {
            return;
        }
        let roster = Arc::new(Roster::of(conference));
        for shard in others {
            self.tell(shard, key, What::Roster(Arc::clone(&roster)), out);
        }
    }

    /// Tells the shards that hold a part of a conference of ours that they do not any more.
    pub(super) fn dismiss(
        &mut self,
        key: ConferenceKey,
        shards: &[ShardId],
        out: &mut impl Outbox,
    ) {
        for shard in shards {
            self.tell(*shard, key, What::Gone, out);
        }
    }

    /// Tells the home shard that an endpoint of ours is gone.
    pub(super) fn tell_left(
        &mut self,
        home: ConferenceKey,
        endpoint: EndpointKey,
        out: &mut impl Outbox,
    ) {
        self.tell(home.0.shard(), home, What::Left { endpoint }, out);
    }

    /// Passes on what came of own sources to the shards that want it.
    pub(super) fn relay(&mut self, key: ConferenceKey, out: &mut impl Outbox) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let home = room.home;
        for at in 0..room.conference.relay.len() {
            let Some(relay) = room.conference.relay.get(at).copied() else {
                break;
            };
            let conference = &room.conference;
            match relay {
                Relay::Vitals(source) => {
                    let Some(original) = conference.sources.get(source) else {
                        continue;
                    };
                    let vitals = Vitals::of(original);
                    for shard in &conference.others {
                        let vitals = vitals.clone();
                        let what = What::Vitals { source, vitals };
                        let message = ShardMessage::FanOut(FanOut {
                            conference: home,
                            what,
                        });
                        if !self.backlog.send(*shard, message, out) {
                            self.stats.discarded.count(Discard::HandoffFull);
                        }
                    }
                }
                Relay::Packet(..) | Relay::Skipped(..) => {
                    let mut sent = 0;
                    let mut lost = 0;
                    conference.for_each_copy(relay, |shard, what| {
                        let conference = home;
                        let message = ShardMessage::FanOut(FanOut { conference, what });
                        match out.shard(shard, message) {
                            None => sent += 1,
                            Some(_) => lost += 1,
                        }
                    });
                    self.stats.packets_fanned_out += sent;
                    self.stats.discarded.count_many(Discard::HandoffFull, lost);
                }
            }
        }
        room.conference.relay.clear();
    }

    /// Passes on what receivers of this shard wish of other shards' sources.
    pub(super) fn pass_wishes_on(&mut self, key: ConferenceKey, out: &mut impl Outbox) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let home = room.home;
        let sources = &room.conference.sources;
        for (source, encoding) in room.conference.wished.drain(..) {
            let Some(owner) = sources.get(source).map(|source| source.owner) else {
                continue;
            };
            let message = ShardMessage::FanOut(FanOut {
                conference: home,
                what: What::Keyframe { source, encoding },
            });
            if out.shard(owner.0.shard(), message).is_some() {
                self.stats.discarded.count(Discard::HandoffFull);
            }
        }
        if room.foreign_wishes.is_empty() {
            return;
        }
        let shard = self.config.shard;
        for (source, height) in core::mem::take(&mut room.foreign_wishes) {
            self.pass_wish(key, source, shard, height, out);
        }
    }

    /// Brings a wish to the shard of its source: by way of the home shard, so that it cannot come
    /// before the source is announced there.
    fn pass_wish(
        &mut self,
        key: ConferenceKey,
        source: SourceKey,
        shard: ShardId,
        height: i32,
        out: &mut impl Outbox,
    ) {
        let own = self.config.shard;
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let Some(original) = room.conference.sources.get_mut(source) else {
            return;
        };
        let at = original.owner.0.shard();
        if shard == own && height == 0 {
            mirror::let_go(original, &mut self.pool);
        }
        let home = room.home;
        let what = What::Wish {
            source,
            shard,
            height,
        };
        if at != own {
            let is_home = home.0.shard() == own;
            let to = if is_home { at } else { home.0.shard() };
            self.tell(to, home, what, out);
            return;
        }
        if !room.conference.others.contains(&shard) {
            return;
        }
        room.wishes_due = true;
        if original.note_audience(shard, height) {
            let vitals = Vitals::of(original);
            self.tell(shard, home, What::Vitals { source, vitals }, out);
        }
        self.mark_ready(key);
    }

    /// Takes a message of another shard about a conference that both hold.
    pub(super) fn receive_fan_out(&mut self, now: Time, message: FanOut, out: &mut impl Outbox) {
        let FanOut {
            conference: home,
            what,
        } = message;
        match what {
            What::Roster(roster) => return self.follow(home, &roster),
            What::Answer { ticket, reply } => return out.reply(ticket, *reply),
            What::Order(order) => return self.take_order(now, home, *order, out),
            _ => {}
        }
        let Some(key) = self.held(home) else {
            // It ended while this was on its way.
            return;
        };
        match what {
            What::Wish {
                source,
                shard,
                height,
            } => self.pass_wish(key, source, shard, height, out),
            What::Gone => self.drop_part(now, key, out),
            What::Joined { endpoint, id } => self.note_joined(now, key, endpoint, id),
            What::Refused { id } => self.note_refused(now, key, &id, out),
            What::Left { endpoint } => self.note_left(now, key, endpoint, out),
            _ => self.take_media(now, key, what),
        }
    }

    /// Takes what came of another shard's source, or is wished of one of ours.
    fn take_media(&mut self, now: Time, key: ConferenceKey, what: What) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let (conference, pool) = (&mut room.conference, &mut self.pool);
        let taken = match what {
            What::Packet {
                source,
                encoding,
                clock_rate,
                packet,
            } => {
                if matches!(packet.facts, Facts::Audio { .. }) {
                    self.rest.note_sound(now);
                }
                mirror::handle_packet(now, source, encoding, clock_rate, packet, conference, pool)
            }
            What::Skipped {
                source,
                skipped,
                is_silence,
            } => mirror::handle_skipped(now, source, skipped, is_silence, conference, pool),
            What::Vitals { source, vitals } => {
                mirror::handle_vitals(source, &vitals, conference, pool);
                Ok(())
            }
            What::Keyframe { source, encoding } => {
                conference.request_keyframe(now, source, encoding);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(reason) = taken {
            self.stats.discarded.count(reason);
        }
        self.mark_ready(key);
    }

    /// The key that a conference has here.
    fn held(&self, home: ConferenceKey) -> Option<ConferenceKey> {
        if home.0.shard() == self.config.shard {
            Some(home)
        } else {
            self.parts.get(&home).copied()
        }
    }

    /// Follows what the home shard says; the first time, a part of the conference begins here.
    fn follow(&mut self, home: ConferenceKey, roster: &Roster) {
        let key = self.held(home).unwrap_or_else(|| {
            let (id, shard) = (roster.id.clone(), self.config.shard);
            let conference = Conference::new(id, roster.feedback, shard, self.map_seed);
            let key = self
                .conferences
                .insert_with(|_| Room::new(conference, home));
            self.parts.insert(home, key);
            key
        });
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        for owner in room.conference.follow(roster, &mut self.pool) {
            if let Some(endpoint) = self.endpoints.get_mut(owner) {
                endpoint.ingest.adopt_sources(&room.conference);
            }
        }
        self.mark_ready(key);
    }

    /// Carries out what the home shard was asked.
    fn take_order(&mut self, now: Time, home: ConferenceKey, order: Order, out: &mut impl Outbox) {
        let Order {
            ticket,
            endpoint,
            command,
        } = order;
        let reply = match (self.held(home), command, endpoint) {
            (None, _, _) => Err(Error::Unknown("conference")),
            (Some(key), Command::CreateEndpoint { endpoint, options }, _) => {
                let id = endpoint.endpoint.clone();
                let made = self.create_endpoint(now, endpoint, key, &options);
                let what = match &made {
                    Ok((endpoint, _)) => What::Joined {
                        endpoint: *endpoint,
                        id,
                    },
                    Err(_) => What::Refused { id },
                };
                self.tell(home.0.shard(), home, what, out);
                made.map(|(_, reply)| reply)
            }
            (Some(_), command, Some(key)) => self.execute_for(now, key, command, out),
            (Some(_), _, None) => Err(Error::Unknown("endpoint")),
        };
        let reply = Box::new(reply);
        self.tell(home.0.shard(), home, What::Answer { ticket, reply }, out);
    }

    /// Ends the part of a conference that is here.
    pub(super) fn drop_part(&mut self, now: Time, key: ConferenceKey, out: &mut impl Outbox) {
        let Some(room) = self.conferences.get(key) else {
            return;
        };
        let home = room.home;
        for endpoint in room.conference.local.clone() {
            self.expire_endpoint(now, endpoint, out);
        }
        self.conferences.remove(key);
        self.parts.remove(&home);
    }

    fn note_joined(
        &mut self,
        now: Time,
        key: ConferenceKey,
        endpoint: EndpointKey,
        id: EndpointId,
    ) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        room.coming.retain(|(_, other)| *other != id);
        room.conference.join(endpoint);
        let address = EndpointAddress {
            conference: room.conference.id.clone(),
            endpoint: id.clone(),
        };
        let owner = Owner {
            key: endpoint,
            id,
            mute: ForceMute::default(),
        };
        room.away.insert(endpoint, owner);
        self.endpoint_names.insert(address, endpoint);
        self.note_vacancy(now, key);
        self.mark_ready(key);
    }

    fn note_refused(
        &mut self,
        now: Time,
        key: ConferenceKey,
        id: &EndpointId,
        out: &mut impl Outbox,
    ) {
        if let Some(room) = self.conferences.get_mut(key) {
            room.coming.retain(|(_, other)| other != id);
            self.release_shards(now, key, out);
        }
    }

    fn note_left(
        &mut self,
        now: Time,
        key: ConferenceKey,
        endpoint: EndpointKey,
        out: &mut impl Outbox,
    ) {
        let Some(room) = self.conferences.get_mut(key) else {
            return;
        };
        let Some(owner) = room.away.remove(&endpoint) else {
            return;
        };
        room.conference.leave(endpoint, &mut self.pool);
        let address = EndpointAddress {
            conference: room.conference.id.clone(),
            endpoint: owner.id,
        };
        self.endpoint_names.remove(&address);
        self.release_shards(now, key, out);
    }

    /// Lets go of shards that hold nobody of a conference any more.
    fn release_shards(&mut self, now: Time, key: ConferenceKey, out: &mut impl Outbox) {
        if let Some(room) = self.conferences.get_mut(key) {
            let released = room.count_shards();
            self.dismiss(key, &released, out);
        }
        self.note_vacancy(now, key);
        self.mark_ready(key);
    }
}

impl Conference {
    /// Gives `send` a packet or skipped number for each shard that is to have it.
    fn for_each_copy(&self, relay: Relay, mut send: impl FnMut(ShardId, What)) -> Option<()> {
        let (Relay::Packet(source, pending) | Relay::Skipped(source, pending, _)) = relay else {
            return None;
        };
        let original = self.sources.get(source)?;
        let encoding = original.encodings.get(usize::from(pending.encoding))?;
        for shard in original.listeners(&self.others) {
            let what = match relay {
                Relay::Packet(..) => What::Packet {
                    source,
                    encoding: pending.encoding,
                    clock_rate: encoding.clock_rate,
                    packet: encoding.store.get(pending.sequence)?.clone(),
                },
                Relay::Skipped(_, skipped, is_silence) => What::Skipped {
                    source,
                    skipped,
                    is_silence,
                },
                Relay::Vitals(_) => return None,
            };
            send(shard, what);
        }
        Some(())
    }
}

impl Room {
    /// Endpoints of all shards, and those on their way.
    pub(super) fn size(&self) -> usize {
        self.conference.endpoints.len() + self.coming.len()
    }

    /// Counts which other shards hold somebody; gives those that do not any more.
    fn count_shards(&mut self) -> Vec<ShardId> {
        let away = self.away.keys().map(|key| key.0.shard());
        let coming = self.coming.iter().map(|(shard, _)| *shard);
        let mut released = self.conference.others.clone();
        self.conference.set_others(away.chain(coming).collect());
        released.retain(|shard| !self.conference.others.contains(shard));
        released
    }
}
