//! Plays one transport of a participant: keeps its path open, seals and sends its pictures, and
//! counts and reports what comes.
//!
//! One that neither sends nor gets anything does what a connected and muted client must: it asks
//! for consent every five seconds, more or less, and answers the server's checks (RFC 7675). It
//! reports on nothing, as there is nothing to report on.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use bridge_core::id::Ssrc;
use bridge_core::packet::Packet;
use bridge_core::rtcp::{self, CompoundWriter, RtcpPacket, SenderInfo};
use bridge_core::rtp::RtpHeader;
use bridge_core::srtp::{InboundContext, OutboundContext};
use bridge_core::{KeyingMaterial, SrtpProfile, Time};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::inbox::{FEEDBACK_INTERVAL, Inbox, REPORT_INTERVAL};
use super::media::{self, Camera, Frames, Place};
use super::voice::{self, Voice};
use crate::clock::wall;
use crate::stun;
use crate::udp::{Arrival, Socket};

/// Time between two checks of a path that does not stand yet.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of the longest feedback.
const FEEDBACK_BYTES: usize = 1_200;

/// The other end of a transport, as signaling told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) address: SocketAddrV4,
    /// Whether we decide on the path.
    pub(crate) controlling: bool,
    /// Whether we start the handshake.
    pub(crate) dtls_client: bool,
    pub(crate) numbers: Numbers,
}

/// Numbers that were agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Payload type of the pictures that we send.
    pub(crate) vp8: u8,
    /// Payload type of retransmissions that we get, if there are any.
    pub(crate) rtx: Option<u8>,
    /// Header extension of transport-wide sequence numbers.
    pub(crate) transport_cc: Option<u8>,
}

/// Our end of it, for signaling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) ssrc: u32,
    /// Of its screen, once it shares that.
    pub(crate) screen_ssrc: u32,
    /// Of its microphone, if it talks.
    pub(crate) voice_ssrc: u32,
    pub(crate) address: SocketAddrV4,
}

/// What a leg counted besides its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// Packets that were repeated for us.
    pub(crate) repeated: u64,
    /// Packets of padding alone.
    pub(crate) padding: u64,
    /// Packets that we could not open.
    pub(crate) unopened: u64,
    /// Keyframe requests that we got.
    pub(crate) keyframe_requests: u64,
    /// Shortest time between two for one stream, in nanoseconds.
    pub(crate) keyframe_interval: Option<u64>,
    /// RTCP that we got.
    pub(crate) control: u64,
    /// Packets of sound that came.
    pub(crate) sound: u64,
}

impl Oddities {
    pub(super) fn add(&mut self, other: Self) {
        self.repeated += other.repeated;
        self.padding += other.padding;
        self.unopened += other.unopened;
        self.keyframe_requests += other.keyframe_requests;
        self.control += other.control;
        self.sound += other.sound;
        let intervals = [self.keyframe_interval, other.keyframe_interval];
        self.keyframe_interval = intervals.into_iter().flatten().min();
    }
}

/// How many nanoseconds a packet was on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delay {
    Picture(u64),
    Sound(u64),
}

/// One transport.
#[derive(Debug)]
pub(crate) struct Leg {
    local: Local,
    from: Ipv4Addr,
    remote: Remote,
    stands: Option<oneshot::Sender<()>>,
    next_check: Time,
    /// Mean time between two checks of a path that stands.
    check_interval: Duration,
    checks: u64,
    datagrams: UnboundedSender<Vec<u8>>,
    keys: Option<Keys>,
    is_sampled: bool,
    /// The streams that it sends: a camera, then a screen.
    pub(super) cameras: Vec<Camera>,
    pub(super) voice: Option<Voice>,
    transport_sequence: u16,
    next_feedback: Time,
    next_report: Time,
    pub(super) inbox: Inbox,
    pub(super) oddities: Oddities,
}

#[derive(Debug)]
struct Keys {
    inbound: InboundContext,
    outbound: OutboundContext,
    profile: SrtpProfile,
}

/// A transport to be played.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) local: Local,
    pub(crate) remote: Remote,
    /// Whether it decrypts all that it gets.
    pub(crate) is_sampled: bool,
    pub(crate) sends: bool,
    pub(crate) talks: bool,
    /// Told once when the path stands.
    pub(crate) stands: oneshot::Sender<()>,
    /// Takes DTLS.
    pub(crate) datagrams: UnboundedSender<Vec<u8>>,
}

