//! Describes transports, media and sources in a neutral form, between Jingle, colibri2 and SDP.

use core::fmt;
use core::net::SocketAddr;

use crate::id::{PayloadType, SourceName, Ssrc};

/// Which end decides on the candidate pair (RFC 8445 section 6.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8445 knows two roles")]
pub enum IceRole {
    /// We nominate.
    #[default]
    Controlling,
    /// The peer nominates.
    Controlled,
}

/// Who starts the DTLS handshake (RFC 8842 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8842 knows three values")]
pub enum Setup {
    /// Either way.
    #[default]
    Actpass,
    /// The describing end is the DTLS client.
    Active,
    /// The describing end is the DTLS server.
    Passive,
}

/// Hash function of a certificate fingerprint (RFC 8122 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FingerprintHash {
    /// 20 bytes; accepted from old peers only.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl FingerprintHash {
    /// The textual name, e.g. `sha-256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The hash of that name, whatever its case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of the hash.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Hash of a certificate (RFC 8122 section 5), shown as `AB:CD:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash function.
    pub hash: FingerprintHash,
    /// The hash, as many bytes as the function gives.
    pub value: Vec<u8>,
}

impl Fingerprint {
    /// Reads `AB:CD:…` (either case); `None` when it is not as long as the hash or not hexadecimal.
    #[must_use]
    pub fn parse(hash: FingerprintHash, text: &str) -> Option<Self> {
        let value: Vec<u8> = text
            .trim()
            .split(':')
            .map(|byte| {
                if byte.len() == 2 {
                    u8::from_str_radix(byte, 16).ok()
                } else {
                    None
                }
            })
            .take(hash.length() + 1)
            .collect::<Option<_>>()?;
        (value.len() == hash.length()).then_some(Self { hash, value })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.value.iter().enumerate() {
            if at > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// Where a candidate comes from (RFC 8445 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8445 knows four kinds")]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// An address that a STUN or announced mapping gives.
    ServerReflexive,
    /// An address that the peer saw.
    PeerReflexive,
    /// An address of a relay.
    Relayed,
}

/// How a candidate is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateProtocol {
    /// Datagrams.
    Udp,
    /// RFC 6544, the peer connects.
    TcpPassive,
}

/// An ICE candidate of component 1 (RFC 8445 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of one kind, base and protocol; 1 to 32 ICE characters.
    pub foundation: String,
    /// Larger is better.
    pub priority: u32,
    /// Transport protocol.
    pub protocol: CandidateProtocol,
    /// Where to.
    pub address: SocketAddr,
    /// Kind.
    pub kind: CandidateKind,
}

/// One end of a media transport. The same type describes ours and the peer's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportDescription {
    /// ICE user name fragment, 4 to 256 ICE characters.
    pub ufrag: String,
    /// ICE password, 22 to 256 ICE characters.
    pub password: String,
    /// Where this end can be reached; may be empty for a peer, who is then found by its checks.
    pub candidates: Vec<Candidate>,
    /// Hashes of the certificate; one that we can compute must match.
    pub fingerprints: Vec<Fingerprint>,
    /// DTLS role.
    pub setup: Setup,
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a bridge forwards sound and pictures"
)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// What a picture shows (Jitsi's `videoType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoType {
    /// A camera.
    #[default]
    Camera,
    /// A screen, at a low frame rate.
    Desktop,
    /// A screen, at a high frame rate.
    DesktopHighFps,
    /// Nothing at present (camera off).
    None,
}

/// What a payload type carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 4588: retransmissions of another payload type.
    Rtx {
        /// The payload type that is retransmitted.
        of: PayloadType,
    },
    /// Something that this bridge does not forward; kept so that descriptions survive.
    Other(String),
}

/// An RTCP feedback that a payload type takes (RFC 4585 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// `nack`
    Nack,
    /// `nack pli`
    NackPli,
    /// `ccm fir`
    CcmFir,
    /// `transport-cc`
    TransportCc,
    /// `goog-remb`
    Remb,
}

/// A payload type and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadTypeDescription {
    /// Number on the wire.
    pub id: PayloadType,
    /// Codec.
    pub codec: Codec,
    /// RTP clock rate in hertz.
    pub clock_rate: u32,
    /// Channels; 1 for video.
    pub channels: u8,
    /// Format parameters in order.
    pub parameters: Vec<(String, String)>,
    /// Feedback.
    pub feedback: Vec<Feedback>,
}

/// A header extension that the engine reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderExtension {
    /// RFC 6464 `urn:ietf:params:rtp-hdrext:ssrc-audio-level`
    AudioLevel,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    AbsSendTime,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    TransportSequence,
    /// RFC 9143 `urn:ietf:params:rtp-hdrext:sdes:mid`
    Mid,
    /// RFC 8852 `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    Rid,
}

impl HeaderExtension {
    /// Every extension the engine knows.
    pub const ALL: &'static [Self] = &[
        Self::AudioLevel,
        Self::AbsSendTime,
        Self::TransportSequence,
        Self::Mid,
        Self::Rid,
    ];

    /// The URI by which signaling names it.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportSequence => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        }
    }

    /// The extension of that URI, if the engine knows it.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|extension| extension.uri() == uri)
    }
}

/// What one end can send and receive of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// Kind.
    pub kind: MediaKind,
    /// Payload types in order of preference.
    pub payload_types: Vec<PayloadTypeDescription>,
    /// Extensions with their ids on the wire, 1 to 14 (one byte form) or to 255.
    pub header_extensions: Vec<(HeaderExtension, u8)>,
}

/// What a group of SSRCs means (RFC 5576 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupSemantics {
    /// `SIM`: the same picture in several qualities, smallest first.
    Simulcast,
    /// `FID`: a stream and its retransmissions.
    FlowIdentification,
}

/// A group of SSRCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup {
    /// What the group means.
    pub semantics: GroupSemantics,
    /// Its members in order.
    pub ssrcs: Vec<Ssrc>,
}

/// One camera, microphone or screen as its owner sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDescription {
    /// Name, unique in the conference.
    pub name: SourceName,
    /// Kind.
    pub kind: MediaKind,
    /// What it shows; meaningless for sound.
    pub video_type: VideoType,
    /// Every SSRC, retransmission streams included.
    pub ssrcs: Vec<Ssrc>,
    /// How they belong together.
    pub groups: Vec<SsrcGroup>,
}

/// How large a receiver wants one picture. −1 is unlimited; a height of 0 is "not at all".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoConstraints {
    /// Lines.
    pub max_height: i32,
    /// Frames per second.
    pub max_frame_rate: i32,
}

/// What a receiver wants (Jitsi's `ReceiverVideoConstraints`). `None` leaves a wish as it was; a
/// wish that is given replaces the earlier one whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverConstraints {
    /// How many videos at most; −1 is unlimited.
    pub last_n: Option<i32>,
    /// Sources to prefer.
    pub selected_sources: Option<Vec<SourceName>>,
    /// Sources shown large.
    pub on_stage_sources: Option<Vec<SourceName>>,
    /// Lines of every source not named in `constraints`; −1 is unlimited, 0 is none.
    pub default_max_height: Option<i32>,
    /// Wishes for single sources.
    pub constraints: Option<Vec<(SourceName, VideoConstraints)>>,
    /// Bits per second to assume instead of an estimate; −1 to use the estimate.
    pub assumed_bandwidth: Option<i64>,
}
