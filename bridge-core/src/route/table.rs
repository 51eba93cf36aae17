//! Holds what one receiver gets of each source, and what all receivers together ask of senders.

use crate::description::MediaKind;
use crate::id::{EndpointKey, SourceKey, SourceName};
use crate::ingest::source::Source;
use crate::limits::ENCODINGS_MAX;
use crate::map::Map;
use crate::slab::Slab;

use super::allocate::{Allocation, Candidate, Layer, Offer, Reason, TEMPORAL_MAX, allocate};
use super::audio::is_heard;
use super::constraints::{Constraints, Rank};
use super::last_n::{SpeechOrder, is_shown};
use crate::time::Time;

/// The conference as a receiver sees it when it decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Every source of the conference.
    pub(crate) sources: &'a Slab<SourceKey, Source>,
    /// The same by name.
    pub(crate) names: &'a Map<SourceName, SourceKey>,
    /// The same by importance.
    pub(crate) order: &'a SpeechOrder,
    /// The receiver itself, which does not get what it sends.
    pub(crate) own: EndpointKey,
}

/// What a receiver can take at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Whether it takes the codec of pictures.
    pub(crate) video: bool,
    /// Whether it takes the codec of sound.
    pub(crate) audio: bool,
    /// Bits per second; `None` is unlimited.
    pub(crate) budget: Option<u64>,
    /// Videos that have a slot; `None` is unlimited.
    pub(crate) video_slots: Option<usize>,
    /// Sounds that have a slot; `None` is unlimited.
    pub(crate) audio_slots: Option<usize>,
}

/// What one receiver gets of each source.
#[derive(Debug, Default)]
pub(crate) struct Table {
    allocations: Vec<Allocation>,
    audio: Vec<SourceKey>,
    candidates: Vec<Candidate>,
    /// The sources that the receiver named, the most important first.
    ranked: Vec<(Rank, SourceKey)>,
    /// The decisions before the latest, sorted by source.
    before: Vec<Allocation>,
}

impl Table {
    /// Decides anew. Called when something changed or some seconds have passed, never per packet.
    /// `true` if senders may have to know: a source is wanted at another height.
    pub(crate) fn decide(
        &mut self,
        now: Time,
        view: &View<'_>,
        constraints: &Constraints,
        capacity: &Capacity,
    ) -> bool {
        self.before.clear();
        self.before.extend_from_slice(&self.allocations);
        self.before.sort_unstable_by_key(|before| before.source);
        self.audio.clear();
        if capacity.audio {
            let audible = view.order.audio.iter().copied().filter(|key| {
                let source = view.sources.get(*key);
                source.is_some_and(|source| is_heard(view.own, source))
            });
            let most = capacity.audio_slots.unwrap_or(usize::MAX);
            self.audio.extend(audible.take(most));
        }
        self.rank(view, constraints);
        self.gather(now, view, constraints, capacity);
        let sound = self.audio.iter().map(|key| bitrate(now, view, *key));
        let sound = sound.fold(0, u64::saturating_add);
        let budget = capacity.budget.map(|all| all.saturating_sub(sound));
        allocate(&self.candidates, budget, &mut self.allocations);
        let is_as_before = |now: &Allocation| {
            let before = decided_before(&self.before, now.source);
            before.map_or(0, |before| before.wanted_height) == now.wanted_height
        };
        wanted(&self.before) != wanted(&self.allocations)
            || !self.allocations.iter().all(is_as_before)
    }

    /// Whether the same could be decided otherwise some time later: a picture that the receiver
    /// may get comes in, at a rate that changes.
    pub(crate) fn varies(&self) -> bool {
        let open = |candidate: &&Candidate| candidate.refusal.is_none();
        let mut offers = self.candidates.iter().filter(open);
        offers.any(|open| open.offers.iter().flatten().any(|offer| offer.live))
    }

    /// Decisions on pictures, the most important first.
    pub(crate) fn video(&self) -> &[Allocation] {
        &self.allocations
    }

    /// Sounds that are forwarded.
    pub(crate) fn audio(&self) -> &[SourceKey] {
        &self.audio
    }

