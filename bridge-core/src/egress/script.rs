//! Drives one receiver with scripted sources, for tests and fuzzing.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::{Receiver, ReceiverOptions};
use crate::codec::vp8::Vp8Descriptor;
use crate::command::{Reply, Ticket};
use crate::description::{
    Codec, Feedback, HeaderExtension, MediaDescription, MediaKind, PayloadTypeDescription,
    SourceDescription, VideoType,
};
use crate::engine::{HandshakeRequest, Outbox, Path, Run, ShardMessage};
use crate::error::Result;
use crate::event::Event;
use crate::id::{
    ConferenceId, EndpointAddress, EndpointId, EndpointKey, Key, PayloadType, ShardId, SourceKey,
    SourceName, Ssrc,
};
use crate::ingest::source::{Encoding, Facts, MediaPacket, Pending, Source};
use crate::ingest::store::Entry;
use crate::map::{Map, MapSeed};
use crate::packet::{Packet, Pool};
use crate::random::Random;
use crate::route::conference::Owner;
use crate::route::last_n::SpeechOrder;
use crate::route::mute::ForceMute;
use crate::route::table::View;
use crate::rtcp::packets;
use crate::rtp::RtpHeader;
use crate::rtp::sequence;
use crate::slab::Slab;
use crate::srtp::{InboundContext, OutboundContext, SrtpProfile};
use crate::stats::BridgeStats;
use crate::time::Time;

/// A conference of scripted senders, and one receiver.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) now: Time,
    pub(crate) sources: Slab<SourceKey, Source>,
    pub(crate) names: Map<SourceName, SourceKey>,
    pub(crate) receiver: Receiver,
    pub(crate) speakers: Vec<EndpointKey>,
    pub(crate) stats: BridgeStats,
    pub(crate) events: Vec<Event>,
    /// What the outbox was asked for in the latest pass, as it left.
    pub(crate) runs: Vec<(Run, Vec<u8>)>,
    /// Whether the outbox has room.
    pub(crate) has_room: bool,
    endpoints: Vec<EndpointKey>,
    order: SpeechOrder,
    random: Random,
    pool: Pool,
    outbound: OutboundContext,
    inbound: InboundContext,
}

/// A VP8 packet to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vp8 {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) is_15_bit: bool,
    pub(crate) tl0_index: u8,
    pub(crate) layer: u8,
    pub(crate) is_layer_sync: bool,
    pub(crate) keyframe: bool,
    pub(crate) starts_frame: bool,
    pub(crate) marker: bool,
    /// Bytes behind the descriptor.
    pub(crate) length: usize,
}

impl Vp8 {
    /// A frame of one packet: the `at`-th of its encoding, 30 in a second.
    pub(crate) fn frame(at: u16) -> Self {
        Self {
            sequence: FIRST_SEQUENCE + u64::from(at),
            timestamp: 1_000 + 3_000 * u32::from(at),
            picture_id: at,
            is_15_bit: true,
            tl0_index: at.to_be_bytes()[1],
            layer: 0,
            is_layer_sync: false,
            keyframe: false,
            starts_frame: true,
            marker: true,
            length: 100,
        }
    }

    /// A keyframe of one packet.
    pub(crate) fn keyframe(at: u16) -> Self {
        Self {
            keyframe: true,
            ..Self::frame(at)
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = vec![0x80 | u8::from(self.starts_frame) << 4, 0xf0];
        let [high, low] = self.picture_id.to_be_bytes();
        if self.is_15_bit {
            payload.extend([0x80 | high, low]);
        } else {
            payload.push(low & 0x7f);
        }
        let sync = u8::from(self.is_layer_sync) << 5;
        payload.extend([self.tl0_index, self.layer << 6 | sync]);
        payload.push(u8::from(!self.keyframe));
        payload.extend([0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]);
        payload.resize(payload.len() + self.length, 0x55);
        payload
    }
}

/// A packet that the receiver got, decrypted.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) header: RtpHeader,
    /// The 48-bit index it was sealed with.
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn payload(&self) -> &[u8] {
        self.header.payload(&self.bytes).unwrap_or_default()
    }

    /// The descriptor of a VP8 packet that is no retransmission.
    pub(crate) fn vp8(&self) -> Option<Vp8Descriptor> {
        Vp8Descriptor::parse(self.payload()).ok()
    }
}

impl Script {
    /// A receiver of VP8 with RTX, and Opus, with the extensions that browsers negotiate.
    pub(crate) fn new(options: ReceiverOptions) -> Option<Self> {
        let address = receiver_address()?;
        let now = Time::from_millis(10_000);
        let profile = SrtpProfile::AeadAes128Gcm;
        let (key, salt) = ([7; 16], [9; 12]);
        let mut receiver = Receiver::new(now, address, options);
        receiver.set_media(
            now,
            &[media(MediaKind::Audio, true), media(MediaKind::Video, true)],
        );
        Some(Self {
            now,
            sources: Slab::new(),
            names: MapSeed::new(1).map(),
            receiver,
            speakers: Vec::new(),
            stats: BridgeStats::default(),
            events: Vec::new(),
            runs: Vec::new(),
            has_room: true,
            endpoints: Vec::new(),
            order: SpeechOrder::default(),
            random: Random::new([1; 32]),
            pool: Pool::new(64),
            outbound: OutboundContext::new(profile, &key, &salt).ok()?,
            inbound: InboundContext::new(profile, &key, &salt).ok()?,
        })
    }

