//! Holds one conference: who is in it, what is sent in it, and whose stream an SSRC is.

use core::mem;

use crate::description::{GroupSemantics, SourceDescription, VideoType};
use crate::error::{Error, Result};
use crate::id::{ConferenceId, EndpointId, EndpointKey, ShardId, SourceKey, SourceName, Ssrc};
use crate::ingest::source::{Encoding, Pending, Source};
use crate::limits::{ENCODINGS_MAX, SOURCES_PER_ENDPOINT_MAX, SSRCS_PER_ENDPOINT_MAX};
use crate::map::{Map, MapSeed};
use crate::packet::Pool;
use crate::slab::Slab;
use crate::time::Time;

use super::mute::ForceMute;
use super::speaker::DominantSpeaker;

/// One conference.
#[derive(Debug)]
pub(crate) struct Conference {
    /// Name.
    pub(crate) id: ConferenceId,
    /// The shard that this is the conference of, or the part of it that its receivers need.
    pub(crate) shard: ShardId,
    /// Endpoints of all shards in the order in which they joined.
    pub(crate) endpoints: Vec<EndpointKey>,
    /// Endpoints of this shard.
    pub(crate) local: Vec<EndpointKey>,
    /// Other shards that hold a part of it, in order.
    pub(crate) others: Vec<ShardId>,
    /// Everything that is announced.
    pub(crate) sources: Slab<SourceKey, Source>,
    /// Who speaks.
    pub(crate) speaker: DominantSpeaker,
    /// SSRCs under which the bridge itself reports (`jvb-a0`, `jvb-v0`).
    pub(crate) feedback: FeedbackSsrcs,
    /// Rises when routes may have to be decided anew: sources come, go, change or fall silent.
    pub(crate) changes: u64,
    /// Rises when other shards must know: who is in, what is announced or stopped.
    pub(crate) edition: u64,
    /// Sources with packets that wait for egress, each once; the engine empties it.
    pub(crate) active: Vec<SourceKey>,
    /// Senders whose feedback became due by what others wished; the engine empties it.
    pub(crate) urgent: Vec<EndpointKey>,
    /// Keyframes wished of other shards' sources, each once; the engine empties it.
    pub(crate) wished: Vec<(SourceKey, u8)>,
    /// What came and other shards are to have; the engine empties it.
    pub(crate) relay: Vec<Relay>,
    streams: Map<Ssrc, StreamKey>,
    names: Map<SourceName, SourceKey>,
}

/// Something of an own source that other shards are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    /// A packet.
    Packet(SourceKey, Pending),
    /// A number that closes without a packet, and whether it was silence.
    Skipped(SourceKey, Pending, bool),
    /// What is known beside the packets has changed.
    Vitals(SourceKey),
}

/// SSRCs under which the bridge itself reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedbackSsrcs {
    /// On sound.
    pub(crate) audio: Ssrc,
    /// On pictures, and on transports.
    pub(crate) video: Ssrc,
}

/// What an SSRC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamKey {
    /// Which source.
    pub(crate) source: SourceKey,
    /// Which of its encodings.
    pub(crate) encoding: u8,
    /// Whether it is the retransmission stream of it.
    pub(crate) is_rtx: bool,
}

/// Who announces sources.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// In the engine.
    pub(crate) key: EndpointKey,
    /// By name.
    pub(crate) id: EndpointId,
    /// What of it is stopped.
    pub(crate) mute: ForceMute,
}

impl Conference {
    /// An empty conference.
    pub(crate) fn new(
        id: ConferenceId,
        feedback: FeedbackSsrcs,
        shard: ShardId,
        seed: MapSeed,
    ) -> Self {
        Self {
            id,
            shard,
            endpoints: Vec::new(),
            local: Vec::new(),
            others: Vec::new(),
            sources: Slab::new(),
            speaker: DominantSpeaker::default(),
            feedback,
            changes: 0,
            edition: 0,
            active: Vec::new(),
            urgent: Vec::new(),
            wished: Vec::new(),
            relay: Vec::new(),
            streams: seed.map(),
            names: seed.map(),
        }
    }

