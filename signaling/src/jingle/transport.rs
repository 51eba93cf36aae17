//! Reads and writes ICE-UDP transports (XEP-0176) with DTLS fingerprints (XEP-0320).

use std::net::{IpAddr, SocketAddr};

use bridge_core::description::{
    Candidate, CandidateKind, CandidateProtocol, Fingerprint, FingerprintHash, Setup,
    TransportDescription,
};
use bridge_core::limits;

use super::{Malformed, ns};
use crate::xml::Element;

/// Our end as a `transport` element, with the URL of the bridge channel if there is one.
#[must_use]
pub fn write(transport: &TransportDescription, channel: Option<&str>) -> Element {
    let mut element = Element::new("transport", ns::ICE)
        .with("ufrag", &*transport.ufrag)
        .with("pwd", &*transport.password);
    if let Some(url) = channel {
        element = element.child(Element::new("web-socket", ns::COLIBRI).with("url", url));
    }
    element
        .child(Element::new("rtcp-mux", ns::ICE))
        .children(transport.fingerprints.iter().map(|fingerprint| {
            Element::new("fingerprint", ns::DTLS)
                .with("hash", fingerprint.hash.name())
                .with("setup", setup_name(transport.setup))
                .with("required", "false")
                .text(fingerprint.to_string())
        }))
        .children(transport.candidates.iter().enumerate().map(write_candidate))
}

/// The peer's end.
///
/// # Errors
/// [`Malformed`] when credentials are missing or out of bounds, a fingerprint is not one, or there
/// are too many candidates. Candidates that cannot be used (host names, TCP, another component)
/// are left out: the peer is found by its checks.
pub fn read(element: &Element) -> Result<TransportDescription, Malformed> {
    let mut transport = TransportDescription {
        ufrag: credential(element, "ufrag", 4)?,
        password: credential(element, "pwd", 22)?,
        ..TransportDescription::default()
    };
    for child in element.elements() {
        match (child.name.as_str(), child.namespace.as_str()) {
            ("fingerprint", ns::DTLS) => read_fingerprint(child, &mut transport)?,
            ("candidate", ns::ICE) => {
                if transport.candidates.len() == limits::REMOTE_CANDIDATES_MAX {
                    return Err(Malformed::because("too many candidates"));
                }
                transport.candidates.extend(read_candidate(child));
            }
            _ => {}
        }
    }
    Ok(transport)
}

/// ICE user name fragment or password: 4 (22) to 256 ICE characters (RFC 8839 section 5.4).
fn credential(element: &Element, name: &str, shortest: usize) -> Result<String, Malformed> {
    let value = element.attr(name).unwrap_or_default();
    if is_credential(value, shortest) {
        Ok(value.to_owned())
    } else {
        Err(Malformed(format!(
            "{name} is missing or not an ICE credential"
        )))
    }
}