    /// Announces a source of an endpoint of its own: `encodings` live encodings, with SSRCs 10, 11,
    /// … times the number of the source, and RTX SSRCs 1,000 more.
    pub(crate) fn announce(&mut self, kind: MediaKind, encodings: u32) -> Option<SourceKey> {
        let number = u32::try_from(self.endpoints.len()).ok()? + 1;
        let owner = Owner {
            key: endpoint_key(number),
            id: EndpointId::new(&format!("e{number}")).ok()?,
            mute: ForceMute::default(),
        };
        let description = SourceDescription {
            name: SourceName::new(&format!("e{number}-v0")).ok()?,
            kind,
            video_type: VideoType::Camera,
            ssrcs: Vec::new(),
            groups: Vec::new(),
        };
        let encodings = (0..encodings).map(|at| {
            let ssrc = 10 * number + at;
            let rtx = (kind == MediaKind::Video).then_some(Ssrc(ssrc + 1_000));
            let mut encoding = Encoding::new(Ssrc(ssrc), rtx, kind);
            encoding.live = true;
            encoding.clock_rate = match kind {
                MediaKind::Audio => 48_000,
                MediaKind::Video => 90_000,
            };
            encoding
        });
        let (name, video_type) = (description.name, description.video_type);
        let source = Source::new(&owner, name.clone(), kind, video_type, encodings.collect());
        self.endpoints.push(owner.key);
        let key = self.sources.insert_with(|_| source);
        self.names.insert(name, key);
        Some(key)
    }

