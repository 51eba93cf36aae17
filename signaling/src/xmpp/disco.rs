//! Answers what the server's addresses are and can (XEP-0030).
//!
//! Jitsi's clients switch their functions on by the identities of the domain, so only what exists
//! is named here.

use crate::feature::{external_services, ping};
use crate::xml::{Element, ns};

/// The answer of the domain, when the request asks for it.
#[must_use]
pub fn domain(request: &Element, muc: &str) -> Option<Element> {
    let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ping::FEATURE];
    let features = features.into_iter().chain(external_services::FEATURES);
    info(request, ("server", "im", "Trestle"), features).or_else(|| items(request, &[muc]))
}

/// The answer of the service that holds the rooms; it does not list them.
#[must_use]
pub fn rooms(request: &Element) -> Option<Element> {
    let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::MUC, ping::FEATURE];
    info(request, ("conference", "text", "Rooms"), features).or_else(|| items(request, &[]))
}

/// An answer to disco#info, when the request is one: category, type and name; features.
pub fn info<'a>(
    request: &Element,
    (category, kind, name): (&str, &str, &str),
    features: impl IntoIterator<Item = &'a str>,
) -> Option<Element> {
    let node = asked(request, ns::DISCO_INFO)?.attr("node");
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with("category", category)
        .with("type", kind)
        .with("name", name);
    let features = features
        .into_iter()
        .map(|feature| Element::new("feature", ns::DISCO_INFO).with("var", feature));
    let mut query = Element::new("query", ns::DISCO_INFO)
        .child(identity)
        .children(features);
    // Whoever asks for a node looks for it in the answer (XEP-0030, section 3.2).
    if let Some(node) = node {
        query.set("node", node);
    }
    Some(request.reply("result").child(query))
}

/// An answer to disco#items, when the request is one.
#[must_use]
pub fn items(request: &Element, addresses: &[&str]) -> Option<Element> {
    asked(request, ns::DISCO_ITEMS)?;
    let items = addresses
        .iter()
        .map(|address| Element::new("item", ns::DISCO_ITEMS).with("jid", *address));
    Some(
        request
            .reply("result")
            .child(Element::new("query", ns::DISCO_ITEMS).children(items)),
    )
}

fn asked<'a>(request: &'a Element, namespace: &str) -> Option<&'a Element> {
    request
        .find("query", namespace)
        .filter(|_| request.attr("type") == Some("get"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_node_that_was_asked_for() {
        let query = Element::new("query", ns::DISCO_INFO).with("node", "n#v");
        let request = Element::new("iq", ns::CLIENT)
            .with("type", "get")
            .child(query);
        let answer = domain(&request, "muc.d").unwrap();
        let query = answer.find("query", ns::DISCO_INFO).unwrap();
        assert_eq!(query.attr("node"), Some("n#v"));
        assert!(query.find("identity", ns::DISCO_INFO).is_some());
    }
}
