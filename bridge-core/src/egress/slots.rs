//! Gives sources the SSRCs under which one receiver gets them.
//!
//! With SSRC rewriting (Jitsi's) a receiver has at most [`VIDEO_SLOTS_MAX`] and
//! [`AUDIO_SLOTS_MAX`] slots, each with SSRCs of ours. A slot is given to another source only when
//! its old one is not being forwarded, so that nobody is seen under another's name; the one that
//! was used least recently goes first. Without rewriting a source keeps its primary SSRCs, and has
//! a slot as long as it lives. Either way one slot is one steady RTP stream (`rewrite.rs`).
//!
//! No SSRC ever gets the same number twice under one key: what is encrypted could be read and
//! forged (RFC 7714 section 8.4). So the numbers of SSRCs that senders choose are remembered when
//! their slot goes, and two sources with one SSRC are not both forwarded.

use super::history::{History, Sent};
use super::report::Reported;
use super::retransmit::KeyframeThrottle;
use super::rewrite::Rewriter;
use super::select::{Choice, Selector};
use crate::description::{MediaKind, VideoType};
use crate::event::MappedSource;
use crate::id::{SourceKey, Ssrc};
use crate::ingest::source::{MediaPacket, Pending, Source};
use crate::ingest::store::Entry;
use crate::limits::{AUDIO_SLOTS_MAX, RETIRED_SSRCS_MAX, VIDEO_SLOTS_MAX};
use crate::random::Random;
use crate::slab::Slab;
use crate::time::Time;

/// The outgoing streams of one receiver.
#[derive(Debug)]
pub(crate) struct Slots {
    rewriting: bool,
    slots: Vec<Slot>,
    /// Place of the slot of a source, by the place of the source in its conference.
    by_source: Vec<Option<usize>>,
    /// SSRCs of slots that are gone, and the last number of each.
    retired: Vec<(Ssrc, u64)>,
    /// Rises when a source gets a slot or loses it.
    edition: u64,
}

/// An SSRC and the number before its next one.
type Stream = (Ssrc, u64);

/// One outgoing stream and its retransmissions.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) kind: MediaKind,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx: Option<Ssrc>,
    /// Whose packets it carries.
    pub(crate) source: Option<SourceKey>,
    /// What that one shows, as the receiver was told.
    video_type: VideoType,
    /// Whether that one is being forwarded.
    pub(crate) forwarding: bool,
    /// When that was last so.
    used_at: Time,
    pub(crate) selector: Selector,
    pub(crate) rewriter: Rewriter,
    pub(crate) history: History,
    /// The number of the last retransmission, or the one before the first.
    pub(crate) rtx_sequence: u64,
    pub(crate) reported: Reported,
    pub(crate) keyframe_throttle: KeyframeThrottle,
}

impl Slots {
    pub(crate) const fn new(rewriting: bool) -> Self {
        Self {
            rewriting,
            slots: Vec::new(),
            by_source: Vec::new(),
            retired: Vec::new(),
            edition: 0,
        }
    }

