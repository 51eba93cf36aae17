//! Answers pings (XEP-0199): Jitsi's clients send one every ten seconds.

use crate::xml::{Element, ns};

/// The feature that disco#info announces.
pub const FEATURE: &str = ns::PING;

/// The answer, when the request is a ping.
#[must_use]
pub fn answer(request: &Element) -> Option<Element> {
    let asked = request.attr("type") == Some("get") && request.find("ping", ns::PING).is_some();
    asked.then(|| request.reply("result"))
}

/// A ping of our own, to a client that has been silent.
#[must_use]
pub fn request(domain: &str, id: &str) -> Element {
    Element::new("iq", ns::CLIENT)
        .with("type", "get")
        .with("id", id)
        .with("from", domain)
        .child(Element::new("ping", ns::PING))
}
