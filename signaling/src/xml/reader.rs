//! Reads elements from bytes within hard bounds, so that no input costs more than its limit.
//!
//! `rxml` refuses what RFC 6120, section 11 forbids: DTD, entities, processing instructions and
//! comments. Here are the bounds on top: bytes, depth, attributes and elements of one stanza.
//! The parser never gets more bytes than the stanza may have; nothing is kept after an error.

use core::fmt;

use rxml::error::EndOrError;
use rxml::{Event, Options, Parse, Parser, WithOptions, XMLNS_XML};

use super::element::{Element, Node};

/// The bounds of one stanza (or one document).
#[derive(Clone, Copy, Debug)]
pub struct XmlLimits {
    /// Bytes on the wire.
    pub bytes: usize,
    /// Elements inside each other, the stanza included.
    pub depth: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Elements, the stanza included.
    pub elements: usize,
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// Not XML, not UTF-8, or cut short.
    NotWellFormed,
    /// XML that XMPP forbids: DTD, entity, processing instruction, comment.
    Restricted,
    /// A bound of [`XmlLimits`] is passed.
    TooLarge,
}

impl XmlError {
    /// The condition of the stream error that answers it (RFC 6120, section 4.9.3).
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::NotWellFormed => "not-well-formed",
            Self::Restricted => "restricted-xml",
            Self::TooLarge => "policy-violation",
        }
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition())
    }
}

impl core::error::Error for XmlError {}

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a stream begins, carries and ends")]
pub enum StreamEvent {
    /// The root element began; it has no children yet.
    Open(Element),
    /// A child of the root is complete.
    Element(Element),
    /// The root element ended.
    Close,
}

/// Reads a stream: a root element that stays open, and its children one by one.
#[derive(Debug)]
pub struct Reader {
    parser: Parser,
    tree: Tree,
    open: bool,
    spent: usize,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(limits: XmlLimits) -> Self {
        Self {
            parser: parser(limits),
            tree: Tree::new(limits),
            open: false,
            spent: 0,
        }
    }

    /// Changes the bounds, from the next byte on.
    pub const fn set_limits(&mut self, limits: XmlLimits) {
        self.tree.limits = limits;
    }

