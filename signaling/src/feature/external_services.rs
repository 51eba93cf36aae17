//! Answers what STUN and TURN servers there are (XEP-0215): none yet, the bridge needs neither.

use crate::xml::{Element, ns};

/// The features that disco#info announces.
pub const FEATURES: [&str; 2] = [ns::EXTDISCO_2, ns::EXTDISCO_1];

/// The answer, when the request asks for services.
#[must_use]
pub fn answer(request: &Element) -> Option<Element> {
    if request.attr("type") != Some("get") {
        return None;
    }
    let version = FEATURES
        .into_iter()
        .find(|version| request.find("services", version).is_some())?;
    Some(
        request
            .reply("result")
            .child(Element::new("services", version)),
    )
}
