//! Leads a client from the first header to a bound session (RFC 6120), without any socket.
//!
//! | state | header | `auth` | bind request | stanza | other |
//! |---|---|---|---|---|---|
//! | `Fresh` | features, `Login` | error | error | error | error |
//! | `Login` | error | `LoggedIn` or failure | error | error | error |
//! | `LoggedIn` | features, `Bind` | error | error | error | error |
//! | `Bind` | error | error | `Bound` | error | error |
//! | `Bound` | error | error | given on | given on | error |
//! | `Closed` | – | – | – | – | – |
//!
//! The host is fixed by the first header; a later one that names another is an error. All three
//! ways in (TCP, WebSocket, BOSH) use this machine and differ in framing only.

use uuid::Uuid;

use super::jid::Jid;
use super::sasl;
use crate::xml::{Element, XmlError, ns};

/// A stream of a client.
#[derive(Debug)]
pub struct Stream {
    domain: String,
    state: State,
    failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Login,
    LoggedIn(String),
    Bind(String),
    Bound(Jid),
    Closed,
}

/// What a listener does next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a header with this id.
    Open {
        /// The stream's id.
        id: String,
    },
    /// Send this element.
    Send(Element),
    /// The client has logged in: it has more rights now.
    LoggedIn,
    /// A login failed.
    Refused,
    /// Register the session under this full address, before the answer that follows is sent.
    Bind(Jid),
    /// Give this stanza to the server.
    Stanza(Element),
    /// Close. A stream error, if there is one, was sent before.
    Close,
}

impl Stream {
    /// A stream to this domain.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            state: State::Fresh,
            failures: 0,
        }
    }

    /// Whether the client has logged in.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        matches!(
            self.state,
            State::LoggedIn(_) | State::Bind(_) | State::Bound(_)
        )
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// A header: `open`, `stream:stream`, or a body that begins or restarts a stream.
    pub fn handle_open(&mut self, to: Option<&str>) -> Vec<Action> {
        let next = match &self.state {
            State::Fresh => State::Login,
            State::LoggedIn(user) => State::Bind(user.clone()),
            State::Closed => return Vec::new(),
            State::Login | State::Bind(_) | State::Bound(_) => {
                return self.fail("policy-violation");
            }
        };
        let host = to.and_then(Jid::parse);
        if host.is_none_or(|host| host.domain != self.domain || !host.node.is_empty()) {
            let mut actions = self.fail("host-unknown");
            if !matches!(actions.first(), Some(Action::Open { .. })) {
                actions.insert(0, open());
            }
            return actions;
        }
        let feature = match next {
            State::Login => sasl::mechanisms(),
            _ => Element::new("bind", ns::BIND).child(Element::new("required", ns::BIND)),
        };
        self.state = next;
        vec![
            open(),
            Action::Send(Element::new("features", ns::STREAM).child(feature)),
        ]
    }

    /// A complete element of the stream.
    pub fn handle_element(&mut self, element: Element) -> Vec<Action> {
        match self.state.clone() {
            State::Closed => Vec::new(),
            State::Login if element.namespace == ns::SASL => self.login(&element),
            State::Bind(user) if element.is_stanza() => self.bind(&user, &element),
            State::Bound(jid) if element.is_stanza() => self.stanza(&jid, element),
            State::Bound(_) => self.fail("unsupported-stanza-type"),
            _ => self.fail("not-authorized"),
        }
    }

    /// The client has ended the stream.
    pub fn handle_close(&mut self) -> Vec<Action> {
        if self.is_closed() {
            return Vec::new();
        }
        self.state = State::Closed;
        vec![Action::Close]
    }

    /// Bytes that broke a rule of XML.
    pub fn handle_xml_error(&mut self, error: XmlError) -> Vec<Action> {
        self.fail(error.condition())
    }

    /// Ends the stream with an error (RFC 6120, section 4.9.3).
    pub fn fail(&mut self, condition: &str) -> Vec<Action> {
        if self.is_closed() {
            return Vec::new();
        }
        // An error is said inside a stream; one before it needs a header first.
        let before = matches!(self.state, State::Fresh).then(open);
        self.state = State::Closed;
        let condition = Element::new(condition, ns::STREAM_ERROR);
        let error = Action::Send(Element::new("error", ns::STREAM).child(condition));
        before.into_iter().chain([error, Action::Close]).collect()
    }

    fn login(&mut self, element: &Element) -> Vec<Action> {
        match sasl::handle(element) {
            sasl::Outcome::Success { user } => {
                self.state = State::LoggedIn(user);
                vec![Action::LoggedIn, Action::Send(sasl::success())]
            }
            sasl::Outcome::Failure(condition) => {
                self.failures += 1;
                let mut actions = vec![Action::Refused, Action::Send(sasl::failure(condition))];
                if self.failures >= MAX_FAILURES {
                    actions.extend(self.fail("policy-violation"));
                }
                actions
            }
        }
    }

    fn bind(&mut self, user: &str, request: &Element) -> Vec<Action> {
        let Some(bind) = request
            .find("bind", ns::BIND)
            .filter(|_| request.is_request())
        else {
            return self.fail("not-authorized");
        };
        let asked = bind.find("resource", ns::BIND).map(Element::own_text);
        let asked = asked.filter(|resource| is_resource(resource));
        let jid = Jid {
            node: user.to_owned(),
            domain: self.domain.clone(),
            resource: asked.unwrap_or_else(|| Uuid::new_v4().simple().to_string()),
        };
        self.state = State::Bound(jid.clone());
        let bound = Element::new("jid", ns::BIND).text(jid.to_string());
        let mut answer = request.reply("result");
        answer.unset("from");
        answer.unset("to");
        let answer = answer.child(Element::new("bind", ns::BIND).child(bound));
        vec![Action::Bind(jid), Action::Send(answer)]
    }

    /// Strophe ends its connection at a stream error however deep in a stanza, so nobody gets to
    /// pass one on.
    fn stanza(&mut self, jid: &Jid, stanza: Element) -> Vec<Action> {
        if stanza.mentions(ns::STREAM) {
            return self.fail("bad-format");
        }
        let from = stanza.attr("from").map(Jid::parse);
        let is_own =
            |from: &Jid| from.bare() == jid.bare() && (from.resource.is_empty() || *from == *jid);
        match from {
            None => vec![Action::Stanza(stanza)],
            Some(Some(from)) if is_own(&from) => vec![Action::Stanza(stanza)],
            Some(_) => self.fail("invalid-from"),
        }
    }
}

