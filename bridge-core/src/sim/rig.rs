//! Holds one engine with its senders and receivers still, so that a single pass can be measured:
//! the whole engine without sockets.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use super::media::{Camera, Frame, Vp8Encoder, Vp8Encoding};
use super::net::{Link, NodeId};
use super::peer::PeerOptions;
use super::sender::{TRANSPORT_SEQUENCE_ID, VP8};
use super::{Settings, Shard, Simulation};
use crate::command::Command;
use crate::description::ReceiverConstraints;
use crate::engine::{Input, Path};
use crate::error::{Error, Result};
use crate::id::{ConferenceId, Ssrc};
use crate::limits::{Limits, PACKET_BYTES};
use crate::packet::Packet;
use crate::rtp::RtpHeader;
use crate::rtp::extension::ExtensionWriter;
use crate::rtp::packet::{FIXED_HEADER_LENGTH, set_extension};
use crate::rtp::sequence::wire;
use crate::srtp::{GcmBackend, SrtpProfile};

/// Virtual time between two passes: fifty frames per second.
const STEP: Duration = Duration::from_millis(20);

/// Payload bytes of each packet.
const PAYLOAD_BYTES: usize = 1_100;

/// Who is where, and who gets what.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Layout {
    /// Conferences, all alike.
    pub rooms: usize,
    /// Members of each that send frames in turns, and get those of others.
    pub senders: usize,
    /// Members of each that get frames only.
    pub receivers: usize,
    /// Members of each that are there and look at nobody.
    pub idle: usize,
    /// Pictures that each gets at most.
    pub last_n: Option<i32>,
    /// Packets of a frame.
    pub burst: usize,
}

impl Layout {
    /// One sender to so many.
    #[must_use]
    pub const fn share(receivers: usize, burst: usize) -> Self {
        Self {
            rooms: 1,
            senders: 1,
            receivers,
            idle: 0,
            last_n: None,
            burst,
        }
    }

    /// So many conferences of one sender and `receivers` each.
    #[must_use]
    pub const fn rooms(rooms: usize, receivers: usize, burst: usize) -> Self {
        Self {
            rooms,
            ..Self::share(receivers, burst)
        }
    }

    /// One conference in which all send, and each gets `last_n` of the others.
    #[must_use]
    pub const fn everybody(members: usize, last_n: i32, burst: usize) -> Self {
        Self {
            senders: members,
            last_n: Some(last_n),
            ..Self::share(0, burst)
        }
    }
}

/// An engine between two passes.
#[derive(Debug)]
pub struct Rig {
    pub(crate) sim: Simulation,
    /// Whose turn it is, first.
    stages: VecDeque<Stage>,
    /// The shard whose socket the frames come to.
    pub(crate) gate: usize,
    waiting: Vec<Packet>,
}

/// A sender and its stream.
#[derive(Debug)]
struct Stage {
    sender: NodeId,
    ssrc: Ssrc,
    encoder: Vp8Encoder,
    sequence: u64,
    timestamp: u32,
    transport_sequence: u16,
}

impl Rig {
    /// One sender whose frames have `burst` packets of 1,100 bytes, and `receivers` that get all
    /// of them. The first frames have passed already.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the sender did not come in.
    pub fn new(receivers: usize, burst: usize, profile: SrtpProfile) -> Result<Self> {
        Self::with_gcm(GcmBackend::default(), receivers, burst, profile)
    }

