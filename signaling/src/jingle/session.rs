//! Reads and writes the `jingle` payload between a client and the focus.

use bridge_core::description::{MediaDescription, MediaKind, TransportDescription};

use super::content::{kind_from, kind_name};
use super::{Malformed, content, ns, transport};
use crate::xml::Element;

/// What a payload asks for. Actions that the focus only acknowledges are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The client takes the offer.
    SessionAccept,
    /// News about a running session.
    SessionInfo,
    /// The end of a session, perhaps with the wish for a new one.
    SessionTerminate,
    /// Candidates or new credentials.
    TransportInfo,
    /// The client sends more.
    SourceAdd,
    /// The client sends less.
    SourceRemove,
    /// Nothing that concerns us.
    Other,
}

/// Which bridge session a client speaks of, and what it wants of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSession {
    /// Its id, as the offer gave it.
    pub id: String,
    /// Whether a new session is wanted in place of the terminated one.
    pub restart: bool,
    /// Whether new ICE credentials are wanted in place.
    pub ice_restart: bool,
}

/// A payload from a client, as far as every action has it.
#[derive(Debug)]
pub struct Jingle<'a> {
    /// What it asks for.
    pub action: Action,
    /// Session.
    pub sid: &'a str,
    /// The bridge session that it names.
    pub bridge_session: Option<BridgeSession>,
    /// Condition of the `reason`, if there is one.
    pub reason: Option<&'a str>,
    /// State that `ice-state` reports.
    pub ice_state: Option<String>,
    /// The element itself, for what belongs to an action.
    pub payload: &'a Element,
}

impl<'a> Jingle<'a> {
    /// Reads what every action has.
    ///
    /// # Errors
    /// [`Malformed`] when action or session id are missing.
    pub fn read(payload: &'a Element) -> Result<Self, Malformed> {
        let action = match payload.attr("action") {
            Some("session-accept") => Action::SessionAccept,
            Some("session-info") => Action::SessionInfo,
            Some("session-terminate") => Action::SessionTerminate,
            Some("transport-info") => Action::TransportInfo,
            Some("source-add" | "addsource") => Action::SourceAdd,
            Some("source-remove" | "removesource") => Action::SourceRemove,
            Some(_) => Action::Other,
            None => return Err(Malformed::because("jingle without action")),
        };
        let sid = payload
            .attr("sid")
            .ok_or_else(|| Malformed::because("jingle without sid"))?;
        let bridge_session =
            payload
                .find("bridge-session", ns::FOCUS)
                .map(|element| BridgeSession {
                    id: element.attr("id").unwrap_or_default().to_owned(),
                    restart: is_true(element, "restart"),
                    ice_restart: is_true(element, "ice-restart"),
                });
        let reason = payload
            .find("reason", ns::JINGLE)
            .and_then(|reason| reason.elements().find(|it| it.name != "text"))
            .map(|condition| condition.name.as_str());
        let ice_state = payload.find("ice-state", ns::FOCUS).map(Element::own_text);
        Ok(Self {
            action,
            sid,
            bridge_session,
            reason,
            ice_state,
            payload,
        })
    }

    /// The peer's transport. All contents are bundled, so the first that has one counts.
    ///
    /// # Errors
    /// [`Malformed`] as [`transport::read`].
    pub fn transport(&self) -> Result<Option<TransportDescription>, Malformed> {
        self.contents()
            .find_map(|content| content.find("transport", ns::ICE))
            .map(transport::read)
            .transpose()
    }

    /// What the peer can send and receive; at most one description of each kind.
    ///
    /// # Errors
    /// [`Malformed`] as [`content::read`].
    pub fn media(&self) -> Result<Vec<MediaDescription>, Malformed> {
        let mut all: Vec<MediaDescription> = Vec::new();
        for element in self.contents() {
            let Some(description) = element.find("description", ns::RTP) else {
                continue;
            };
            let name = description.attr("media").or_else(|| element.attr("name"));
            let Some(kind) = name.and_then(kind_from) else {
                continue;
            };
            if !all.iter().any(|media| media.kind == kind) {
                all.push(content::read(kind, description)?);
            }
        }
        Ok(all)
    }

    fn contents(&self) -> impl Iterator<Item = &'a Element> {
        self.payload
            .elements()
            .filter(|child| child.is("content", ns::JINGLE))
    }
}

/// An offer of the focus.
#[derive(Debug)]
pub struct Offer<'a> {
    /// Session id.
    pub sid: &'a str,
    /// Who offers.
    pub initiator: &'a str,
    /// Bridge session id.
    pub bridge_session: &'a str,
    /// Our end of the transport.
    pub transport: &'a TransportDescription,
    /// URL of the bridge channel.
    pub channel: Option<&'a str>,
    /// What may be sent.
    pub media: &'a [MediaDescription],
    /// Everyone's sources in XML, by kind; empty for clients that take JSON.
    pub sources: Vec<(MediaKind, Vec<Element>)>,
    /// Everyone's sources in JSON.
    pub json: Option<Element>,
    /// Whether the client shall start without sound, without picture.
    pub start_muted: (bool, bool),
}

/// The payload of a session-initiate. The transport stands in every content, since clients take
/// only those together that have equal ones.
#[must_use]
pub fn initiate(offer: Offer<'_>) -> Element {
    let mut payload = start("session-initiate", offer.sid).with("initiator", offer.initiator);
    let mut group = Element::new("group", ns::GROUPING).with("semantics", "BUNDLE");
    let transport = transport::write(offer.transport, offer.channel);
    for media in offer.media {
        let name = kind_name(media.kind);
        let sources = offer.sources.iter().filter(|(kind, _)| *kind == media.kind);
        let description =
            content::write(media).children(sources.flat_map(|(_, elements)| elements.clone()));
        payload = payload.child(
            Element::new("content", ns::JINGLE)
                .with("creator", "initiator")
                .with("name", name)
                .with("senders", "both")
                .child(description)
                .child(transport.clone()),
        );
        group = group.child(Element::new("content", ns::GROUPING).with("name", name));
    }
    payload = payload
        .child(group)
        .child(Element::new("bridge-session", ns::FOCUS).with("id", offer.bridge_session));
    if offer.start_muted != (false, false) {
        let (audio, video) = offer.start_muted;
        payload = payload.child(
            Element::new("startmuted", "http://jitsi.org/jitmeet/start-muted")
                .with("audio", audio.to_string())
                .with("video", video.to_string()),
        );
    }
    payload.children(offer.json)
}

/// The payload of a session-terminate.
#[must_use]
pub fn terminate(sid: &str, condition: &str, text: &str) -> Element {
    start("session-terminate", sid).child(
        Element::new("reason", ns::JINGLE)
            .child(Element::new(condition, ns::JINGLE))
            .child(Element::new("text", ns::JINGLE).text(text)),
    )
}

/// The payload of a source-add or source-remove with `parts`, either contents or a `json-message`.
#[must_use]
pub fn sources(added: bool, sid: &str, parts: Vec<Element>) -> Element {
    start(if added { "source-add" } else { "source-remove" }, sid).children(parts)
}

fn is_true(element: &Element, name: &str) -> bool {
    matches!(element.attr(name), Some("true" | "1"))
}

fn start(action: &str, sid: &str) -> Element {
    Element::new("jingle", ns::JINGLE)
        .with("action", action)
        .with("sid", sid)
}