    /// An endpoint comes in, of whichever shard.
    pub(crate) fn join(&mut self, endpoint: EndpointKey) {
        self.endpoints.push(endpoint);
        if self.is_own(endpoint) {
            self.local.push(endpoint);
        }
        self.speaker.join(endpoint);
        self.change();
    }

    /// Whether an endpoint is of this shard.
    pub(crate) fn is_own(&self, endpoint: EndpointKey) -> bool {
        endpoint.0.shard() == self.shard
    }

    /// Notes something for the other shards, if there are any.
    pub(crate) fn pass_on(&mut self, relay: Relay) {
        if !self.others.is_empty() {
            self.relay.push(relay);
        }
    }

    const fn change(&mut self) {
        self.changes += 1;
        self.edition += 1;
    }

    /// An endpoint is gone, and what it sent.
    pub(crate) fn leave(&mut self, endpoint: EndpointKey, pool: &mut Pool) {
        self.endpoints.retain(|other| *other != endpoint);
        self.local.retain(|other| *other != endpoint);
        self.speaker.leave(endpoint);
        let theirs: Vec<SourceKey> = self.sources_of(endpoint).collect();
        for key in theirs {
            self.withdraw(key, pool);
        }
        self.change();
    }

    /// What `owner` has announced.
    pub(crate) fn sources_of(&self, owner: EndpointKey) -> impl Iterator<Item = SourceKey> {
        self.sources
            .iter()
            .filter(move |(_, source)| source.owner == owner)
            .map(|(key, _)| key)
    }

    /// What the SSRC is, if `owner` announced it: nobody can send in another's name.
    pub(crate) fn stream(&self, owner: EndpointKey, ssrc: Ssrc) -> Option<StreamKey> {
        let stream = self.streams.get(&ssrc)?;
        let source = self.sources.get(stream.source)?;
        (source.owner == owner).then_some(*stream)
    }

    /// The source of that name.
    pub(crate) fn named(&self, name: &SourceName) -> Option<SourceKey> {
        self.names.get(name).copied()
    }

    /// Everything that is announced, by name.
    pub(crate) const fn names(&self) -> &Map<SourceName, SourceKey> {
        &self.names
    }

    /// What waited is forwarded.
    pub(crate) fn clear_pending(&mut self) {
        for key in self.active.drain(..) {
            if let Some(source) = self.sources.get_mut(key) {
                source.pending.clear();
            }
        }
    }

    /// Wishes for a keyframe on behalf of a receiver, whose own limits are egress' business. The
    /// throttle of all receivers together is where the source is.
    pub(crate) fn request_keyframe(&mut self, now: Time, key: SourceKey, encoding: u8) {
        let shard = self.shard;
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        if source.owner.0.shard() != shard {
            if !self.wished.contains(&(key, encoding)) {
                self.wished.push((key, encoding));
            }
        } else if source.wish_keyframe(now, encoding.into()) && !self.urgent.contains(&source.owner)
        {
            self.urgent.push(source.owner);
        }
    }

    /// Says what a source of `owner` shows.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it has no source of that name.
    pub(crate) fn set_video_type(
        &mut self,
        owner: EndpointKey,
        name: &SourceName,
        video_type: VideoType,
    ) -> Result<()> {
        let source = self
            .named(name)
            .and_then(|key| self.sources.get_mut(key))
            .filter(|source| source.owner == owner)
            .ok_or(Error::Unknown("source"))?;
        if mem::replace(&mut source.video_type, video_type) != video_type {
            self.change();
        }
        Ok(())
    }

    /// Stops or lets through what `owner` sends by now.
    pub(crate) fn apply_mute(&mut self, owner: EndpointKey, mute: ForceMute) {
        for (_, source) in self.sources.iter_mut() {
            if source.owner == owner {
                source.set_muted(mute.covers(source.kind));
            }
        }
        self.change();
    }

