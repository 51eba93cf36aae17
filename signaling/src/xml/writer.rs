//! Writes elements as text that Jitsi's clients can read.
//!
//! They select by the literal attribute `xmlns`, so each element whose namespace differs from its
//! parent's carries it itself, as the default namespace. One prefix is written: `stream:`, which
//! clients look for literally, as they do for the attributes of XMPP over BOSH.

use super::element::{Element, Node};
use super::ns;

/// The element as a text of its own, as a WebSocket frame is.
#[must_use]
pub fn to_string(element: &Element) -> String {
    let mut out = String::with_capacity(element.weight());
    write(element, "", &mut out);
    out
}

/// Appends the element; `default` is the namespace that is the default one around it.
pub fn write(element: &Element, default: &str, out: &mut String) {
    let prefixed = element.namespace == ns::STREAM;
    write_head(element, default, out);
    if element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    let inner = if prefixed {
        default
    } else {
        element.namespace.as_str()
    };
    for child in &element.children {
        match child {
            Node::Element(child) => write(child, inner, out),
            Node::Text(text) => escape_text(text, out),
        }
    }
    out.push_str("</");
    write_name(element, out);
    out.push('>');
}

/// Appends the start tag of an element that stays open, as a stream header is.
pub fn write_open(element: &Element, out: &mut String) {
    write_head(element, "", out);
    out.push('>');
}

/// Appends the start tag without its end.
fn write_head(element: &Element, default: &str, out: &mut String) {
    out.push('<');
    write_name(element, out);
    if element.namespace == ns::STREAM {
        write_attribute("xmlns:stream", ns::STREAM, out);
    } else if element.namespace != default {
        write_attribute("xmlns", &element.namespace, out);
    }
    let mut is_xmpp_declared = false;
    for (index, (name, value)) in element.attributes.iter().enumerate() {
        match name
            .strip_prefix('{')
            .and_then(|name| name.rsplit_once('}'))
        {
            None => write_attribute(name, value, out),
            Some((ns::XBOSH, local)) => {
                if !is_xmpp_declared {
                    write_attribute("xmlns:xmpp", ns::XBOSH, out);
                    is_xmpp_declared = true;
                }
                write_attribute(&format!("xmpp:{local}"), value, out);
            }
            Some((namespace, local)) => {
                write_attribute(&format!("xmlns:a{index}"), namespace, out);
                write_attribute(&format!("a{index}:{local}"), value, out);
            }
        }
    }
}

fn write_name(element: &Element, out: &mut String) {
    if element.namespace == ns::STREAM {
        out.push_str("stream:");
    }
    out.push_str(&element.name);
}

fn write_attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            c => escape(c, out),
        }
    }
    out.push('"');
}

fn escape_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\t' | '\n' => out.push(c),
            c => escape(c, out),
        }
    }
}

/// Appends a character escaped; one that XML cannot carry becomes U+FFFD.
fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\r' => out.push_str("&#13;"),
        '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::{XmlLimits, read_document};
    use super::*;

    const LIMITS: XmlLimits = XmlLimits {
        bytes: 100_000,
        depth: 64,
        attributes: 64,
        elements: 1000,
    };

    #[test]
    fn each_extension_element_carries_its_own_namespace() {
        let presence = Element::new("presence", ns::CLIENT)
            .with("to", "r@muc.d/n")
            .child(Element::new("SourceInfo", ns::CLIENT).text("{}"))
            .child(Element::new("bare", ""))
            .child(Element::new("x", ns::MUC_USER).child(Element::new("item", ns::MUC_USER)));
        assert_eq!(
            to_string(&presence),
            "<presence xmlns=\"jabber:client\" to=\"r@muc.d/n\"><SourceInfo>{}</SourceInfo>\
             <bare xmlns=\"\"/>\
             <x xmlns=\"http://jabber.org/protocol/muc#user\"><item/></x></presence>"
        );
    }

    #[test]
    fn stream_elements_have_the_prefix_and_leave_the_default_alone() {
        let features = Element::new("features", ns::STREAM).child(Element::new("bind", ns::BIND));
        assert_eq!(
            to_string(&features),
            "<stream:features xmlns:stream=\"http://etherx.jabber.org/streams\">\
             <bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\"/></stream:features>"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let nasty = "<&>\"'\t\n\r ]]> \u{85}\u{2028}\u{10ffff}";
        let element = Element::new("m", ns::CLIENT)
            .with("a", nasty)
            .with("xml:lang", "en")
            .with("{urn:p}q", nasty)
            .with("{urn:p}r", "")
            .with("{urn:xmpp:xbosh}s", "1")
            .with("{urn:xmpp:xbosh}t", "2")
            .with("{urn:{p}}r", "")
            .text(nasty)
            .child(Element::new("c", "urn:\"<c>").text("x"));
        let text = to_string(&element);
        assert_eq!(read_document(text.as_bytes(), LIMITS).unwrap(), element);
    }

    #[test]
    fn what_xml_cannot_carry_is_replaced() {
        let element = Element::new("m", "")
            .with("a", "\u{1}")
            .text("\u{0}\u{fffe}");
        assert_eq!(
            to_string(&element),
            "<m a=\"\u{fffd}\">\u{fffd}\u{fffd}</m>"
        );
    }
}