    /// Takes bytes off the front of `input`; `None` when it needs more.
    ///
    /// # Errors
    /// When the bytes break a rule. The reader is of no use after that.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<StreamEvent>, XmlError> {
        loop {
            if self.open && self.spent == 0 {
                *input = input.trim_ascii_start(); // white space between stanzas keeps alive
            }
            // The parser is given no more than the stanza may still have, and one byte to tell.
            let left = self
                .tree
                .limits
                .bytes
                .saturating_sub(self.spent)
                .saturating_add(1);
            let (mut piece, _) = input.split_at(left.min(input.len()));
            let given = piece.len();
            let parsed = self.parser.parse(&mut piece, false);
            let used = given.saturating_sub(piece.len());
            *input = input.get(used..).unwrap_or_default();
            self.spent = self.spent.saturating_add(used);
            if self.spent > self.tree.limits.bytes {
                return Err(XmlError::TooLarge);
            }
            let event = match parsed {
                Ok(Some(event)) => event,
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(refuse(error)),
            };
            if let Some(event) = self.take(event)? {
                return Ok(Some(event));
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<StreamEvent>, XmlError> {
        match event {
            Event::StartElement(..) if !self.open => {
                self.open = true;
                self.spent = 0;
                self.tree.take(event)?;
                Ok(self.tree.stack.pop().map(StreamEvent::Open))
            }
            Event::EndElement(_) if self.tree.stack.is_empty() => Ok(Some(StreamEvent::Close)),
            Event::Text(_, text) if self.tree.stack.is_empty() => {
                let blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
                if blank {
                    Ok(None)
                } else {
                    Err(XmlError::NotWellFormed)
                }
            }
            event => {
                let done = self.tree.take(event)?;
                if done.is_some() {
                    self.spent = 0;
                    self.tree.elements = 0;
                }
                Ok(done.map(StreamEvent::Element))
            }
        }
    }
}

/// Reads one whole document, as a WebSocket frame or a BOSH body is.
///
/// # Errors
/// When the bytes break a rule, or are not exactly one element.
pub fn read_document(bytes: &[u8], limits: XmlLimits) -> Result<Element, XmlError> {
    if bytes.len() > limits.bytes {
        return Err(XmlError::TooLarge);
    }
    let mut parser = parser(limits);
    let mut tree = Tree::new(limits);
    let mut rest = bytes;
    let mut root = None;
    loop {
        match parser.parse(&mut rest, true) {
            Ok(Some(event)) => root = tree.take(event)?.or(root),
            Ok(None) => return root.ok_or(XmlError::NotWellFormed),
            Err(EndOrError::NeedMoreData) => return Err(XmlError::NotWellFormed),
            Err(EndOrError::Error(error)) => return Err(refuse(error)),
        }
    }
}

fn parser(limits: XmlLimits) -> Parser {
    // A token is part of a stanza, whose own bound is to be the one that is met.
    let max_token_length = limits.bytes.saturating_add(2);
    Parser::with_options(Options {
        max_token_length,
        ..Options::default()
    })
}

const fn refuse(error: rxml::Error) -> XmlError {
    match error {
        rxml::Error::RestrictedXml(_) | rxml::Error::UndeclaredEntity => XmlError::Restricted,
        _ => XmlError::NotWellFormed,
    }
}

/// Builds elements out of events.
#[derive(Debug)]
struct Tree {
    limits: XmlLimits,
    stack: Vec<Element>,
    elements: usize,
}

impl Tree {
    const fn new(limits: XmlLimits) -> Self {
        Self {
            limits,
            stack: Vec::new(),
            elements: 0,
        }
    }

    /// Takes an event; gives the outermost element when it is complete.
    fn take(&mut self, event: Event) -> Result<Option<Element>, XmlError> {
        match event {
            Event::XmlDeclaration(..) => Ok(None),
            Event::StartElement(_, (namespace, name), attributes) => {
                self.elements += 1;
                if self.stack.len() >= self.limits.depth
                    || attributes.len() > self.limits.attributes
                    || self.elements > self.limits.elements
                {
                    return Err(XmlError::TooLarge);
                }
                // XML's own namespace cannot be a default one, so this could not be written.
                if namespace.as_str() == XMLNS_XML {
                    return Err(XmlError::Restricted);
                }
                let mut element = Element::new(&name, namespace.as_str());
                for ((namespace, name), value) in attributes {
                    let name = match namespace.as_str() {
                        "" => name.to_string(),
                        XMLNS_XML => format!("xml:{name}"),
                        other => format!("{{{other}}}{name}"),
                    };
                    element.attributes.push((name, value));
                }
                self.stack.push(element);
                Ok(None)
            }
            Event::Text(_, text) if text.is_empty() => Ok(None),
            Event::Text(_, text) => {
                if let Some(parent) = self.stack.last_mut() {
                    match parent.children.last_mut() {
                        Some(Node::Text(before)) => before.push_str(&text),
                        _ => parent.children.push(Node::Text(text)),
                    }
                }
                Ok(None)
            }
            Event::EndElement(_) => {
                let Some(element) = self.stack.pop() else {
                    return Err(XmlError::NotWellFormed);
                };
                match self.stack.last_mut() {
                    Some(parent) => {
                        parent.children.push(Node::Element(element));
                        Ok(None)
                    }
                    None => Ok(Some(element)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits {
        bytes: 1000,
        depth: 4,
        attributes: 3,
        elements: 10,
    };

    fn document(text: &str) -> Result<Element, XmlError> {
        read_document(text.as_bytes(), LIMITS)
    }

    #[test]
    fn namespaces_are_resolved_and_attributes_kept() {
        let element = document(
            "<a:iq xmlns:a='jabber:client' xmlns:p='urn:p' id='1' xml:lang='en' p:q='&lt;'>\
             <b xmlns='urn:b'/>t&amp;t<![CDATA[<]]></a:iq>",
        )
        .unwrap();
        assert!(element.is("iq", "jabber:client"));
        assert_eq!(element.attr("id"), Some("1"));
        assert_eq!(element.attr("xml:lang"), Some("en"));
        assert_eq!(element.attr("{urn:p}q"), Some("<"));
        assert!(element.find("b", "urn:b").is_some());
        assert_eq!(element.own_text(), "t&t<");
    }

    #[test]
    fn what_xmpp_forbids_is_restricted() {
        for text in ["<a><?pi x?></a>", "<a><!-- c --></a>", "<a>&bomb;</a>"] {
            assert_eq!(document(text), Err(XmlError::Restricted), "{text}");
        }
    }

    #[test]
    fn what_is_not_xml_is_not_well_formed() {
        for text in [
            "",
            " ",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x",
            "<p:a/>",
            "<a b='1' b='2'/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
        ] {
            assert_eq!(document(text), Err(XmlError::NotWellFormed), "{text}");
        }
        assert_eq!(
            read_document(b"<a>\xff</a>", LIMITS),
            Err(XmlError::NotWellFormed)
        );
        assert_eq!(
            read_document(b"<a>\xed\xa0\x80</a>", LIMITS),
            Err(XmlError::NotWellFormed)
        );
    }

    #[test]
    fn every_bound_holds() {
        let long = format!("<a b='{}'/>", "x".repeat(1000));
        for text in [
            long.as_str(),
            "<a><b><c><d><e/></d></c></b></a>",
            "<a b='' c='' d='' e=''/>",
            "<a><b/><b/><b/><b/><b/><b/><b/><b/><b/><b/></a>",
        ] {
            assert_eq!(document(text), Err(XmlError::TooLarge), "{text}");
        }
    }

    fn events(
        reader: &mut Reader,
        bytes: &[u8],
        step: usize,
    ) -> Result<Vec<StreamEvent>, XmlError> {
        let mut events = Vec::new();
        for mut chunk in bytes.chunks(step) {
            while let Some(event) = reader.read(&mut chunk)? {
                events.push(event);
            }
        }
        Ok(events)
    }

    #[test]
    fn a_stream_gives_the_same_elements_however_it_is_cut() {
        let text = "<?xml version='1.0'?><s:s xmlns:s='urn:s' xmlns='jabber:client' to='d'>\
                    <iq id='1'><q xmlns='urn:q'>\u{e4}</q></iq>  \n<presence/></s:s>";
        let whole = events(&mut Reader::new(LIMITS), text.as_bytes(), 1000).unwrap();
        assert_eq!(whole.len(), 4);
        for step in 1..20 {
            assert_eq!(
                events(&mut Reader::new(LIMITS), text.as_bytes(), step).unwrap(),
                whole
            );
        }
    }

    #[test]
    fn the_byte_bound_is_per_stanza_and_white_space_is_free() {
        let mut reader = Reader::new(LIMITS);
        events(&mut reader, b"<s xmlns='jabber:client'>", 7).unwrap();
        for _ in 0..20 {
            events(&mut reader, &[b' '; 500], 100).unwrap();
            events(
                &mut reader,
                format!("<m>{}</m>", "x".repeat(900)).as_bytes(),
                100,
            )
            .unwrap();
        }
        let long = format!("<m>{}", "x".repeat(1100));
        assert_eq!(
            events(&mut reader, long.as_bytes(), 100),
            Err(XmlError::TooLarge)
        );
    }

    #[test]
    fn text_between_stanzas_is_refused() {
        let mut reader = Reader::new(LIMITS);
        let result = events(&mut reader, b"<s xmlns='jabber:client'>hello<m/>", 5);
        assert_eq!(result, Err(XmlError::NotWellFormed));
    }
}