    /// Replaces all that `owner` sends; a source that is announced as before goes on undisturbed.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::Misuse`] for groups that make no sense, [`Error::Exists`] when
    /// another endpoint has the name or the SSRC. Nothing is changed then.
    pub(crate) fn set_sources(
        &mut self,
        owner: &Owner,
        descriptions: &[SourceDescription],
        pool: &mut Pool,
    ) -> Result<Vec<SourceKey>> {
        let wanted = self.check(owner.key, descriptions)?;
        let leaving: Vec<SourceKey> = self
            .sources_of(owner.key)
            .filter(|key| {
                let source = self.sources.get(*key);
                !source.is_some_and(|source| wanted.iter().any(|new| new.describes(source)))
            })
            .collect();
        for key in leaving {
            self.withdraw(key, pool);
        }
        self.change();
        Ok(wanted
            .into_iter()
            .map(|new| self.announce(owner, new))
            .collect())
    }

    /// Reads the descriptions without changing anything.
    fn check<'a>(
        &self,
        owner: EndpointKey,
        descriptions: &'a [SourceDescription],
    ) -> Result<Vec<Announced<'a>>> {
        if descriptions.len() > SOURCES_PER_ENDPOINT_MAX {
            return Err(Error::Limit("sources of one endpoint"));
        }
        let count: usize = descriptions.iter().map(|one| one.ssrcs.len()).sum();
        if count > SSRCS_PER_ENDPOINT_MAX {
            return Err(Error::Limit("SSRCs of one endpoint"));
        }
        let mut ssrcs: Vec<Ssrc> = descriptions
            .iter()
            .flat_map(|one| &one.ssrcs)
            .copied()
            .collect();
        ssrcs.sort_unstable();
        if ssrcs.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Error::Exists("SSRC"));
        }
        let is_foreign = |key: &SourceKey| {
            let source = self.sources.get(*key);
            source.is_some_and(|source| source.owner != owner)
        };
        let is_taken = |ssrc: &Ssrc| {
            let stream = self.streams.get(ssrc);
            *ssrc == self.feedback.audio
                || *ssrc == self.feedback.video
                || stream.is_some_and(|stream| is_foreign(&stream.source))
        };
        if ssrcs.iter().any(is_taken) {
            return Err(Error::Exists("SSRC"));
        }
        let names = || descriptions.iter().map(|one| &one.name);
        if names().any(|name| self.names.get(name).is_some_and(is_foreign)) {
            return Err(Error::Exists("source"));
        }
        for (at, name) in names().enumerate() {
            if names().take(at).any(|other| other == name) {
                return Err(Error::Exists("source"));
            }
        }
        descriptions.iter().map(Announced::read).collect()
    }

    fn announce(&mut self, owner: &Owner, new: Announced<'_>) -> SourceKey {
        let description = new.description;
        if let Some(key) = self.named(&description.name) {
            if let Some(source) = self.sources.get_mut(key) {
                source.video_type = description.video_type;
            }
            return key;
        }
        let is_own = self.is_own(owner.key);
        let encodings = new.encodings.iter();
        let encodings = encodings.map(|(ssrc, rtx)| match is_own {
            true => Encoding::new(*ssrc, *rtx, description.kind),
            false => Encoding::mirror(*ssrc, *rtx, description.kind),
        });
        let (name, kind) = (description.name.clone(), description.kind);
        let encodings = encodings.collect();
        let source = Source::new(owner, name, kind, description.video_type, encodings);
        let key = self.sources.insert_with(|_| source);
        self.learn(key);
        key
    }

    /// Lets a source that is in the table be found by its name and its SSRCs.
    pub(super) fn learn(&mut self, key: SourceKey) {
        let Some(source) = self.sources.get(key) else {
            return;
        };
        self.names.insert(source.name.clone(), key);
        for (encoding, one) in (0..).zip(&source.encodings) {
            let stream = |is_rtx| StreamKey {
                source: key,
                encoding,
                is_rtx,
            };
            self.streams.insert(one.ssrc, stream(false));
            if let Some(rtx) = one.rtx {
                self.streams.insert(rtx, stream(true));
            }
        }
    }

    pub(super) fn withdraw(&mut self, key: SourceKey, pool: &mut Pool) {
        let Some(mut source) = self.sources.remove(key) else {
            return;
        };
        self.names.remove(&source.name);
        for encoding in &mut source.encodings {
            self.streams.remove(&encoding.ssrc);
            if let Some(rtx) = encoding.rtx {
                self.streams.remove(&rtx);
            }
            encoding.store.clear(pool);
        }
    }
}

