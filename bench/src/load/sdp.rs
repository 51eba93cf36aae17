//! Writes offers and reads answers: as much SDP as browsers say to a server (RFC 8866, RFC 8829).

use core::net::{Ipv4Addr, SocketAddrV4};

use super::handshake::Identity;
use super::leg::{Local, Numbers, Remote};

/// Numbers of our offers.
const OFFERED: Numbers = Numbers {
    vp8: 96,
    rtx: Some(97),
    transport_cc: Some(5),
};

const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// An offer of one section that sends, if `sends`, and of `receives` that receive.
pub(crate) fn offer(local: &Local, identity: &Identity, sends: bool, receives: usize) -> String {
    let sections = usize::from(sends) + receives;
    let mids: Vec<_> = (0..sections).map(|mid| mid.to_string()).collect();
    let mut text = format!(
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=msid-semantic: WMS\r\n",
        local.ssrc,
        mids.join(" ")
    );
    for (at, mid) in mids.iter().enumerate() {
        let is_sender = sends && at == 0;
        text.push_str(&section(
            local,
            identity,
            mid,
            if is_sender { "sendonly" } else { "recvonly" },
        ));
        if is_sender {
            text.push_str(&source(local));
        }
    }
    text
}

/// An answer to an offer whose video sections are named: all of them receive.
pub(crate) fn answer(local: &Local, identity: &Identity, offered: &str) -> String {
    let mids: Vec<_> = lines(offered, "a=mid:").collect();
    let numbers = numbers(offered);
    let mut text = format!(
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
        local.ssrc,
        mids.join(" ")
    );
    for mid in mids {
        let section = section(local, identity, mid, "recvonly");
        let section = section.replace("a=setup:actpass", "a=setup:active");
        let section = section
            .replace(&format!(" {} ", OFFERED.vp8), &format!(" {} ", numbers.vp8))
            .replace(&format!(":{} ", OFFERED.vp8), &format!(":{} ", numbers.vp8));
        text.push_str(&section);
    }
    text
}

fn section(local: &Local, identity: &Identity, mid: &str, direction: &str) -> String {
    let (vp8, rtx) = (OFFERED.vp8, OFFERED.rtx.unwrap_or(97));
    let cc = OFFERED.transport_cc.unwrap_or(5);
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF {vp8} {rtx}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
         a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}\r\n\
         a=extmap:{cc} {TRANSPORT_CC}\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
         a=rtpmap:{vp8} VP8/90000\r\na=rtcp-fb:{vp8} transport-cc\r\na=rtcp-fb:{vp8} ccm fir\r\n\
         a=rtcp-fb:{vp8} nack\r\na=rtcp-fb:{vp8} nack pli\r\na=rtpmap:{rtx} rtx/90000\r\n\
         a=fmtp:{rtx} apt={vp8}\r\n\
         a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n",
        local.ufrag,
        local.password,
        identity.fingerprint,
        local.address.ip(),
        local.address.port()
    )
}

fn source(local: &Local) -> String {
    let Local { ssrc, ufrag, .. } = local;
    format!(
        "a=msid:{ufrag} {ufrag}v\r\na=ssrc:{ssrc} cname:{ufrag}\r\n\
         a=ssrc:{ssrc} msid:{ufrag} {ufrag}v\r\n"
    )
}

/// The server's end of the transport, by an address like `ours` if there is one; `None` when it
/// does not say enough.
pub(crate) fn remote(text: &str, ours: Ipv4Addr) -> Option<Remote> {
    let setup = lines(text, "a=setup:").next().unwrap_or("passive");
    let is_lite = text.lines().any(|line| line.trim() == "a=ice-lite");
    let is_offer = setup == "actpass";
    let candidates = lines(text, "a=candidate:").filter_map(candidate);
    Some(Remote {
        ufrag: lines(text, "a=ice-ufrag:").next()?.to_owned(),
        password: lines(text, "a=ice-pwd:").next()?.to_owned(),
        address: candidates
            .clone()
            .find(|it| it.ip().is_loopback() == ours.is_loopback())
            .or_else(|| candidates.clone().next())?,
        // Who offers controls, unless the other one is lite (RFC 8445 section 6.1.1).
        controlling: is_lite || !is_offer,
        dtls_client: setup != "active",
        numbers: numbers(text),
    })
}