impl Leg {
    pub(super) fn new(
        now: Time,
        from: Ipv4Addr,
        check_interval: Duration,
        opening: Opening,
    ) -> Self {
        let vp8 = opening.remote.numbers.vp8;
        let ssrc = opening.local.ssrc;
        let camera = opening.sends.then(|| Camera::new(ssrc, vp8));
        let voice_ssrc = opening.local.voice_ssrc;
        Self {
            cameras: camera.into_iter().collect(),
            voice: opening.talks.then(|| Voice::new(voice_ssrc)),
            transport_sequence: 0,
            local: opening.local,
            from,
            remote: opening.remote,
            stands: Some(opening.stands),
            next_check: now,
            check_interval,
            checks: 0,
            datagrams: opening.datagrams,
            keys: None,
            is_sampled: opening.is_sampled,
            // Spread by a number that is as good as random.
            next_feedback: now + FEEDBACK_INTERVAL.mul_f64(f64::from(ssrc % 100) / 100.0),
            next_report: now + REPORT_INTERVAL.mul_f64(f64::from(ssrc % 1_000) / 1_000.0),
            inbox: Inbox::default(),
            oddities: Oddities::default(),
        }
    }

    /// Begins to share its screen, as the stream after those that it has.
    pub(super) fn share_screen(&mut self) {
        let (ssrc, vp8) = (self.local.screen_ssrc, self.remote.numbers.vp8);
        self.cameras.push(Camera::new(ssrc, vp8));
    }

    /// Starts to protect.
    pub(super) fn set_keys(&mut self, profile: SrtpProfile, keys: &KeyingMaterial) {
        let inbound = InboundContext::new(profile, &keys.remote_key, &keys.remote_salt);
        let outbound = OutboundContext::new(profile, &keys.local_key, &keys.local_salt);
        if let (Ok(inbound), Ok(outbound)) = (inbound, outbound) {
            self.keys = Some(Keys {
                inbound,
                outbound,
                profile,
            });
        }
    }

    pub(super) fn send(&self, socket: &Socket, bytes: &[u8]) {
        socket.send(self.from, self.remote.address, bytes);
    }

    /// Takes a datagram; gives how long it was on its way, when that is known.
    pub(super) fn receive(
        &mut self,
        now: Time,
        socket: &Socket,
        it: &Arrival<'_>,
    ) -> Option<Delay> {
        match it.bytes.first()? {
            0..=3 => self.receive_stun(now, socket, it),
            20..=63 => drop(self.datagrams.send(it.bytes.to_vec())),
            128..=191 => match it.bytes.get(1)? {
                192..=223 => self.receive_rtcp(it),
                _ => return self.receive_rtp(now, socket, it),
            },
            _ => {}
        }
        None
    }

    fn receive_stun(&mut self, now: Time, socket: &Socket, it: &Arrival<'_>) {
        let Some(message) = stun::read(it.bytes) else {
            return;
        };
        if message.is_request {
            let answer = stun::response(message.transaction, it.from, &self.local.password);
            socket.send(self.from, it.from, &answer);
            // A controlling end that nominates has a path that stands.
            if message.use_candidate && !self.remote.controlling {
                self.path_stands(now);
            }
        } else if message.is_success && self.remote.controlling {
            self.path_stands(now);
        }
    }

    fn path_stands(&mut self, now: Time) {
        if let Some(stands) = self.stands.take() {
            // Whoever waited may have given up.
            stands.send(()).unwrap_or_default();
            self.next_check = now + self.consent_interval();
        }
    }

    fn receive_rtp(&mut self, now: Time, socket: &Socket, it: &Arrival<'_>) -> Option<Delay> {
        let header = RtpHeader::parse(it.bytes).ok()?;
        if header.payload_type.0 == voice::OPUS {
            self.oddities.sound += 1;
            let left = self.open(it, &header, voice::stamp)?;
            return (it.at > 0).then(|| Delay::Sound(it.at.saturating_sub(left)));
        }
        if let Some(id) = self.remote.numbers.transport_cc {
            self.inbox.note(it.bytes, &header, id, now);
        }
        if self.remote.numbers.rtx == Some(header.payload_type.0) {
            self.oddities.repeated += 1;
            return None;
        }
        if header.has_padding && it.bytes.len() < usize::from(header.length) + 300 {
            self.oddities.padding += 1;
            return None;
        }
        if self.inbox.take(&header) {
            self.ask_for_keyframes(socket);
        }
        let left = self.open(it, &header, media::stamp)?;
        (it.at > 0).then(|| Delay::Picture(it.at.saturating_sub(left)))
    }

