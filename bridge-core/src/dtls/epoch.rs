//! Finds an instant for virtual time to count from where no clock runs: in tests and fuzzing.

use std::time::Instant;

/// Any instant: the backend only ever sees differences.
#[expect(
    clippy::disallowed_methods,
    reason = "std makes instants in no other way"
)]
pub(crate) fn any_instant() -> Instant {
    Instant::now()
}
