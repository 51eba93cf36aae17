//! Plays one participant by script: ICE, the handshake, SRTP, media with retransmission, feedback.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::check::{Received, StreamReport};
use super::handshake::{Handshaker, RealHandshake, Script};
use super::media::Camera;
use super::receiver::StreamReceiver;
use super::sender::{
    AUDIO_LEVEL_ID, CameraSender, Microphone, OPUS, PlainPacket, RTX, TRANSPORT_SEQUENCE_ID, VP8,
    original,
};
use crate::description::{
    Codec, Feedback, HeaderExtension, IceRole, MediaDescription, MediaKind, PayloadTypeDescription,
    SourceDescription, TransportDescription,
};
use crate::dtls::Certificate;
use crate::engine::Path;
use crate::engine::transport::{Transport, TransportEvent, TransportOptions};
use crate::error::{Discard, Result};
use crate::event::{Event, MappedSource, TransportFailure};
use crate::ice::{Token, local_candidates};
use crate::id::{EndpointAddress, EndpointKey, Key, PayloadType, ShardId, SourceName, Ssrc};
use crate::packet::Packet;
use crate::random::Random;
use crate::rtcp::{self, CompoundWriter, RtcpPacket};
use crate::rtp::sequence::SequenceExtender;
use crate::rtp::{RtpHeader, extension};
use crate::srtp::{GcmBackend, SrtpProfile};
use crate::time::Time;

const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Transport-wide numbers remembered until they are reported.
const ARRIVALS_MAX: usize = 2_000;

/// What a peer brings.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Whether it sends sound, and how loud: 0 loudest to 127.
    pub microphone: Option<u8>,
    /// Whether it sends pictures.
    pub camera: Option<Camera>,
    /// Whether it sends transport-wide feedback.
    pub transport_feedback: bool,
    /// Whether it asks for lost packets again.
    pub nack: bool,
    /// Whether it gets them on a stream of their own (RFC 4588), else with the same numbers.
    pub rtx: bool,
    /// Whether a packet of padding follows each frame that it sends.
    pub padding: bool,
    /// Whether it wants its streams in slots of the bridge's.
    pub ssrc_rewriting: bool,
    /// Whether the bridge decides on the ICE pair.
    pub bridge_controls: bool,
    /// Whether it starts the DTLS handshake.
    pub dtls_client: bool,
    /// Protection for which a scripted handshake makes keys.
    pub profile: SrtpProfile,
    /// A real DTLS handshake; `None` is a scripted one.
    pub dtls: Option<RealHandshake>,
    /// Whether it asks for a keyframe every 50 ms.
    pub begs_for_keyframes: bool,
    /// Whether it announces another certificate than it shows.
    pub false_fingerprint: bool,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            microphone: Some(30),
            camera: Some(Camera::single()),
            transport_feedback: true,
            nack: true,
            rtx: true,
            padding: false,
            ssrc_rewriting: true,
            bridge_controls: true,
            dtls_client: true,
            profile: SrtpProfile::AeadAes128Gcm,
            dtls: None,
            begs_for_keyframes: false,
            false_fingerprint: false,
        }
    }
}

/// What a peer did and saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Its transport came up so often.
    pub connected: u32,
    /// Its transport died so often.
    pub failed: u32,
    /// Packets that could not be opened.
    pub unauthenticated: u64,
    /// STUN messages that were not taken.
    pub stun_refused: u64,
    /// RTP packets that came.
    pub rtp_received: u64,
    /// Bytes of them.
    pub bytes_received: u64,
    /// RTCP compounds that came.
    pub rtcp_received: u64,
    /// Keyframe requests that came.
    pub keyframe_requests: u64,
    /// Packets that the bridge asked for again.
    pub nacked: u64,
    /// Transport-wide feedback that came.
    pub transport_feedback: u64,
    /// Sender reports that came.
    pub sender_reports: u64,
    /// RTP packets sent, without repetitions.
    pub rtp_sent: u64,
}

/// A scripted participant.
#[derive(Debug)]
pub struct Peer {
    number: u16,
    pub(super) endpoint: EndpointAddress,
    options: PeerOptions,
    transport: Transport,
    pub(super) handshaker: Handshaker,
    microphone: Option<Microphone>,
    camera: Option<CameraSender>,
    /// Whether it sends nothing at all any more, as if it were gone.
    pub(super) gone: bool,
    next_feedback: Time,
    next_report: Time,
    transport_sequence: u16,
    feedback_ssrc: Ssrc,
    receivers: BTreeMap<Ssrc, StreamReceiver>,
    /// Retransmission streams and what they repeat.
    repairs: BTreeMap<Ssrc, Ssrc>,
    /// By slot: which source the bridge says is in it.
    mapped: BTreeMap<Ssrc, MappedSource>,
    arrivals: BTreeMap<u64, Time>,
    arrival_extender: SequenceExtender,
    next_arrival: u64,
    feedback_count: u8,
    counters: PeerCounters,
    failure: Option<TransportFailure>,
    out: VecDeque<(Path, Packet)>,
}

