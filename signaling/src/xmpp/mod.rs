//! Serves XMPP to clients in rooms: streams, sessions and the routing between them.
//!
//! One task (`server`) owns the sessions and rooms as plain data (`router`); connections
//! ([`crate::listen`]) give it stanzas and get stanzas from bounded queues. The machines know no
//! sockets: [`stream`] is fed elements and answers elements.

mod admission;

mod client;

pub mod disco;

pub mod jid;

mod pending;

pub(crate) mod router;

pub mod sasl;

mod server;

mod stats;

pub mod stream;

use core::time::Duration;

pub(crate) use admission::Ticket;
pub use client::Link;
pub use jid::Jid;
pub(crate) use server::Session;
pub use server::{Origin, XmppHandle, XmppServer};
pub use stats::{XmppCounter, XmppStats};

use crate::xml::XmlLimits;

/// What the server is called and how much it bears.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct XmppConfig {
    /// The domain of guests, `meet.jitsi`. Rooms are at `muc.`, the focus is reached at `focus.`,
    /// services log in at `auth.` of it.
    pub domain: String,
    /// Who creates rooms and owns them all: `focus@auth.meet.jitsi`.
    pub focus_user: String,
    /// The bounds.
    pub limits: XmppLimits,
}

impl XmppConfig {
    /// The usual names below this domain.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        let domain = domain.to_lowercase();
        Self {
            focus_user: format!("focus@auth.{domain}"),
            domain,
            limits: XmppLimits::default(),
        }
    }

    /// Where rooms are.
    #[must_use]
    pub fn muc_domain(&self) -> String {
        format!("muc.{}", self.domain)
    }

    /// The address under which clients ask the focus.
    #[must_use]
    pub fn focus_address(&self) -> String {
        format!("focus.{}", self.domain)
    }
}

impl Default for XmppConfig {
    fn default() -> Self {
        Self::new("meet.jitsi")
    }
}

/// How much the server bears. What is beyond is refused or made to wait, and counted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct XmppLimits {
    /// Bytes of a stanza before login.
    pub stanza_bytes_before_auth: usize,
    /// Bytes of a stanza after login.
    pub stanza_bytes: usize,
    /// Bytes of a presence or message that a room gives to everybody in it.
    pub room_stanza_bytes: usize,
    /// Elements inside each other.
    pub depth: usize,
    /// Attributes of an element.
    pub attributes: usize,
    /// Elements of a stanza.
    pub elements: usize,
    /// Bytes per second of a client; three times as many at once.
    pub bytes_per_second: u32,
    /// Stanzas per second of a client; three times as many at once.
    pub stanzas_per_second: u32,
    /// Joins per second of an address; ten times as many at once.
    pub joins_per_second: u32,
    /// Connections of an address that have not logged in.
    pub unauthenticated_per_address: usize,
    /// Connections of an address.
    pub connections_per_address: usize,
    /// Sessions of the whole server.
    pub sessions: usize,
    /// Rooms of the whole server.
    pub rooms: usize,
    /// Occupants of a room.
    pub occupants: usize,
    /// Rooms that one session may be in.
    pub rooms_per_session: usize,
    /// Stanzas waiting for a client to read them.
    pub queue_stanzas: usize,
    /// Bytes waiting for a client to read them.
    pub queue_bytes: usize,
    /// Time to log in and bind.
    pub login_time: Duration,
    /// Time to send the body of a BOSH request.
    pub body_time: Duration,
    /// Silence after which a WebSocket is pinged, and after the ping closed.
    pub silence: Duration,
    /// Time without a request after which a BOSH session ends.
    pub bosh_inactivity: Duration,
    /// Time that a client may take to read what is written to it.
    pub write_time: Duration,
}

impl Default for XmppLimits {
    fn default() -> Self {
        Self {
            stanza_bytes_before_auth: 10 * 1024,
            stanza_bytes: 256 * 1024,
            room_stanza_bytes: 32 * 1024,
            depth: 64,
            attributes: 64,
            elements: 8192,
            bytes_per_second: 10_000,
            stanzas_per_second: 50,
            joins_per_second: 3,
            unauthenticated_per_address: 20,
            connections_per_address: 200,
            sessions: 10_000,
            rooms: 2_000,
            occupants: 1_000,
            rooms_per_session: 8,
            queue_stanzas: 4096,
            queue_bytes: 4 * 1024 * 1024,
            login_time: Duration::from_secs(30),
            body_time: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            bosh_inactivity: Duration::from_secs(60),
            write_time: Duration::from_secs(10),
        }
    }
}

impl XmppLimits {
    /// The bounds of XML, before or after login.
    #[must_use]
    pub const fn xml(&self, authenticated: bool) -> XmlLimits {
        XmlLimits {
            bytes: if authenticated {
                self.stanza_bytes
            } else {
                self.stanza_bytes_before_auth
            },
            depth: self.depth,
            attributes: self.attributes,
            elements: self.elements,
        }
    }
}
