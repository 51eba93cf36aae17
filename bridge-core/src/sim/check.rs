//! Judges one received stream: numbers, times, and whether every frame could be decoded.
//!
//! A checker sees packets as a receiver's jitter buffer gives them out, in order, with gaps only
//! where something was lost for good.

use core::time::Duration;
use std::collections::BTreeMap;

use super::media::{FRAME_HEADER_BYTES, Label};
use crate::codec::vp8::Vp8Descriptor;
use crate::rtp::RtpHeader;
use crate::time::Time;

/// What a receiver made of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// Packets that were new.
    pub packets: u64,
    /// Of these, those that came by retransmission.
    pub recovered: u64,
    /// Of these, those without payload: their numbers have nothing to say.
    pub empty: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Frames (pictures) or packets (sound) that could be decoded.
    pub decoded: u64,
    /// Frames that came whole and could not be decoded.
    pub undecodable: u64,
    /// Keyframes among the decoded.
    pub keyframes: u64,
    /// Longest time between two decoded frames.
    pub longest_freeze: Duration,
    /// When the first frame was decoded.
    pub first_decoded: Option<Time>,
    /// When the last frame was decoded.
    pub last_decoded: Option<Time>,
    /// Decoded frames by encoding.
    pub by_encoding: [u64; 3],
    /// Number of the peer that sends.
    pub sender: Option<u16>,
    /// Number of its source.
    pub source: Option<u8>,
    /// Rules of RTP and VP8 that were broken, each in words.
    pub faults: Vec<String>,
}

/// Faults kept in words; one is enough to fail a test.
const FAULTS_MAX: usize = 20;

/// A packet as the jitter buffer gives it out.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) header: RtpHeader,
    pub(super) payload: Vec<u8>,
    pub(super) is_video: bool,
}

/// The checker of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamCheck {
    pub(super) report: StreamReport,
    /// Packets of the frame under way.
    frame: Option<FrameUnderWay>,
    /// Newest decoded frame of each sender, source and encoding that nothing is missing since.
    decoded: BTreeMap<(u16, u8, u8), Vec<u64>>,
    /// The stream that is decoded now.
    current: Option<(u16, u8, u8)>,
    last_timestamp: Option<u32>,
    last_picture: Option<(u16, Option<u8>)>,
    /// Something was lost since the last frame.
    gap: bool,
}

#[derive(Debug)]
struct FrameUnderWay {
    label: Label,
    timestamp: u32,
    parts: u16,
    is_keyframe: bool,
    temporal_id: u8,
}

impl StreamCheck {
    /// A number will never come.
    pub(super) fn lose(&mut self) {
        self.report.lost += 1;
        self.gap = true;
        self.frame = None;
    }

    /// The next packet in order.
    pub(super) fn take(&mut self, now: Time, received: &Received) {
        if received.payload.is_empty() {
            self.report.empty += 1;
        } else if received.is_video {
            self.take_video(now, received);
        } else {
            self.take_audio(now, received);
        }
    }