/// Numbers as the other end gives them; ours where it gives none.
fn numbers(text: &str) -> Numbers {
    let payload = |name: &str| {
        lines(text, "a=rtpmap:").find_map(|line| {
            let (number, codec) = line.split_once(' ')?;
            let is_it = codec.get(..name.len())?.eq_ignore_ascii_case(name);
            is_it.then(|| number.parse::<u8>().ok())?
        })
    };
    let has_formats = lines(text, "a=rtpmap:").next().is_some();
    let extension = lines(text, "a=extmap:").find_map(|line| {
        let (number, uri) = line.split_once(' ')?;
        let number = number.split('/').next()?;
        uri.contains("transport-wide-cc")
            .then(|| number.parse::<u8>().ok())?
    });
    if has_formats {
        Numbers {
            vp8: payload("VP8/").unwrap_or(OFFERED.vp8),
            rtx: payload("rtx/"),
            transport_cc: extension,
        }
    } else {
        OFFERED
    }
}

/// The first component's address of a UDP candidate: `1 1 udp 1 127.0.0.1 9 typ host`.
fn candidate(line: &str) -> Option<SocketAddrV4> {
    let mut words = line.split_whitespace().skip(1);
    let (component, protocol) = (words.next()?, words.next()?);
    let (ip, port) = (words.nth(1)?.parse().ok()?, words.next()?.parse().ok()?);
    let is_it = component == "1" && protocol.eq_ignore_ascii_case("udp");
    is_it.then(|| SocketAddrV4::new(ip, port))
}

fn lines<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> + Clone {
    text.lines()
        .filter_map(move |line| line.trim_end().strip_prefix(start))
}

#[cfg(test)]
mod tests {
    use bridge_core::SrtpProfile;

    use super::*;

    fn local() -> Local {
        Local {
            ufrag: "ours".to_owned(),
            password: "secret".to_owned(),
            ssrc: 7,
            screen_ssrc: 8,
            voice_ssrc: 9,
            address: "127.64.0.1:9".parse().unwrap(),
        }
    }

    #[test]
    fn an_offer_has_a_section_for_each_stream() {
        let identity = Identity::new(SrtpProfile::AeadAes128Gcm).unwrap();
        let text = offer(&local(), &identity, true, 2);
        assert_eq!(lines(&text, "m=video").count(), 3);
        assert_eq!(lines(&text, "a=sendonly").count(), 1);
        assert_eq!(lines(&text, "a=ssrc:7 cname:").count(), 1);
        let offered = text.replace(
            "a=setup:",
            "a=candidate:1 1 UDP 9 127.0.0.1 5 typ host\r\na=setup:",
        );
        let read = remote(&offered, Ipv4Addr::LOCALHOST).unwrap();
        assert!(!read.controlling && read.dtls_client);
        assert_eq!(read.numbers, OFFERED);
        let answer = answer(
            &local(),
            &identity,
            &text.replace("a=rtpmap:96", "a=rtpmap:98"),
        );
        assert_eq!(lines(&answer, "a=recvonly").count(), 3);
        assert_eq!(lines(&answer, "a=rtpmap:98 VP8").count(), 3);
        assert_eq!(lines(&answer, "m=video 9 UDP/TLS/RTP/SAVPF 98").count(), 3);
    }

    #[test]
    fn the_yardsticks_answer_is_read() {
        let text = "v=0\r\na=ice-lite\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:passive\r\n\
                    a=candidate:1 1 udp 1 127.0.0.1 4711 typ host\r\n";
        let read = remote(text, Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(read.address.to_string(), "127.0.0.1:4711");
        assert!(read.controlling && read.dtls_client);
        assert_eq!(remote("v=0\r\n", Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn of_several_addresses_the_one_like_ours_is_taken() {
        let text = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=candidate:1 1 tcp 9 127.0.0.1 1 typ host\r\n\
                    a=candidate:2 1 udp 9 fe80::1 2 typ host\r\n\
                    a=candidate:3 1 udp 9 198.51.100.2 3 typ host\r\n\
                    a=candidate:4 1 udp 9 127.0.0.1 4 typ host\r\n";
        let port = |ours: [u8; 4]| remote(text, ours.into()).map(|it| it.address.port());
        assert_eq!(port([127, 64, 0, 1]), Some(4));
        assert_eq!(port([198, 51, 100, 1]), Some(3));
    }
}
