//! Runs the login of a stream (RFC 6120, section 6): ANONYMOUS so far.

use crate::auth::anonymous;
use crate::xml::{Element, ns};

/// What a login element leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Logged in under this user name.
    Success { user: String },
    /// Refused; the condition of RFC 6120, section 6.5.
    Failure(&'static str),
}

/// The mechanisms as a stream feature.
pub(crate) fn mechanisms() -> Element {
    let mechanism = Element::new("mechanism", ns::SASL).text(anonymous::MECHANISM);
    Element::new("mechanisms", ns::SASL).child(mechanism)
}

/// Takes an element of the namespace of SASL.
pub(crate) fn handle(element: &Element) -> Outcome {
    match (element.name.as_str(), element.attr("mechanism")) {
        ("auth", Some(anonymous::MECHANISM)) => Outcome::Success {
            user: anonymous::user_name(),
        },
        ("auth", _) => Outcome::Failure("invalid-mechanism"),
        ("abort", _) => Outcome::Failure("aborted"),
        _ => Outcome::Failure("malformed-request"),
    }
}

/// The element that tells of success.
pub(crate) fn success() -> Element {
    Element::new("success", ns::SASL)
}

/// The element that tells of failure.
pub(crate) fn failure(condition: &str) -> Element {
    Element::new("failure", ns::SASL).child(Element::new(condition, ns::SASL))
}
