//! Talks to the BOSH door with raw HTTP: order, repetition, waiting, the end of a session.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{AUTH, BIND, PATIENCE, Server, parse};
use signaling::xml::{Element, ns};
use signaling::xmpp::{XmppConfig, XmppCounter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Sends one request and gives status line with headers, and body.
async fn http(address: SocketAddr, method: &str, kind: &str, body: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} /http-bind?room=r HTTP/1.1\r\nHost: localhost:5280\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

struct Bosh {
    address: SocketAddr,
    sid: String,
    rid: u64,
}

impl Bosh {
    async fn begin(server: &Server, extra: &str) -> (Self, Element) {
        let body = format!(
            "<body xmlns=\"http://jabber.org/protocol/httpbind\" xmlns:xmpp=\"urn:xmpp:xbosh\" \
             content=\"text/xml; charset=utf-8\" hold=\"1\" rid=\"1000\" to=\"meet.jitsi\" \
             ver=\"1.6\" wait=\"60\" xml:lang=\"en\" xmpp:version=\"1.0\" {extra}/>"
        );
        let (_, answer) = http(server.address, "POST", "text/xml; charset=utf-8", &body).await;
        let answer = parse(&answer);
        let sid = answer.attr("sid").unwrap_or_default().to_owned();
        (
            Self {
                address: server.address,
                sid,
                rid: 1000,
            },
            answer,
        )
    }

    fn body(&self, rid: u64, extra: &str, payload: &str) -> String {
        format!(
            "<body xmlns=\"http://jabber.org/protocol/httpbind\" rid=\"{rid}\" sid=\"{}\" \
             {extra}>{payload}</body>",
            self.sid
        )
    }

    /// Sends a request and does not wait.
    fn start(&mut self, extra: &str, payload: &str) -> JoinHandle<Element> {
        self.rid += 1;
        self.repeat(self.rid, extra, payload)
    }

    fn repeat(&self, rid: u64, extra: &str, payload: &str) -> JoinHandle<Element> {
        let (address, body) = (self.address, self.body(rid, extra, payload));
        tokio::spawn(async move { parse(&http(address, "POST", "text/xml", &body).await.1) })
    }

    async fn ask(&mut self, extra: &str, payload: &str) -> Element {
        self.start(extra, payload).await.unwrap()
    }

    async fn log_in(server: &Server) -> (Self, String) {
        let (mut bosh, _) = Self::begin(server, "").await;
        bosh.ask("", AUTH).await;
        bosh.ask(RESTART, "").await;
        let answer = bosh.ask("", BIND).await;
        let jid = crate::support::bound(answer.payload().unwrap());
        (bosh, jid)
    }
}

const RESTART: &str =
    "to=\"meet.jitsi\" xmlns:xmpp=\"urn:xmpp:xbosh\" xmpp:restart=\"true\" xml:lang=\"en\"";

const PING: &str =
    "<iq xmlns=\"jabber:client\" type=\"get\" id=\"p\"><ping xmlns=\"urn:xmpp:ping\"/></iq>";

fn condition(body: &Element) -> Option<&str> {
    (body.attr("type") == Some("terminate")).then(|| body.attr("condition").unwrap_or(""))
}

#[tokio::test]
async fn a_client_logs_in_and_speaks() {
    let server = Server::start(XmppConfig::default()).await;
    let (mut bosh, first) = Bosh::begin(&server, "ack=\"1\"").await;
    assert!(first.is("body", ns::BOSH));
    for (name, value) in [
        ("wait", "60"),
        ("requests", "2"),
        ("hold", "1"),
        ("inactivity", "60"),
        ("ver", "1.6"),
        ("ack", "1000"),
        ("from", "meet.jitsi"),
        ("{urn:xmpp:xbosh}version", "1.0"),
    ] {
        assert_eq!(first.attr(name), Some(value), "{name}");
    }
    let features = first.find("features", ns::STREAM).unwrap();
    assert!(features.find("mechanisms", ns::SASL).is_some());
    assert!(bosh.ask("", AUTH).await.find("success", ns::SASL).is_some());
    let restarted = bosh.ask(RESTART, "").await;
    let features = restarted.find("features", ns::STREAM).unwrap();
    assert!(features.find("bind", ns::BIND).is_some());
    let bound = bosh.ask("", BIND).await;
    let jid = crate::support::bound(bound.payload().unwrap());
    let origin = server.handle.origin(&jid).unwrap();
    assert_eq!(origin.url.as_deref(), Some("ws://localhost:5280"));
    let answer = bosh.ask("", PING).await;
    assert_eq!(answer.payload().and_then(|iq| iq.attr("id")), Some("p"));
}

#[tokio::test]
async fn a_request_waits_until_there_is_something_to_say() {
    let server = Server::start(XmppConfig::default()).await;
    let (mut bosh, jid) = Bosh::log_in(&server).await;
    let focus = server.handle.attach("focus@auth.meet.jitsi/focus");
    let waiting = bosh.start("", "");
    let message = Element::new("message", ns::CLIENT).with("to", jid);
    focus.sender.send(message).await.unwrap();
    assert_eq!(
        waiting.await.unwrap().payload().map(|m| m.name.as_str()),
        Some("message")
    );
    // A second request sends the first one home.
    let first = bosh.start("", "");
    while bosh_waiting(&server).await {}
    let second = bosh.start("", PING);
    assert!(
        first
            .await
            .unwrap()
            .elements()
            .all(|iq| iq.attr("id") == Some("p"))
    );
    second.abort();
}

/// Lets the server look at what was sent; gives whether it has no session yet.
async fn bosh_waiting(server: &Server) -> bool {
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.handle.stats().value(XmppCounter::Sessions) == 0
}

#[tokio::test]
async fn requests_are_handled_in_order_and_answers_repeated() {
    let server = Server::start(XmppConfig::default()).await;
    let (mut bosh, _) = Bosh::log_in(&server).await;
    let next = bosh.rid + 1;
    let later = bosh.repeat(next + 1, "", PING);
    while bosh_waiting(&server).await {}
    let ping = PING.replace("\"p\"", "\"first\"");
    let first = bosh.repeat(next, "", &ping).await.unwrap();
    let later = later.await.unwrap();
    let ids: Vec<_> = first
        .elements()
        .chain(later.elements())
        .map(|iq| iq.attr("id"))
        .collect();
    assert_eq!(ids, [Some("first"), Some("p")]);
    bosh.rid = next + 1;
    // An answer that got lost comes again, and nothing happens twice.
    let received = server.handle.stats().value(XmppCounter::StanzasReceived);
    assert_eq!(bosh.repeat(next, "", &ping).await.unwrap(), first);
    assert_eq!(bosh.repeat(next + 1, "", PING).await.unwrap(), later);
    assert_eq!(
        server.handle.stats().value(XmppCounter::StanzasReceived),
        received
    );
    assert_eq!(bosh.ask("", PING).await.elements().count(), 1);
}

#[tokio::test]
async fn a_request_outside_the_window_ends_the_session() {
    let server = Server::start(XmppConfig::default()).await;
    for offset in [3_i64, -3] {
        let (mut bosh, jid) = Bosh::log_in(&server).await;
        let rid = bosh.rid.checked_add_signed(offset).unwrap();
        let answer = bosh.repeat(rid, "", "").await.unwrap();
        assert_eq!(condition(&answer), Some("item-not-found"));
        assert_eq!(condition(&bosh.ask("", PING).await), Some("item-not-found"));
        assert!(server.handle.origin(&jid).is_none());
    }
    assert_eq!(server.handle.stats().value(XmppCounter::BoshViolations), 2);
}

#[tokio::test]
async fn a_page_that_closes_says_so_by_beacon() {
    let server = Server::start(XmppConfig::default()).await;
    let mut focus = server.handle.attach("focus@auth.meet.jitsi/focus");
    let join = |to: String| {
        Element::new("presence", ns::CLIENT)
            .with("to", to)
            .child(Element::new("x", ns::MUC))
    };
    focus
        .sender
        .send(join("r@muc.meet.jitsi/focus".to_owned()))
        .await
        .unwrap();
    focus.receiver.recv().await.unwrap();
    focus.receiver.recv().await.unwrap();
    let (mut bosh, jid) = Bosh::log_in(&server).await;
    let room = format!("r@muc.meet.jitsi/{}", crate::support::nick_of(&jid));
    bosh.ask("", &crate::support::write(&join(room.clone())))
        .await;
    focus.receiver.recv().await.unwrap();
    let gone = Element::new("presence", ns::CLIENT)
        .with("type", "unavailable")
        .with("to", room);
    let body = bosh.body(
        bosh.rid + 1,
        "type=\"terminate\"",
        &crate::support::write(&gone),
    );
    let (head, answer) = http(bosh.address, "POST", "text/plain;charset=UTF-8", &body).await;
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(condition(&parse(&answer)), Some(""));
    let left = focus.receiver.recv().await.unwrap();
    assert_eq!(left.attr("type"), Some("unavailable"));
}

#[tokio::test]
async fn who_stays_away_is_forgotten() {
    let mut config = XmppConfig::default();
    config.limits.bosh_inactivity = Duration::from_secs(1);
    let server = Server::start(config).await;
    let (mut bosh, jid) = Bosh::log_in(&server).await;
    // A request that waits keeps the session, and is answered after `wait`.
    assert_eq!(bosh.ask("", "").await.elements().count(), 0);
    assert!(server.handle.origin(&jid).is_some());
    // A request whose connection is cut does not.
    let cut = bosh.start("", "");
    while bosh_waiting(&server).await {}
    cut.abort();
    let gone = async {
        while server.handle.origin(&jid).is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(condition(&bosh.ask("", "").await), Some("item-not-found"));
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let server = Server::start(XmppConfig::default()).await;
    let (head, _) = http(server.address, "OPTIONS", "text/plain", "").await;
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 200"));
    assert!(head.contains("access-control-allow-origin: *"));
    assert!(head.contains("access-control-allow-headers: content-type"));
    let (head, _) = http(server.address, "GET", "text/plain", "").await;
    assert!(head.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let server = Server::start(XmppConfig::default()).await;
    for body in [
        "",
        "<body",
        "<body/>",
        "<!DOCTYPE a><body xmlns=\"http://jabber.org/protocol/httpbind\"/>",
        "<body xmlns=\"http://jabber.org/protocol/httpbind\"/>",
        "<body xmlns=\"http://jabber.org/protocol/httpbind\" rid=\"x\" to=\"meet.jitsi\"/>",
        "<body xmlns=\"http://jabber.org/protocol/httpbind\" rid=\"18446744073709551615\"/>",
    ] {
        let (_, answer) = http(server.address, "POST", "text/xml", body).await;
        assert_eq!(condition(&parse(&answer)), Some("bad-request"), "{body}");
    }
    let huge = format!(
        "<body xmlns=\"http://jabber.org/protocol/httpbind\">{}",
        "x".repeat(300_000)
    );
    let (head, _) = http(server.address, "POST", "text/xml", &huge).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let (_, foreign) = Bosh::begin(&server, "to=\"x\"").await;
    assert_eq!(
        condition(&foreign),
        Some("bad-request"),
        "two addresses are not XML"
    );
    let unknown = "<body xmlns=\"http://jabber.org/protocol/httpbind\" rid=\"1\" sid=\"x\"/>";
    let (_, answer) = http(server.address, "POST", "text/xml", unknown).await;
    assert_eq!(condition(&parse(&answer)), Some("item-not-found"));
    let elsewhere = "<body xmlns=\"http://jabber.org/protocol/httpbind\" rid=\"1\" to=\"evil\"/>";
    let (_, answer) = http(server.address, "POST", "text/xml", elsewhere).await;
    assert_eq!(condition(&parse(&answer)), Some("host-unknown"));
}

#[tokio::test]
async fn before_login_a_body_is_small() {
    let server = Server::start(XmppConfig::default()).await;
    let (mut bosh, _) = Bosh::begin(&server, "").await;
    let big = format!(
        "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\">{}</auth>",
        "x".repeat(12_000)
    );
    assert_eq!(
        condition(&bosh.ask("", &big).await),
        Some("policy-violation")
    );
    assert_eq!(server.handle.stats().value(XmppCounter::StanzasTooLarge), 1);
    // One of that size is not even read from an address where nobody has logged in.
    let huge = bosh.body(9, "", &"x".repeat(20_000));
    let (head, _) = http(server.address, "POST", "text/xml", &huge).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let (_bosh, _) = Bosh::log_in(&server).await;
    let (head, _) = http(server.address, "POST", "text/xml", &huge).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
