//! Lists all that a bridge can be asked, as plain data in the shape of colibri2.

use crate::description::{
    IceRole, MediaDescription, ReceiverConstraints, SourceDescription, TransportDescription,
    VideoType,
};
use crate::id::{ConferenceId, EndpointAddress, SourceName, Ssrc};
use crate::stats::BridgeStats;

/// Ties a reply to its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How an endpoint is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Our ICE role.
    pub ice_role: IceRole,
    /// Whether the receiver is sent every remote source on SSRCs of ours, in slots that are used
    /// again (Jitsi's SSRC rewriting). Otherwise streams keep their primary SSRC.
    pub ssrc_rewriting: bool,
    /// Whether 127.0.0.1 is among our candidates: for a client that came over loopback.
    pub loopback: bool,
    /// A number of the caller's that comes with the endpoint's own events: it tells one who comes
    /// back under a name from who had the name before.
    pub session: u64,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            ice_role: IceRole::Controlling,
            ssrc_rewriting: true,
            loopback: false,
            session: 0,
        }
    }
}

/// Something asked of a bridge. Each is answered by one [`Reply`] or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Makes an empty conference. Answer: [`Reply::Done`].
    CreateConference {
        /// New name.
        conference: ConferenceId,
    },
    /// Ends a conference and all of its endpoints. Answer: [`Reply::Done`].
    ExpireConference {
        /// Which.
        conference: ConferenceId,
    },
    /// Makes an endpoint in a conference. Answer: [`Reply::Endpoint`].
    CreateEndpoint {
        /// New name in an existing conference.
        endpoint: EndpointAddress,
        /// How.
        options: EndpointOptions,
    },
    /// Gives the peer's end of the transport; a second call with other ICE credentials is an ICE
    /// restart by the peer. Answer: [`Reply::Done`].
    SetTransport {
        /// Whose.
        endpoint: EndpointAddress,
        /// The peer's end.
        transport: TransportDescription,
    },
    /// Says what the endpoint can send and receive; of one kind, payload types and extensions are
    /// only ever added. Answer: [`Reply::Done`].
    SetMedia {
        /// Whose.
        endpoint: EndpointAddress,
        /// One or two kinds.
        media: Vec<MediaDescription>,
    },
    /// Replaces all that the endpoint sends. Answer: [`Reply::Done`].
    SetSources {
        /// Whose.
        endpoint: EndpointAddress,
        /// Everything it sends from now on.
        sources: Vec<SourceDescription>,
    },
    /// Says what the receiver wants to see. Answer: [`Reply::Done`].
    SetConstraints {
        /// Whose.
        endpoint: EndpointAddress,
        /// Changed wishes.
        constraints: ReceiverConstraints,
    },
    /// Says what one of the endpoint's own sources shows now. Answer: [`Reply::Done`].
    SetVideoType {
        /// Whose.
        endpoint: EndpointAddress,
        /// Which of its sources.
        source: SourceName,
        /// What it shows.
        video_type: VideoType,
    },
    /// Stops or lets through what the endpoint sends; `None` leaves a kind as it is.
    /// Answer: [`Reply::Done`].
    ForceMute {
        /// Whose.
        endpoint: EndpointAddress,
        /// Sound.
        audio: Option<bool>,
        /// Pictures.
        video: Option<bool>,
    },
    /// Makes new ICE credentials of ours in place. Answer: [`Reply::Transport`].
    RestartIce {
        /// Whose.
        endpoint: EndpointAddress,
    },
    /// Ends an endpoint. Answer: [`Reply::Done`].
    ExpireEndpoint {
        /// Whose.
        endpoint: EndpointAddress,
    },
    /// Asks for the bridge's counters. Answer: [`Reply::Stats`].
    Stats,
}

impl Command {
    /// The conference that it concerns; `None` when it concerns the whole bridge.
    #[must_use]
    pub const fn conference(&self) -> Option<&ConferenceId> {
        match self {
            Self::CreateConference { conference } | Self::ExpireConference { conference } => {
                Some(conference)
            }
            Self::CreateEndpoint { endpoint, .. }
            | Self::SetTransport { endpoint, .. }
            | Self::SetMedia { endpoint, .. }
            | Self::SetSources { endpoint, .. }
            | Self::SetConstraints { endpoint, .. }
            | Self::SetVideoType { endpoint, .. }
            | Self::ForceMute { endpoint, .. }
            | Self::RestartIce { endpoint }
            | Self::ExpireEndpoint { endpoint } => Some(&endpoint.conference),
            Self::Stats => None,
        }
    }
}

/// Answer to a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It is done.
    Done,
    /// An endpoint was made.
    Endpoint {
        /// Our end of the transport.
        transport: TransportDescription,
        /// SSRC under which the bridge itself reports on sound (colibri2 feedback source `jvb-a0`).
        audio_feedback: Ssrc,
        /// The same for pictures (`jvb-v0`).
        video_feedback: Ssrc,
    },
    /// Our end of the transport changed.
    Transport(TransportDescription),
    /// Counters.
    Stats(Box<BridgeStats>),
}
