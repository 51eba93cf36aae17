//! Builds the stanzas that answer others: results and errors (RFC 6120, section 8).

use super::element::Element;
use super::ns;

/// The condition of a stanza error (RFC 6120, section 8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The stanza makes no sense.
    BadRequest,
    /// The name is taken.
    Conflict,
    /// We do not do that.
    FeatureNotImplemented,
    /// The sender has no right to it.
    Forbidden,
    /// There is no such thing.
    ItemNotFound,
    /// The address is none.
    JidMalformed,
    /// The value is not acceptable.
    NotAcceptable,
    /// Nobody may do that.
    NotAllowed,
    /// A password is missing or wrong.
    NotAuthorized,
    /// The addressee is gone.
    RecipientUnavailable,
    /// Members only.
    RegistrationRequired,
    /// There is no such server.
    RemoteServerNotFound,
    /// A limit is reached.
    ResourceConstraint,
    /// The address does not answer that.
    ServiceUnavailable,
}

impl Condition {
    /// Name of the element and the error type that goes with it.
    #[must_use]
    pub const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", "modify"),
            Self::Conflict => ("conflict", "cancel"),
            Self::FeatureNotImplemented => ("feature-not-implemented", "cancel"),
            Self::Forbidden => ("forbidden", "auth"),
            Self::ItemNotFound => ("item-not-found", "cancel"),
            Self::JidMalformed => ("jid-malformed", "modify"),
            Self::NotAcceptable => ("not-acceptable", "modify"),
            Self::NotAllowed => ("not-allowed", "cancel"),
            Self::NotAuthorized => ("not-authorized", "auth"),
            Self::RecipientUnavailable => ("recipient-unavailable", "wait"),
            Self::RegistrationRequired => ("registration-required", "auth"),
            Self::RemoteServerNotFound => ("remote-server-not-found", "cancel"),
            Self::ResourceConstraint => ("resource-constraint", "wait"),
            Self::ServiceUnavailable => ("service-unavailable", "cancel"),
        }
    }
}

/// A stanza error: a condition and, where people read it, a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What is wrong.
    pub condition: Condition,
    /// The same in words; empty for none.
    pub text: &'static str,
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self {
            condition,
            text: "",
        }
    }
}

impl StanzaError {
    /// An error with a text.
    #[must_use]
    pub const fn new(condition: Condition, text: &'static str) -> Self {
        Self { condition, text }
    }

    /// The element `error`.
    #[must_use]
    pub fn to_element(self) -> Element {
        let (name, kind) = self.condition.parts();
        let error = Element::new("error", ns::CLIENT)
            .with("type", kind)
            .child(Element::new(name, ns::STANZA_ERROR));
        if self.text.is_empty() {
            return error;
        }
        error.child(Element::new("text", ns::STANZA_ERROR).text(self.text))
    }
}

impl Element {
    /// The stanza that goes back to the sender of this one: same name and id, addresses swapped.
    #[must_use]
    pub fn reply(&self, kind: &str) -> Self {
        let mut reply = Self::new(&self.name, ns::CLIENT);
        for (name, value) in [("to", self.attr("from")), ("from", self.attr("to"))] {
            if let Some(value) = value {
                reply.set(name, value);
            }
        }
        if let Some(id) = self.attr("id") {
            reply.set("id", id);
        }
        reply.with("type", kind)
    }

    /// The error that answers this stanza; `None` for what must not be answered.
    #[must_use]
    pub fn error_reply(&self, error: impl Into<StanzaError>) -> Option<Self> {
        let answered = match self.name.as_str() {
            "iq" => self.is_request(),
            "message" | "presence" => self.attr("type") != Some("error"),
            _ => false,
        };
        answered.then(|| self.reply("error").child(error.into().to_element()))
    }

    /// Whether it is an IQ that wants an answer.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.name == "iq" && matches!(self.attr("type"), Some("get" | "set"))
    }

    /// Whether it is one of the three stanzas.
    #[must_use]
    pub fn is_stanza(&self) -> bool {
        self.namespace == ns::CLIENT && matches!(self.name.as_str(), "iq" | "message" | "presence")
    }

    /// The first child element, which says what an IQ is about.
    #[must_use]
    pub fn payload(&self) -> Option<&Self> {
        self.elements().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_goes_back_with_the_same_id() {
        let iq = Element::new("iq", ns::CLIENT)
            .with("type", "get")
            .with("id", "7")
            .with("from", "a")
            .with("to", "b");
        let error = iq.error_reply(Condition::ItemNotFound).unwrap();
        assert_eq!(error.attr("type"), Some("error"));
        assert_eq!(error.attr("id"), Some("7"));
        assert_eq!(error.attr("to"), Some("a"));
        assert_eq!(error.attr("from"), Some("b"));
        assert!(
            error
                .find("error", ns::CLIENT)
                .is_some_and(|e| e.attr("type") == Some("cancel"))
        );
    }

    #[test]
    fn answers_and_errors_are_not_answered() {
        for (name, kind) in [("iq", "result"), ("iq", "error"), ("presence", "error")] {
            let stanza = Element::new(name, ns::CLIENT).with("type", kind);
            assert_eq!(stanza.error_reply(Condition::BadRequest), None);
        }
    }
}
