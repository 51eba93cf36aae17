//! Sends to one receiver what it gets of each source.
//!
//! [`Receiver::route`] decides ahead of time (`route/`) and gives each forwarded source a slot;
//! [`Receiver::flush`] takes what came in a pass through the stages in order; feedback of the
//! receiver comes by [`Receiver::handle_rtcp`].

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod bench;

pub(crate) mod bound;

pub(crate) mod history;

pub(crate) mod report;

pub(crate) mod retransmit;

pub(crate) mod rewrite;

pub(crate) mod runs;

#[cfg(any(test, feature = "unstable-toolbox"))]
pub(crate) mod script;

pub(crate) mod select;

pub(crate) mod send;

pub(crate) mod slots;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod storm;

pub(crate) mod tag;

#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::description::{MediaDescription, MediaKind, ReceiverConstraints};
use crate::engine::{Outbox, Path};
use crate::event::{Event, MappedSource};
use crate::id::{EndpointAddress, SourceKey, SourceName, Ssrc};
use crate::ingest::source::{Pending, Source};
use crate::random::Random;
use crate::route::allocate::{Allocation, Layer};
use crate::route::constraints::Constraints;
use crate::route::table::{AUDIO_LAYER, Capacity, Table, View};
use crate::rtcp::{CompoundWriter, ReportBlock, RtcpPacket, draw, next_report};
use crate::slab::Slab;
use crate::srtp::OutboundContext;
use crate::stats::BridgeStats;
use crate::time::{COMMON_STEP, Time};

use bound::Bound;
use retransmit::{Retransmissions, Wanted};
use select::Choice;
use send::{Batch, Form, Planned};
use slots::Slots;
use tag::Negotiated;

/// The receiving half of an endpoint.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: EndpointAddress,
    ssrc_rewriting: bool,
    evens_out: bool,
    negotiated: Negotiated,
    constraints: Constraints,
    table: Table,
    slots: Slots,
    retransmissions: Retransmissions,
    bound: Bound,
    /// The bound that the latest decision was made with.
    acted_bound: Option<u64>,
    rtt: Option<Duration>,
    /// The transport-wide number that was given last.
    transport_sequence: u16,
    batch: Batch,
    keyframe_wishes: Vec<(SourceKey, u8)>,
    /// Videos that are forwarded, the most important first.
    forwarded: Vec<SourceKey>,
    mapped: Vec<MappedSource>,
    /// When to decide anew by itself; `None` while nothing can turn out otherwise.
    next_route: Option<Time>,
    /// When to look for sender reports to pass on; `None` while nothing is sent.
    next_report: Option<Time>,
}

/// How a receiver is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverOptions {
    /// Whether sources come on SSRCs of ours, in slots.
    pub(crate) ssrc_rewriting: bool,
    /// Lines of each video before the receiver says what it wants; −1 is unlimited.
    pub(crate) initial_max_height: i32,
    /// Whether one that gives no estimate is not bounded.
    pub(crate) trust_no_estimate: bool,
    /// Whether packets of pictures are padded for longer runs.
    pub(crate) evens_out: bool,
}

impl Receiver {
    pub(crate) fn new(now: Time, address: EndpointAddress, options: ReceiverOptions) -> Self {
        Self {
            address,
            ssrc_rewriting: options.ssrc_rewriting,
            evens_out: options.evens_out,
            negotiated: Negotiated::default(),
            constraints: Constraints::new(options.initial_max_height),
            table: Table::default(),
            slots: Slots::new(options.ssrc_rewriting),
            retransmissions: Retransmissions::new(),
            bound: Bound::new(now, options.trust_no_estimate),
            acted_bound: None,
            rtt: None,
            transport_sequence: 0,
            batch: Batch::default(),
            keyframe_wishes: Vec::new(),
            forwarded: Vec::new(),
            mapped: Vec::new(),
            next_route: Some(now),
            next_report: None,
        }
    }

    /// Takes over what the endpoint can receive.
    pub(crate) fn set_media(&mut self, now: Time, media: &[MediaDescription]) {
        let before = self.negotiated.clone();
        self.negotiated.set_media(media);
        if self.negotiated != before {
            self.slots.clear_histories();
            self.next_route = Some(now);
        }
    }

    /// Takes over what the endpoint wants to see.
    pub(crate) fn set_constraints(&mut self, now: Time, constraints: &ReceiverConstraints) {
        self.constraints.apply(constraints);
        self.next_route = Some(now);
    }

    /// What it gets of each source, for the conference's `SenderConstraints`.
    pub(crate) const fn table(&self) -> &Table {
        &self.table
    }

    /// Rises when it has a slot for another source, or one less.
    pub(crate) const fn edition(&self) -> u64 {
        self.slots.edition()
    }

