//! Says which sounds a receiver gets: all but its own and those that a moderator stopped.

use crate::description::MediaKind;
use crate::id::EndpointKey;
use crate::ingest::source::Source;

/// Whether `receiver` gets this sound.
pub(crate) fn is_heard(receiver: EndpointKey, source: &Source) -> bool {
    source.kind == MediaKind::Audio && source.owner != receiver && !source.muted
}
