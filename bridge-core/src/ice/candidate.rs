//! Ranks candidates and pairs (RFC 8445 sections 5.1.2 and 6.1.2.3) and refuses addresses that no
//! check may go to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::description::{Candidate, CandidateKind, CandidateProtocol};

/// Priority of a candidate: kind first, then a preference among addresses, component 1.
pub(crate) const fn priority(kind: CandidateKind, local_preference: u16) -> u32 {
    let kind: u32 = match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    };
    kind << 24 | (local_preference as u32) << 8 | 255
}

/// Our candidates for these addresses, best first; `mapped` ones are the outside of a NAT.
pub(crate) fn local_candidates(hosts: &[SocketAddr], mapped: &[SocketAddr]) -> Vec<Candidate> {
    let of = |kind, foundation: char| {
        move |(at, address): (u16, &SocketAddr)| Candidate {
            foundation: format!("{foundation}{at}"),
            priority: priority(kind, u16::MAX - at),
            protocol: CandidateProtocol::Udp,
            address: *address,
            kind,
        }
    };
    let host = (0..).zip(hosts).map(of(CandidateKind::Host, 'h'));
    let outer = (0..)
        .zip(mapped)
        .map(of(CandidateKind::ServerReflexive, 's'));
    host.chain(outer).collect()
}

/// Priority of a pair, equal at both ends.
pub(crate) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (g, d) = (u64::from(controlling), u64::from(controlled));
    (g.min(d) << 32) + 2 * g.max(d) + u64::from(g > d)
}

/// Whether a check may go to an address that the peer merely names. Addresses of this machine and
/// of groups are refused in every form, since checks to them could hit somebody who never asked;
/// `loopback` lets 127.0.0.0/8 and ::1 through.
pub(crate) fn is_checkable(address: SocketAddr, loopback: bool) -> bool {
    address.port() != 0
        && match address.ip().to_canonical() {
            IpAddr::V4(ip) => is_checkable_v4(ip, loopback),
            IpAddr::V6(ip) => is_checkable_v6(ip, loopback),
        }
}

fn is_checkable_v4(ip: Ipv4Addr, loopback: bool) -> bool {
    let [first, ..] = ip.octets();
    if ip.is_loopback() {
        return loopback;
    }
    // 0.0.0.0/8 is "this host", 224.0.0.0/3 holds groups, the reserved block and broadcast.
    first != 0 && first < 224 && !ip.is_link_local()
}

fn is_checkable_v6(ip: Ipv6Addr, loopback: bool) -> bool {
    if ip.is_loopback() {
        return loopback;
    }
    match ip.segments() {
        // Unspecified and IPv4-compatible (deprecated).
        [0, 0, 0, 0, 0, 0, ..] => false,
        // NAT64 and 6to4 carry an IPv4 address, which must pass by itself.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_checkable_v4(
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)),
            false,
        ),
        _ => !ip.is_multicast() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_of_groups_are_refused_in_every_form() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.3.4",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
            "::ffff:169.254.1.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::1",
            "fe80::1",
            "ff02::1",
            "ff05::2",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 10_000);
            assert!(!is_checkable(address, false), "{ip}");
        }
        for ip in [
            "192.0.2.1",
            "10.0.0.7",
            "::ffff:192.0.2.1",
            "2001:db8::5",
            "fd00::1",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 10_000);
            assert!(is_checkable(address, false), "{ip}");
            assert!(
                !is_checkable(SocketAddr::new(address.ip(), 0), false),
                "{ip} port 0"
            );
        }
        for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(
                is_checkable(SocketAddr::new(ip.parse().unwrap(), 9), true),
                "{ip}"
            );
        }
    }

    #[test]
    fn a_pair_has_the_same_priority_at_both_ends_but_for_the_roles() {
        let host = priority(CandidateKind::Host, 65_535);
        assert_eq!(host, 2_130_706_431);
        let relay = priority(CandidateKind::Relayed, 7);
        assert!(pair_priority(host, host) > pair_priority(host, relay));
        assert_eq!(pair_priority(host, relay), pair_priority(relay, host) + 1);
    }
}
