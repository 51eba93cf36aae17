//! Tells by its first bytes what a datagram is (RFC 7983, RFC 5761 section 4), and by its path
//! whose it is.

use super::Path;
use crate::id::{EndpointKey, ShardId};
use crate::limits;
use crate::map::{Map, MapSeed};

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatagramKind {
    /// RFC 8489.
    Stun,
    /// RFC 6347, RFC 9147.
    Dtls,
    /// RFC 3550, protected.
    Rtp,
    /// RFC 3550 section 6, protected.
    Rtcp,
    /// Anything else.
    Unknown,
}

/// Classifies a datagram.
pub(super) fn classify(bytes: &[u8]) -> DatagramKind {
    match bytes {
        [0..=3, ..] => DatagramKind::Stun,
        [20..=63, ..] => DatagramKind::Dtls,
        // RFC 5761: payload types 64 to 95 are never given to RTP; with the marker bit they are
        // the RTCP packet types 192 to 223.
        [128..=191, second, ..] if (192..=223).contains(second) => DatagramKind::Rtcp,
        [128..=191, _, ..] => DatagramKind::Rtp,
        _ => DatagramKind::Unknown,
    }
}

/// Who owns a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// An endpoint of this engine.
    Endpoint(EndpointKey),
    /// Some endpoint of another shard.
    Shard(ShardId),
}

/// Paths and their owners.
#[derive(Debug)]
pub(super) struct Demux {
    paths: Map<Path, Owner>,
}

impl Demux {
    pub(super) fn new(seed: MapSeed) -> Self {
        Self { paths: seed.map() }
    }

    pub(super) fn owner(&self, path: &Path) -> Option<Owner> {
        self.paths.get(path).copied()
    }

    /// Gives a path to an endpoint of ours, unless another holds it and the claim is `weak`.
    /// `false` when it is refused.
    pub(super) fn claim(&mut self, path: Path, key: EndpointKey, weak: bool) -> bool {
        let owner = Owner::Endpoint(key);
        match self.paths.get(&path) {
            Some(held) if *held == owner => true,
            Some(_) if weak => false,
            Some(_) => {
                self.paths.insert(path, owner);
                true
            }
            None if self.paths.len() < limits::PATHS_MAX => {
                self.paths.insert(path, owner);
                true
            }
            None => false,
        }
    }

    /// Another shard has a validated path, so it is its.
    pub(super) fn give_away(&mut self, path: Path, shard: ShardId) {
        if self.paths.len() < limits::PATHS_MAX || self.paths.contains_key(&path) {
            self.paths.insert(path, Owner::Shard(shard));
        }
    }

    /// Forgets a path if `owner` still holds it.
    pub(super) fn release(&mut self, path: &Path, owner: Owner) -> bool {
        let held = self.paths.get(path) == Some(&owner);
        if held {
            self.paths.remove(path);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Key;

    #[test]
    fn first_bytes_tell_the_kind() {
        let cases: [(&[u8], DatagramKind); 10] = [
            (&[], DatagramKind::Unknown),
            (&[0, 1], DatagramKind::Stun),
            (&[4, 0], DatagramKind::Unknown),
            (&[22, 254], DatagramKind::Dtls),
            (&[64, 0], DatagramKind::Unknown),
            (&[128], DatagramKind::Unknown),
            (&[0x90, 111], DatagramKind::Rtp),
            (&[0x90, 0x80 | 111], DatagramKind::Rtp),
            (&[0x81, 201], DatagramKind::Rtcp),
            (&[192, 0], DatagramKind::Unknown),
        ];
        for (bytes, kind) in cases {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn a_weak_claim_takes_no_path_from_its_owner() {
        let path = Path {
            remote: "192.0.2.1:9".parse().unwrap(),
            local: None,
        };
        let [one, other] = [0, 1].map(|index| {
            EndpointKey(Key {
                index,
                generation: 0,
            })
        });
        let mut demux = Demux::new(MapSeed::new(1));
        assert!(demux.claim(path, one, true));
        assert!(!demux.claim(path, other, true));
        assert_eq!(demux.owner(&path), Some(Owner::Endpoint(one)));
        assert!(demux.claim(path, other, false));
        assert!(!demux.release(&path, Owner::Endpoint(one)));
        assert!(demux.release(&path, Owner::Endpoint(other)));
        assert_eq!(demux.owner(&path), None);
    }
}
