//! Names what the bridge talks about: conferences, endpoints, sources, streams.

use core::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::limits;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name of 1 to the limit's number of bytes, without control characters.
            ///
            /// # Errors
            /// [`Error::Misuse`] when the name is empty, too long or holds a control character.
            pub fn new(name: &str) -> Result<Self, Error> {
                if name.is_empty() || name.len() > $max || name.chars().any(char::is_control) {
                    return Err(Error::Misuse(concat!(
                        stringify!($name),
                        " is empty, too long or not printable"
                    )));
                }
                Ok(Self(Arc::from(name)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name_type!(
    /// A conference as its signaling calls it (colibri2 `meeting-id`).
    ConferenceId,
    limits::NAME_BYTES_MAX
);
name_type!(
    /// An endpoint inside its conference (Jitsi: eight hexadecimal digits).
    EndpointId,
    limits::NAME_BYTES_MAX
);
name_type!(
    /// One camera, microphone or screen as sent, e.g. `abcd1234-v0`.
    SourceName,
    limits::NAME_BYTES_MAX
);

/// An endpoint together with its conference; shown as `conference/endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// The conference.
    pub conference: ConferenceId,
    /// The endpoint inside it.
    pub endpoint: EndpointId,
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.conference, self.endpoint)
    }
}

/// Synchronization source of an RTP stream (RFC 3550 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// RTP payload type, 0 to 127 (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(pub u8);

/// A place in one of the engine's tables. A place that is used again has another generation, so an
/// old key never finds a new tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which place.
    pub index: u32,
    /// Which tenant of it. The upper bits say whose table it is, so that no two shards
    /// have equal keys.
    pub generation: u32,
}

/// Bits of a generation that name the shard.
pub(crate) const SHARD_BITS: u32 = 6;

const _: () = assert!(1 << SHARD_BITS == limits::SHARDS_MAX);

impl Key {
    /// The shard whose table it is of.
    #[must_use]
    pub const fn shard(self) -> ShardId {
        let [.., shard] = (self.generation >> (u32::BITS - SHARD_BITS)).to_be_bytes();
        ShardId(shard)
    }
}

macro_rules! key_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Key);

        impl From<Key> for $name {
            fn from(key: Key) -> Self {
                Self(key)
            }
        }

        impl From<$name> for Key {
            fn from(key: $name) -> Self {
                key.0
            }
        }
    };
}

key_type!(
    /// A conference in one engine; the home shard's key names it on all shards.
    ConferenceKey
);
key_type!(
    /// An endpoint of a bridge.
    EndpointKey
);
key_type!(
    /// A source in one conference, given by its home shard and the same on all.
    SourceKey
);

/// One shard: one thread, one engine, one socket. At most 64 of them, since the number is written
/// as one character into our ICE ufrag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);