    /// Finds the videos of others that the receiver named: on stage, then selected.
    fn rank(&mut self, view: &View<'_>, constraints: &Constraints) {
        self.ranked.clear();
        let named = constraints.ranks().iter();
        self.ranked.extend(named.filter_map(|(name, rank)| {
            let key = *view.names.get(name)?;
            let source = view.sources.get(key)?;
            (source.kind == MediaKind::Video && source.owner != view.own).then_some((*rank, key))
        }));
    }

    /// Lists what may be forwarded: what the receiver named, then by speech. It ends where lastN
    /// does, so that a conference of any size costs a receiver no more than that.
    fn gather(
        &mut self,
        now: Time,
        view: &View<'_>,
        constraints: &Constraints,
        capacity: &Capacity,
    ) {
        let wanted = constraints.last_n().unwrap_or(usize::MAX);
        let mut places = wanted.min(capacity.video_slots.unwrap_or(usize::MAX));
        let ranked = &self.ranked;
        let is_ranked = |key: &SourceKey| ranked.iter().any(|(_, named)| named == key);
        let others = view.order.video.iter().filter(|key| !is_ranked(key));
        let others = others.map(|key| (Rank::Other, *key));
        self.candidates.clear();
        for (rank, key) in ranked.iter().copied().chain(others) {
            if places == 0 {
                break;
            }
            let source = view.sources.get(key);
            let Some(source) = source.filter(|source| source.owner != view.own) else {
                continue;
            };
            let wish = constraints.wish(&source.name);
            let refusal = if !capacity.video {
                Some(Reason::Codec)
            } else if wish.max_height == 0 {
                Some(Reason::Constraint)
            } else if !is_shown(source) {
                Some(Reason::NotShown)
            } else {
                // What is refused takes no place of lastN.
                places -= 1;
                None
            };
            let before = decided_before(&self.before, key).and_then(|before| before.target);
            self.candidates.push(Candidate {
                source: key,
                video_type: source.video_type,
                on_stage: matches!(rank, Rank::OnStage(_)),
                refusal,
                wish,
                offers: match refusal {
                    None => offers(now, source),
                    Some(_) => [None; ENCODINGS_MAX],
                },
                current: before.map(|target| target.encoding),
            });
        }
    }
}

/// The decision on a source among the earlier ones, which are in order.
fn decided_before(before: &[Allocation], source: SourceKey) -> Option<&Allocation> {
    let at = before.binary_search_by_key(&source, |before| before.source);
    before.get(at.ok()?)
}

/// How many sources are wanted at any height.
fn wanted(allocations: &[Allocation]) -> usize {
    let wanted = allocations.iter().filter(|one| one.wanted_height != 0);
    wanted.count()
}

/// What a sound takes of the budget, before any picture.
fn bitrate(now: Time, view: &View<'_>, source: SourceKey) -> u64 {
    let source = view.sources.get(source);
    let encodings = source.into_iter().flat_map(|source| &source.encodings);
    encodings.map(|encoding| encoding.bitrate(now)).sum()
}

/// What a source offers now. A height that no keyframe has told yet is taken to double from 180,
/// and the rate of an encoding that has just begun to be at least [`RATE_STEP`] times that of the
/// one below it.
fn offers(now: Time, source: &Source) -> [Option<Offer>; ENCODINGS_MAX] {
    let mut offers = [None; ENCODINGS_MAX];
    let mut below = 0;
    for ((place, encoding), (index, height)) in offers
        .iter_mut()
        .zip(&source.encodings)
        .zip((0..).zip(DEFAULT_HEIGHTS))
    {
        let measured = encoding.bitrate(now);
        let expected = if encoding.is_fresh(now) {
            RATE_STEP * below
        } else {
            0
        };
        let bitrate = measured.max(expected);
        *place = Some(Offer {
            encoding: index,
            height: encoding.height.unwrap_or(height),
            bitrate,
            live: encoding.live,
        });
        below = bitrate;
    }
    offers
}

/// How many times the rate of the next smaller encoding one has that doubles the height.
const RATE_STEP: u64 = 3;

/// Layer of a sound.
pub(crate) const AUDIO_LAYER: Layer = Layer {
    encoding: 0,
    temporal: TEMPORAL_MAX,
};

/// Lines of simulcast encodings before they are known (JVB's assumption).
const DEFAULT_HEIGHTS: [u16; ENCODINGS_MAX] = [180, 360, 720];