    /// How many sources of a kind can be forwarded at once; `None` is unlimited.
    pub(crate) const fn capacity(&self, kind: MediaKind) -> Option<usize> {
        if !self.rewriting {
            return None;
        }
        Some(match kind {
            MediaKind::Audio => AUDIO_SLOTS_MAX,
            MediaKind::Video => VIDEO_SLOTS_MAX,
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// See [`super::Receiver::edition`].
    pub(crate) const fn edition(&self) -> u64 {
        self.edition
    }

    /// Sources that have a slot.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceKey> {
        self.slots.iter().filter_map(|slot| slot.source)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Slot> {
        self.slots.get(at)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Slot> {
        self.slots.get_mut(at)
    }

    /// The place of the slot that carries a source.
    pub(crate) fn place_of(&self, source: SourceKey) -> Option<usize> {
        let at = self.by_source.get(source.0.index as usize).copied()??;
        let slot = self.slots.get(at)?;
        (slot.source == Some(source)).then_some(at)
    }

    /// The place of the slot with that SSRC.
    pub(crate) fn place_of_ssrc(&self, ssrc: Ssrc) -> Option<usize> {
        self.slots.iter().position(|slot| slot.ssrc == ssrc)
    }

    /// Sources that are gone give their slots free; without rewriting the slots go too.
    pub(crate) fn release(&mut self, sources: &Slab<SourceKey, Source>) {
        for slot in &mut self.slots {
            if slot.source.is_some_and(|key| sources.get(key).is_none()) {
                slot.take_over(None);
                self.edition += 1;
            }
        }
        if !self.rewriting {
            let gone = self.slots.extract_if(.., |slot| slot.source.is_none());
            for slot in gone {
                self.retired.push((slot.ssrc, slot.rewriter.highest_out()));
                self.retired
                    .extend(slot.rtx.map(|rtx| (rtx, slot.rtx_sequence)));
            }
        }
        self.index();
    }

    /// Forgets what was sent: it could not be sent again with the same bytes.
    pub(crate) fn clear_histories(&mut self) {
        for slot in &mut self.slots {
            slot.history.clear();
        }
    }

    /// Makes exactly `wanted` the forwarded sources of a kind. Each that has no slot gets one; what
    /// is new, or shows something else now, is added to `mapped`. Sources beyond the capacity get
    /// none.
    pub(crate) fn assign(
        &mut self,
        now: Time,
        kind: MediaKind,
        wanted: impl Iterator<Item = SourceKey> + Clone,
        sources: &Slab<SourceKey, Source>,
        random: &mut Random,
        mapped: &mut Vec<MappedSource>,
    ) {
        for slot in self.slots.iter_mut().filter(|slot| slot.kind == kind) {
            if core::mem::take(&mut slot.forwarding) {
                slot.used_at = now;
            }
        }
        for source in wanted.clone() {
            if let Some(at) = self.place_of(source)
                && let Some(slot) = self.slots.get_mut(at)
            {
                slot.forwarding = true;
                if let Some(source) = sources.get(source)
                    && slot.video_type != source.video_type
                {
                    mapped.push(slot.mapping(source));
                }
            }
        }
        for slot in &mut self.slots {
            if slot.kind == kind && !slot.forwarding {
                slot.stop();
            }
        }
        for key in wanted {
            if self.place_of(key).is_some() {
                continue;
            }
            if let Some(source) = sources.get(key)
                && let Some(at) = self.free_place(now, source, random)
                && let Some(slot) = self.slots.get_mut(at)
            {
                slot.take_over(Some(key));
                slot.forwarding = true;
                self.edition += 1;
                mapped.push(slot.mapping(source));
                self.index();
            }
        }
    }

    /// A place for a new source: a new slot, or when there are enough the one that was not in use
    /// for longest.
    fn free_place(&mut self, now: Time, source: &Source, random: &mut Random) -> Option<usize> {
        let kind = source.kind;
        let idle = |slot: &Slot| slot.kind == kind && !slot.forwarding;
        let unowned = |slot: &Slot| idle(slot) && slot.source.is_none();
        if self.rewriting {
            if let Some(at) = self.slots.iter().position(unowned) {
                return Some(at);
            }
            let count = self.slots.iter().filter(|slot| slot.kind == kind).count();
            if self.capacity(kind).is_some_and(|most| count >= most) {
                let slots = self.slots.iter().enumerate();
                let idle = slots.filter(|(_, slot)| idle(slot));
                return idle.min_by_key(|(_, slot)| slot.used_at).map(|(at, _)| at);
            }
        }
        let (media, rtx) = self.streams(source, random)?;
        self.slots.push(Slot::new(now, kind, media, rtx));
        self.slots.len().checked_sub(1)
    }

    /// SSRCs for a new slot, ours or those of the source's first encoding, each with the number
    /// before its first.
    fn streams(
        &mut self,
        source: &Source,
        random: &mut Random,
    ) -> Option<(Stream, Option<Stream>)> {
        let (media, rtx) = if self.rewriting {
            let media = self.fresh_ssrc(random, None);
            let is_video = source.kind == MediaKind::Video;
            (
                media,
                is_video.then(|| self.fresh_ssrc(random, Some(media))),
            )
        } else {
            let primary = source.encodings.first()?;
            let is_taken = self.is_taken(primary.ssrc)
                || primary.rtx.is_some_and(|rtx| self.is_taken(rtx))
                || primary.rtx == Some(primary.ssrc);
            if is_taken || self.retired.len() > RETIRED_SSRCS_MAX {
                return None;
            }
            (primary.ssrc, primary.rtx)
        };
        let media = self.stream(media, random);
        Some((media, rtx.map(|rtx| self.stream(rtx, random))))
    }

    fn stream(&mut self, ssrc: Ssrc, random: &mut Random) -> Stream {
        let retired = self.retired.iter().position(|(known, _)| *known == ssrc);
        match retired {
            Some(at) => self.retired.swap_remove(at),
            None => (ssrc, first_sequence(random)),
        }
    }

    fn is_taken(&self, ssrc: Ssrc) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| slot.ssrc == ssrc || slot.rtx == Some(ssrc))
    }

    fn fresh_ssrc(&self, random: &mut Random, but: Option<Ssrc>) -> Ssrc {
        loop {
            let ssrc = Ssrc(random.u32());
            if ssrc.0 != 0 && !self.is_taken(ssrc) && but != Some(ssrc) {
                return ssrc;
            }
        }
    }

    fn index(&mut self) {
        self.by_source.fill(None);
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(source) = slot.source else {
                continue;
            };
            let place = source.0.index as usize;
            if self.by_source.len() <= place {
                self.by_source.resize(place + 1, None);
            }
            if let Some(place) = self.by_source.get_mut(place) {
                *place = Some(at);
            }
        }
    }
}

impl Slot {
    fn new(now: Time, kind: MediaKind, media: Stream, rtx: Option<Stream>) -> Self {
        let (ssrc, before_first) = media;
        Self {
            kind,
            ssrc,
            rtx: rtx.map(|(ssrc, _)| ssrc),
            source: None,
            video_type: VideoType::None,
            forwarding: false,
            used_at: now,
            selector: Selector::default(),
            rewriter: Rewriter::new(before_first),
            history: History::default(),
            rtx_sequence: rtx.map_or(0, |(_, before_first)| before_first),
            reported: Reported::default(),
            keyframe_throttle: KeyframeThrottle::default(),
        }
    }

