//! Holds what is known of one source: its encodings, their recent packets, what waits for egress.

use crate::codec::vp8::Vp8Descriptor;
use crate::description::{MediaKind, VideoType};
use crate::id::{EndpointId, EndpointKey, ShardId, SourceName, Ssrc};
use crate::limits::{AUDIO_HISTORY_PACKETS_MAX, HISTORY_PACKETS_MAX};
use crate::packet::SharedPacket;
use crate::route::conference::Owner;
use crate::rtp::RtpHeader;
use crate::time::Time;

use super::keyframe::KeyframeRequests;
use super::layers::Rate;
use super::loss::Missing;
use super::report::Reception;
use super::store::PacketStore;

/// One decrypted RTP packet as its sender sent it. One that came as a retransmission (RFC 4588)
/// has its original SSRC, payload type and sequence number again. A clone is the same packet in
/// other hands: one atomic step.
#[derive(Clone, Debug)]
pub(crate) struct MediaPacket {
    /// Header and payload, padding included.
    pub(crate) packet: SharedPacket,
    /// The header of `packet`.
    pub(crate) header: RtpHeader,
    /// Bytes of the payload without padding, from `header.length` on; never 0.
    pub(crate) payload_length: u16,
    /// Extended sequence number of its encoding.
    pub(crate) sequence: u64,
    /// When it came.
    pub(crate) arrival: Time,
    /// What forwarding must know of it.
    pub(crate) facts: Facts,
}

/// What forwarding must know of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Facts {
    /// Sound: level in −dBov (0 loudest, 127 silence, RFC 6464) if the sender tells it.
    Audio { level: Option<u8>, voice: bool },
    /// RFC 7741.
    Vp8(Vp8Descriptor),
}

impl Facts {
    /// Whether this is the first packet of a keyframe.
    pub(crate) const fn starts_keyframe(&self) -> bool {
        match self {
            Self::Audio { .. } => false,
            Self::Vp8(descriptor) => descriptor.is_keyframe,
        }
    }
}

/// One camera, microphone or screen.
#[derive(Debug)]
pub(crate) struct Source {
    /// Name, unique in the conference.
    pub(crate) name: SourceName,
    /// Who sends it.
    pub(crate) owner: EndpointKey,
    /// The same by name.
    pub(crate) owner_id: EndpointId,
    /// Sound or picture.
    pub(crate) kind: MediaKind,
    /// What it shows.
    pub(crate) video_type: VideoType,
    /// Whether a moderator stopped it: nothing of it is pending.
    pub(crate) muted: bool,
    /// Its qualities, smallest first; never empty.
    pub(crate) encodings: Vec<Encoding>,
    /// What came in this pass, in the order of arrival. The engine clears it after the flush.
    pub(crate) pending: Vec<Pending>,
    /// Lines that the receivers of other shards want of this shard's own source, together; −1 is
    /// unlimited. A shard that is not named wants nothing.
    pub(crate) audience: Vec<(ShardId, i32)>,
    /// Silent packets in a row (`level.rs`).
    pub(super) silent_packets: u8,
    /// Keyframes asked for (`keyframe.rs`).
    pub(super) keyframes: KeyframeRequests,
}

/// A packet that waits for egress: [`PacketStore::get`] of that encoding has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Which of [`Source::encodings`].
    pub(crate) encoding: u8,
    /// Extended sequence number.
    pub(crate) sequence: u64,
}

/// One quality of a source: an RTP stream and its retransmissions.
#[derive(Debug)]
pub(crate) struct Encoding {
    /// The stream.
    pub(crate) ssrc: Ssrc,
    /// Its retransmissions (RFC 4588).
    pub(crate) rtx: Option<Ssrc>,
    /// Recent packets.
    pub(crate) store: PacketStore,
    /// The sender's latest word on its clocks (RFC 3550 section 6.4.1).
    pub(crate) sender_report: Option<SenderClock>,
    /// Lines of the picture by its latest keyframe; the smaller of width and height.
    pub(crate) height: Option<u16>,
    /// Whether packets come, as of the last look (`layers.rs`).
    pub(crate) live: bool,
    /// Clock rate of its payload type; 0 before the first packet.
    pub(crate) clock_rate: u32,
    /// RTP timestamp and arrival of its newest packet.
    pub(crate) newest: Option<(u32, Time)>,
    /// Reception of the stream and of its retransmissions (`report.rs`).
    pub(super) reception: Reception,
    pub(super) rtx_reception: Reception,
    /// What was lost (`loss.rs`).
    pub(super) missing: Missing,
    /// Frames of the other encodings since its newest packet (`layers.rs`).
    pub(super) overtaken: u32,
    /// Bytes of the last second (`layers.rs`).
    pub(super) rate: Rate,
}

