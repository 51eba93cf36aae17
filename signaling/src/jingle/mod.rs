//! Speaks Jingle (XEP-0166, 0167, 0176, 0293, 0294, 0320, 0338, 0339) as Jitsi's clients do.
//!
//! [`session`] reads and writes the whole payload, the other files its parts. What is read comes
//! from strangers: whatever is not understood is refused with a text that names it.

pub mod content;

pub mod session;

pub mod source;

pub mod transport;

use std::fmt;

/// Namespaces, as literals on every element (Jitsi's clients select by them).
pub(crate) mod ns {
    pub(crate) const JINGLE: &str = "urn:xmpp:jingle:1";
    pub(crate) const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
    pub(crate) const FEEDBACK: &str = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0";
    pub(crate) const EXTENSION: &str = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0";
    pub(crate) const SOURCE: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";
    pub(crate) const GROUPING: &str = "urn:xmpp:jingle:apps:grouping:0";
    pub(crate) const ICE: &str = "urn:xmpp:jingle:transports:ice-udp:1";
    pub(crate) const DTLS: &str = "urn:xmpp:jingle:apps:dtls:0";
    pub(crate) const COLIBRI: &str = "http://jitsi.org/protocol/colibri";
    pub(crate) const FOCUS: &str = "http://jitsi.org/protocol/focus";
    pub(crate) const JITMEET: &str = "http://jitsi.org/jitmeet";
}

/// Something in a payload that cannot be taken; the text says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Malformed {
    /// One with a fixed text.
    pub(crate) fn because(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}