    /// Decrypts a packet, if this leg does; gives when it left.
    fn open(
        &mut self,
        it: &Arrival<'_>,
        header: &RtpHeader,
        stamp: impl FnOnce(&[u8]) -> Option<u64>,
    ) -> Option<u64> {
        let keys = self.keys.as_mut().filter(|_| self.is_sampled)?;
        let mut packet = Packet::copy_of(it.bytes);
        if keys.inbound.unprotect_rtp(&mut packet, header).is_err() {
            self.oddities.unopened += 1;
            return None;
        }
        stamp(header.payload(packet.bytes()).ok()?)
    }

    fn receive_rtcp(&mut self, it: &Arrival<'_>) {
        self.oddities.control += 1;
        let Some(keys) = self.keys.as_mut().filter(|_| !self.cameras.is_empty()) else {
            return;
        };
        let mut packet = Packet::copy_of(it.bytes);
        if keys.inbound.unprotect_rtcp(&mut packet).is_err() {
            self.oddities.unopened += 1;
            return;
        }
        for packet in rtcp::packets(packet.bytes()).flatten() {
            match packet {
                RtcpPacket::PictureLoss(loss) => self.keyframe_wanted(loss.media, it.at),
                RtcpPacket::FullIntra(wanted) => {
                    for entry in wanted.entries() {
                        self.keyframe_wanted(entry.ssrc, it.at);
                    }
                }
                _ => {}
            }
        }
    }

    fn keyframe_wanted(&mut self, ssrc: Ssrc, at: u64) {
        let mut cameras = self.cameras.iter_mut();
        if let Some(camera) = cameras.find(|camera| camera.ssrc == ssrc.0) {
            let oddities = &mut self.oddities;
            oddities.keyframe_requests += 1;
            let since = camera.request_keyframe(at);
            let intervals = [oddities.keyframe_interval, since];
            oddities.keyframe_interval = intervals.into_iter().flatten().min();
        }
    }

    /// Sends a stream's next frame; gives how many packets it has.
    pub(super) fn send_frame(
        &mut self,
        socket: &Socket,
        now: Time,
        stream: usize,
        frames: &Frames,
    ) -> u64 {
        let (Some(keys), Some(camera)) = (self.keys.as_ref(), self.cameras.get_mut(stream)) else {
            return 0;
        };
        let is_keyframe = camera.next_frame();
        let sizes = frames.sizes(is_keyframe);
        let timestamp = timestamp(now);
        let mut room = [0; crate::udp::DATAGRAM];
        let mut sent = 0;
        for (at, size) in sizes.iter().enumerate() {
            let place = Place {
                is_keyframe,
                is_first: at == 0,
                is_last: at + 1 == sizes.len(),
            };
            let number = self.transport_sequence;
            let transport = self.remote.numbers.transport_cc.map(|id| (id, number));
            let packet = room
                .get_mut(..*size)
                .and_then(|out| camera.packet(out, timestamp, place, transport, wall()));
            let segment = room.get_mut(..size + keys.profile.rtp_overhead());
            let Some(((index, header_length), segment)) = packet.zip(segment) else {
                return sent;
            };
            self.transport_sequence = number.wrapping_add(1);
            let sealed = keys.outbound.seal_rtp(index, segment, header_length);
            if sealed.is_ok() && socket.send(self.from, self.remote.address, segment) {
                sent += 1;
            }
        }
        sent
    }

    /// Sends the next packet of sound.
    pub(super) fn send_sound(&mut self, socket: &Socket, now: Time) {
        let (Some(keys), Some(voice)) = (self.keys.as_ref(), self.voice.as_mut()) else {
            return;
        };
        let mut room = [0; voice::SIZE + 16];
        let made = room
            .first_chunk_mut()
            .and_then(|out| voice.packet(out, now, wall()));
        let segment = room.get_mut(..voice::SIZE + keys.profile.rtp_overhead());
        if let Some(((index, header_length), segment)) = made.zip(segment)
            && keys
                .outbound
                .seal_rtp(index, segment, header_length)
                .is_ok()
        {
            socket.send(self.from, self.remote.address, segment);
        }
    }