/// What the receivers of a conference together ask of each sender: the largest height that anybody
/// wants of a source.
#[derive(Debug, Default)]
pub(crate) struct SenderConstraints {
    /// By the place of the source in the conference.
    heights: Vec<Height>,
}

#[derive(Clone, Copy, Debug)]
struct Height {
    source: SourceKey,
    wanted: i32,
    told: Option<i32>,
}

impl SenderConstraints {
    /// Gathers what `receivers` and other shards want, and tells each change: of which source,
    /// what was told before, and what is wanted now.
    pub(crate) fn update<'a>(
        &mut self,
        sources: &Slab<SourceKey, Source>,
        receivers: impl Iterator<Item = &'a Table>,
        mut tell: impl FnMut(SourceKey, &Source, Option<i32>, i32),
    ) {
        let videos = || {
            let sources = sources.iter();
            sources.filter(|(_, source)| source.kind == MediaKind::Video)
        };
        for (key, source) in videos() {
            let wanted = source.audience.iter().map(|(_, height)| *height);
            self.begin(key, wanted.fold(0, larger));
        }
        for allocation in receivers.flat_map(Table::video) {
            let at = allocation.source.0.index as usize;
            if let Some(height) = self.heights.get_mut(at)
                && height.source == allocation.source
            {
                height.wanted = larger(height.wanted, allocation.wanted_height);
            }
        }
        for (key, source) in videos() {
            let Some(height) = self.heights.get_mut(key.0.index as usize) else {
                continue;
            };
            let before = height.told.replace(height.wanted);
            if before != Some(height.wanted) {
                tell(key, source, before, height.wanted);
            }
        }
    }

    fn begin(&mut self, source: SourceKey, wanted: i32) {
        let fresh = Height {
            source,
            wanted,
            told: None,
        };
        let at = source.0.index as usize;
        if self.heights.len() <= at {
            self.heights.resize(at + 1, fresh);
        }
        if let Some(place) = self.heights.get_mut(at) {
            let told = place.told.filter(|_| place.source == source);
            *place = Height { told, ..fresh };
        }
    }
}

/// The larger of two heights; below zero is unlimited.
fn larger(a: i32, b: i32) -> i32 {
    if a < 0 || b < 0 { -1 } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::ReceiverOptions;
    use crate::egress::script::Script;

    /// The heights that are told when receivers want these.
    fn told(
        constraints: &mut SenderConstraints,
        script: &Script,
        wanted: &[i32],
    ) -> Vec<(SourceName, i32)> {
        let source = script.sources.iter().next().unwrap().0;
        let table = |height: &i32| Table {
            allocations: vec![Allocation {
                source,
                target: None,
                wanted_height: *height,
                reason: Reason::Fits,
            }],
            ..Table::default()
        };
        let tables: Vec<Table> = wanted.iter().map(table).collect();
        let mut told = Vec::new();
        constraints.update(&script.sources, tables.iter(), |_, source, _, height| {
            told.push((source.name.clone(), height));
        });
        told
    }

    #[test]
    fn a_sender_is_told_the_largest_height_when_it_changes() {
        let options = ReceiverOptions {
            ssrc_rewriting: true,
            initial_max_height: 0,
            trust_no_estimate: true,
            evens_out: true,
        };
        let mut script = Script::new(options).unwrap();
        let source = script.announce(MediaKind::Video, 3).unwrap();
        script.announce(MediaKind::Audio, 1).unwrap();
        let name = script.sources.get(source).unwrap().name.clone();
        let mut constraints = SenderConstraints::default();
        let table: [(&[i32], Option<i32>); 6] = [
            (&[], Some(0)),
            (&[180, 720, 0], Some(720)),
            (&[720], None),
            (&[720, -1], Some(-1)),
            (&[360, 180], Some(360)),
            (&[0], Some(0)),
        ];
        for (wanted, told_height) in table {
            let expected: Vec<_> = told_height
                .map(|height| (name.clone(), height))
                .into_iter()
                .collect();
            assert_eq!(
                told(&mut constraints, &script, wanted),
                expected,
                "{wanted:?}"
            );
        }
        let old = script.sources.remove(source).unwrap();
        let new = script.sources.insert_with(|_| old);
        assert_eq!(
            new.0.index, source.0.index,
            "the same place, another source"
        );
        assert_eq!(told(&mut constraints, &script, &[0]), [(name, 0)]);
    }
}