impl Peer {
    /// A peer that sends from `address`; `seed` is where its random numbers come from.
    ///
    /// # Errors
    /// [`Error::Incompatible`](crate::Error::Incompatible) when no certificate can be made.
    pub fn new(
        now: Time,
        number: u16,
        address: SocketAddr,
        endpoint: EndpointAddress,
        options: PeerOptions,
        seed: [u8; 32],
    ) -> Result<Self> {
        let random = &mut Random::new(seed);
        let handshaker = match options.dtls {
            Some(how) => Handshaker::real(how, &Certificate::generate()?)?,
            None => Handshaker::Script(Script::scripted(number, options.profile)),
        };
        let role = if options.bridge_controls {
            IceRole::Controlled
        } else {
            IceRole::Controlling
        };
        let token = Token {
            shard: ShardId(0),
            endpoint: EndpointKey(Key {
                index: u32::from(number),
                generation: 0,
            }),
        };
        let transport = Transport::new(
            now,
            TransportOptions {
                token,
                role,
                candidates: local_candidates(&[address], &[]),
                gcm: GcmBackend::default(),
            },
            random,
        )?;
        Ok(Self {
            number,
            endpoint,
            transport,
            handshaker,
            microphone: options
                .microphone
                .map(|level| Microphone::new(now, level, random)),
            camera: options
                .camera
                .as_ref()
                .map(|camera| CameraSender::new(now, camera, options.padding, random)),
            gone: false,
            next_feedback: now,
            next_report: now,
            transport_sequence: 0,
            feedback_ssrc: Ssrc(random.u32()),
            receivers: BTreeMap::new(),
            repairs: BTreeMap::new(),
            mapped: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            arrival_extender: SequenceExtender::new(),
            next_arrival: 0,
            feedback_count: 0,
            counters: PeerCounters::default(),
            failure: None,
            out: VecDeque::new(),
            options,
        })
    }

    /// What it did and saw.
    #[must_use]
    pub const fn counters(&self) -> PeerCounters {
        self.counters
    }

    /// Why its transport died last.
    #[must_use]
    pub const fn failure(&self) -> Option<TransportFailure> {
        self.failure
    }

    /// What came under each SSRC, and whether it is video.
    pub fn streams(&self) -> impl Iterator<Item = (Ssrc, bool, &StreamReport)> {
        let streams = self.receivers.iter();
        streams.map(|(ssrc, receiver)| (*ssrc, receiver.is_video, receiver.report()))
    }

    /// What the bridge says is in each slot.
    pub fn mapped(&self) -> impl Iterator<Item = &MappedSource> {
        self.mapped.values()
    }

    /// Stops its microphone, or lets it through.
    pub fn mute_microphone(&mut self, muted: bool) {
        if let Some(microphone) = &mut self.microphone {
            microphone.muted = muted;
        }
    }

    /// Speaks louder or quieter: 0 is loudest.
    pub fn set_level(&mut self, level: u8) {
        if let Some(microphone) = &mut self.microphone {
            microphone.level = level;
        }
    }

    /// Stops its camera, or lets it through.
    pub fn mute_camera(&mut self, muted: bool) {
        if let Some(camera) = &mut self.camera {
            camera.muted = muted;
        }
    }

    /// Stops one of its camera's encodings, as a browser does that lacks bandwidth, or goes on.
    pub fn stop_encoding(&mut self, encoding: usize, stopped: bool) {
        if let Some(camera) = &mut self.camera {
            camera.stop(encoding, stopped);
        }
    }

    /// Measures freezes from now on only.
    pub fn forget_freezes(&mut self) {
        for receiver in self.receivers.values_mut() {
            receiver.forget_freezes();
        }
    }

    /// Its end of the transport.
    #[must_use]
    pub fn description(&self) -> TransportDescription {
        let mut fingerprint = self.handshaker.fingerprint();
        if self.options.false_fingerprint {
            fingerprint.value.reverse();
        }
        let mut description = self.transport.description(&fingerprint);
        description.setup = if self.options.dtls_client {
            crate::description::Setup::Active
        } else {
            crate::description::Setup::Passive
        };
        description
    }

