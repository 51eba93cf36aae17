//! Forwards with the least work that a conference server can do: the yardstick.
//!
//! One thread and one socket: it answers ICE checks, shakes hands as the DTLS server, decrypts each
//! packet once, encrypts it for each receiver and sends in batches. There is no RTCP, no
//! retransmission, no rewriting, no estimation and no selection, and nobody is ever forgotten:
//! start it afresh for each run.
//!
//! One HTTP call joins: `POST /join?room=R&ep=E&send=0|1&recv=a,b,c`. Its body is an SDP offer
//! with one sendonly section if `send` is 1 and one recvonly section per endpoint in `recv`; the
//! reply is the SDP answer.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::mpsc::{Receiver, Sender, channel};

use bridge_core::dtls::dimpl::{DimplEngine, DimplFactory};
use bridge_core::dtls::{Certificate, DtlsEngine, DtlsEvent, DtlsVersion};
use bridge_core::rtp::RtpHeader;
use bridge_core::rtp::sequence::SequenceExtender;
use clap::{Parser, ValueEnum};

use crate::clock::Clock;
use crate::stun;
use crate::udp::{BATCH, Run, Socket};

mod join;

mod srtp;

use join::Join;
use srtp::{Keys, TAG_MAX};

/// Bytes of a message that the kernel cuts into segments, at most.
const MESSAGE_MAX: usize = 60_000;

/// Segments of one message, at most.
const SEGMENTS_MAX: usize = 48;

/// The least that a conference server can do: a yardstick for the load generator.
#[derive(Clone, Debug, Parser)]
#[command(name = "ceiling", version)]
#[non_exhaustive]
pub struct Options {
    /// How datagrams leave
    #[arg(long, value_enum, default_value_t = Mode::Gso)]
    pub mode: Mode,
    /// HTTP listener for joins, and the address for media
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddrV4,
}

/// How datagrams leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Mode {
    /// Runs that the kernel cuts into datagrams, many runs a call.
    Gso,
    /// Many datagrams a call.
    Mmsg,
    /// One call a datagram.
    Sendto,
}

/// One participant's transport.
struct Leg {
    room: String,
    name: String,
    password: String,
    address: Option<SocketAddrV4>,
    handshake: Option<DimplEngine>,
    keys: Option<(Keys, Keys)>,
    sequence: SequenceExtender,
}

/// A packet of the batch that is decrypted.
struct Plain {
    leg: usize,
    buffer: usize,
    header: usize,
    length: usize,
    index: u64,
}

/// The server.
struct Ceiling {
    mode: Mode,
    socket: Socket,
    host: std::net::Ipv4Addr,
    joins: Receiver<(Join, Sender<String>)>,
    factory: DimplFactory,
    fingerprint: String,
    clock: Clock,
    legs: Vec<Leg>,
    by_ufrag: BTreeMap<String, usize>,
    by_address: BTreeMap<SocketAddrV4, usize>,
    /// Who receives, by room and name of the sender.
    receivers: BTreeMap<(String, String), Vec<usize>>,
    plain: Vec<Plain>,
    arena: Vec<u8>,
    runs: Vec<Run>,
    /// To whom the last run goes.
    last: usize,
}

/// Runs until the process is ended; `ready` hears the address of the HTTP listener.
///
/// # Errors
/// When a port is taken.
pub fn run(options: &Options, ready: impl FnOnce(SocketAddrV4)) -> std::io::Result<()> {
    let (sender, joins) = channel();
    let address = join::listen(options.listen, sender)?;
    let clock = Clock::start();
    let broken = |error: bridge_core::Error| std::io::Error::other(error.to_string());
    let certificate = Certificate::generate().map_err(broken)?;
    let fingerprint = certificate.fingerprint().to_string();
    let factory =
        DimplFactory::new(DtlsVersion::V1_2, certificate, clock.base()).map_err(broken)?;
    let host = *options.listen.ip();
    let mut ceiling = Ceiling {
        mode: options.mode,
        socket: Socket::bind(SocketAddrV4::new(host, 0))?,
        host,
        joins,
        factory,
        fingerprint,
        clock,
        legs: Vec::new(),
        by_ufrag: BTreeMap::new(),
        by_address: BTreeMap::new(),
        receivers: BTreeMap::new(),
        plain: Vec::with_capacity(BATCH),
        arena: Vec::with_capacity(1 << 20),
        runs: Vec::with_capacity(2 * BATCH),
        last: 0,
    };
    ready(address);
    loop {
        ceiling.pass()?;
    }
}

