//! Gives benches the first look at a datagram: what it is and whose.

use core::net::{Ipv4Addr, SocketAddr};

use super::Path;
use super::demux::{DatagramKind, Demux, Owner, classify};
use crate::id::{EndpointKey, Key};
use crate::map::MapSeed;

/// The paths of many endpoints, and the beginnings of what they send.
#[derive(Debug)]
pub struct DemuxBench {
    demux: Demux,
    paths: Vec<Path>,
    at: usize,
}

impl DemuxBench {
    /// So many endpoints, each with a path of its own.
    #[must_use]
    pub fn new(endpoints: u16) -> Self {
        let mut demux = Demux::new(MapSeed::new(1));
        let paths: Vec<Path> = (1..=endpoints)
            .map(|port| Path {
                remote: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port)),
                local: None,
            })
            .collect();
        for (index, path) in (0..).zip(&paths) {
            let key = Key {
                index,
                generation: 0,
            };
            demux.claim(*path, EndpointKey(key), false);
        }
        Self {
            demux,
            paths,
            at: 0,
        }
    }

    /// Looks at a datagram of each kind from the next endpoint: STUN and DTLS once, RTCP twice, RTP
    /// twelve times. Gives how many there were.
    pub fn pass(&mut self) -> u64 {
        self.at += 1;
        let Some(path) = self.paths.get(self.at % self.paths.len().max(1)) else {
            return 0;
        };
        let mut seen = 0;
        for bytes in core::hint::black_box(BEGINNINGS) {
            let kind = classify(bytes);
            let owner = self.demux.owner(core::hint::black_box(path));
            let is_known = matches!(owner, Some(Owner::Endpoint(_)));
            seen += u64::from(is_known && kind != DatagramKind::Unknown);
        }
        seen
    }
}

/// First bytes of datagrams, as they come from one browser.
const BEGINNINGS: [&[u8]; 16] = [
    &[0, 1],
    &[22, 254],
    &[0x81, 201],
    &[0x8f, 205],
    &[0x90, 111],
    &[0x90, 96],
    &[0x90, 96],
    &[0x90, 0x80 | 96],
    &[0x90, 111],
    &[0x90, 96],
    &[0x90, 96],
    &[0x90, 0x80 | 96],
    &[0x90, 111],
    &[0x90, 96],
    &[0x90, 96],
    &[0x90, 0x80 | 96],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_of_every_endpoint_is_told() {
        let mut bench = DemuxBench::new(3);
        for _ in 0..7 {
            assert_eq!(bench.pass(), 16);
        }
    }
}
