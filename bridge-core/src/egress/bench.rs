//! Gives benches the way through receivers and the decision on layers, without the rest of an
//! engine.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::bound::Bound;
use super::script::{Script, Vp8, media, receiver_address};
use super::{Receiver, ReceiverOptions};
use crate::command::{Reply, Ticket};
use crate::description::{MediaKind, VideoConstraints, VideoType};
use crate::engine::{HandshakeRequest, Outbox, Path, Run, ShardMessage};
use crate::error::Result;
use crate::event::Event;
use crate::id::{EndpointKey, Key, ShardId, SourceKey, Ssrc};
use crate::limits::ENCODINGS_MAX;
use crate::random::Random;
use crate::route::allocate::{Allocation, Candidate, Offer, allocate};
use crate::route::last_n::SpeechOrder;
use crate::route::table::View;
use crate::rtcp::{CompoundWriter, RtcpPacket, packets};
use crate::srtp::{OutboundContext, SrtpProfile};
use crate::stats::BridgeStats;
use crate::time::Time;

/// One camera and its receivers.
#[derive(Debug)]
pub struct EgressBench {
    script: Script,
    source: SourceKey,
    receivers: Vec<(Receiver, OutboundContext)>,
    arena: Arena,
    stats: BridgeStats,
    at: u64,
    timestamp: u32,
}

impl EgressBench {
    /// A camera of one encoding, and `receivers` that get it sealed by `profile`; `None` if the
    /// engine's tables are at odds with this.
    #[must_use]
    pub fn new(receivers: usize, profile: SrtpProfile) -> Option<Self> {
        let options = ReceiverOptions {
            ssrc_rewriting: true,
            initial_max_height: -1,
            trust_no_estimate: true,
            evens_out: true,
        };
        let mut script = Script::new(options)?;
        let source = script.announce(MediaKind::Video, 1)?;
        let key = vec![1; profile.key_length()];
        let salt = vec![2; profile.salt_length()];
        let receivers = (0..receivers).map(|_| {
            let mut receiver = Receiver::new(script.now, receiver_address()?, options);
            receiver.set_media(script.now, &[media(MediaKind::Video, true)]);
            let context = OutboundContext::new(profile, &key, &salt).ok()?;
            Some((receiver, context))
        });
        let mut bench = Self {
            source,
            receivers: receivers.collect::<Option<_>>()?,
            arena: Arena(vec![0; ARENA_BYTES]),
            stats: BridgeStats::default(),
            at: 0,
            timestamp: 0,
            script,
        };
        bench.route();
        bench.pass();
        Some(bench)
    }

    fn route(&mut self) {
        let own = Key {
            index: 0,
            generation: 0,
        };
        let mut order = SpeechOrder::default();
        order.rebuild(&self.script.sources, &[], &[]);
        let view = View {
            sources: &self.script.sources,
            names: &self.script.names,
            order: &order,
            own: EndpointKey(own),
        };
        let mut random = Random::new([4; 32]);
        for (receiver, _) in &mut self.receivers {
            receiver.route(self.script.now, &view, &mut random, &mut self.arena);
        }
    }

    /// A frame of eight packets of about 1,200 bytes comes and goes to every receiver;
    /// gives the packets sent.
    pub fn pass(&mut self) -> u64 {
        let before = self.stats.packets_forwarded;
        let frame = if self.at == 0 {
            Vp8::keyframe(0)
        } else {
            Vp8::frame(0)
        };
        self.timestamp = self.timestamp.wrapping_add(3_000);
        for packet in 0..FRAME_PACKETS {
            let packet = Vp8 {
                sequence: frame.sequence + self.at,
                timestamp: self.timestamp,
                starts_frame: packet == 0,
                marker: packet + 1 == FRAME_PACKETS,
                length: 1_160,
                ..frame
            };
            self.at += 1;
            self.script.video(self.source, 0, packet);
        }
        self.script.now = self.script.now + Duration::from_millis(33);
        let path = Path {
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            local: None,
        };
        for (receiver, context) in &mut self.receivers {
            receiver.flush(
                self.script.now,
                &[self.source],
                &self.script.sources,
                path,
                context,
                &mut self.arena,
                &mut self.stats,
            );
        }
        self.script.clear_pending();
        self.stats.packets_forwarded - before
    }
}

