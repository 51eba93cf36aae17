//! Holds one engine with one sender and many receivers still, so that a single pass can be
//! measured: the whole engine without sockets.

use core::time::Duration;

use super::media::{Camera, Vp8Encoder, Vp8Encoding};
use super::net::{Link, NodeId};
use super::peer::PeerOptions;
use super::sender::{TRANSPORT_SEQUENCE_ID, VP8};
use super::{Settings, Shard, Simulation};
use crate::command::Command;
use crate::description::ReceiverConstraints;
use crate::engine::{Input, Path};
use crate::error::{Error, Result};
use crate::id::Ssrc;
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

/// An engine between two passes.
#[derive(Debug)]
pub struct Rig {
    pub(crate) sim: Simulation,
    sender: NodeId,
    ssrc: Ssrc,
    encoder: Vp8Encoder,
    sequence: u64,
    timestamp: u32,
    transport_sequence: u16,
    /// The shard whose socket the frames come to.
    pub(crate) gate: usize,
    waiting: Vec<Packet>,
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
        let mut rig = Self::build(1, gcm, receivers, burst, profile)?;
        // Longer than a second, so that stores and histories are full.
        for _ in 0..100 {
            rig.prepare();
            rig.pass();
        }
        Ok(rig)
    }

    /// The same before the first frame, spread over so many shards; the sender is on the first.
    pub(crate) fn build(
        shards: u8,
        gcm: GcmBackend,
        receivers: usize,
        burst: usize,
        profile: SrtpProfile,
    ) -> Result<Self> {
        let mut sim = Simulation::new(&Settings {
            limits: Limits {
                packets_per_second: u32::MAX,
                bits_per_second: u64::MAX,
                stun_per_second: u32::MAX,
                endpoints_per_conference: receivers + 1,
                ..Limits::default()
            },
            gcm,
            shards,
            spread_from: 0,
            ..Settings::new(1)
        });
        let room = sim.conference("bench")?;
        let camera = Camera {
            encodings: vec![Vp8Encoding {
                height: 360,
                frame_bytes: PAYLOAD_BYTES * burst,
            }],
            frame_interval: STEP,
            temporal_layers: 1,
        };
        let watcher = PeerOptions {
            microphone: None,
            camera: None,
            transport_feedback: true,
            profile,
            ..PeerOptions::default()
        };
        let mut publisher = watcher.clone();
        publisher.camera = Some(camera.clone());
        let link = Link {
            delay: Duration::from_micros(10),
            ..Link::default()
        };
        let sender = sim.join(&room, publisher, link)?;
        sim.peer_mut(sender).mute_camera(true);
        for _ in 0..receivers {
            let node = sim.join(&room, watcher.clone(), link)?;
            sim.request(Command::SetConstraints {
                endpoint: sim.address(node),
                // Nobody takes the media, so nobody reports on it.
                constraints: ReceiverConstraints {
                    assumed_bandwidth: Some(1_000_000_000),
                    ..ReceiverConstraints::default()
                },
            })?;
        }
        sim.run(Duration::from_secs(1));
        let sources = sim.peer(sender).sources();
        let ssrc = sources.first().and_then(|source| source.ssrcs.first());
        Ok(Self {
            ssrc: *ssrc.ok_or(Error::Misuse("a sender without stream"))?,
            encoder: Vp8Encoder::new(&camera, 0, 0),
            sim,
            sender,
            sequence: 0,
            timestamp: 0,
            transport_sequence: 0,
            gate: 0,
            waiting: Vec::with_capacity(burst * 6),
        })
    }

    /// Lets time pass to the next frame, and makes its packets. Not to be measured.
    pub fn prepare(&mut self) {
        self.sim.run(STEP);
        let frame = self.encoder.encode(0, 1);
        self.timestamp = self.timestamp.wrapping_add(1_800);
        for part in 0..frame.packets() {
            let mut bytes = [0; PACKET_BYTES];
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
            header.emit_fixed(&mut bytes);
            set_extension(&mut bytes, true);
            self.transport_sequence = self.transport_sequence.wrapping_add(1);
            let room = bytes.get_mut(FIXED_HEADER_LENGTH..).unwrap_or_default();
            let mut writer = ExtensionWriter::new(room);
            let number = self.transport_sequence.to_be_bytes();
            let fits = writer.push(TRANSPORT_SEQUENCE_ID, &number);
            debug_assert!(fits, "one element into an empty packet");
            let header_length = FIXED_HEADER_LENGTH + writer.finish();
            let room = bytes.get_mut(header_length..).unwrap_or_default();
            let plain = header_length + frame.write_packet(part, room);
            let peer = self.sim.peer_mut(self.sender);
            let sealed = peer.seal(self.sequence, &mut bytes, plain, header_length);
            if let (Some(length), Some(shard)) = (sealed, self.sim.shards.get_mut(self.gate)) {
                let mut packet = shard.engine.pool().take();
                packet.fill(bytes.get(..length).unwrap_or_default());
                self.waiting.push(packet);
            }
            self.sequence += 1;
        }
    }

    /// The datagrams of the frame.
    pub(crate) fn arrivals(&mut self) -> impl Iterator<Item = (Path, Packet)> {
        let path = self.path();
        self.waiting.drain(..).map(move |packet| (path, packet))
    }

    fn path(&self) -> Path {
        Path {
            remote: self.sim.host(self.sender),
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