    /// The same, with this library at the bridge's end.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_gcm(
        gcm: GcmBackend,
        receivers: usize,
        burst: usize,
        profile: SrtpProfile,
    ) -> Result<Self> {
        Self::of(&Layout::share(receivers, burst), gcm, profile)
    }

    /// The same, with so many more participants who are there and look at nobody.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_idle(
        receivers: usize,
        idle: usize,
        burst: usize,
        profile: SrtpProfile,
    ) -> Result<Self> {
        let layout = Layout {
            idle,
            ..Layout::share(receivers, burst)
        };
        Self::of(&layout, GcmBackend::default(), profile)
    }

    /// Any layout.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn of(layout: &Layout, gcm: GcmBackend, profile: SrtpProfile) -> Result<Self> {
        let mut rig = Self::build(1, layout, gcm, profile)?;
        // Longer than a second, so that stores and histories are full.
        for _ in 0..100 * rig.stages.len() {
            rig.prepare();
            rig.pass();
        }
        Ok(rig)
    }

    /// The same before the first frame, spread over so many shards; the sender is on the first.
    pub(crate) fn build(
        shards: u8,
        layout: &Layout,
        gcm: GcmBackend,
        profile: SrtpProfile,
    ) -> Result<Self> {
        let watchers = layout.senders + layout.receivers;
        let members = watchers + layout.idle;
        let mut sim = Simulation::new(&Settings {
            limits: Limits {
                packets_per_second: u32::MAX,
                bits_per_second: u64::MAX,
                stun_per_second: u32::MAX,
                endpoints_per_conference: members,
                ..Limits::default()
            },
            gcm,
            shards,
            spread_from: 0,
            ..Settings::new(1)
        });
        let camera = Camera {
            encodings: vec![Vp8Encoding {
                height: 360,
                frame_bytes: PAYLOAD_BYTES * layout.burst,
            }],
            frame_interval: STEP,
            temporal_layers: 1,
        };
        let mut stages = VecDeque::new();
        for room in 0..layout.rooms {
            let room = sim.conference(&format!("bench{room}"))?;
            for member in 0..members {
                let camera = (member < layout.senders).then_some(&camera);
                let last_n = if member < watchers {
                    layout.last_n
                } else {
                    Some(0)
                };
                let node = join(&mut sim, &room, last_n, camera, profile)?;
                stages.extend(camera.and_then(|camera| Stage::new(&sim, node, camera)));
            }
        }
        sim.run(Duration::from_secs(1));
        if stages.is_empty() {
            return Err(Error::Misuse("nobody sends"));
        }
        Ok(Self {
            sim,
            stages,
            gate: 0,
            waiting: Vec::with_capacity(layout.burst * 6),
        })
    }

    /// Lets time pass to the next frame, and makes its packets. Not to be measured.
    pub fn prepare(&mut self) {
        let turns = u32::try_from(self.stages.len()).unwrap_or(u32::MAX);
        self.sim.run(STEP / turns.max(1));
        self.stages.rotate_left(1);
        let (Some(stage), Some(shard)) =
            (self.stages.front_mut(), self.sim.shards.get_mut(self.gate))
        else {
            return;
        };
        let frame = stage.encoder.encode(0, 1);
        stage.timestamp = stage.timestamp.wrapping_add(1_800);
        for part in 0..frame.packets() {
            let mut bytes = [0; PACKET_BYTES];
            let (plain, header_length) = stage.write(&frame, part, &mut bytes);
            let peer = self.sim.peers.get_mut(stage.sender.0);
            let sealed = peer.and_then(|node| {
                node.peer
                    .seal(stage.sequence, &mut bytes, plain, header_length)
            });
            if let Some(length) = sealed {
                let mut packet = shard.engine.pool().take();
                packet.fill(bytes.get(..length).unwrap_or_default());
                self.waiting.push(packet);
            }
            stage.sequence += 1;
        }
    }

    /// How many send in turns.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.stages.len()
    }

    /// The datagrams of the frame.
    pub(crate) fn arrivals(&mut self) -> impl Iterator<Item = (Path, Packet)> {
        let path = self.path();
        self.waiting.drain(..).map(move |packet| (path, packet))
    }

    fn path(&self) -> Path {
        Path {
            remote: self
                .stages
                .front()
                .map_or(NOWHERE, |stage| self.sim.host(stage.sender)),
            local: None,
        }
    }

    /// Lets the engine take the frame in, and no more.
    pub fn take_in(&mut self) {
        let path = self.path();
        let Simulation { shards, now, .. } = &mut self.sim;
        if let [shard] = shards.as_mut_slice() {
            for packet in self.waiting.drain(..) {
                shard.handle(*now, Input::Datagram { path, packet });
            }
        }
    }

    /// Lets the engine take the frame and forward it; gives how many datagrams it put out.
    pub fn pass(&mut self) -> usize {
        self.take_in();
        let Simulation { shards, now, .. } = &mut self.sim;
        let [Shard { engine, recorder }] = shards.as_mut_slice() else {
            return 0;
        };
        engine.flush(*now, recorder);
        let runs = recorder.runs();
        let sent = runs.map(|run| run.total.div_ceil(run.segment.max(1))).sum();
        recorder.clear_datagrams();
        sent
    }
}

impl Stage {
    /// The stream of a member that sends.
    fn new(sim: &Simulation, sender: NodeId, camera: &Camera) -> Option<Self> {
        let sources = sim.peer(sender).sources();
        let ssrc = *sources.first()?.ssrcs.first()?;
        Some(Self {
            sender,
            ssrc,
            encoder: Vp8Encoder::new(camera, 0, 0),
            sequence: 0,
            timestamp: 0,
            transport_sequence: 0,
        })
    }

    /// Writes a packet of the frame; gives its length and that of its header.
    fn write(&mut self, frame: &Frame, part: u16, bytes: &mut [u8]) -> (usize, usize) {
        let header = RtpHeader {
            marker: part + 1 == frame.packets(),
            payload_type: VP8,
            sequence: wire(self.sequence),
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 0,
        };
        header.emit_fixed(bytes);
        set_extension(bytes, true);
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let room = bytes.get_mut(FIXED_HEADER_LENGTH..).unwrap_or_default();
        let mut writer = ExtensionWriter::new(room);
        let number = self.transport_sequence.to_be_bytes();
        let fits = writer.push(TRANSPORT_SEQUENCE_ID, &number);
        debug_assert!(fits, "one element into an empty packet");
        let header_length = FIXED_HEADER_LENGTH + writer.finish();
        let room = bytes.get_mut(header_length..).unwrap_or_default();
        (
            header_length + frame.write_packet(part, room),
            header_length,
        )
    }
}

/// Lets a member come in, one that sends if it has a camera.
fn join(
    sim: &mut Simulation,
    room: &ConferenceId,
    last_n: Option<i32>,
    camera: Option<&Camera>,
    profile: SrtpProfile,
) -> Result<NodeId> {
    let link = Link {
        delay: Duration::from_micros(10),
        ..Link::default()
    };
    let options = PeerOptions {
        microphone: None,
        camera: camera.cloned(),
        transport_feedback: true,
        profile,
        ..PeerOptions::default()
    };
    let node = sim.join(room, options, link)?;
    // The rig sends in its place.
    sim.peer_mut(node).mute_camera(true);
    if camera.is_none() || last_n.is_some() {
        sim.request(Command::SetConstraints {
            endpoint: sim.address(node),
            constraints: ReceiverConstraints {
                last_n,
                // Nobody takes the media, so nobody reports on it.
                assumed_bandwidth: Some(1_000_000_000),
                ..ReceiverConstraints::default()
            },
        })?;
    }
    Ok(node)
}

/// Where nobody is.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
