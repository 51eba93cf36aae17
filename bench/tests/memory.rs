//! Counts the bytes that an endpoint and its sources cost the engine, before any media came.

#![expect(
    unsafe_code,
    reason = "a global allocator can only be written so; it counts and passes on"
)]
#![expect(clippy::unwrap_used, reason = "a test fails so, its functions too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_core::command::{EndpointOptions, Ticket};
use bridge_core::config::EngineConfig;
use bridge_core::description::{
    Codec, Feedback, GroupSemantics, HeaderExtension, MediaDescription, MediaKind,
    PayloadTypeDescription, SourceDescription, SsrcGroup, VideoType,
};
use bridge_core::engine::{Engine, HandshakeRequest, Input, Outbox, Run, ShardMessage};
use bridge_core::id::{EndpointKey, PayloadType, ShardId, SourceName, Ssrc};
use bridge_core::{Command, ConferenceId, EndpointAddress, EndpointId, Event, Reply, Result, Time};

/// The system's allocator; bytes that are held are counted.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came, which keeps the contract.
// WHY: there is no other way to see what a whole engine holds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// An outbox for commands alone: no command of this test fails.
struct Silent;

impl Outbox for Silent {
    fn reserve<const K: usize>(&mut self, _runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        None
    }

    fn handshake(&mut self, _endpoint: EndpointKey, _request: HandshakeRequest) {}

    fn shard(&mut self, _to: ShardId, _message: ShardMessage) -> Option<ShardMessage> {
        None
    }

    fn event(&mut self, _event: Event) {}

    fn reply(&mut self, _ticket: Ticket, reply: Result<Reply>) {
        reply.unwrap();
    }
}

const ENDPOINTS: u32 = 200;

/// Bytes that `commands` cost for each endpoint.
fn cost(engine: &mut Engine, commands: impl Fn(u32, EndpointAddress) -> Command) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    for number in 0..ENDPOINTS {
        let endpoint = EndpointAddress {
            conference: ConferenceId::new("room").unwrap(),
            endpoint: EndpointId::new(&format!("{number:08x}")).unwrap(),
        };
        let command = Input::Command(Ticket(0), commands(number, endpoint));
        engine.handle(Time::from_millis(1), command, &mut Silent);
    }
    engine.flush(Time::from_millis(1), &mut Silent);
    (HELD.load(Ordering::Relaxed) - before) / usize::try_from(ENDPOINTS).unwrap()
}

#[test]
fn an_endpoint_and_its_sources_cost_what_is_written_down() {
    let mut engine = Engine::new(EngineConfig::new([1; 32]));
    let conference = ConferenceId::new("room").unwrap();
    let create = Input::Command(Ticket(0), Command::CreateConference { conference });
    engine.handle(Time::ZERO, create, &mut Silent);
    let options = EndpointOptions::default;
    let made = cost(&mut engine, |_, endpoint| Command::CreateEndpoint {
        endpoint,
        options: options(),
    });
    let described = cost(&mut engine, |_, endpoint| Command::SetMedia {
        endpoint,
        media: media(),
    });
    let announced = cost(&mut engine, |number, endpoint| Command::SetSources {
        endpoint,
        sources: sources(number),
    });
    println!("made {made}, media {described}, sources {announced} bytes");
    assert!(
        made + described <= 8 * 1_024,
        "{made} and {described} bytes"
    );
    assert!(announced <= 4 * 1_024, "{announced} bytes");
}

fn payload_type(id: u8, codec: Codec, clock_rate: u32) -> PayloadTypeDescription {
    PayloadTypeDescription {
        id: PayloadType(id),
        clock_rate,
        codec,
        channels: 1,
        parameters: Vec::new(),
        feedback: vec![Feedback::Nack, Feedback::NackPli, Feedback::TransportCc],
    }
}

fn media() -> Vec<MediaDescription> {
    let of = PayloadType(100);
    vec![
        MediaDescription {
            kind: MediaKind::Audio,
            payload_types: vec![payload_type(111, Codec::Opus, 48_000)],
            header_extensions: vec![(HeaderExtension::AudioLevel, 1)],
        },
        MediaDescription {
            kind: MediaKind::Video,
            payload_types: vec![
                payload_type(100, Codec::Vp8, 90_000),
                payload_type(96, Codec::Rtx { of }, 90_000),
            ],
            header_extensions: vec![(HeaderExtension::TransportSequence, 5)],
        },
    ]
}

/// What a browser sends: sound, and a camera in three encodings with retransmissions.
fn sources(number: u32) -> Vec<SourceDescription> {
    let ssrc = |offset| Ssrc(number * 10 + offset + 1_000);
    let streams: Vec<Ssrc> = (1..4).map(ssrc).collect();
    let mut groups = vec![SsrcGroup {
        semantics: GroupSemantics::Simulcast,
        ssrcs: streams,
    }];
    groups.extend((1..4).map(|offset| SsrcGroup {
        semantics: GroupSemantics::FlowIdentification,
        ssrcs: vec![ssrc(offset), ssrc(offset + 3)],
    }));
    let source = |name: String, kind, ssrcs, groups| SourceDescription {
        name: SourceName::new(&name).unwrap(),
        kind,
        video_type: VideoType::Camera,
        ssrcs,
        groups,
    };
    let all = (1..7).map(ssrc).collect();
    vec![
        source(
            format!("{number:08x}-a0"),
            MediaKind::Audio,
            vec![ssrc(0)],
            Vec::new(),
        ),
        source(format!("{number:08x}-v0"), MediaKind::Video, all, groups),
    ]
}
