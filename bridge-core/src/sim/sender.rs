//! Sends the media of a scripted peer: sequence numbers, retransmission, sender reports.

use core::time::Duration;
use std::collections::VecDeque;

use super::media::{Camera, Frame, LABEL_BYTES, Label, Vp8Encoder};
use crate::description::{GroupSemantics, MediaKind, SourceDescription, SsrcGroup, VideoType};
use crate::id::{PayloadType, SourceName, Ssrc};
use crate::random::Random;
use crate::rtcp::{CompoundWriter, SenderInfo};
use crate::rtp::extension::ExtensionWriter;
use crate::rtp::packet::{FIXED_HEADER_LENGTH, RtpHeader, set_extension};
use crate::time::Time;
use crate::wire;

/// Opus, as Jitsi numbers it.
pub(super) const OPUS: PayloadType = PayloadType(111);

/// VP8, as Jitsi numbers it.
pub(super) const VP8: PayloadType = PayloadType(100);

/// Retransmissions of VP8, as Jitsi numbers them.
pub(super) const RTX: PayloadType = PayloadType(96);

pub(super) const AUDIO_LEVEL_ID: u8 = 1;

pub(super) const TRANSPORT_SEQUENCE_ID: u8 = 5;

const AUDIO_INTERVAL: Duration = Duration::from_millis(20);

/// Bytes of a synthetic Opus packet: 32 kbit/s.
const AUDIO_BYTES: usize = 80;

const _: () = assert!(LABEL_BYTES <= AUDIO_BYTES);

/// In the first byte of a packet that ends with padding (RFC 3550 section 5.1).
const PADDING_BIT: u8 = 0x20;

/// Packets kept of a stream, to be sent again.
const KEPT: usize = 600;

/// One RTP stream as its sender keeps it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ssrc: Ssrc,
    payload_type: PayloadType,
    clock_rate: u32,
    timestamp_offset: u32,
    sequence: u64,
    packets: u32,
    octets: u32,
    kept: VecDeque<(u64, Vec<u8>)>,
    rtx: Option<(Ssrc, u64)>,
}

/// A plain RTP packet, ready to be sealed.
#[derive(Clone, Debug)]
pub(super) struct PlainPacket {
    /// Roll-over counter and sequence number.
    pub(super) index: u64,
    pub(super) header_length: usize,
    pub(super) bytes: Vec<u8>,
}

impl Stream {
    fn new(random: &mut Random, payload_type: PayloadType, clock_rate: u32, rtx: bool) -> Self {
        let half = |random: &mut Random| u64::from(random.u32() >> 17);
        Self {
            ssrc: Ssrc(random.u32()),
            payload_type,
            clock_rate,
            timestamp_offset: random.u32(),
            sequence: half(random),
            packets: 0,
            octets: 0,
            kept: VecDeque::new(),
            rtx: rtx.then(|| (Ssrc(random.u32()), half(random))),
        }
    }

    fn timestamp(&self, now: Time) -> u32 {
        let ticks = u128::from(now.as_nanos()) * u128::from(self.clock_rate) / 1_000_000_000;
        let [.., a, b, c, d] = ticks.to_be_bytes();
        self.timestamp_offset
            .wrapping_add(u32::from_be_bytes([a, b, c, d]))
    }

    /// Makes the next packet. `elements` are extension elements.
    fn packet(
        &mut self,
        timestamp: u32,
        marker: bool,
        elements: &[(u8, &[u8])],
        payload: &[u8],
    ) -> PlainPacket {
        let index = self.sequence;
        self.sequence += 1;
        self.packets += 1;
        self.octets = self
            .octets
            .wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        let (ssrc, payload_type) = (self.ssrc, self.payload_type);
        let plain = build(
            ssrc,
            payload_type,
            index,
            timestamp,
            marker,
            elements,
            payload,
        );
        self.kept.push_back((index, plain.bytes.clone()));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        plain
    }

    /// A packet of nothing but padding, which is never sent again.
    fn padding(&mut self, timestamp: u32, elements: &[(u8, &[u8])]) -> PlainPacket {
        let mut plain = self.packet(timestamp, false, elements, &[1]);
        self.kept.pop_back();
        if let Some(first) = plain.bytes.first_mut() {
            *first |= PADDING_BIT;
        }
        plain
    }

    /// The packet of that number again, as a retransmission (RFC 4588).
    fn again(&mut self, sequence: u16, elements: &[(u8, &[u8])]) -> Option<PlainPacket> {
        let (_, bytes) = self
            .kept
            .iter()
            .rev()
            .find(|(index, _)| crate::rtp::sequence::wire(*index) == sequence)?;
        let header = RtpHeader::parse(bytes).ok()?;
        let (ssrc, next) = self.rtx.as_mut()?;
        let index = *next;
        *next += 1;
        let mut payload = sequence.to_be_bytes().to_vec();
        payload.extend_from_slice(bytes.get(usize::from(header.length)..)?);
        let (timestamp, marker) = (header.timestamp, header.marker);
        Some(build(
            *ssrc, RTX, index, timestamp, marker, elements, &payload,
        ))
    }

