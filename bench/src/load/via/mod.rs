//! Joins conferences, in the way that the server under test speaks.

use super::Failure;
use super::handshake::Identity;
use super::http::Url;
use super::leg::{Local, Remote};
use super::options::{Options, Via};
use super::plan::{Member, Transports};
use super::sdp;

mod colibri;

mod janus;

mod sdp_http;

mod whip;

mod xmpp;

/// A way to join.
pub(crate) enum Joining {
    Colibri(colibri::Colibri),
    SdpHttp(sdp_http::SdpHttp),
    Xmpp(xmpp::Xmpp),
    Whip(whip::Whip),
    Janus(janus::Janus),
}

/// How many transports a member has.
pub(crate) const fn transports(via: Via) -> Transports {
    match via {
        Via::Colibri | Via::Xmpp | Via::SdpHttp => Transports::One,
        Via::Janus => Transports::Two,
        Via::Whip => Transports::EachStream,
    }
}

/// What a member tells a server of one of its transports.
pub(crate) struct Ask<'a> {
    pub(crate) member: &'a Member,
    pub(crate) local: &'a Local,
    pub(crate) identity: &'a Identity,
    /// Whether transport-wide feedback is agreed on.
    pub(crate) transport_cc: bool,
    /// Whether streams keep their senders' SSRCs.
    pub(crate) keep_ssrcs: bool,
}

impl Ask<'_> {
    /// The offer of a section that sends, if `sends`, and of `receives` that receive.
    fn offer(&self, sends: bool, receives: usize) -> String {
        let text = sdp::offer(self.local, self.identity, sends, receives);
        self.filtered(&text)
    }

    /// The answer to an offer: everything is received.
    fn answer(&self, offered: &str) -> String {
        self.filtered(&sdp::answer(self.local, self.identity, offered))
    }

    /// The server's end, as its description has it.
    fn remote(&self, described: &str) -> Option<Remote> {
        sdp::remote(described, *self.local.address.ip())
    }

    /// A description without what is not to be agreed on.
    fn filtered(&self, text: &str) -> String {
        if self.transport_cc {
            return text.to_owned();
        }
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !line.contains("transport-")).collect()
    }
}

impl Joining {
    /// A way to join at that address.
    pub(crate) fn new(options: &Options, target: &str) -> Result<Self, Failure> {
        let url = || Url::parse(target);
        Ok(match options.via {
            Via::Colibri => Self::Colibri(colibri::Colibri::new(url()?)),
            Via::SdpHttp => Self::SdpHttp(sdp_http::SdpHttp(url()?)),
            Via::Xmpp => Self::Xmpp(xmpp::Xmpp::new(url()?)),
            Via::Whip => Self::Whip(whip::Whip::new(target, options.bearer.as_deref())),
            Via::Janus => Self::Janus(janus::Janus::new(url()?)),
        })
    }

    /// Joins; gives the other end of the transport.
    pub(crate) async fn join(&self, ask: Ask<'_>) -> Result<Remote, Failure> {
        match self {
            Self::Colibri(colibri) => colibri.join(ask).await,
            Self::SdpHttp(server) => server.join(ask).await,
            Self::Xmpp(xmpp) => xmpp.join(ask).await,
            Self::Whip(whip) => whip.join(ask).await,
            Self::Janus(janus) => janus.join(ask).await,
        }
    }

    /// Says that a member that sends shares its screen as well.
    pub(crate) async fn share_screen(&self, member: &Member, local: &Local) -> Result<(), Failure> {
        match self {
            Self::Colibri(colibri) => colibri.share_screen(member, local).await,
            _ => Err(Failure("a screen is shared over --via colibri".to_owned())),
        }
    }

    /// Leaves a server that goes on as it was found.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        match self {
            Self::Colibri(colibri) => colibri.leave().await,
            Self::SdpHttp(_) => Ok(()),
            Self::Xmpp(xmpp) => {
                xmpp.leave().await;
                Ok(())
            }
            Self::Whip(whip) => whip.leave().await,
            Self::Janus(janus) => janus.leave().await,
        }
    }
}