pub(crate) fn is_credential(value: &str, shortest: usize) -> bool {
    (shortest..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn read_fingerprint(
    element: &Element,
    transport: &mut TransportDescription,
) -> Result<(), Malformed> {
    let hash = element.attr("hash").unwrap_or_default();
    // The role goes with a fingerprint: one that is not understood says nothing.
    if let Some(fingerprint) = fingerprint(hash, &element.own_text())? {
        transport.fingerprints.push(fingerprint);
        if let Some(setup) = element.attr("setup") {
            transport.setup = setup_from(setup)?;
        }
    }
    Ok(())
}

/// A fingerprint in text; `None` when the hash is one that we do not know (RFC 8122: ignore it).
pub(crate) fn fingerprint(hash: &str, text: &str) -> Result<Option<Fingerprint>, Malformed> {
    let Some(hash) = FingerprintHash::from_name(hash) else {
        return Ok(None);
    };
    Fingerprint::parse(hash, text)
        .map(Some)
        .ok_or_else(|| Malformed(format!("{} fingerprint is not one", hash.name())))
}

pub(crate) fn setup_from(name: &str) -> Result<Setup, Malformed> {
    match name {
        "actpass" => Ok(Setup::Actpass),
        "active" => Ok(Setup::Active),
        "passive" => Ok(Setup::Passive),
        _ => Err(Malformed::because(
            "setup is not actpass, active or passive",
        )),
    }
}

pub(crate) const fn setup_name(setup: Setup) -> &'static str {
    match setup {
        Setup::Actpass => "actpass",
        Setup::Active => "active",
        Setup::Passive => "passive",
    }
}

/// The attributes of a candidate in the order of Jitsi's programs; XML and JSON share them.
pub(crate) fn candidate_attributes(at: usize, it: &Candidate) -> [(&'static str, String); 10] {
    let tcp = !matches!(it.protocol, CandidateProtocol::Udp);
    [
        ("component", "1".to_owned()),
        ("foundation", it.foundation.clone()),
        ("generation", "0".to_owned()),
        ("id", format!("c{at}")),
        ("network", "0".to_owned()),
        ("priority", it.priority.to_string()),
        ("protocol", if tcp { "tcp" } else { "udp" }.to_owned()),
        ("type", kind_name(it.kind).to_owned()),
        ("ip", it.address.ip().to_string()),
        ("port", it.address.port().to_string()),
    ]
}

fn write_candidate((at, candidate): (usize, &Candidate)) -> Element {
    let mut element = Element::new("candidate", ns::ICE);
    for (name, value) in candidate_attributes(at, candidate) {
        element.set(name, value);
    }
    if !matches!(candidate.protocol, CandidateProtocol::Udp) {
        element.set("tcptype", "passive");
    }
    element
}

/// A UDP candidate of component 1 with a literal address; anything else is `None`.
pub(crate) fn candidate<'a>(attr: impl Fn(&str) -> Option<&'a str>) -> Option<Candidate> {
    let foundation = attr("foundation")?;
    let usable = attr("component")? == "1"
        && attr("protocol")?.eq_ignore_ascii_case("udp")
        && (1..=32).contains(&foundation.len());
    let address: IpAddr = attr("ip")?.parse().ok()?;
    let port: u16 = attr("port")?.parse().ok()?;
    (usable && port != 0).then_some(())?;
    Some(Candidate {
        foundation: foundation.to_owned(),
        priority: attr("priority")?.parse().ok()?,
        protocol: CandidateProtocol::Udp,
        address: SocketAddr::new(address, port),
        kind: kind_from(attr("type")?)?,
    })
}

fn read_candidate(element: &Element) -> Option<Candidate> {
    candidate(|name| element.attr(name))
}

const fn kind_name(kind: CandidateKind) -> &'static str {
    match kind {
        CandidateKind::Host => "host",
        CandidateKind::ServerReflexive => "srflx",
        CandidateKind::PeerReflexive => "prflx",
        CandidateKind::Relayed => "relay",
    }
}

fn kind_from(name: &str) -> Option<CandidateKind> {
    Some(match name {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> TransportDescription {
        TransportDescription {
            ufrag: "abcd".into(),
            password: "p".repeat(24),
            candidates: vec![Candidate {
                foundation: "1".into(),
                priority: 2_130_706_431,
                protocol: CandidateProtocol::Udp,
                address: "10.99.0.1:10000".parse().unwrap(),
                kind: CandidateKind::Host,
            }],
            fingerprints: vec![Fingerprint {
                hash: FingerprintHash::Sha256,
                value: vec![7; 32],
            }],
            setup: Setup::Actpass,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let element = write(&ours(), Some("ws://localhost/colibri-ws/b/c/e?pwd=x"));
        assert_eq!(read(&element).unwrap(), ours());
        assert!(element.find("web-socket", ns::COLIBRI).is_some());
    }

    #[test]
    fn credentials_out_of_bounds_are_refused() {
        for (ufrag, password) in [
            ("abc", "p".repeat(24)),
            ("ab d", "p".repeat(24)),
            ("abcd", "p".repeat(21)),
        ] {
            let element = Element::new("transport", ns::ICE)
                .with("ufrag", ufrag)
                .with("pwd", password);
            assert!(read(&element).is_err());
        }
    }

    #[test]
    fn candidates_that_cannot_be_used_are_left_out() {
        let mut element = write(&ours(), None);
        for (ip, protocol, port) in [
            ("x.local", "udp", "1"),
            ("::1", "tcp", "1"),
            ("::1", "udp", "0"),
        ] {
            element = element.child(
                Element::new("candidate", ns::ICE)
                    .with("component", "1")
                    .with("foundation", "2")
                    .with("ip", ip)
                    .with("port", port)
                    .with("priority", "1")
                    .with("protocol", protocol)
                    .with("type", "host"),
            );
        }
        assert_eq!(read(&element).unwrap().candidates.len(), 1);
    }

    #[test]
    fn a_fingerprint_of_an_unknown_hash_is_ignored_and_a_broken_one_refused() {
        assert_eq!(fingerprint("md5", "00").unwrap(), None);
        assert!(fingerprint("sha-256", "00:11").is_err());
    }
}