impl Ceiling {
    fn pass(&mut self) -> std::io::Result<()> {
        while let Ok((join, reply)) = self.joins.try_recv() {
            // Whoever asked may have gone.
            drop(reply.send(self.join(join)));
        }
        self.socket.wait(5);
        let count = self.socket.receive()?;
        for at in 0..count {
            self.take(at);
        }
        self.forward();
        Ok(())
    }

    fn join(&mut self, join: Join) -> String {
        let number = self.legs.len();
        let (ufrag, password) = join::credentials(number);
        self.by_ufrag.insert(ufrag.clone(), number);
        for sender in join.receives {
            let key = (join.room.clone(), sender);
            self.receivers.entry(key).or_default().push(number);
        }
        let (host, port) = (self.host, self.socket.port());
        let answer = format!(
            "v=0\r\na=ice-lite\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=setup:passive\r\na=fingerprint:sha-256 {}\r\n\
             a=candidate:1 1 udp 1 {host} {port} typ host\r\n",
            self.fingerprint
        );
        self.legs.push(Leg {
            room: join.room,
            name: join.name,
            password,
            address: None,
            handshake: None,
            keys: None,
            sequence: SequenceExtender::new(),
        });
        answer
    }

    /// Takes a datagram of the batch.
    fn take(&mut self, at: usize) {
        let Some(arrival) = self.socket.arrivals().nth(at) else {
            return;
        };
        let (from, first) = (arrival.from, arrival.bytes.first().copied());
        let is_rtcp = arrival
            .bytes
            .get(1)
            .is_some_and(|it| (192..=223).contains(it));
        match first {
            Some(0..=3) => {
                let answer = self.check(at);
                self.send(from, answer);
            }
            Some(20..=63) => {
                for datagram in self.shake(at, from) {
                    self.send(from, Some(datagram));
                }
            }
            Some(128..=191) if !is_rtcp => {
                if let Some(plain) = self.open(at, from) {
                    self.plain.push(plain);
                }
            }
            _ => {}
        }
    }

    fn check(&mut self, at: usize) -> Option<Vec<u8>> {
        let arrival = self.socket.arrivals().nth(at)?;
        let message = stun::read(arrival.bytes).filter(|message| message.is_request)?;
        let number = *self.by_ufrag.get(message.ufrag?)?;
        let leg = self.legs.get_mut(number)?;
        leg.address = Some(arrival.from);
        self.by_address.insert(arrival.from, number);
        Some(stun::response(
            message.transaction,
            arrival.from,
            &leg.password,
        ))
    }

    fn shake(&mut self, at: usize, from: SocketAddrV4) -> Vec<Vec<u8>> {
        let number = self.by_address.get(&from).copied().unwrap_or(usize::MAX);
        let arrival = self.socket.arrivals().nth(at);
        let (Some(leg), Some(arrival)) = (self.legs.get_mut(number), arrival) else {
            return Vec::new();
        };
        let now = self.clock.now();
        let factory = &self.factory;
        let engine = leg.handshake.get_or_insert_with(|| {
            let mut engine = factory.make(now, false);
            engine.start(now);
            engine
        });
        engine.handle_datagram(now, arrival.bytes);
        let mut out = Vec::new();
        while let Some(packet) = engine.poll_datagram() {
            out.push(packet.bytes().to_vec());
        }
        while let Some(event) = engine.poll_event() {
            if let DtlsEvent::Completed { keys, profile, .. } = event {
                let inbound = Keys::new(profile, &keys.remote_key, &keys.remote_salt);
                let outbound = Keys::new(profile, &keys.local_key, &keys.local_salt);
                leg.keys = inbound.zip(outbound);
            }
        }
        out
    }