/// A receiver's wishes for many cameras.
#[derive(Debug)]
pub struct AllocateBench {
    candidates: Vec<Candidate>,
    decided: Vec<Allocation>,
}

impl AllocateBench {
    /// So many cameras of three encodings, the first on stage.
    #[must_use]
    pub fn new(sources: u32) -> Self {
        let candidates = (0..sources).map(|index| {
            let mut offers = [None; ENCODINGS_MAX];
            for ((place, encoding), (height, bitrate)) in offers.iter_mut().zip(0..).zip(QUALITIES)
            {
                *place = Some(Offer {
                    encoding,
                    height,
                    bitrate,
                    live: true,
                });
            }
            Candidate {
                source: SourceKey(Key {
                    index,
                    generation: 0,
                }),
                video_type: VideoType::Camera,
                on_stage: index == 0,
                refusal: None,
                wish: VideoConstraints {
                    max_height: -1,
                    max_frame_rate: -1,
                },
                offers,
                current: None,
            }
        });
        Self {
            candidates: candidates.collect(),
            decided: Vec::new(),
        }
    }

    /// Decides within `budget` bits per second; gives how many sources are forwarded.
    pub fn decide(&mut self, budget: u64) -> usize {
        allocate(&self.candidates, Some(budget), &mut self.decided);
        let forwarded = self.decided.iter().filter(|one| one.target.is_some());
        forwarded.count()
    }
}

/// The bound of one receiver that reports on what was sent to it.
#[derive(Debug)]
pub struct BoundBench {
    bound: Bound,
    /// A compound with one report on [`REPORTED`] packets.
    feedback: Vec<u8>,
    now: Time,
}

impl BoundBench {
    /// A receiver that reports a twentieth as lost, or `None` if such a report cannot be written.
    #[must_use]
    pub fn new() -> Option<Self> {
        let arrivals = (0..u64::from(REPORTED)).filter(|number| number % 20 != 7);
        let arrivals = arrivals.map(|number| (number, Time::from_micros(500 * number)));
        let mut feedback = vec![0; 1_200];
        let mut writer = CompoundWriter::new(&mut feedback);
        writer.twcc(Ssrc(1), Ssrc(2), 0, 0, arrivals)?;
        let length = writer.len();
        feedback.truncate(length);
        Some(Self {
            bound: Bound::new(Time::ZERO, false),
            feedback,
            now: Time::ZERO,
        })
    }

    /// Packets are sent, and reported on after 50 ms; gives how many.
    pub fn pass(&mut self) -> u64 {
        for number in 0..REPORTED {
            self.bound.note_sent(number, 1_200);
        }
        self.now = self.now + Duration::from_millis(50);
        for packet in packets(&self.feedback) {
            if let Ok(RtcpPacket::Twcc(twcc)) = packet {
                self.bound.handle_twcc(self.now, &twcc);
            }
        }
        REPORTED.into()
    }
}

/// A send arena that is sent at once and begun anew.
#[derive(Debug)]
struct Arena(Vec<u8>);

impl Outbox for Arena {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        let mut rest = self.0.as_mut_slice();
        let mut rooms = [const { None }; K];
        for (room, run) in rooms.iter_mut().zip(runs) {
            let (taken, after) = rest.split_at_mut_checked(run.total)?;
            *room = Some(taken);
            rest = after;
        }
        Some(rooms.map(Option::unwrap_or_default))
    }

    fn handshake(&mut self, _: EndpointKey, _: HandshakeRequest) {}

    fn shard(&mut self, _: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        Some(message)
    }

    fn event(&mut self, _: Event) {}

    fn reply(&mut self, _: Ticket, _: Result<Reply>) {}
}

/// Packets of a report.
const REPORTED: u16 = 100;

/// Packets of a frame.
const FRAME_PACKETS: u64 = 8;

const ARENA_BYTES: usize = 1 << 16;

/// Lines and bits per second of the usual three encodings.
const QUALITIES: [(u16, u64); ENCODINGS_MAX] = [(180, 150_000), (360, 500_000), (720, 2_500_000)];