fn open() -> Action {
    Action::Open {
        id: Uuid::new_v4().to_string(),
    }
}

fn is_resource(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_RESOURCE && !text.contains(char::is_control)
}

/// Logins that may fail on one stream.
const MAX_FAILURES: u32 = 3;

/// Bytes of a resource that a client may choose.
const MAX_RESOURCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(mechanism: &str) -> Element {
        Element::new("auth", ns::SASL).with("mechanism", mechanism)
    }

    fn iq(payload: Element) -> Element {
        Element::new("iq", ns::CLIENT)
            .with("type", "set")
            .with("id", "1")
            .child(payload)
    }

    fn bind() -> Element {
        iq(Element::new("bind", ns::BIND))
    }

    type Step = fn(&mut Stream) -> Vec<Action>;

    fn stream(steps: usize) -> Stream {
        let mut stream = Stream::new("d");
        let login: [Step; 4] = [
            |s| s.handle_open(Some("d")),
            |s| s.handle_element(auth("ANONYMOUS")),
            |s| s.handle_open(Some("d")),
            |s| s.handle_element(bind()),
        ];
        for step in login.iter().take(steps) {
            step(&mut stream);
        }
        stream
    }

    fn error(actions: &[Action]) -> Option<&str> {
        actions.iter().find_map(|action| match action {
            Action::Send(e) if e.is("error", ns::STREAM) => e.payload().map(|c| c.name.as_str()),
            _ => None,
        })
    }

    #[test]
    fn a_guest_gets_a_uuid_and_a_session() {
        let mut stream = stream(3);
        let actions = stream.handle_element(bind());
        let [Action::Bind(jid), Action::Send(answer)] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(jid.domain, "d");
        assert!(Uuid::parse_str(&jid.node).is_ok());
        assert_eq!(answer.attr("type"), Some("result"));
        let text = answer
            .payload()
            .and_then(|bind| bind.find("jid", ns::BIND))
            .unwrap()
            .own_text();
        assert_eq!(text, jid.to_string());
    }

    #[test]
    fn every_state_meets_every_event() {
        let events: [(&str, Step); 5] = [
            ("open", |s| s.handle_open(Some("d"))),
            ("auth", |s| s.handle_element(auth("ANONYMOUS"))),
            ("bind", |s| s.handle_element(bind())),
            ("stanza", |s| {
                s.handle_element(iq(Element::new("ping", ns::PING)))
            }),
            ("other", |s| {
                s.handle_element(Element::new("enable", "urn:xmpp:sm:3"))
            }),
        ];
        let bad = Some("not-authorized");
        let again = Some("policy-violation");
        let odd = Some("unsupported-stanza-type");
        let expected = [
            [None, bad, bad, bad, bad],
            [again, None, bad, bad, bad],
            [None, bad, bad, bad, bad],
            [again, bad, None, bad, bad],
            [again, odd, None, None, odd],
        ];
        for (steps, row) in expected.iter().enumerate() {
            for ((name, event), want) in events.iter().zip(row) {
                let mut stream = stream(steps);
                let actions = event(&mut stream);
                assert_eq!(error(&actions), *want, "step {steps}, {name}");
                assert_eq!(stream.is_closed(), want.is_some());
            }
        }
    }

    #[test]
    fn a_foreign_host_is_unknown_before_and_after_login() {
        for steps in [0, 2] {
            for to in [None, Some("evil"), Some("a@d"), Some("")] {
                let actions = stream(steps).handle_open(to);
                assert_eq!(error(&actions), Some("host-unknown"));
            }
        }
    }

    #[test]
    fn logins_fail_three_times() {
        let mut stream = stream(1);
        for mechanism in ["PLAIN", ""] {
            assert_eq!(error(&stream.handle_element(auth(mechanism))), None);
        }
        assert_eq!(
            error(&stream.handle_element(auth("PLAIN"))),
            Some("policy-violation")
        );
    }

    #[test]
    fn a_foreign_sender_ends_the_stream() {
        let State::Bound(jid) = stream(4).state else {
            panic!()
        };
        for (from, good) in [("x@d/y", false), ("", false), ("d", false)] {
            let mut stream = stream(4);
            let actions = stream.handle_element(bind().with("from", from));
            assert_eq!(error(&actions).is_none(), good);
        }
        let mut stream = Stream {
            state: State::Bound(jid.clone()),
            ..stream(0)
        };
        for from in [jid.to_string(), jid.bare()] {
            assert_eq!(
                error(&stream.handle_element(bind().with("from", from))),
                None
            );
        }
    }
}
