//! Orders the sources of a conference: who spoke last comes first.
//!
//! The order is made once per change for the whole conference; a receiver only pulls the sources
//! that it named to the front (`allocate.rs`).

use crate::description::{MediaKind, VideoType};
use crate::id::{EndpointKey, SourceKey};
use crate::ingest::source::Source;
use crate::slab::Slab;

/// The sources of a conference in the order of speech.
#[derive(Debug, Default)]
pub(crate) struct SpeechOrder {
    /// Pictures: those being sent first.
    pub(crate) video: Vec<SourceKey>,
    /// Sound: those not muted first.
    pub(crate) audio: Vec<SourceKey>,
    /// By key, each once.
    ranks: Vec<(EndpointKey, u32)>,
    scratch: Vec<(bool, u32, SourceKey)>,
}

impl SpeechOrder {
    /// Makes the order anew. `speakers` are the endpoints that spoke, the latest first;
    /// `endpoints` all of them in the order of joining.
    pub(crate) fn rebuild(
        &mut self,
        sources: &Slab<SourceKey, Source>,
        speakers: &[EndpointKey],
        endpoints: &[EndpointKey],
    ) {
        self.rank_endpoints(speakers, endpoints);
        let mut video = core::mem::take(&mut self.video);
        let mut audio = core::mem::take(&mut self.audio);
        self.sort_into(sources, MediaKind::Video, &mut video);
        self.sort_into(sources, MediaKind::Audio, &mut audio);
        self.video = video;
        self.audio = audio;
    }

    fn rank_endpoints(&mut self, speakers: &[EndpointKey], endpoints: &[EndpointKey]) {
        self.ranks.clear();
        let all = speakers.iter().chain(endpoints);
        self.ranks.extend(all.copied().zip(0..));
        self.ranks.sort_unstable();
        self.ranks.dedup_by_key(|(endpoint, _)| *endpoint);
    }

    fn sort_into(
        &mut self,
        sources: &Slab<SourceKey, Source>,
        kind: MediaKind,
        order: &mut Vec<SourceKey>,
    ) {
        self.scratch.clear();
        for (key, source) in sources.iter().filter(|(_, source)| source.kind == kind) {
            let ranks = &self.ranks;
            let at = ranks.binary_search_by_key(&source.owner, |(endpoint, _)| *endpoint);
            let rank = at.ok().and_then(|at| ranks.get(at));
            let rank = rank.map_or(UNRANKED, |(_, rank)| *rank);
            self.scratch.push((!is_shown(source), rank, key));
        }
        // The key breaks ties, so equal inputs give equal orders.
        self.scratch.sort_unstable();
        order.clear();
        order.extend(self.scratch.iter().map(|(_, _, key)| *key));
    }
}

/// Whether its owner means it to be seen or heard, by what signaling says. Packets do not count
/// here: a sender that nobody watches stops, and must come back when it speaks.
pub(crate) fn is_shown(source: &Source) -> bool {
    !source.muted && (source.kind == MediaKind::Audio || source.video_type != VideoType::None)
}

const UNRANKED: u32 = u32::MAX;