    fn open(&mut self, at: usize, from: SocketAddrV4) -> Option<Plain> {
        let number = *self.by_address.get(&from)?;
        let leg = self.legs.get_mut(number)?;
        let (buffer, length) = self.socket.arrival_mut(at)?;
        let bytes = buffer.get_mut(..length)?;
        let header = RtpHeader::parse(bytes).ok()?;
        // The extender counts cycles from one.
        let index = leg.sequence.peek(header.sequence).checked_sub(1 << 16)?;
        let (inbound, _) = leg.keys.as_ref()?;
        let length = inbound.open(bytes, usize::from(header.length), index)?;
        leg.sequence.extend(header.sequence);
        Some(Plain {
            leg: number,
            buffer: at,
            header: usize::from(header.length),
            length,
            index,
        })
    }

    /// Sends the batch to all who receive it, receiver by receiver.
    fn forward(&mut self) {
        let mut plain = core::mem::take(&mut self.plain);
        // Stable: the packets of one sender keep their order.
        plain.sort_by_key(|packet| packet.leg);
        for packets in plain.chunk_by(|one, other| one.leg == other.leg) {
            let leg = packets.first().and_then(|first| self.legs.get(first.leg));
            let key = leg.map(|leg| (leg.room.clone(), leg.name.clone()));
            let receivers = key.and_then(|key| self.receivers.remove_entry(&key));
            let Some((key, receivers)) = receivers else {
                continue;
            };
            for receiver in &receivers {
                self.seal(*receiver, packets);
                if self.runs.len() >= BATCH {
                    self.flush();
                }
            }
            self.receivers.insert(key, receivers);
        }
        self.flush();
        plain.clear();
        self.plain = plain;
    }

    fn seal(&mut self, receiver: usize, packets: &[Plain]) {
        let Self {
            socket,
            legs,
            arena,
            runs,
            mode,
            last,
            ..
        } = self;
        let Some(leg) = legs.get(receiver) else {
            return;
        };
        let (Some(to), Some((_, keys))) = (leg.address, &leg.keys) else {
            return;
        };
        for packet in packets {
            let start = arena.len();
            let Some((buffer, _)) = socket.arrival_mut(packet.buffer) else {
                return;
            };
            let Some(bytes) = buffer.get(..packet.length) else {
                return;
            };
            arena.extend_from_slice(bytes);
            arena.resize(start + packet.length + TAG_MAX, 0);
            let room = arena.get_mut(start..).unwrap_or_default();
            let Some(total) = keys.seal(room, packet.header, packet.index) else {
                arena.truncate(start);
                return;
            };
            arena.truncate(start + total);
            let joined = runs.last_mut().filter(|run| {
                *mode == Mode::Gso
                    && *last == receiver
                    && run.segment == total
                    && run.total + total <= MESSAGE_MAX
                    && run.total < SEGMENTS_MAX * run.segment
            });
            match joined {
                Some(run) => run.total += total,
                None => runs.push(Run {
                    to,
                    start,
                    segment: total,
                    total,
                }),
            }
            *last = receiver;
        }
    }

    fn flush(&mut self) {
        match self.mode {
            Mode::Gso | Mode::Mmsg => self.socket.send_runs(&self.arena, &self.runs),
            Mode::Sendto => self.socket.send_singly(&self.arena, &self.runs),
        };
        self.runs.clear();
        self.arena.clear();
    }

    fn send(&self, to: SocketAddrV4, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = bytes {
            self.socket.send(self.host, to, &bytes);
        }
    }
}