    /// Learns the bridge's end of the transport.
    ///
    /// # Errors
    /// By what is wrong with it.
    pub fn connect(&mut self, now: Time, remote: &TransportDescription) -> Result<()> {
        let mut remote = remote.clone();
        remote.setup = if self.options.dtls_client {
            crate::description::Setup::Passive
        } else {
            crate::description::Setup::Active
        };
        self.transport.set_remote(now, &remote)?;
        self.drive(now);
        Ok(())
    }

    /// Makes new ICE credentials, and learns the bridge's new ones.
    ///
    /// # Errors
    /// By what is wrong with them.
    pub(super) fn restart_ice(&mut self, now: Time, remote: &TransportDescription) -> Result<()> {
        self.transport.restart_ice(now)?;
        self.connect(now, remote)
    }

    /// What it can send and receive.
    #[must_use]
    pub fn media(&self) -> Vec<MediaDescription> {
        let transport_cc = self
            .options
            .transport_feedback
            .then_some(Feedback::TransportCc);
        let payload = |id: PayloadType, codec, clock_rate, channels, feedback: &[Feedback]| {
            PayloadTypeDescription {
                id,
                codec,
                clock_rate,
                channels,
                parameters: Vec::new(),
                feedback: feedback.iter().copied().chain(transport_cc).collect(),
            }
        };
        let extensions = |level: bool| -> Vec<(HeaderExtension, u8)> {
            let level = level.then_some((HeaderExtension::AudioLevel, AUDIO_LEVEL_ID));
            let number = (HeaderExtension::TransportSequence, TRANSPORT_SEQUENCE_ID);
            level.into_iter().chain([number]).collect()
        };
        let video = [Feedback::Nack, Feedback::NackPli, Feedback::CcmFir];
        let mut pictures = vec![payload(VP8, Codec::Vp8, 90_000, 1, &video)];
        if self.options.rtx {
            pictures.push(payload(RTX, Codec::Rtx { of: VP8 }, 90_000, 1, &[]));
        }
        vec![
            MediaDescription {
                kind: MediaKind::Audio,
                payload_types: vec![payload(OPUS, Codec::Opus, 48_000, 2, &[])],
                header_extensions: extensions(true),
            },
            MediaDescription {
                kind: MediaKind::Video,
                payload_types: pictures,
                header_extensions: extensions(false),
            },
        ]
    }