    /// Passes time.
    pub(crate) fn wait_millis(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Lets the receiver decide.
    pub(crate) fn route(&mut self) {
        self.order
            .rebuild(&self.sources, &self.speakers, &self.endpoints);
        let view = View {
            sources: &self.sources,
            names: &self.names,
            order: &self.order,
            own: endpoint_key(0),
        };
        let mut outbox = Recorder {
            events: &mut self.events,
            runs: &mut self.runs,
            has_room: self.has_room,
        };
        self.receiver
            .route(self.now, &view, &mut self.random, &mut outbox);
    }

    /// A picture packet comes.
    pub(crate) fn video(&mut self, source: SourceKey, encoding: u8, packet: Vp8) {
        let payload = packet.payload();
        let Ok(descriptor) = Vp8Descriptor::parse(&payload) else {
            return;
        };
        let facts = Facts::Vp8(descriptor);
        let (sequence, timestamp) = (packet.sequence, packet.timestamp);
        self.arrive(
            source,
            encoding,
            (sequence, timestamp, packet.marker),
            &payload,
            facts,
        );
    }

    /// A sound packet comes.
    pub(crate) fn audio(&mut self, source: SourceKey, sequence: u64, timestamp: u32, level: u8) {
        let facts = Facts::Audio {
            level: Some(level),
            voice: true,
        };
        self.arrive(source, 0, (sequence, timestamp, false), &[0x78; 60], facts);
    }

    /// A packet comes that is never forwarded.
    pub(crate) fn skip(&mut self, source: SourceKey, encoding: u8, sequence: u64) {
        let source = self.sources.get_mut(source);
        let encoding = source.and_then(|source| source.encodings.get_mut(usize::from(encoding)));
        if let Some(encoding) = encoding
            && matches!(encoding.store.entry(sequence), Entry::Missing)
        {
            encoding.store.skip(sequence, self.now, &mut self.pool);
        }
    }

    fn arrive(
        &mut self,
        key: SourceKey,
        index: u8,
        (number, timestamp, marker): (u64, u32, bool),
        payload: &[u8],
        facts: Facts,
    ) {
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        let Some(encoding) = source.encodings.get_mut(usize::from(index)) else {
            return;
        };
        if !matches!(encoding.store.entry(number), Entry::Missing) {
            return;
        }
        let header = RtpHeader {
            marker,
            payload_type: PayloadType(33),
            sequence: sequence::wire(number),
            timestamp,
            ssrc: encoding.ssrc,
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 12,
        };
        let mut bytes = vec![0; 12];
        header.emit_fixed(&mut bytes);
        bytes.extend_from_slice(payload);
        let packet = MediaPacket {
            packet: Packet::copy_of(&bytes).share(),
            header,
            payload_length: u16::try_from(payload.len()).unwrap_or(0),
            sequence: number,
            arrival: self.now,
            facts,
        };
        encoding.store.insert(packet, &mut self.pool);
        source.pending.push(Pending {
            encoding: index,
            sequence: number,
        });
    }

    /// Ends the pass, and gives what left in it. Packets that cannot be decrypted are left out.
    pub(crate) fn flush(&mut self) -> Vec<Received> {
        let active: Vec<SourceKey> = self.sources.iter().map(|(key, _)| key).collect();
        let path = Path {
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            local: None,
        };
        self.runs.clear();
        let mut outbox = Recorder {
            events: &mut self.events,
            runs: &mut self.runs,
            has_room: self.has_room,
        };
        self.receiver.flush(
            self.now,
            &active,
            &self.sources,
            path,
            &self.outbound,
            &mut outbox,
            &mut self.stats,
        );
        self.clear_pending();
        let segments = self
            .runs
            .iter()
            .flat_map(|(run, bytes)| bytes.chunks(run.segment));
        segments
            .filter_map(|segment| open(&mut self.inbound, segment))
            .collect()
    }

    /// What waited is forwarded.
    pub(crate) fn clear_pending(&mut self) {
        for (_, source) in self.sources.iter_mut() {
            source.pending.clear();
        }
    }

    /// A compound of RTCP comes from the receiver.
    pub(crate) fn feedback(&mut self, compound: &[u8]) {
        for packet in packets(compound).map_while(core::result::Result::ok) {
            self.receiver
                .handle_rtcp(self.now, &packet, &mut self.stats);
        }
    }

    /// The next compound of sender reports, empty if there is none.
    pub(crate) fn report(&mut self) -> Vec<u8> {
        let mut out = [0; 1_200];
        let length = self.receiver.poll_report(self.now, &self.sources, &mut out);
        out.get(..length).unwrap_or_default().to_vec()
    }

    /// Keyframes wished since the last call.
    pub(crate) fn wishes(&mut self) -> Vec<(SourceKey, u8)> {
        self.receiver.keyframe_wishes().collect()
    }
}

fn open(inbound: &mut InboundContext, segment: &[u8]) -> Option<Received> {
    let mut packet = Packet::copy_of(segment);
    let header = RtpHeader::parse(packet.bytes()).ok()?;
    let index = inbound.unprotect_rtp(&mut packet, &header).ok()?;
    Some(Received {
        header,
        index,
        bytes: packet.bytes().to_vec(),
    })
}

/// The name of the receiver.
pub(crate) fn receiver_address() -> Option<EndpointAddress> {
    Some(EndpointAddress {
        conference: ConferenceId::new("room").ok()?,
        endpoint: EndpointId::new("receiver").ok()?,
    })
}

/// What a receiver announces.
pub(crate) fn media(kind: MediaKind, with_rtx: bool) -> MediaDescription {
    let entry = |id, codec, feedback: &[Feedback]| PayloadTypeDescription {
        id: PayloadType(id),
        codec,
        clock_rate: 90_000,
        channels: 1,
        parameters: Vec::new(),
        feedback: feedback.to_vec(),
    };
    let feedback = [Feedback::TransportCc, Feedback::Nack, Feedback::Remb];
    let (payload_types, header_extensions) = match kind {
        MediaKind::Audio => (
            vec![entry(111, Codec::Opus, &feedback[..1])],
            vec![
                (HeaderExtension::AudioLevel, 1),
                (HeaderExtension::TransportSequence, 5),
                (HeaderExtension::Mid, 10),
            ],
        ),
        MediaKind::Video => {
            let of = PayloadType(100);
            let mut types = vec![entry(100, Codec::Vp8, &feedback)];
            types.extend(with_rtx.then(|| entry(96, Codec::Rtx { of }, &[])));
            let extensions = vec![
                (HeaderExtension::AbsSendTime, 3),
                (HeaderExtension::TransportSequence, 5),
                (HeaderExtension::Mid, 10),
            ];
            (types, extensions)
        }
    };
    MediaDescription {
        kind,
        payload_types,
        header_extensions,
    }
}

fn endpoint_key(index: u32) -> EndpointKey {
    EndpointKey(Key {
        index,
        generation: 0,
    })
}

/// An outbox that keeps everything.
#[derive(Debug)]
struct Recorder<'a> {
    events: &'a mut Vec<Event>,
    runs: &'a mut Vec<(Run, Vec<u8>)>,
    has_room: bool,
}

impl Outbox for Recorder<'_> {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        if !self.has_room {
            return None;
        }
        let rooms = runs.map(|run| (run, vec![0xee; run.total]));
        self.runs.extend(rooms);
        let rooms = self.runs.last_chunk_mut::<K>()?;
        Some(rooms.each_mut().map(|(_, bytes)| bytes.as_mut_slice()))
    }

    fn handshake(&mut self, _: EndpointKey, _: HandshakeRequest) {}

    fn shard(&mut self, _: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        Some(message)
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn reply(&mut self, _: Ticket, _: Result<Reply>) {}
}

/// Extended sequence number of the first frame: one cycle in, as `rtp/sequence.rs` has it.
pub(crate) const FIRST_SEQUENCE: u64 = 1 << 16;