    /// Adds a sender report and a name.
    pub(super) fn report(&self, now: Time, writer: &mut CompoundWriter<'_>) -> bool {
        let info = SenderInfo {
            ssrc: self.ssrc,
            ntp: ntp(now),
            rtp_timestamp: self.timestamp(now),
            packets: self.packets,
            octets: self.octets,
        };
        self.packets > 0 && writer.sender_report(&info, &[]) && writer.cname(self.ssrc, b"sim")
    }

    fn ssrcs(&self) -> impl Iterator<Item = Ssrc> {
        [Some(self.ssrc), self.rtx.map(|rtx| rtx.0)]
            .into_iter()
            .flatten()
    }
}

/// The simulated wall clock: the virtual time, in the 32.32 form of NTP.
pub(super) fn ntp(now: Time) -> u64 {
    let nanos = u128::from(now.as_nanos());
    u64::try_from((nanos << 32) / 1_000_000_000).unwrap_or(0)
}

fn build(
    ssrc: Ssrc,
    payload_type: PayloadType,
    index: u64,
    timestamp: u32,
    marker: bool,
    elements: &[(u8, &[u8])],
    payload: &[u8],
) -> PlainPacket {
    let header = RtpHeader {
        marker,
        payload_type,
        sequence: crate::rtp::sequence::wire(index),
        timestamp,
        ssrc,
        csrc_count: 0,
        has_padding: false,
        extension: None,
        length: 0,
    };
    let mut bytes = vec![0; FIXED_HEADER_LENGTH + 64];
    header.emit_fixed(&mut bytes);
    let room = bytes.get_mut(FIXED_HEADER_LENGTH..).unwrap_or_default();
    let mut writer = ExtensionWriter::new(room);
    for (id, data) in elements {
        let fits = writer.push(*id, data);
        debug_assert!(fits, "the room is for five elements");
    }
    let length = writer.finish();
    set_extension(&mut bytes, length > 0);
    let header_length = FIXED_HEADER_LENGTH + length;
    bytes.truncate(header_length);
    bytes.extend_from_slice(payload);
    PlainPacket {
        index,
        header_length,
        bytes,
    }
}

/// A microphone.
#[derive(Debug)]
pub(super) struct Microphone {
    pub(super) stream: Stream,
    pub(super) level: u8,
    pub(super) muted: bool,
    next: Time,
    count: u64,
}

/// A camera with its encoders.
#[derive(Debug)]
pub(super) struct CameraSender {
    layers: Vec<(Stream, Vp8Encoder)>,
    /// Which of them are stopped.
    stopped: [bool; 3],
    pub(super) muted: bool,
    /// Whether padding follows each frame.
    pads: bool,
    next: Time,
    interval: Duration,
}

impl Microphone {
    pub(super) fn new(now: Time, level: u8, random: &mut Random) -> Self {
        Self {
            stream: Stream::new(random, OPUS, 48_000, false),
            level,
            muted: false,
            next: now,
            count: 0,
        }
    }

    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// The packet that is due, if it is not muted.
    pub(super) fn poll(
        &mut self,
        now: Time,
        sender: u16,
        transport_sequence: &mut u16,
    ) -> Option<PlainPacket> {
        if now < self.next {
            return None;
        }
        let timestamp = self.stream.timestamp(self.next);
        self.next = self.next + AUDIO_INTERVAL;
        if self.muted {
            return None;
        }
        let label = Label {
            sender,
            source: 0,
            encoding: 0,
            frame: self.count,
            refers_to: self.count,
            part: 0,
            parts: 1,
        };
        self.count += 1;
        let mut payload = [0x33; AUDIO_BYTES];
        label.write(&mut payload);
        let level = [0x80 | self.spoken_level()];
        let number = next_number(transport_sequence);
        let elements = [
            (AUDIO_LEVEL_ID, &level[..]),
            (TRANSPORT_SEQUENCE_ID, &number),
        ];
        Some(
            self.stream
                .packet(timestamp, self.count == 1, &elements, &payload),
        )
    }

    /// Speech goes up and down and pauses between words, unlike noise; silence is silence.
    fn spoken_level(&self) -> u8 {
        let in_word = self.count % 40 < 32;
        let swing = u8::try_from(self.count * 7 % 13).unwrap_or(0);
        match self.level {
            level @ 0..127 if in_word => level.saturating_add(swing).min(126),
            0..127 => 90,
            silence => silence,
        }
    }