    /// Does what is due: checks, feedback, reports.
    pub(super) fn tend(&mut self, now: Time, socket: &Socket) {
        if self.next_check <= now {
            self.check(now, socket);
        }
        if self.keys.is_none() {
            return;
        }
        if self.next_feedback <= now {
            self.next_feedback =
                self.next_feedback.max(now - FEEDBACK_INTERVAL) + FEEDBACK_INTERVAL;
            while self.inbox.has_arrivals() {
                let ssrc = self.local.ssrc;
                self.send_rtcp(socket, |leg, writer| leg.inbox.feedback(writer, ssrc));
            }
        }
        if self.next_report <= now {
            self.next_report = self.next_report.max(now - REPORT_INTERVAL) + REPORT_INTERVAL;
            self.send_rtcp(socket, |leg, writer| leg.report(now, writer));
        }
    }

    fn check(&mut self, now: Time, socket: &Socket) {
        self.checks += 1;
        let mut transaction = [0; 12];
        let number = self.checks.to_be_bytes();
        let own = self.local.ssrc.to_be_bytes();
        for (to, from) in transaction.iter_mut().zip(own.into_iter().chain(number)) {
            *to = from;
        }
        let Remote {
            ufrag,
            password,
            controlling,
            ..
        } = &self.remote;
        let bytes = stun::request(
            transaction,
            ufrag,
            &self.local.ufrag,
            password,
            *controlling,
        );
        self.send(socket, &bytes);
        let is_open = self.stands.is_none();
        self.next_check = now
            + if is_open {
                self.consent_interval()
            } else {
                CHECK_INTERVAL
            };
    }

    /// Time to the next check of a path that stands (RFC 7675 section 5.1).
    fn consent_interval(&self) -> Duration {
        // As good as random.
        let number = u64::from(self.local.ssrc).wrapping_add(self.checks);
        let share = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        let share = u16::try_from(share).map_or(0.5, |share| f64::from(share) / 1_024.0);
        self.check_interval.mul_f64(0.4f64.mul_add(share, 0.8))
    }

    /// Writes what is to be said of our stream and of others'; `false` when there is nothing.
    fn report(&mut self, now: Time, writer: &mut CompoundWriter<'_>) -> bool {
        let ssrc = self.local.ssrc;
        let mut says = false;
        for camera in &self.cameras {
            let info = SenderInfo {
                ssrc: Ssrc(camera.ssrc),
                ntp: ntp(wall()),
                rtp_timestamp: timestamp(now),
                packets: camera.packets,
                octets: camera.octets,
            };
            says |= writer.sender_report(&info, &[]);
        }
        says |= self.inbox.report(writer, ssrc);
        says && writer.cname(Ssrc(ssrc), self.local.ufrag.as_bytes())
    }

    /// Asks for a keyframe of every stream, as a decoder that begins.
    pub(super) fn ask_for_keyframes(&mut self, socket: &Socket) {
        let ssrc = self.local.ssrc;
        let streams: Vec<u32> = self.inbox.streams().collect();
        self.send_rtcp(socket, |leg, writer| {
            let mut streams = streams.into_iter();
            leg.inbox.report(writer, ssrc)
                && streams.all(|stream| writer.picture_loss(Ssrc(ssrc), Ssrc(stream)))
        });
    }

    fn send_rtcp(
        &mut self,
        socket: &Socket,
        write: impl FnOnce(&mut Self, &mut CompoundWriter<'_>) -> bool,
    ) {
        let mut room = [0; FEEDBACK_BYTES + 64];
        let length = room.get_mut(..FEEDBACK_BYTES).map_or(0, |room| {
            let mut writer = CompoundWriter::new(room);
            if write(self, &mut writer) {
                writer.len()
            } else {
                0
            }
        });
        let Some(keys) = self.keys.as_mut().filter(|_| length > 0) else {
            return;
        };
        if let Ok(length) = keys.outbound.seal_rtcp(&mut room, length)
            && let Some(bytes) = room.get(..length)
        {
            socket.send(self.from, self.remote.address, bytes);
        }
    }
}

/// The media clock: 90 kHz.
fn timestamp(now: Time) -> u32 {
    let ticks = u128::from(now.as_nanos()) * 90_000 / 1_000_000_000;
    let [.., a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Nanoseconds since 1970 as seconds since 1900 and fractions of 2^-32.
fn ntp(nanos: u64) -> u64 {
    let seconds = nanos / 1_000_000_000 + 2_208_988_800;
    let rest = u128::from(nanos % 1_000_000_000);
    let fraction = u64::try_from((rest << 32) / 1_000_000_000).unwrap_or(0);
    (seconds << 32) | fraction
}