/// A description whose groups have been read.
#[derive(Debug)]
struct Announced<'a> {
    description: &'a SourceDescription,
    /// Each encoding and its retransmissions, smallest first.
    encodings: Vec<(Ssrc, Option<Ssrc>)>,
}

impl<'a> Announced<'a> {
    fn read(description: &'a SourceDescription) -> Result<Self> {
        let ssrcs = &description.ssrcs;
        let groups = &description.groups;
        let is_listed = |ssrc: &Ssrc| ssrcs.contains(ssrc);
        if !groups.iter().all(|group| group.ssrcs.iter().all(is_listed)) {
            return Err(Error::Misuse("a group names an SSRC that is not listed"));
        }
        let of = |semantics| {
            groups
                .iter()
                .filter(move |group| group.semantics == semantics)
        };
        let mut pairs = Vec::new();
        for group in of(GroupSemantics::FlowIdentification) {
            match group.ssrcs.as_slice() {
                [stream, rtx] if stream != rtx => pairs.push((*stream, *rtx)),
                _ => return Err(Error::Misuse("a FID group is not a pair")),
            }
        }
        let is_rtx = |ssrc: &Ssrc| pairs.iter().any(|(_, rtx)| rtx == ssrc);
        let rtx_of = |ssrc: &Ssrc| pairs.iter().find(|(stream, _)| stream == ssrc);
        if pairs.iter().any(|(stream, _)| is_rtx(stream)) {
            return Err(Error::Misuse("a retransmission of a retransmission"));
        }
        let streams: Vec<Ssrc> = match of(GroupSemantics::Simulcast).next() {
            Some(group) => group.ssrcs.clone(),
            None => ssrcs.iter().copied().filter(|ssrc| !is_rtx(ssrc)).collect(),
        };
        let encodings: Vec<_> = streams
            .iter()
            .map(|ssrc| (*ssrc, rtx_of(ssrc).map(|(_, rtx)| *rtx)))
            .collect();
        let mut claimed: Vec<Ssrc> = encodings
            .iter()
            .flat_map(|(ssrc, rtx)| [Some(*ssrc), *rtx])
            .flatten()
            .collect();
        claimed.sort_unstable();
        if claimed.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Error::Misuse("an SSRC has two meanings"));
        }
        match encodings.len() {
            0 => Err(Error::Misuse("a source without a stream")),
            count if count > ENCODINGS_MAX => Err(Error::Limit("encodings of one source")),
            _ => Ok(Self {
                description,
                encodings,
            }),
        }
    }

    /// Whether `source` is what was announced, so that it can go on.
    fn describes(&self, source: &Source) -> bool {
        let streams = || source.encodings.iter().map(|one| (one.ssrc, one.rtx));
        source.name == self.description.name
            && source.kind == self.description.kind
            && streams().eq(self.encodings.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{MediaKind, SsrcGroup};
    use crate::id::Key;

    fn endpoint(index: u32) -> EndpointKey {
        EndpointKey(Key {
            index,
            generation: 0,
        })
    }

    fn owner(index: u32) -> Owner {
        Owner {
            key: endpoint(index),
            id: EndpointId::new(&format!("endpoint{index}")).unwrap(),
            mute: ForceMute::default(),
        }
    }

    fn conference() -> (Conference, Pool) {
        let feedback = FeedbackSsrcs {
            audio: Ssrc(1_001),
            video: Ssrc(1_002),
        };
        let id = ConferenceId::new("room").unwrap();
        let conference = Conference::new(id, feedback, ShardId(0), MapSeed::new(7));
        (conference, Pool::new(8))
    }

    /// A video source; a group is `S` or `F` and its SSRCs.
    fn video(name: &str, ssrcs: &[u32], groups: &[(char, &[u32])]) -> SourceDescription {
        let list = |numbers: &[u32]| numbers.iter().copied().map(Ssrc).collect();
        let group = |(semantics, ssrcs): &(char, &[u32])| SsrcGroup {
            semantics: match semantics {
                'S' => GroupSemantics::Simulcast,
                _ => GroupSemantics::FlowIdentification,
            },
            ssrcs: list(ssrcs),
        };
        SourceDescription {
            name: SourceName::new(name).unwrap(),
            kind: MediaKind::Video,
            video_type: VideoType::Camera,
            ssrcs: list(ssrcs),
            groups: groups.iter().map(group).collect(),
        }
    }

    fn encodings(conference: &Conference, name: &str) -> Vec<(u32, Option<u32>)> {
        let key = conference.named(&SourceName::new(name).unwrap()).unwrap();
        let encodings = &conference.sources.get(key).unwrap().encodings;
        let pair = |one: &Encoding| (one.ssrc.0, one.rtx.map(|rtx| rtx.0));
        encodings.iter().map(pair).collect()
    }

    #[test]
    fn groups_become_encodings_in_the_order_of_simulcast() {
        let (mut conference, mut pool) = conference();
        let sources = [
            video("alone", &[1], &[]),
            video("repeated", &[2, 3], &[('F', &[2, 3])]),
            video(
                "three",
                &[4, 5, 6, 7, 8, 9],
                &[
                    ('F', &[6, 9]),
                    ('S', &[6, 4, 5]),
                    ('F', &[4, 7]),
                    ('F', &[5, 8]),
                ],
            ),
            video("no group", &[11, 10], &[]),
        ];
        conference
            .set_sources(&owner(0), &sources, &mut pool)
            .unwrap();
        assert_eq!(encodings(&conference, "alone"), [(1, None)]);
        assert_eq!(encodings(&conference, "repeated"), [(2, Some(3))]);
        let three = [(6, Some(9)), (4, Some(7)), (5, Some(8))];
        assert_eq!(encodings(&conference, "three"), three);
        assert_eq!(encodings(&conference, "no group"), [(11, None), (10, None)]);
        let stream = conference.stream(endpoint(0), Ssrc(8)).unwrap();
        assert_eq!((stream.encoding, stream.is_rtx), (2, true));
        assert_eq!(conference.stream(endpoint(1), Ssrc(8)), None, "another's");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let (mut conference, mut pool) = conference();
        let before = [video("kept", &[1, 2], &[('F', &[1, 2])])];
        conference
            .set_sources(&owner(0), &before, &mut pool)
            .unwrap();
        let many: Vec<u32> = (100..161).collect();
        let cases = [
            ("no stream", vec![video("a", &[], &[])]),
            (
                "a stranger in a group",
                vec![video("a", &[5, 6], &[('S', &[5, 7])])],
            ),
            (
                "three in a pair",
                vec![video("a", &[5, 6, 7], &[('F', &[5, 6, 7])])],
            ),
            ("one in a pair", vec![video("a", &[5], &[('F', &[5])])]),
            (
                "itself in a pair",
                vec![video("a", &[5], &[('F', &[5, 5])])],
            ),
            (
                "a chain",
                vec![video("a", &[5, 6, 7], &[('F', &[5, 6]), ('F', &[6, 7])])],
            ),
            (
                "a circle",
                vec![video("a", &[5, 6], &[('F', &[5, 6]), ('F', &[6, 5])])],
            ),
            (
                "one rtx of two",
                vec![video("a", &[5, 6, 7], &[('F', &[5, 7]), ('F', &[6, 7])])],
            ),
            (
                "twice in simulcast",
                vec![video("a", &[5, 6], &[('S', &[5, 5])])],
            ),
            (
                "an rtx in simulcast",
                vec![video("a", &[5, 6], &[('S', &[5, 6]), ('F', &[5, 6])])],
            ),
            ("an empty simulcast", vec![video("a", &[5], &[('S', &[])])]),
            ("four encodings", vec![video("a", &[5, 6, 7, 8], &[])]),
            ("an SSRC twice", vec![video("a", &[5, 5], &[])]),
            (
                "an SSRC in two",
                vec![video("a", &[5], &[]), video("b", &[5], &[])],
            ),
            (
                "a name twice",
                vec![video("a", &[5], &[]), video("a", &[6], &[])],
            ),
            ("our SSRC", vec![video("a", &[1_001], &[])]),
            ("too many SSRCs", vec![video("a", &many, &[])]),
            (
                "too many sources",
                (0..21)
                    .map(|n| video(&n.to_string(), &[100 + n], &[]))
                    .collect(),
            ),
        ];
        let changes = conference.changes;
        for (case, sources) in cases {
            let result = conference.set_sources(&owner(0), &sources, &mut pool);
            assert!(result.is_err(), "{case}");
            assert_eq!(encodings(&conference, "kept"), [(1, Some(2))], "{case}");
            assert_eq!(conference.sources.len(), 1, "{case}");
        }
        assert_eq!(conference.changes, changes);
    }

    #[test]
    fn what_is_announced_again_goes_on_and_the_rest_is_withdrawn() {
        let (mut conference, mut pool) = conference();
        let first = [
            video("a", &[1], &[]),
            video("b", &[2], &[]),
            video("c", &[3], &[]),
        ];
        let first = conference
            .set_sources(&owner(0), &first, &mut pool)
            .unwrap();
        let shared = SourceDescription {
            video_type: VideoType::Desktop,
            ..video("a", &[1], &[])
        };
        let second = [video("c", &[4], &[]), shared, video("d", &[2], &[])];
        let second = conference
            .set_sources(&owner(0), &second, &mut pool)
            .unwrap();
        assert_eq!(second[1], first[0], "goes on");
        let a = conference.sources.get(first[0]).unwrap();
        assert_eq!(a.video_type, VideoType::Desktop);
        assert!(conference.sources.get(first[1]).is_none());
        assert!(
            conference.sources.get(first[2]).is_none(),
            "its stream changed"
        );
        assert_eq!(encodings(&conference, "c"), [(4, None)]);
        let stream = conference.stream(endpoint(0), Ssrc(2)).unwrap();
        assert_eq!(stream.source, second[2], "an SSRC may move");
        assert_eq!(conference.stream(endpoint(0), Ssrc(3)), None);
    }

    #[test]
    fn names_and_streams_are_free_again_when_their_owner_leaves() {
        let (mut conference, mut pool) = conference();
        (0..3).for_each(|index| conference.join(endpoint(index)));
        let source = [video("a", &[1, 2], &[('F', &[1, 2])])];
        conference
            .set_sources(&owner(1), &source, &mut pool)
            .unwrap();
        let claim = conference.set_sources(&owner(2), &source, &mut pool);
        assert!(matches!(claim, Err(Error::Exists(_))));
        conference.leave(endpoint(1), &mut pool);
        assert!(conference.sources.is_empty());
        assert_eq!(conference.endpoints, [endpoint(0), endpoint(2)]);
        assert_eq!(conference.speaker.order(), [endpoint(0), endpoint(2)]);
        assert!(
            conference
                .set_sources(&owner(2), &source, &mut pool)
                .is_ok()
        );
    }

    #[test]
    fn only_its_owner_says_what_a_source_shows() {
        let (mut conference, mut pool) = conference();
        let source = [video("a", &[1], &[])];
        conference
            .set_sources(&owner(0), &source, &mut pool)
            .unwrap();
        let name = SourceName::new("a").unwrap();
        let changes = conference.changes;
        let desktop = VideoType::Desktop;
        let result = conference.set_video_type(endpoint(1), &name, desktop);
        assert!(matches!(result, Err(Error::Unknown("source"))));
        for _ in 0..2 {
            conference
                .set_video_type(endpoint(0), &name, desktop)
                .unwrap();
            assert_eq!(conference.changes, changes + 1);
        }
    }

    #[test]
    fn a_wish_for_a_keyframe_makes_its_sender_urgent_once() {
        let (mut conference, mut pool) = conference();
        let sources = [video("a", &[1], &[]), video("b", &[2], &[])];
        let keys = conference
            .set_sources(&owner(3), &sources, &mut pool)
            .unwrap();
        for key in &keys {
            conference.request_keyframe(Time::ZERO, *key, 0);
            conference.request_keyframe(Time::ZERO, *key, 1);
        }
        assert_eq!(conference.urgent, [endpoint(3)]);
        conference.leave(endpoint(3), &mut pool);
        conference.urgent.clear();
        conference.request_keyframe(Time::ZERO, keys[0], 0);
        assert!(conference.urgent.is_empty(), "it is gone");
    }
}