    pub(super) fn description(&self, name: SourceName) -> SourceDescription {
        SourceDescription {
            name,
            kind: MediaKind::Audio,
            video_type: VideoType::None,
            ssrcs: vec![self.stream.ssrc],
            groups: Vec::new(),
        }
    }
}

impl CameraSender {
    pub(super) fn new(now: Time, camera: &Camera, pads: bool, random: &mut Random) -> Self {
        let layer = |index| {
            let [.., high, low] = random.u32().to_be_bytes();
            let picture_id = u16::from_be_bytes([high & 0x7f, low]);
            let encoder = Vp8Encoder::new(camera, index, picture_id);
            (Stream::new(random, VP8, 90_000, true), encoder)
        };
        Self {
            layers: (0..3).take(camera.encodings.len()).map(layer).collect(),
            stopped: [false; 3],
            muted: false,
            pads,
            next: now,
            interval: camera.frame_interval,
        }
    }

    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// The packets of the frame that is due.
    pub(super) fn poll(
        &mut self,
        now: Time,
        sender: u16,
        transport_sequence: &mut u16,
    ) -> Vec<PlainPacket> {
        let mut packets = Vec::new();
        if now < self.next {
            return packets;
        }
        let captured = self.next;
        self.next = self.next + self.interval;
        if self.muted {
            return packets;
        }
        for ((stream, encoder), stopped) in self.layers.iter_mut().zip(self.stopped) {
            if stopped {
                continue;
            }
            let timestamp = stream.timestamp(captured);
            let frame: Frame = encoder.encode(sender, 1);
            for part in 0..frame.packets() {
                let mut payload = [0; 1_500];
                let length = frame.write_packet(part, &mut payload);
                let payload = payload.get(..length).unwrap_or_default();
                let number = next_number(transport_sequence);
                let elements = [(TRANSPORT_SEQUENCE_ID, &number[..])];
                let marker = part + 1 == frame.packets();
                packets.push(stream.packet(timestamp, marker, &elements, payload));
            }
            if self.pads {
                let number = next_number(transport_sequence);
                let elements = [(TRANSPORT_SEQUENCE_ID, &number[..])];
                packets.push(stream.padding(timestamp, &elements));
            }
        }
        packets
    }

    /// The packet of that stream and number again.
    pub(super) fn again(
        &mut self,
        ssrc: Ssrc,
        sequence: u16,
        transport_sequence: &mut u16,
    ) -> Option<PlainPacket> {
        let number = next_number(transport_sequence);
        let (stream, _) = self
            .layers
            .iter_mut()
            .find(|(stream, _)| stream.ssrc == ssrc)?;
        stream.again(sequence, &[(TRANSPORT_SEQUENCE_ID, &number)])
    }

    /// Stops an encoding, or goes on with a keyframe.
    pub(super) fn stop(&mut self, encoding: usize, stopped: bool) {
        if let Some(place) = self.stopped.get_mut(encoding) {
            *place = stopped;
        }
        if let Some((_, encoder)) = self.layers.get_mut(encoding) {
            encoder.want_keyframe();
        }
    }

    /// The next frame of that stream is a keyframe; `true` if the stream is one of these.
    pub(super) fn want_keyframe(&mut self, ssrc: Ssrc) -> bool {
        let layer = self
            .layers
            .iter_mut()
            .find(|(stream, _)| stream.ssrc == ssrc);
        layer.map(|(_, encoder)| encoder.want_keyframe()).is_some()
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.layers.iter().map(|(stream, _)| stream)
    }

    pub(super) fn description(&self, name: SourceName) -> SourceDescription {
        let primaries: Vec<Ssrc> = self.streams().map(|stream| stream.ssrc).collect();
        let mut groups: Vec<SsrcGroup> = self
            .streams()
            .map(|stream| SsrcGroup {
                semantics: GroupSemantics::FlowIdentification,
                ssrcs: stream.ssrcs().collect(),
            })
            .collect();
        if primaries.len() > 1 {
            groups.push(SsrcGroup {
                semantics: GroupSemantics::Simulcast,
                ssrcs: primaries,
            });
        }
        SourceDescription {
            name,
            kind: MediaKind::Video,
            video_type: VideoType::Camera,
            ssrcs: self.streams().flat_map(Stream::ssrcs).collect(),
            groups,
        }
    }
}

fn next_number(transport_sequence: &mut u16) -> [u8; 2] {
    *transport_sequence = transport_sequence.wrapping_add(1);
    transport_sequence.to_be_bytes()
}

/// Reads the number that a retransmission repeats, and what it repeats.
pub(super) fn original(payload: &[u8]) -> Option<(u16, &[u8])> {
    Some((wire::u16_at(payload, 0)?, payload.get(2..)?))
}