    /// Whether a packet goes on: see `select.rs`. One that comes late has been chosen for already,
    /// as far as its temporal layer tells.
    pub(crate) fn select(&mut self, encoding: u8, packet: &MediaPacket) -> Choice {
        if self.rewriter.is_in_order(encoding, packet.sequence) {
            self.selector.choose(encoding, packet)
        } else if self.selector.accepts_late(packet) {
            Choice::Late
        } else {
            Choice::Vacate
        }
    }

    /// The outgoing number of a packet, if it goes on: see `rewrite.rs`.
    pub(crate) fn number(
        &mut self,
        choice: Choice,
        source: &Source,
        index: u8,
        packet: &MediaPacket,
    ) -> Option<u64> {
        let encoding = source.encodings.get(usize::from(index))?;
        match choice {
            Choice::Start => Some(self.rewriter.start(source, index, packet)),
            Choice::Forward => Some(self.rewriter.forward(encoding, packet)),
            Choice::Late => self.free_number(index, packet.sequence),
            Choice::Vacate => {
                let out = self.free_number(index, packet.sequence)?;
                let pending = Pending {
                    encoding: index,
                    sequence: packet.sequence,
                };
                self.remember_nothing(packet.arrival, out, pending);
                None
            }
            Choice::Skip => {
                self.rewriter.skip(encoding, packet);
                None
            }
            Choice::Ignore => None,
        }
    }

    /// The place of a late packet, if nothing went out under its number.
    fn free_number(&self, encoding: u8, sequence: u64) -> Option<u64> {
        let out = self.rewriter.late(encoding, sequence)?;
        self.history.is_free(out).then_some(out)
    }

    /// Remembers a packet that goes out: see `history.rs`. Sound is not sent again.
    pub(crate) fn remember(&mut self, now: Time, out: u64, pending: Pending) {
        if self.kind == MediaKind::Video {
            let sent = Sent::new(now, out, pending, self.rewriter.shift());
            sent.into_iter().for_each(|sent| self.history.insert(sent));
        }
    }

    /// Remembers that the place of a packet stays empty.
    fn remember_nothing(&mut self, now: Time, out: u64, pending: Pending) {
        self.remember(now, out, pending);
        let shift = self.rewriter.shift_of_nothing();
        if let Some(sent) = self.history.get_mut(out) {
            *sent = sent.into_empty(shift);
        }
    }

    /// What can be sent again under a number: what went out, or nothing, if its packet came since
    /// and is never forwarded.
    pub(crate) fn recall(&mut self, now: Time, out: u64, source: &Source) -> Option<Sent> {
        if self.history.is_free(out) {
            let pending = self.rewriter.packet_at(out)?;
            let encoding = source.encodings.get(usize::from(pending.encoding))?;
            let Entry::Skipped = encoding.store.entry(pending.sequence) else {
                return None;
            };
            self.remember_nothing(now, out, pending);
            self.history.get_mut(out)?.note_resent(now);
        }
        self.history.get(out).copied()
    }

    fn mapping(&mut self, source: &Source) -> MappedSource {
        self.video_type = source.video_type;
        MappedSource {
            source: source.name.clone(),
            owner: source.owner_id.clone(),
            ssrc: self.ssrc,
            rtx: self.rtx,
            video_type: source.video_type,
        }
    }

    /// Another source, or none, has the slot from now on.
    fn take_over(&mut self, source: Option<SourceKey>) {
        self.source = source;
        self.forwarding = false;
        self.selector.reset();
        self.rewriter.change_source();
        self.history.clear();
        self.reported.change_source();
    }

    /// Nothing is forwarded for now; what was sent can still be sent again.
    fn stop(&mut self) {
        self.selector.set_target(None);
        self.rewriter.close();
    }
}

/// A number in the lower half of the first cycle: then a receiver cannot mistake the cycle of the
/// first packets (RFC 3711 section 3.3.1), and the key lasts for the whole stream.
fn first_sequence(random: &mut Random) -> u64 {
    u64::from(random.u32() & 0x7fff)
}