    fn fault(&mut self, text: String) {
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(text);
        }
    }

    fn take_audio(&mut self, now: Time, received: &Received) {
        let Some(label) = Label::read(&received.payload) else {
            return self.fault("sound that nobody made".into());
        };
        self.note_sender(&label);
        self.check_timestamp(received.header.timestamp, true);
        self.gap = false;
        self.note_decoded(now, &label, true);
    }

    fn take_video(&mut self, now: Time, received: &Received) {
        let Ok(descriptor) = Vp8Descriptor::parse(&received.payload) else {
            return self.fault("a payload that is no VP8".into());
        };
        let at = usize::from(descriptor.length) + FRAME_HEADER_BYTES;
        let label = received.payload.get(at..).and_then(Label::read);
        let Some(label) = label else {
            return self.fault("a picture that nobody made".into());
        };
        self.note_sender(&label);
        let timestamp = received.header.timestamp;
        if label.part == 0 {
            self.check_timestamp(timestamp, true);
            self.check_picture(&descriptor);
            self.gap = false;
            self.frame = Some(FrameUnderWay {
                label,
                timestamp,
                parts: 0,
                is_keyframe: descriptor.is_keyframe,
                temporal_id: descriptor.temporal_id.unwrap_or(0),
            });
        }
        let Some(frame) = &mut self.frame else {
            return;
        };
        if frame.label.frame != label.frame || frame.parts != label.part {
            let text = format!("part {} of frame {} out of place", label.part, label.frame);
            self.frame = None;
            return self.fault(text);
        }
        if frame.timestamp != timestamp {
            self.fault(format!("frame {} has two timestamps", label.frame));
            return;
        }
        frame.parts += 1;
        let is_last = frame.parts == label.parts;
        if is_last != received.header.marker {
            self.fault(format!("marker out of place in frame {}", label.frame));
        }
        if is_last && let Some(frame) = self.frame.take() {
            self.finish(now, &frame);
        }
    }

    fn finish(&mut self, now: Time, frame: &FrameUnderWay) {
        let label = frame.label;
        let stream = (label.sender, label.source, label.encoding);
        let decodable = frame.is_keyframe
            || self.current == Some(stream)
                && self
                    .decoded
                    .get(&stream)
                    .is_some_and(|frames| frames.contains(&label.refers_to));
        if !decodable {
            self.report.undecodable += 1;
            return;
        }
        if frame.is_keyframe {
            self.decoded.clear();
            self.current = Some(stream);
            self.report.keyframes += 1;
        }
        let frames = self.decoded.entry(stream).or_default();
        frames.push(label.frame);
        if frames.len() > 16 {
            frames.remove(0);
        }
        debug_assert!(frame.temporal_id < 3);
        self.note_decoded(now, &label, false);
    }

    fn note_decoded(&mut self, now: Time, label: &Label, is_sound: bool) {
        let report = &mut self.report;
        report.decoded += 1;
        if let Some(count) = report.by_encoding.get_mut(usize::from(label.encoding)) {
            *count += 1;
        }
        if let Some(last) = report.last_decoded
            && !is_sound
        {
            report.longest_freeze = report.longest_freeze.max(now.since(last));
        }
        report.first_decoded = report.first_decoded.or(Some(now));
        report.last_decoded = Some(now);
    }

    fn note_sender(&mut self, label: &Label) {
        self.report.sender = Some(label.sender);
        self.report.source = Some(label.source);
    }

    /// Each frame is later than the one before.
    fn check_timestamp(&mut self, timestamp: u32, is_new: bool) {
        if let Some(last) = self.last_timestamp
            && is_new
            && timestamp.wrapping_sub(last).cast_signed() <= 0
        {
            self.fault(format!("timestamp {timestamp} does not follow {last}"));
        }
        self.last_timestamp = Some(timestamp);
    }

    /// Picture ids go up by one, TL0PICIDX by one with each frame of layer 0, over switches and
    /// left out layers, unless something was lost.
    fn check_picture(&mut self, descriptor: &Vp8Descriptor) {
        let Some(id) = descriptor.picture_id else {
            return self.fault("a frame without picture id".into());
        };
        let tl0 = descriptor.tl0_picture_index;
        if let Some((last, last_tl0)) = self.last_picture
            && !self.gap
        {
            if id.value == last {
                self.fault(format!("picture id {last} twice"));
            }
            let step = id.value.wrapping_sub(last) & id.mask();
            if step > id.mask() / 2 {
                self.fault(format!("picture id {} after {last}", id.value));
            }
            if let (Some(tl0), Some(last)) = (tl0, last_tl0) {
                let expected = u8::from(descriptor.temporal_id.unwrap_or(0) == 0);
                if tl0.wrapping_sub(last) != expected {
                    self.fault(format!("TL0PICIDX {tl0} after {last}"));
                }
            }
        }
        self.last_picture = Some((id.value, tl0));
    }
}