    /// What it sends.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceDescription> {
        let name = |suffix| SourceName::new(&format!("{}-{suffix}", self.endpoint.endpoint));
        let audio = self.microphone.as_ref().zip(name("a0").ok());
        let video = self.camera.as_ref().zip(name("v0").ok());
        let audio = audio.map(|(microphone, name)| microphone.description(name));
        let video = video.map(|(camera, name)| camera.description(name));
        audio.into_iter().chain(video).collect()
    }

    /// Learns of a source of another peer.
    pub fn learn_source(&mut self, source: &SourceDescription) {
        for group in &source.groups {
            if let [stream, rtx] = group.ssrcs.as_slice() {
                self.repairs.insert(*rtx, *stream);
            }
        }
    }

    /// Learns of something that the bridge tells this endpoint.
    pub fn learn(&mut self, event: &Event) {
        let (Event::VideoSourcesMapped { endpoint, mapped }
        | Event::AudioSourcesMapped { endpoint, mapped }) = event
        else {
            return;
        };
        if *endpoint == self.endpoint {
            for one in mapped {
                self.mapped.insert(one.ssrc, one.clone());
                if let Some(rtx) = one.rtx {
                    self.repairs.insert(rtx, one.ssrc);
                }
            }
        }
    }

    /// The next datagram to send.
    pub fn poll(&mut self) -> Option<(Path, Packet)> {
        self.out.pop_front().filter(|_| !self.gone)
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.gone {
            return None;
        }
        let media = self.is_connected().then(|| {
            let audio = self.microphone.as_ref().map(Microphone::due);
            let video = self.camera.as_ref().map(CameraSender::due);
            let due = [
                audio,
                video,
                Some(self.next_feedback),
                Some(self.next_report),
            ];
            due.into_iter().flatten().min()
        });
        [
            media.flatten(),
            self.transport.deadline(),
            self.handshaker.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.handshaker.handle_timeout(now);
        if self.transport.deadline().is_some_and(|at| at <= now) {
            self.keep_pace(now);
            self.transport.handle_timeout(now);
        }
        self.drive(now);
        if self.is_connected() {
            self.send_media(now);
            if self.next_feedback <= now {
                self.next_feedback = now + FEEDBACK_INTERVAL;
                self.send_feedback(now);
            }
            if self.next_report <= now {
                self.next_report = now + REPORT_INTERVAL;
                self.send_reports(now);
            }
        }
    }

    /// Browsers ask for consent at one pace, whatever they send.
    fn keep_pace(&mut self, now: Time) {
        self.transport.note_use(now);
    }

    /// Takes a datagram of the bridge.
    pub fn handle_datagram(&mut self, now: Time, path: Path, packet: Packet) {
        match packet.bytes().first() {
            Some(0..=3) => {
                self.keep_pace(now);
                let taken = self.transport.handle_stun(now, path, packet.bytes());
                self.counters.stun_refused += u64::from(taken.is_err());
            }
            Some(20..=63) => drop(self.transport.handle_dtls(path, packet)),
            _ => {
                if let Err(reason) = self.handle_media(now, packet) {
                    self.counters.unauthenticated += u64::from(reason != Discard::NoKeys);
                }
            }
        }
        self.drive(now);
    }

    fn is_connected(&self) -> bool {
        self.counters.connected > 0
    }

    /// Moves news between the transport and the handshake until both are quiet.
    fn drive(&mut self, now: Time) {
        loop {
            let mut quiet = true;
            while let Some(event) = self.transport.poll_event() {
                quiet = false;
                match event {
                    TransportEvent::Handshake(request) => self.handshaker.handle(now, request),
                    TransportEvent::Connected { .. } => {
                        self.counters.connected += 1;
                        self.next_feedback = now;
                        self.next_report = now;
                    }
                    TransportEvent::Failed(reason) => {
                        self.counters.failed += 1;
                        self.failure = Some(reason);
                    }
                    _ => {}
                }
            }
            while let Some(event) = self.handshaker.poll() {
                quiet = false;
                self.transport.handle_handshake(event);
            }
            while let Some(datagram) = self.transport.poll_datagram() {
                quiet = false;
                let packet = Packet::copy_of(datagram.bytes());
                self.out.push_back((datagram.path(), packet));
            }
            if quiet {
                return;
            }
        }
    }

    fn send_media(&mut self, now: Time) {
        let mut packets = Vec::new();
        if let Some(microphone) = &mut self.microphone {
            packets.extend(microphone.poll(now, self.number, &mut self.transport_sequence));
        }
        if let Some(camera) = &mut self.camera {
            packets.extend(camera.poll(now, self.number, &mut self.transport_sequence));
        }
        for packet in packets {
            self.counters.rtp_sent += 1;
            self.send_rtp(packet);
        }
    }

    fn send_rtp(&mut self, plain: PlainPacket) {
        let Some((path, context)) = self.transport.outbound() else {
            return;
        };
        let mut bytes = plain.bytes;
        bytes.resize(bytes.len() + context.profile().rtp_overhead(), 0);
        if context
            .seal_rtp(plain.index, &mut bytes, plain.header_length)
            .is_ok()
        {
            self.out.push_back((path, Packet::copy_of(&bytes)));
        }
    }

    /// Seals a packet of `plain` bytes in place; gives its length, or `None` without a transport.
    pub(super) fn seal(
        &mut self,
        index: u64,
        bytes: &mut [u8],
        plain: usize,
        header_length: usize,
    ) -> Option<usize> {
        let (_, context) = self.transport.outbound()?;
        let length = plain + context.profile().rtp_overhead();
        let segment = bytes.get_mut(..length)?;
        context.seal_rtp(index, segment, header_length).ok()?;
        Some(length)
    }

    fn send_rtcp(&mut self, write: impl FnOnce(&mut CompoundWriter<'_>)) {
        let mut bytes = [0; 1_300];
        let mut writer = CompoundWriter::new(bytes.get_mut(..1_200).unwrap_or_default());
        write(&mut writer);
        let length = writer.len();
        let Some((path, context)) = self.transport.outbound() else {
            return;
        };
        if length > 0
            && let Ok(total) = context.seal_rtcp(&mut bytes, length)
        {
            let sealed = bytes.get(..total).unwrap_or_default();
            self.out.push_back((path, Packet::copy_of(sealed)));
        }
    }

    /// Asks for what is missing, and reports what arrived.
    fn send_feedback(&mut self, now: Time) {
        let own = self.feedback_ssrc;
        let mut nacks = Vec::new();
        let mut keyframes = Vec::new();
        for (ssrc, receiver) in &mut self.receivers {
            receiver.give_out(now);
            if receiver.is_video && self.options.nack {
                nacks.push((*ssrc, receiver.poll_nack(now)));
            }
            let begs = self.options.begs_for_keyframes && receiver.is_video;
            if receiver.poll_keyframe(now) || begs {
                keyframes.push(*ssrc);
            }
        }
        let count = self.feedback_count;
        let from = self.next_arrival;
        let arrivals = core::mem::take(&mut self.arrivals);
        let mut next = None;
        self.send_rtcp(|writer| {
            let mut fits = true;
            for (ssrc, numbers) in nacks {
                fits &= writer.nack(own, ssrc, &numbers);
            }
            for ssrc in keyframes {
                fits &= writer.picture_loss(own, ssrc);
            }
            debug_assert!(fits, "a compound holds the feedback of all slots");
            let arrivals = arrivals.into_iter();
            next = writer.twcc(own, Ssrc(0), count, from, arrivals);
        });
        if let Some(next) = next {
            self.next_arrival = next;
            self.feedback_count = count.wrapping_add(1);
        }
    }

    fn send_reports(&mut self, now: Time) {
        let (microphone, camera) = (self.microphone.take(), self.camera.take());
        let audio = microphone.iter().map(|microphone| &microphone.stream);
        let video = camera.iter().flat_map(CameraSender::streams);
        let streams: Vec<_> = audio.chain(video).collect();
        let own = self.feedback_ssrc;
        self.send_rtcp(|writer| {
            let mut any = false;
            for stream in streams {
                any |= stream.report(now, writer);
            }
            if !any && !writer.receiver_report(own, &[]) {
                debug_assert!(false, "an empty compound has room");
            }
        });
        self.microphone = microphone;
        self.camera = camera;
    }

    fn handle_media(&mut self, now: Time, mut packet: Packet) -> Result<(), Discard> {
        let is_rtcp = packet
            .bytes()
            .get(1)
            .is_some_and(|second| (192..=223).contains(second));
        let context = self.transport.inbound().ok_or(Discard::NoKeys)?;
        if is_rtcp {
            context.unprotect_rtcp(&mut packet)?;
            return self.handle_rtcp(packet.bytes());
        }
        let header = RtpHeader::parse(packet.bytes())?;
        context.unprotect_rtp(&mut packet, &header)?;
        self.counters.rtp_received += 1;
        self.counters.bytes_received += u64::try_from(packet.bytes().len()).unwrap_or(0);
        let number = extension::find(packet.bytes(), &header, TRANSPORT_SEQUENCE_ID);
        if let Some(number) = number.and_then(extension::transport_sequence)
            && self.options.transport_feedback
        {
            let number = self.arrival_extender.extend(number);
            self.arrivals.insert(number, now);
            if self.arrivals.len() > ARRIVALS_MAX {
                self.arrivals.pop_first();
            }
        }
        let payload = header.payload(packet.bytes())?;
        let is_rtx = header.payload_type == RTX;
        let (ssrc, sequence, payload) = if is_rtx {
            let ssrc = self.repairs.get(&header.ssrc).ok_or(Discard::UnknownSsrc)?;
            let (sequence, payload) = original(payload).ok_or(Discard::RtxUnexpected)?;
            (*ssrc, sequence, payload)
        } else {
            (header.ssrc, header.sequence, payload)
        };
        let is_video = header.payload_type != OPUS;
        let receiver = self
            .receivers
            .entry(ssrc)
            .or_insert_with(|| StreamReceiver::new(is_video));
        let received = Received {
            header,
            payload: payload.to_vec(),
            is_video,
        };
        receiver.take(now, sequence, received, is_rtx);
        Ok(())
    }

    fn handle_rtcp(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        self.counters.rtcp_received += 1;
        let mut again = Vec::new();
        for packet in rtcp::packets(bytes) {
            match packet? {
                RtcpPacket::Nack(nack) => {
                    for sequence in nack.sequences() {
                        self.counters.nacked += 1;
                        if let Some(camera) = &mut self.camera {
                            let number = &mut self.transport_sequence;
                            again.extend(camera.again(nack.media, sequence, number));
                        }
                    }
                }
                RtcpPacket::PictureLoss(loss) => self.want_keyframe(loss.media),
                RtcpPacket::FullIntra(intra) => {
                    for entry in intra.entries() {
                        self.want_keyframe(entry.ssrc);
                    }
                }
                RtcpPacket::Twcc(_) => self.counters.transport_feedback += 1,
                RtcpPacket::SenderReport(_) => self.counters.sender_reports += 1,
                _ => {}
            }
        }
        for packet in again {
            self.send_rtp(packet);
        }
        Ok(())
    }

    fn want_keyframe(&mut self, ssrc: Ssrc) {
        self.counters.keyframe_requests += 1;
        if let Some(camera) = &mut self.camera {
            camera.want_keyframe(ssrc);
        }
    }
}