/// A pair of equal times on the sender's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderClock {
    /// NTP time, 32.32 bits.
    pub(crate) ntp: u64,
    /// RTP timestamp of the same moment.
    pub(crate) rtp: u32,
    /// When we were told.
    pub(crate) arrival: Time,
}

impl Source {
    /// A source that was just announced.
    pub(crate) fn new(
        owner: &Owner,
        name: SourceName,
        kind: MediaKind,
        video_type: VideoType,
        encodings: Vec<Encoding>,
    ) -> Self {
        Self {
            name,
            owner: owner.key,
            owner_id: owner.id.clone(),
            kind,
            video_type,
            muted: owner.mute.covers(kind),
            encodings,
            pending: Vec::new(),
            audience: Vec::new(),
            silent_packets: 0,
            keyframes: KeyframeRequests::default(),
        }
    }

    /// Notes what the receivers of another shard want of it; `true` if they wanted nothing before.
    pub(crate) fn note_audience(&mut self, shard: ShardId, height: i32) -> bool {
        let place = self.audience.iter().position(|(other, _)| *other == shard);
        if let Some(place) = place {
            self.audience.swap_remove(place);
        }
        if height != 0 {
            self.audience.push((shard, height));
        }
        place.is_none() && height != 0
    }

    /// The shards among `others` that are to have its packets: sound goes to all of them, since
    /// the home shard must know the levels, and pictures go where somebody wants them.
    pub(crate) fn listeners(&self, others: &[ShardId]) -> impl Iterator<Item = ShardId> {
        let is_sound = self.kind == MediaKind::Audio;
        let audience = self.audience.iter().map(|(shard, _)| *shard);
        let all = others.iter().copied().filter(move |_| is_sound);
        audience.filter(move |_| !is_sound).chain(all)
    }

    /// Stops it or lets it through. Wishes of before are void either way: who receives it wishes
    /// anew when it comes back.
    pub(crate) fn set_muted(&mut self, muted: bool) {
        if self.muted == muted {
            return;
        }
        self.muted = muted;
        self.keyframes.clear();
        for encoding in &mut self.encodings {
            encoding.missing.clear();
        }
    }

    /// Wishes for a keyframe of an encoding; `true` when its sender is to be asked for it at once
    /// or after the throttle, `false` for sound, a muted source or an encoding that is not there.
    pub(crate) fn wish_keyframe(&mut self, now: Time, encoding: usize) -> bool {
        self.kind == MediaKind::Video
            && !self.muted
            && encoding < self.encodings.len()
            && self.keyframes.wish(now, encoding)
    }
}

impl Encoding {
    /// An encoding of which nothing came yet.
    pub(crate) fn new(ssrc: Ssrc, rtx: Option<Ssrc>, kind: MediaKind) -> Self {
        Self::with_store(ssrc, rtx, PacketStore::new(history_of(kind)))
    }

    /// An encoding that another shard takes in.
    pub(crate) fn mirror(ssrc: Ssrc, rtx: Option<Ssrc>, kind: MediaKind) -> Self {
        Self::with_store(ssrc, rtx, PacketStore::borrowing(history_of(kind)))
    }

    fn with_store(ssrc: Ssrc, rtx: Option<Ssrc>, store: PacketStore) -> Self {
        Self {
            ssrc,
            rtx,
            store,
            sender_report: None,
            height: None,
            live: false,
            clock_rate: 0,
            newest: None,
            reception: Reception::default(),
            rtx_reception: Reception::default(),
            missing: Missing::default(),
            overtaken: 0,
            rate: Rate::default(),
        }
    }
}

const fn history_of(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Audio => AUDIO_HISTORY_PACKETS_MAX,
        MediaKind::Video => HISTORY_PACKETS_MAX,
    }
}
