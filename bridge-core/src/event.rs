//! Lists all that a bridge tells by itself, as plain data.

use core::time::Duration;

use crate::description::VideoType;
use crate::id::{ConferenceId, EndpointAddress, EndpointId, SourceName, Ssrc};

/// A source as one receiver gets it (Jitsi's source maps).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedSource {
    /// The source.
    pub source: SourceName,
    /// Who sends it.
    pub owner: EndpointId,
    /// SSRC under which this receiver gets it.
    pub ssrc: Ssrc,
    /// SSRC of its retransmissions; `None` for sound.
    pub rtx: Option<Ssrc>,
    /// What it shows.
    pub video_type: VideoType,
}

/// Why an endpoint's transport is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFailure {
    /// No candidate pair worked in time.
    Ice,
    /// The peer stopped to answer consent checks (RFC 7675).
    ConsentLost,
    /// The DTLS handshake failed or took too long.
    Dtls,
    /// The peer's certificate is not the one that signaling announced.
    Fingerprint,
    /// The peer closed the association.
    Closed,
}

/// Something that happened. All are facts in the past.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The endpoint's transport is up: ICE, DTLS and keys.
    EndpointConnected {
        /// Who.
        endpoint: EndpointAddress,
        /// As its options said.
        session: u64,
        /// Round trip of the first check, when one is known.
        rtt: Option<Duration>,
    },
    /// The endpoint's transport is dead; signaling may restart or expire it.
    EndpointFailed {
        /// Who.
        endpoint: EndpointAddress,
        /// As its options said.
        session: u64,
        /// Why.
        reason: TransportFailure,
    },
    /// Packets of the endpoint come (again) or have stayed away for some seconds.
    EndpointActive {
        /// Who.
        endpoint: EndpointAddress,
        /// Whether packets come.
        active: bool,
    },
    /// The endpoint is gone, by command or because nothing came of it.
    EndpointExpired {
        /// Who.
        endpoint: EndpointAddress,
        /// As its options said.
        session: u64,
    },
    /// The conference is gone.
    ConferenceExpired {
        /// Which.
        conference: ConferenceId,
    },
    /// Somebody else is the dominant speaker.
    DominantSpeaker {
        /// Who.
        endpoint: EndpointAddress,
    },
    /// The videos that this receiver gets now, all of them.
    ForwardedSources {
        /// Receiver.
        endpoint: EndpointAddress,
        /// What it gets.
        sources: Vec<SourceName>,
    },
    /// Video slots of this receiver that are new or changed.
    VideoSourcesMapped {
        /// Receiver.
        endpoint: EndpointAddress,
        /// New or changed slots.
        mapped: Vec<MappedSource>,
    },
    /// Audio slots of this receiver that are new or changed.
    AudioSourcesMapped {
        /// Receiver.
        endpoint: EndpointAddress,
        /// New or changed slots.
        mapped: Vec<MappedSource>,
    },
    /// The largest height that anybody wants of a source; its sender need not encode more.
    SenderConstraints {
        /// Sender.
        endpoint: EndpointAddress,
        /// Which of its sources.
        source: SourceName,
        /// Lines; −1 is unlimited, 0 is none.
        max_height: i32,
    },
}
