//! Gives a guest a name: a fresh UUID, whose first eight digits become the nick in a room.

use uuid::Uuid;

/// The SASL mechanism (RFC 4505).
pub const MECHANISM: &str = "ANONYMOUS";

/// A user name that nobody has.
#[must_use]
pub fn user_name() -> String {
    Uuid::new_v4().to_string()
}

/// The nick that belongs to a user name: its first eight characters.
#[must_use]
pub fn nick_of(user_name: &str) -> Option<&str> {
    user_name.get(..8)
}
