//! Joins conferences, in the way that the server under test speaks.

use super::Failure;
use super::handshake::Identity;
use super::http::Url;
use super::leg::{Local, Remote};
use super::options::Via;
use super::plan::Member;

mod colibri;

mod sdp_http;

/// A way to join.
pub(crate) enum Joining {
    Colibri(colibri::Colibri),
    SdpHttp(sdp_http::SdpHttp),
}

/// What a member tells a server of one of its transports.
pub(crate) struct Ask<'a> {
    pub(crate) member: &'a Member,
    pub(crate) local: &'a Local,
    pub(crate) identity: &'a Identity,
}

impl Joining {
    /// A way to join at that address.
    pub(crate) fn new(via: Via, url: Url) -> Self {
        match via {
            Via::Colibri => Self::Colibri(colibri::Colibri::new(url)),
            Via::SdpHttp => Self::SdpHttp(sdp_http::SdpHttp(url)),
        }
    }

    /// Joins; gives the other end of the transport.
    pub(crate) async fn join(&self, ask: Ask<'_>) -> Result<Remote, Failure> {
        match self {
            Self::Colibri(colibri) => colibri.join(ask).await,
            Self::SdpHttp(server) => server.join(ask).await,
        }
    }

    /// Leaves a server that goes on as it was found.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        match self {
            Self::Colibri(colibri) => colibri.leave().await,
            Self::SdpHttp(_) => Ok(()),
        }
    }
}