    /// Sources that it has a slot for.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceKey> {
        self.slots.sources()
    }

    /// The measured round trip, by the receiver's reports.
    pub(crate) const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether [`Receiver::route`] is due by itself; it is also due when the conference changed
    /// (sources, encodings that come or go, mutes, order of speakers).
    pub(crate) fn is_route_due(&self, now: Time) -> bool {
        self.next_route.is_some_and(|at| now >= at)
    }

    /// Whether [`Receiver::flush`] or [`Receiver::route`] has something to do without media.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.is_route_due(now)
            || !self.retransmissions.is_empty()
            || !self.keyframe_wishes.is_empty()
    }

    /// When something is due by itself: a decision or a report.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let both = [self.next_route, self.next_report];
        both.into_iter().flatten().min()
    }

    /// Keyframes that this receiver needs since the last call: source and encoding. The caller
    /// passes them on to the sources, which throttle them over all receivers.
    pub(crate) fn keyframe_wishes(&mut self) -> impl Iterator<Item = (SourceKey, u8)> {
        self.keyframe_wishes.drain(..)
    }

    /// Decides what the receiver gets from now on, gives slots, and tells what changed. To be
    /// called once its transport is up, before the flush of the same pass. `true` if the
    /// conference's `SenderConstraints` have to be updated.
    pub(crate) fn route(
        &mut self,
        now: Time,
        view: &View<'_>,
        random: &mut Random,
        outbox: &mut impl Outbox,
    ) -> bool {
        let bound = self.bound.bitrate(&self.negotiated);
        let capacity = Capacity {
            audio: self.negotiated.audio.media.is_some(),
            video: self.negotiated.video.media.is_some(),
            budget: self.constraints.assumed_bandwidth().or(bound),
            audio_slots: self.slots.capacity(MediaKind::Audio),
            video_slots: self.slots.capacity(MediaKind::Video),
        };
        let wants_otherwise = self.table.decide(now, view, &self.constraints, &capacity);
        self.acted_bound = bound;
        let drains = self.bound.is_draining(now);
        let interval = if drains {
            DRAIN_INTERVAL
        } else {
            ROUTE_INTERVAL
        };
        let varies = self.table.varies();
        self.next_route = varies.then(|| (now + interval).round_up(COMMON_STEP));
        self.slots.release(view.sources);
        self.assign_slots(now, view.sources, random, outbox);
        self.set_targets(now, drains);
        self.tell_forwarded(view.sources, outbox);
        wants_otherwise
    }

    fn assign_slots(
        &mut self,
        now: Time,
        sources: &Slab<SourceKey, Source>,
        random: &mut Random,
        outbox: &mut impl Outbox,
    ) {
        let Self {
            slots,
            table,
            mapped,
            ..
        } = self;
        let audio = table.audio().iter().copied();
        slots.assign(now, MediaKind::Audio, audio, sources, random, mapped);
        if self.ssrc_rewriting && !mapped.is_empty() {
            outbox.event(Event::AudioSourcesMapped {
                endpoint: self.address.clone(),
                mapped: mapped.clone(),
            });
        }
        mapped.clear();
        let video = table.video().iter().filter(|video| video.target.is_some());
        let video = video.map(|video| video.source);
        slots.assign(now, MediaKind::Video, video, sources, random, mapped);
        if self.ssrc_rewriting && !mapped.is_empty() {
            outbox.event(Event::VideoSourcesMapped {
                endpoint: self.address.clone(),
                mapped: mapped.clone(),
            });
        }
        mapped.clear();
    }

    /// Sets what each slot forwards: the base temporal layers only while the link `drains`.
    fn set_targets(&mut self, now: Time, drains: bool) {
        for slot in self.slots.iter_mut() {
            if slot.kind == MediaKind::Audio && slot.forwarding {
                slot.selector.set_target(Some(AUDIO_LAYER));
            }
        }
        for Allocation { source, target, .. } in self.table.video() {
            let place = self.slots.place_of(*source);
            if let Some(slot) = place.and_then(|place| self.slots.get_mut(place))
                && target.is_some()
            {
                let target = target.map(|layer| Layer {
                    temporal: if drains { 0 } else { layer.temporal },
                    ..layer
                });
                slot.selector.set_target(target);
                let wish = slot.selector.ask(now);
                self.keyframe_wishes
                    .extend(wish.map(|encoding| (*source, encoding)));
            }
        }
    }

    fn tell_forwarded(&mut self, sources: &Slab<SourceKey, Source>, outbox: &mut impl Outbox) {
        let forwarded = self.table.video().iter().filter_map(|video| {
            let has_slot = self.slots.place_of(video.source).is_some();
            (video.target.is_some() && has_slot).then_some(video.source)
        });
        if forwarded.clone().eq(self.forwarded.iter().copied()) {
            return;
        }
        let before = core::mem::take(&mut self.forwarded);
        self.forwarded = forwarded.collect();
        let is_same_set = before.len() == self.forwarded.len()
            && before.iter().all(|source| self.forwarded.contains(source));
        if !is_same_set {
            let name = |source: &SourceKey| -> Option<SourceName> {
                Some(sources.get(*source)?.name.clone())
            };
            outbox.event(Event::ForwardedSources {
                endpoint: self.address.clone(),
                sources: self.forwarded.iter().filter_map(name).collect(),
            });
        }
    }

    /// Takes one packet of the receiver's RTCP. What concerns its sending half is ingest's.
    pub(crate) fn handle_rtcp(
        &mut self,
        now: Time,
        packet: &RtcpPacket<'_>,
        stats: &mut BridgeStats,
    ) {
        match packet {
            RtcpPacket::Nack(nack) => {
                let Self {
                    retransmissions,
                    slots,
                    rtt,
                    ..
                } = self;
                retransmissions.handle_nack(now, nack, slots, *rtt);
            }
            RtcpPacket::PictureLoss(loss) => self.handle_keyframe_request(now, loss.media, stats),
            RtcpPacket::FullIntra(intra) => {
                for entry in intra.entries() {
                    self.handle_keyframe_request(now, entry.ssrc, stats);
                }
            }
            RtcpPacket::Twcc(feedback) => {
                self.bound.handle_twcc(now, feedback);
                self.note_bound(now);
            }
            RtcpPacket::Remb(remb) => {
                self.bound.handle_remb(remb.bitrate);
                self.note_bound(now);
            }
            RtcpPacket::ReceiverReport(report) => self.handle_blocks(now, report.blocks()),
            RtcpPacket::SenderReport(report) => self.handle_blocks(now, report.blocks()),
            RtcpPacket::Sdes(_) | RtcpPacket::Bye(_) | RtcpPacket::Unknown { .. } => {}
        }
    }

    fn handle_keyframe_request(&mut self, now: Time, ssrc: Ssrc, stats: &mut BridgeStats) {
        stats.keyframe_requests_received += 1;
        let place = self.slots.place_of_ssrc(ssrc);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place))
            && let Some(source) = slot.source
            && let Some(encoding) = slot.selector.wanted_encoding()
            && slot.kind == MediaKind::Video
            && slot.keyframe_throttle.grant(now, self.rtt)
        {
            self.keyframe_wishes.push((source, encoding));
        }
    }

    fn handle_blocks(&mut self, now: Time, blocks: impl Iterator<Item = ReportBlock>) {
        for block in blocks {
            let place = self.slots.place_of_ssrc(block.ssrc);
            let slot = place.and_then(|place| self.slots.get(place));
            let rtt = slot.and_then(|slot| slot.reported.round_trip(now, &block));
            self.rtt = rtt.or(self.rtt);
        }
    }

    /// A bound that moved far enough calls for another decision.
    fn note_bound(&mut self, now: Time) {
        let bound = self.bound.bitrate(&self.negotiated);
        self.retransmissions.set_bound(bound);
        let moved = match (bound, self.acted_bound) {
            (Some(bound), Some(acted)) => bound.abs_diff(acted) > acted / 100 * BOUND_STEP_PERCENT,
            (bound, acted) => bound != acted,
        };
        if moved {
            self.next_route = Some(now);
        }
    }

    /// Sends what came in this pass of the sources `active`, and what is to be sent again.
    pub(crate) fn flush(
        &mut self,
        now: Time,
        active: &[SourceKey],
        sources: &Slab<SourceKey, Source>,
        path: Path,
        context: &OutboundContext,
        outbox: &mut impl Outbox,
        stats: &mut BridgeStats,
    ) {
        // Sound first: no picture may delay it.
        for kind in [MediaKind::Audio, MediaKind::Video] {
            for key in active {
                if let Some(place) = self.slots.place_of(*key)
                    && let Some(source) = sources.get(*key)
                    && source.kind == kind
                {
                    self.forward_pending(now, place, *key, source);
                }
            }
        }
        self.plan_retransmissions(now, sources);
        if self.next_report.is_none() && !self.batch.is_empty() {
            self.next_report = Some(next_report(now));
        }
        self.send(now, sources, path, context, outbox, stats);
    }

    fn forward_pending(&mut self, now: Time, place: usize, key: SourceKey, source: &Source) {
        for pending in &source.pending {
            if self.forward(now, place, key, source, *pending) {
                // What came before a late first packet of a keyframe goes after it.
                self.forward_rest(now, place, key, source, *pending);
            }
        }
        if let Some(slot) = self.slots.get_mut(place) {
            let owed = slot.keyframe_throttle.owed(now);
            let owed = slot.selector.wanted_encoding().filter(|_| owed);
            let wish = slot.selector.ask(now).or(owed);
            self.keyframe_wishes
                .extend(wish.map(|encoding| (key, encoding)));
        }
    }

    fn forward_rest(
        &mut self,
        now: Time,
        place: usize,
        key: SourceKey,
        source: &Source,
        first: Pending,
    ) {
        let encoding = source.encodings.get(usize::from(first.encoding));
        let end = encoding.map_or(0, |encoding| encoding.store.end());
        for sequence in first.sequence.saturating_add(1)..end {
            let pending = Pending { sequence, ..first };
            self.forward(now, place, key, source, pending);
        }
    }

    /// The stages of one packet, in order; `true` if it begins a picture stream. The last ones,
    /// tag and seal, wait for the end of the pass (`send.rs`).
    fn forward(
        &mut self,
        now: Time,
        place: usize,
        key: SourceKey,
        source: &Source,
        pending: Pending,
    ) -> bool {
        let Some(encoding) = source.encodings.get(usize::from(pending.encoding)) else {
            return false;
        };
        let Some(packet) = encoding.store.get(pending.sequence) else {
            return false;
        };
        let Some(slot) = self.slots.get_mut(place) else {
            return false;
        };
        // select.rs
        let choice = slot.select(pending.encoding, packet);
        // rewrite.rs
        let Some(out) = slot.number(choice, source, pending.encoding, packet) else {
            return false;
        };
        // history.rs
        slot.remember(now, out, pending);
        if packet.facts.starts_keyframe() {
            slot.keyframe_throttle.note_keyframe(now);
        }
        // send.rs
        let planned = Planned {
            slot: place,
            source: key,
            pending,
            out,
            shift: slot.rewriter.shift(),
            is_empty: false,
            padding: 0,
            form: Form::Media,
        };
        self.batch
            .plan(planned, Some(packet), &self.negotiated, self.evens_out);
        choice == Choice::Start && slot.kind == MediaKind::Video
    }

    fn plan_retransmissions(&mut self, now: Time, sources: &Slab<SourceKey, Source>) {
        self.retransmissions.sort();
        while let Some(wanted) = self.retransmissions.pop() {
            // A packet that cannot be had any more, or is beyond the share, is left out.
            let _planned = self.plan_retransmission(now, wanted, sources);
        }
    }

    fn plan_retransmission(
        &mut self,
        now: Time,
        wanted: Wanted,
        sources: &Slab<SourceKey, Source>,
    ) -> Option<()> {
        let slot = self.slots.get_mut(wanted.slot)?;
        let key = slot.source?;
        let source = sources.get(key)?;
        let sent = slot.recall(now, wanted.out, source)?;
        let pending = sent.pending();
        let encoding = source.encodings.get(usize::from(pending.encoding))?;
        let packet = match sent.is_empty() {
            true => None,
            false => Some(encoding.store.get(pending.sequence)?),
        };
        let has_rtx = slot.rtx.is_some() && self.negotiated.of(slot.kind).rtx.is_some();
        let planned = Planned {
            slot: wanted.slot,
            source: key,
            pending,
            out: sent.out(),
            shift: sent.shift(),
            is_empty: sent.is_empty(),
            padding: if has_rtx { 0 } else { sent.padding() },
            form: if has_rtx { Form::Rtx } else { Form::Again },
        };
        let cost = packet.map_or(EMPTY_COST, |packet| packet.payload_length.into());
        if self.retransmissions.spend(cost) {
            self.batch.plan(planned, packet, &self.negotiated, false);
        }
        Some(())
    }

    /// Something goes to the receiver anyway: reports that are due soon go with it.
    pub(crate) fn draw_report(&mut self, now: Time) {
        draw(&mut self.next_report, now);
    }

    /// Writes the sender reports that are due into `out`, and gives their length; 0 if there are
    /// none, or if there is no room for one. To be called until it gives 0 with room for all.
    pub(crate) fn poll_report(
        &mut self,
        now: Time,
        sources: &Slab<SourceKey, Source>,
        out: &mut [u8],
    ) -> usize {
        if self.next_report.is_none_or(|at| now < at) {
            return 0;
        }
        let mut writer = CompoundWriter::new(out);
        for slot in self.slots.iter_mut() {
            if !report::write(now, slot, sources, &mut writer) {
                // The rest goes into another packet.
                return writer.len();
            }
        }
        // Until something is sent again.
        self.next_report = None;
        writer.len()
    }
}

/// Time after which a decision is made anew without a reason: bit rates change.
const ROUTE_INTERVAL: Duration = Duration::from_secs(2);

/// The same while less is sent so that queues drain.
const DRAIN_INTERVAL: Duration = Duration::from_millis(200);

/// Bytes that a packet without payload takes of what may be sent again.
const EMPTY_COST: u64 = 16;

/// How far the bound must move for another decision.
const BOUND_STEP_PERCENT: u64 = 15;
