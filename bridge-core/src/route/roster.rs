//! Tells other shards what holds for the whole conference: the home shard writes it down as it is,
//! and they follow.
//!
//! A roster is a state, not a change: one that comes late or twice does no harm, and a shard that
//! joins needs nothing else. Sources have the keys that the home shard gave them.

use crate::description::{MediaKind, VideoType};
use crate::id::{ConferenceId, EndpointKey, ShardId, SourceKey, SourceName, Ssrc};
use crate::ingest::source::{Encoding, Source};
use crate::limits::ENCODINGS_MAX;
use crate::packet::Pool;

use super::conference::{Conference, FeedbackSsrcs, Owner};
use super::mute::ForceMute;

/// A conference as its home shard holds it.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Name.
    pub(crate) id: ConferenceId,
    /// SSRCs under which the bridge itself reports.
    pub(crate) feedback: FeedbackSsrcs,
    endpoints: Vec<EndpointKey>,
    /// The latest speaker first.
    speakers: Vec<EndpointKey>,
    /// All shards that hold a part of it.
    shards: Vec<ShardId>,
    /// In the order of their places.
    sources: Vec<(SourceKey, Listed)>,
}

/// A source as it was announced.
#[derive(Debug)]
struct Listed {
    owner: Owner,
    name: SourceName,
    kind: MediaKind,
    video_type: VideoType,
    muted: bool,
    encodings: [Option<(Ssrc, Option<Ssrc>)>; ENCODINGS_MAX],
}

impl Roster {
    /// Writes down a conference of this shard.
    pub(crate) fn of(conference: &Conference) -> Self {
        let mut shards = conference.others.clone();
        shards.push(conference.shard);
        Self {
            id: conference.id.clone(),
            feedback: conference.feedback,
            endpoints: conference.endpoints.clone(),
            speakers: conference.speaker.order().to_vec(),
            shards,
            sources: conference
                .sources
                .iter()
                .map(|(key, source)| (key, Listed::of(source)))
                .collect(),
        }
    }

    fn lists(&self, key: SourceKey) -> bool {
        let place = |(key, _): &(SourceKey, Listed)| key.0.index;
        let at = self.sources.binary_search_by_key(&key.0.index, place);
        let found = at.ok().and_then(|at| self.sources.get(at));
        found.is_some_and(|(other, _)| *other == key)
    }
}

impl Listed {
    fn of(source: &Source) -> Self {
        let mut encodings = [None; ENCODINGS_MAX];
        for (place, encoding) in encodings.iter_mut().zip(&source.encodings) {
            *place = Some((encoding.ssrc, encoding.rtx));
        }
        Self {
            owner: Owner {
                key: source.owner,
                id: source.owner_id.clone(),
                mute: ForceMute::default(),
            },
            name: source.name.clone(),
            kind: source.kind,
            video_type: source.video_type,
            muted: source.muted,
            encodings,
        }
    }

    /// The source on a shard whose own it may be.
    fn source(&self, is_own: bool) -> Source {
        let encodings = self.encodings.iter().flatten();
        let encodings = encodings.map(|(ssrc, rtx)| match is_own {
            true => Encoding::new(*ssrc, *rtx, self.kind),
            false => Encoding::mirror(*ssrc, *rtx, self.kind),
        });
        let encodings = encodings.collect();
        let name = self.name.clone();
        let mut source = Source::new(&self.owner, name, self.kind, self.video_type, encodings);
        source.muted = self.muted;
        source
    }
}

impl Conference {
    /// Becomes what the home shard says; a source that is listed as before goes on undisturbed.
    /// Gives the endpoints of this shard whose sources came or went.
    pub(crate) fn follow(&mut self, roster: &Roster, pool: &mut Pool) -> Vec<EndpointKey> {
        let gone = self.sources.iter().filter(|(key, _)| !roster.lists(*key));
        let gone: Vec<_> = gone.map(|(key, source)| (key, source.owner)).collect();
        let mut owners = Vec::new();
        for (key, owner) in gone {
            self.withdraw(key, pool);
            owners.push(owner);
        }
        for (key, listed) in &roster.sources {
            if let Some(source) = self.sources.get_mut(*key) {
                source.video_type = listed.video_type;
                source.set_muted(listed.muted);
            } else {
                let source = listed.source(self.is_own(listed.owner.key));
                self.sources.insert_at(*key, source);
                self.learn(*key);
                owners.push(listed.owner.key);
            }
        }
        self.endpoints.clone_from(&roster.endpoints);
        self.speaker.follow(&roster.speakers);
        let (own, shards) = (self.shard, roster.shards.iter().copied());
        self.set_others(shards.filter(|shard| *shard != own).collect());
        self.changes += 1;
        owners.retain(|owner| self.is_own(*owner));
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// Says which other shards hold a part of it; `true` if that is new.
    pub(crate) fn set_others(&mut self, mut others: Vec<ShardId>) -> bool {
        others.sort_unstable();
        others.dedup();
        if self.others == others {
            return false;
        }
        self.others = others;
        for (_, source) in self.sources.iter_mut() {
            let others = &self.others;
            source.audience.retain(|(shard, _)| others.contains(shard));
        }
        self.edition += 1;
        true
    }
}
