//! Chooses which packets of a source one receiver gets: keyframe-aligned switching between
//! simulcast encodings, and temporal layers (RFC 7741 section 4.2).
//!
//! | state | packet | choice |
//! |---|---|---|
//! | nothing forwarded | keyframe of an encoding up to the target | start |
//! | an encoding below the target | keyframe of a better one up to the target | start |
//! | an encoding above the target | keyframe of a smaller one, not below the target | start |
//! | an encoding | its frame of a forwarded temporal layer | forward |
//! | an encoding | its frame of another temporal layer | skip |
//! | any | anything else | ignore |
//!
//! No target stops at once; going on needs a keyframe. While a smaller encoding is awaited only
//! the base temporal layer is forwarded. The keyframes of all encodings come within
//! [`KEYFRAME_WINDOW`]: a receiver may start with the first one that is not above its target and
//! rise within the window, and no further keyframe is asked for meanwhile. A keyframe above the
//! target is never forwarded.

use core::time::Duration;

use crate::codec::vp8::Vp8Descriptor;
use crate::ingest::source::{Facts, MediaPacket};
use crate::route::allocate::{Layer, TEMPORAL_MAX};
use crate::time::Time;

/// Chooses for one slot.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    target: Option<Layer>,
    /// The encoding that is forwarded.
    current: Option<u8>,
    /// The highest temporal layer that is forwarded now.
    temporal: u8,
    /// The frame under way: its timestamp, and whether it is forwarded.
    frame: Option<(u32, bool)>,
    /// When the latest keyframe of any encoding began.
    keyframe_at: Option<Time>,
    /// When a keyframe was last asked for.
    asked_at: Option<Time>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It goes on.
    Forward,
    /// It goes on, and begins another encoding, or the first.
    Start,
    /// It comes late, and goes on if its place is still free.
    Late,
    /// It is left out, and the numbers close over it.
    Skip,
    /// It comes late, and is left out: its place stays empty.
    Vacate,
    /// It belongs to nothing that is forwarded.
    Ignore,
}

impl Selector {
    /// Sets what is wanted. `None` stops at once.
    pub(crate) fn set_target(&mut self, target: Option<Layer>) {
        let encoding = |layer: Layer| layer.encoding;
        if target.map(encoding) != self.target.map(encoding) {
            self.asked_at = None;
        }
        self.target = target;
        if target.is_none() {
            self.current = None;
            self.frame = None;
        }
    }

    /// Forgets a source: the next one begins with a keyframe of its own.
    pub(crate) fn reset(&mut self) {
        self.set_target(None);
        self.keyframe_at = None;
    }

    /// The encoding whose keyframe helps: the awaited one, else the one that is forwarded.
    pub(crate) const fn wanted_encoding(&self) -> Option<u8> {
        match self.target {
            Some(target) => Some(target.encoding),
            None => None,
        }
    }

    /// The encoding to ask a keyframe for now, if one is awaited, none has just begun, and it was
    /// not asked for lately.
    pub(crate) fn ask(&mut self, now: Time) -> Option<u8> {
        let wanted = self.target?.encoding;
        let recent = |at: Option<Time>, span| at.is_some_and(|at| now.since(at) < span);
        if self.current == Some(wanted)
            || recent(self.keyframe_at, KEYFRAME_WINDOW)
            || recent(self.asked_at, ASK_INTERVAL)
        {
            return None;
        }
        self.asked_at = Some(now);
        Some(wanted)
    }

    /// Chooses for a packet that comes in order or is ahead.
    pub(crate) fn choose(&mut self, encoding: u8, packet: &MediaPacket) -> Choice {
        let Some(target) = self.target else {
            return Choice::Ignore;
        };
        match &packet.facts {
            Facts::Audio { .. } => self.choose_only(encoding),
            Facts::Vp8(descriptor) => self.choose_vp8(encoding, packet, descriptor, target),
        }
    }

    /// Whether a packet that comes late belongs to what is forwarded.
    pub(crate) fn accepts_late(&self, packet: &MediaPacket) -> bool {
        temporal_layer(&packet.facts) <= self.temporal
    }

    /// A stream without layers: it starts with any packet.
    const fn choose_only(&mut self, encoding: u8) -> Choice {
        self.temporal = TEMPORAL_MAX;
        if self.current.replace(encoding).is_some() {
            Choice::Forward
        } else {
            Choice::Start
        }
    }

    fn choose_vp8(
        &mut self,
        encoding: u8,
        packet: &MediaPacket,
        descriptor: &Vp8Descriptor,
        target: Layer,
    ) -> Choice {
        let starts_keyframe = packet.facts.starts_keyframe();
        if starts_keyframe {
            self.keyframe_at = Some(packet.arrival);
        }
        if self.current != Some(encoding) {
            if !starts_keyframe || !self.is_step(encoding, target.encoding) {
                return Choice::Ignore;
            }
            self.current = Some(encoding);
            self.temporal = self.temporal_target(target);
            self.frame = Some((packet.header.timestamp, true));
            return Choice::Start;
        }
        let timestamp = packet.header.timestamp;
        let forwards = match self.frame {
            // A frame is never cut in two.
            Some((current, forwards)) if current == timestamp => forwards,
            _ => self.choose_frame(descriptor, target),
        };
        self.frame = Some((timestamp, forwards));
        if forwards {
            Choice::Forward
        } else {
            Choice::Skip
        }
    }

    /// Whether going over to `encoding` comes nearer to `target`, and not above it from below.
    fn is_step(&self, encoding: u8, target: u8) -> bool {
        match self.current {
            None => encoding <= target,
            Some(current) if current < target => current < encoding && encoding <= target,
            Some(current) => target <= encoding && encoding < current,
        }
    }

    /// Whether a new frame is forwarded. More temporal layers begin with a frame that depends on
    /// the base layer only; fewer hold at once. Layers are taken to be nested.
    fn choose_frame(&mut self, descriptor: &Vp8Descriptor, target: Layer) -> bool {
        let wanted = self.temporal_target(target);
        let layer = descriptor.temporal_id.unwrap_or(0);
        let rises = layer == 0 || descriptor.is_layer_sync;
        if wanted < self.temporal {
            self.temporal = wanted;
        } else if rises && layer <= wanted && layer > self.temporal {
            self.temporal = layer;
        } else if layer == 0 {
            self.temporal = wanted;
        }
        layer <= self.temporal
    }

    fn temporal_target(&self, target: Layer) -> u8 {
        if self
            .current
            .is_some_and(|current| current > target.encoding)
        {
            0
        } else {
            target.temporal
        }
    }
}

fn temporal_layer(facts: &Facts) -> u8 {
    match facts {
        Facts::Audio { .. } => 0,
        Facts::Vp8(descriptor) => descriptor.temporal_id.unwrap_or(0),
    }
}

/// Time within which the keyframes of all encodings of a source come.
const KEYFRAME_WINDOW: Duration = Duration::from_millis(300);

/// Time after which an awaited keyframe is asked for again; the source's own throttle and
/// repetitions (`ingest/keyframe.rs`) come on top.
const ASK_INTERVAL: Duration = Duration::from_millis(1_000);
