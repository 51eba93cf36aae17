//! Parses addresses (RFC 7622) and makes a room's address out of its name.
//!
//! Node and domain are compared in NFKC and lower case, resources as they are. That is a subset of
//! PRECIS that is strict enough for addresses we make ourselves.

use core::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization;

/// An address: `node@domain/resource`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid {
    /// Who, or which room; empty for a server.
    pub node: String,
    /// Which server or service.
    pub domain: String,
    /// Which connection, or which occupant; empty for a bare address.
    pub resource: String,
}

impl Jid {
    /// Reads an address; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, prepare_resource(resource)?),
            None => (text, String::new()),
        };
        let (node, domain) = match bare.split_once('@') {
            Some((node, domain)) => (prepare_node(node)?, domain),
            None => (String::new(), bare),
        };
        Some(Self {
            node,
            domain: prepare_domain(domain)?,
            resource,
        })
    }

    /// The same without its resource.
    #[must_use]
    pub fn bare(&self) -> String {
        if self.node.is_empty() {
            return self.domain.clone();
        }
        format!("{}@{}", self.node, self.domain)
    }

    /// The same with another resource, as text.
    #[must_use]
    pub fn with_resource(&self, resource: &str) -> String {
        format!("{}/{resource}", self.bare())
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.node.is_empty() {
            write!(f, "{}@", self.node)?;
        }
        f.write_str(&self.domain)?;
        if !self.resource.is_empty() {
            write!(f, "/{}", self.resource)?;
        }
        Ok(())
    }
}

/// The node of the room with this name, as every Jitsi client makes it: NFKC, lower case, percent
/// encoding like `encodeURIComponent`, lower case again. `None` when it is empty or too long.
#[must_use]
pub fn room_node(name: &str) -> Option<String> {
    if name.len() > MAX_PART {
        return None;
    }
    let folded = name.nfkc().collect::<String>().to_lowercase();
    let node = utf8_percent_encode(&folded, &COMPONENT)
        .to_string()
        .to_ascii_lowercase();
    (!node.is_empty() && node.len() <= MAX_ROOM_NODE).then_some(node)
}

/// Whether a node that a client sent may name a room: what [`room_node`] makes, and what tenants
/// and breakout rooms add.
#[must_use]
pub fn is_room_node(node: &str) -> bool {
    !node.is_empty() && node.len() <= MAX_ROOM_NODE && node.bytes().all(|b| b.is_ascii_graphic())
}

fn prepare_node(node: &str) -> Option<String> {
    if node.is_empty() || node.len() > MAX_PART {
        return None;
    }
    let node = node.nfkc().collect::<String>().to_lowercase();
    let bad = |c: char| c.is_whitespace() || c.is_control() || "\"&'/:<>@".contains(c);
    // `'` is legal in encodeURIComponent but not in a node; clients never send it unescaped.
    (node.len() <= MAX_PART && !node.contains(bad)).then_some(node)
}

fn prepare_domain(domain: &str) -> Option<String> {
    if domain.is_empty() || domain.len() > MAX_PART {
        return None;
    }
    let domain = domain.nfkc().collect::<String>().to_lowercase();
    let good = |c: char| c.is_alphanumeric() || "-._:[]".contains(c);
    (domain.len() <= MAX_PART && domain.chars().all(good)).then_some(domain)
}

fn prepare_resource(resource: &str) -> Option<String> {
    let good =
        !resource.is_empty() && resource.len() <= MAX_PART && !resource.contains(char::is_control);
    good.then(|| resource.to_owned())
}

/// What `encodeURIComponent` escapes.
const COMPONENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Bytes of a part of an address (RFC 7622, section 3).
const MAX_PART: usize = 1023;

/// Bytes of a room's node: 80 letters of a script that takes two bytes.
const MAX_ROOM_NODE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_put_together() {
        for text in [
            "meet.jitsi",
            "a@meet.jitsi",
            "a@meet.jitsi/r@x/y",
            "meet.jitsi/r",
        ] {
            assert_eq!(Jid::parse(text).unwrap().to_string(), text);
        }
        let jid = Jid::parse("Room@MUC.meet.jitsi/Nick").unwrap();
        assert_eq!(jid.to_string(), "room@muc.meet.jitsi/Nick");
        assert_eq!(jid.bare(), "room@muc.meet.jitsi");
        assert_eq!(jid.with_resource("focus"), "room@muc.meet.jitsi/focus");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = "x".repeat(1024);
        for text in [
            "",
            "@d",
            "a@",
            "a@d/",
            "a b@d",
            "a@b@c",
            "d e",
            "<@d",
            long.as_str(),
            "a@d/\u{1}",
        ] {
            assert_eq!(Jid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_room_name_becomes_the_node_that_clients_use() {
        assert_eq!(room_node("AnyRoomName").as_deref(), Some("anyroomname"));
        assert_eq!(room_node("A b").as_deref(), Some("a%20b"));
        assert_eq!(room_node("\u{41a}\u{430}").as_deref(), Some("%d0%ba%d0%b0"));
        assert_eq!(room_node("\u{ff21}").as_deref(), Some("a"));
        assert_eq!(room_node(""), None);
        assert_eq!(room_node(&"\u{43a}".repeat(100)), None);
        assert!(is_room_node("%d0%ba") && is_room_node("[tenant]room"));
        assert!(!is_room_node("\u{43a}") && !is_room_node(""));
    }
}
