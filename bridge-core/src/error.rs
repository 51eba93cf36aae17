//! Says who is to blame: errors to callers, and discard reasons of packets as counters.

use core::fmt;

/// What went wrong in something that a caller asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that cannot be: mend the call.
    Misuse(&'static str),
    /// The named conference, endpoint or source does not exist (any more).
    Unknown(&'static str),
    /// Something of that name exists already.
    Exists(&'static str),
    /// A limit is reached; the text names it.
    Limit(&'static str),
    /// The peer wants something that this bridge cannot do.
    Incompatible(&'static str),
    /// The peer broke a protocol.
    Misbehaved(&'static str),
    /// The operating system refused; the first part says what was tried.
    Io(&'static str, std::io::Error),
    /// The bridge is stopped.
    Stopped,
}

/// Result of what a caller asked for.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse(what) => write!(f, "wrong use: {what}"),
            Self::Unknown(what) => write!(f, "unknown {what}"),
            Self::Exists(what) => write!(f, "{what} exists already"),
            Self::Limit(what) => write!(f, "limit reached: {what}"),
            Self::Incompatible(what) => write!(f, "incompatible peer: {what}"),
            Self::Misbehaved(what) => write!(f, "misbehaving peer: {what}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Stopped => write!(f, "the bridge is stopped"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

macro_rules! discards {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// Why a packet goes no further. Each reason is a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Discard { $($(#[$doc])* $name,)* }

        impl Discard {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason in snake case, as metrics name it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

discards! {
    /// Neither STUN nor DTLS nor RTP by its first byte (RFC 7983).
    UnknownKind => "unknown_kind",
    /// From an address that no ICE check has validated.
    UnknownPath => "unknown_path",
    /// Longer than the largest datagram we take.
    Oversized => "oversized",
    /// The endpoint sends faster than its limit.
    RateLimited => "rate_limited",
    /// STUN that cannot be read.
    StunMalformed => "stun_malformed",
    /// STUN for a ufrag that is not ours: no answer, no state.
    StunUnknownUfrag => "stun_unknown_ufrag",
    /// STUN whose integrity check fails.
    StunUnauthenticated => "stun_unauthenticated",
    /// A STUN response that answers nothing we asked.
    StunUnexpected => "stun_unexpected",
    /// Too many STUN requests from one address.
    StunRateLimited => "stun_rate_limited",
    /// DTLS when no handshake is expected, or over its limits.
    DtlsUnexpected => "dtls_unexpected",
    /// SRTP before the keys are known.
    NoKeys => "no_keys",
    /// Too short or cut inside its header, before authentication.
    RtpMalformed => "rtp_malformed",
    /// The SRTP tag does not fit.
    SrtpUnauthenticated => "srtp_unauthenticated",
    /// Seen before, or older than the replay window.
    SrtpReplayed => "srtp_replayed",
    /// The SRTCP tag does not fit, or the packet is not encrypted.
    SrtcpUnauthenticated => "srtcp_unauthenticated",
    /// SRTCP seen before.
    SrtcpReplayed => "srtcp_replayed",
    /// A key has protected as many packets as it may (RFC 3711 section 9.2).
    KeyExhausted => "key_exhausted",
    /// RTCP that cannot be read, after authentication.
    RtcpMalformed => "rtcp_malformed",
    /// RTP of an SSRC that no source was announced for.
    UnknownSsrc => "unknown_ssrc",
    /// RTP of a payload type that was not negotiated.
    UnknownPayloadType => "unknown_payload_type",
    /// Payload that its codec's rules forbid.
    PayloadMalformed => "payload_malformed",
    /// The same packet came before (a retransmission of what arrived, say).
    Duplicate => "duplicate",
    /// Padding only: no media in it.
    PaddingOnly => "padding_only",
    /// A retransmission of something we never sent for or that is too old.
    RtxUnexpected => "rtx_unexpected",
    /// The source is muted by a moderator.
    Muted => "muted",
    /// Silence that nobody would hear.
    Silence => "silence",
    /// A table of this sender is full.
    TableFull => "table_full",
    /// No room in the send arena, and the socket takes no more.
    SendFull => "send_full",
    /// A ring between shards is full.
    HandoffFull => "handoff_full",
}

/// One counter for each [`Discard`] reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscardCounters([u64; Discard::ALL.len()]);

impl Default for DiscardCounters {
    fn default() -> Self {
        Self([0; Discard::ALL.len()])
    }
}

impl DiscardCounters {
    /// Counts one packet.
    pub fn count(&mut self, reason: Discard) {
        self.count_many(reason, 1);
    }

    /// Counts several packets.
    pub fn count_many(&mut self, reason: Discard, count: u64) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter = counter.wrapping_add(count);
        }
    }

    /// How many packets went no further for this reason.
    #[must_use]
    pub fn get(&self, reason: Discard) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Adds the counts of another table.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.wrapping_add(theirs);
        }
    }
}
