//! Drives one stream for a listener: feeds the machine, keeps the limits, talks to the server.

use std::time::{Duration, Instant};

use crate::feature::rate_limit::TokenBucket;
use crate::xml::{Element, XmlError, XmlLimits, ns};
use crate::xmpp::stream::{Action, Stream};
use crate::xmpp::{Origin, Session, Ticket, XmppCounter, XmppHandle};

/// What a listener sends to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A header with this id.
    Open(String),
    /// An element.
    Element(Element),
    /// The end.
    Close,
}

/// A client's connection above its framing.
#[derive(Debug)]
pub(super) struct Connection {
    handle: XmppHandle,
    stream: Stream,
    origin: Origin,
    ticket: Ticket,
    session: Option<Session>,
    bytes: TokenBucket,
    stanzas: TokenBucket,
    since: Instant,
}

impl Connection {
    /// Lets a connection in; `None` when its address has too many.
    pub(super) fn admit(handle: XmppHandle, origin: Origin) -> Option<Self> {
        let ticket = handle.admission().admit(origin.peer.ip())?;
        let limits = &handle.config().limits;
        let now = Instant::now();
        let bucket = |rate: u32| TokenBucket::new(rate, rate.saturating_mul(BURST), now);
        Some(Self {
            stream: Stream::new(&handle.config().domain),
            bytes: bucket(limits.bytes_per_second),
            stanzas: bucket(limits.stanzas_per_second),
            session: None,
            since: now,
            handle,
            origin,
            ticket,
        })
    }

    pub(super) const fn handle(&self) -> &XmppHandle {
        &self.handle
    }

    /// The bounds of XML that hold now.
    pub(super) fn xml_limits(&self) -> XmlLimits {
        self.handle.config().limits.xml(self.is_authenticated())
    }

    /// Whether the client has logged in.
    pub(super) const fn is_authenticated(&self) -> bool {
        self.stream.is_authenticated()
    }

    /// Whether the stream has ended.
    pub(super) const fn is_closed(&self) -> bool {
        self.stream.is_closed()
    }

    /// When the client must have bound; `None` when it has.
    pub(super) fn login_deadline(&self) -> Option<Instant> {
        self.session
            .is_none()
            .then(|| self.since + self.handle.config().limits.login_time)
    }

    /// The client is late with its login.
    pub(super) fn time_out(&mut self) -> Vec<Reply> {
        self.count(XmppCounter::HandshakeTimeouts);
        self.fail("connection-timeout")
    }

    /// Takes a header.
    pub(super) async fn open(&mut self, to: Option<&str>) -> Vec<Reply> {
        let actions = self.stream.handle_open(to);
        self.carry_out(actions).await
    }

    /// Takes an element that took `bytes` on the wire. Waits when the client is too fast.
    pub(super) async fn element(&mut self, element: Element, bytes: usize) -> Vec<Reply> {
        self.pace(bytes).await;
        let delay = if element.name == "presence" && element.find("x", ns::MUC).is_some() {
            self.ticket.join_delay()
        } else if element.find("conference", ns::FOCUS).is_some() {
            self.ticket.conference_delay()
        } else {
            Duration::ZERO
        };
        if !delay.is_zero() {
            self.count(XmppCounter::JoinsDelayed);
            tokio::time::sleep(delay).await;
        }
        let actions = self.stream.handle_element(element);
        self.carry_out(actions).await
    }

    /// The client ends its stream.
    pub(super) fn close(&mut self) -> Vec<Reply> {
        let actions = self.stream.handle_close();
        self.session = None;
        if actions.is_empty() {
            Vec::new()
        } else {
            vec![Reply::Close]
        }
    }

    /// Bytes that broke a rule.
    pub(super) fn xml_error(&mut self, error: XmlError) -> Vec<Reply> {
        if error == XmlError::TooLarge {
            self.count(XmppCounter::StanzasTooLarge);
        }
        self.fail(error.condition())
    }

    /// Ends the stream with an error.
    pub(super) fn fail(&mut self, condition: &str) -> Vec<Reply> {
        let actions = self.stream.fail(condition);
        self.session = None;
        self.finish(actions)
    }

    /// What is next for the client; waits for ever when it has no session yet.
    pub(super) async fn next(&mut self) -> Vec<Reply> {
        let Some(session) = &mut self.session else {
            return std::future::pending().await;
        };
        match session.next().await {
            Some(stanza) => vec![Reply::Element(stanza)],
            // The server has ended the session: its queue was full, or another took its place.
            None => self.fail("resource-constraint"),
        }
    }

    /// What is next for the client, if it is there already.
    pub(super) fn next_now(&mut self) -> Option<Element> {
        self.session.as_mut()?.next_now()
    }

    pub(super) fn count(&self, counter: XmppCounter) {
        self.handle.stats().count(counter);
    }

    /// Waits until the client may send more than these bytes.
    pub(super) async fn pace(&mut self, bytes: usize) {
        let now = Instant::now();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let delay = self.bytes.take(bytes, now).max(self.stanzas.take(1, now));
        if !delay.is_zero() {
            self.count(XmppCounter::RateLimited);
            tokio::time::sleep(delay.min(LONGEST_WAIT)).await;
        }
    }

    async fn carry_out(&mut self, actions: Vec<Action>) -> Vec<Reply> {
        let mut rest = Vec::new();
        for action in actions {
            match action {
                Action::LoggedIn => self.ticket.authenticate(),
                Action::Refused => self.count(XmppCounter::AuthFailures),
                Action::Bind(jid) => {
                    if !self.handle.has_place() {
                        return self.fail("resource-constraint");
                    }
                    self.session = Some(self.handle.bind(jid, Some(self.origin.clone())));
                }
                Action::Stanza(stanza) => {
                    if let Some(session) = &self.session {
                        session.sender().send(stanza).await;
                    }
                }
                other => rest.push(other),
            }
        }
        self.finish(rest)
    }

    fn finish(&mut self, actions: Vec<Action>) -> Vec<Reply> {
        let mut replies = Vec::new();
        for action in actions {
            match action {
                Action::Open { id } => replies.push(Reply::Open(id)),
                Action::Send(element) => {
                    if element.is("error", ns::STREAM) {
                        self.count(XmppCounter::StreamErrors);
                    }
                    replies.push(Reply::Element(element));
                }
                Action::Close => {
                    self.session = None;
                    replies.push(Reply::Close);
                }
                _ => {}
            }
        }
        replies
    }
}

/// Seconds' worth of bytes and stanzas at once.
const BURST: u32 = 3;

/// Longest wait for one element, so that a huge one does not look like a dead server.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
