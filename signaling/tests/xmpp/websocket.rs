//! Talks to the WebSocket door with a real client: framing, limits, silence, slow readers.

use std::time::Duration;

use crate::support::{AUTH, BIND, OPEN, PATIENCE, Server};
use futures_util::StreamExt;
use signaling::xml::{Element, ns};
use signaling::xmpp::{XmppConfig, XmppCounter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const CLOSE: &str = "<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />";

fn quick() -> XmppConfig {
    let mut config = XmppConfig::default();
    config.limits.silence = Duration::from_millis(100);
    config.limits.login_time = Duration::from_millis(300);
    config.limits.write_time = Duration::from_millis(300);
    config
}

#[tokio::test]
async fn frames_are_what_strophe_compares() {
    let server = Server::start(XmppConfig::default()).await;
    let mut client = server.socket().await;
    client.send(OPEN).await;
    assert!(client.text().await.unwrap().starts_with("<open xmlns="));
    let features = client.text().await.unwrap();
    assert!(
        features.starts_with("<stream:features xmlns:stream=\""),
        "{features}"
    );
    assert!(features.contains("<mechanism>ANONYMOUS</mechanism>"));
    client.send(AUTH).await;
    assert_eq!(
        client.text().await.unwrap(),
        "<success xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>"
    );
    client.send(OPEN).await;
    client.text().await.unwrap();
    let features = client.text().await.unwrap();
    assert!(features.contains("<bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\">"));
    assert!(!features.contains("session") && !features.contains("urn:xmpp:sm"));
    client.send(BIND).await;
    client.text().await.unwrap();
    client
        .send("<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\"/>")
        .await;
    assert_eq!(client.text().await.unwrap(), CLOSE);
    assert_eq!(client.text().await, None);
}

#[tokio::test]
async fn a_plain_get_is_the_keep_alive() {
    let server = Server::start(XmppConfig::default()).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /xmpp-websocket?room=r HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn the_subprotocol_is_demanded() {
    let server = Server::start(XmppConfig::default()).await;
    assert!(server.try_socket(None).await.is_none());
    assert!(server.try_socket(Some("chat")).await.is_none());
}

#[tokio::test]
async fn the_origin_tells_how_the_client_calls_us() {
    let server = Server::start(XmppConfig::default()).await;
    let client = server.client().await;
    let origin = server.handle.origin(&client.jid).unwrap();
    assert_eq!(origin.url, Some(format!("ws://{}", server.address)));
    drop(client);
    tokio::time::timeout(PATIENCE, async {
        while server.handle.stats().value(XmppCounter::Sessions) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn size_is_limited_before_and_after_login() {
    let server = Server::start(XmppConfig::default()).await;
    let padded = |to: usize| format!("<a xmlns=\"jabber:client\">{}</a>", "x".repeat(to));
    let mut stranger = server.socket().await;
    stranger.send(&padded(10 * 1024)).await;
    assert!(stranger.text().await.unwrap().starts_with("<open "));
    assert!(stranger.text().await.unwrap().contains("policy-violation"));
    assert_eq!(stranger.text().await.unwrap(), CLOSE);
    let mut client = server.client().await;
    let big = format!(
        "<message xmlns=\"jabber:client\" to=\"meet.jitsi\"><body>{}</body></message>",
        "x".repeat(25_000)
    );
    client.send(&big).await;
    assert!(client.text().await.unwrap().contains("service-unavailable"));
    client.socket.feed_all(&"x".repeat(300 * 1024)).await;
    assert_eq!(client.text().await, None);
    assert_eq!(server.handle.stats().value(XmppCounter::StanzasTooLarge), 1);
}

trait Feed {
    async fn feed_all(&mut self, text: &str);
}

impl Feed for tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>> {
    /// Sends what may be cut off by the other end.
    async fn feed_all(&mut self, text: &str) {
        drop(futures_util::SinkExt::send(self, Message::text(text)).await);
    }
}

#[tokio::test]
async fn a_stranger_who_does_not_log_in_is_sent_away() {
    let server = Server::start(quick()).await;
    let mut client = server.socket().await;
    client.send(OPEN).await;
    client.text().await.unwrap();
    client.text().await.unwrap();
    assert!(client.text().await.unwrap().contains("connection-timeout"));
    assert_eq!(client.text().await.unwrap(), CLOSE);
    assert_eq!(
        server.handle.stats().value(XmppCounter::HandshakeTimeouts),
        1
    );
}

#[tokio::test]
async fn who_is_silent_is_pinged_and_leaves_when_nothing_comes_back() {
    let mut config = quick();
    config.limits.login_time = PATIENCE;
    let server = Server::start(config).await;
    let mut focus = server.handle.attach("focus@auth.meet.jitsi/focus");
    let mut client = server.client().await;
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
    let nick = client.nick().to_owned();
    client
        .send(&crate::support::write(&join(format!(
            "r@muc.meet.jitsi/{nick}"
        ))))
        .await;
    focus.receiver.recv().await.unwrap();
    // A client that reads answers pings by itself and stays; this one stops reading.
    let alive = async {
        for _ in 0..3 {
            while !matches!(client.socket.next().await, Some(Ok(Message::Ping(_)))) {}
        }
    };
    tokio::time::timeout(PATIENCE, alive).await.unwrap();
    assert!(server.handle.origin(&client.jid).is_some());
    let left = tokio::time::timeout(PATIENCE, focus.receiver.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(left.attr("type"), Some("unavailable"));
    assert_eq!(server.handle.stats().value(XmppCounter::SilentClosed), 1);
}

#[tokio::test]
async fn who_does_not_read_is_closed_and_delays_nobody() {
    let mut config = XmppConfig::default();
    config.limits.queue_bytes = 256 * 1024;
    config.limits.write_time = Duration::from_millis(300);
    let server = Server::start(config).await;
    let mut focus = server.handle.attach("focus@auth.meet.jitsi/focus");
    let sender = focus.sender.clone();
    // What comes too late for the slow one bounces; who does not read that is closed as well.
    tokio::spawn(async move { while focus.receiver.recv().await.is_some() {} });
    let slow = server.client().await;
    let mut other = server.client().await;
    let body = Element::new("body", ns::CLIENT).text("x".repeat(20_000));
    let message = Element::new("message", ns::CLIENT).child(body);
    let flood = async {
        while server.handle.origin(&slow.jid).is_some() {
            let message = message.clone().with("to", slow.jid.clone());
            sender.send(message).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, flood).await.unwrap();
    let hello = Element::new("message", ns::CLIENT).with("to", other.jid.clone());
    sender.send(hello).await.unwrap();
    assert_eq!(other.element().await.unwrap().name, "message");
    assert!(server.handle.stats().value(XmppCounter::SlowClosed) >= 1);
}

#[tokio::test]
async fn one_address_has_so_many_strangers() {
    let mut config = XmppConfig::default();
    config.limits.unauthenticated_per_address = 2;
    let server = Server::start(config).await;
    let mut first = server.socket().await;
    let _second = server.socket().await;
    assert!(server.try_socket(Some("xmpp")).await.is_none());
    first.log_in().await;
    assert!(server.try_socket(Some("xmpp")).await.is_some());
    assert_eq!(
        server.handle.stats().value(XmppCounter::ConnectionsRefused),
        1
    );
}

#[tokio::test]
async fn who_sends_too_fast_waits() {
    let mut config = XmppConfig::default();
    config.limits.stanzas_per_second = 20;
    let server = Server::start(config).await;
    let mut client = server.client().await;
    let start = std::time::Instant::now();
    let ping =
        "<iq xmlns=\"jabber:client\" type=\"get\" id=\"1\"><ping xmlns=\"urn:xmpp:ping\"/></iq>";
    for _ in 0..70 {
        client.send(ping).await;
    }
    for _ in 0..70 {
        assert_eq!(client.element().await.unwrap().attr("type"), Some("result"));
    }
    assert!(start.elapsed() > Duration::from_millis(400));
    assert!(server.handle.stats().value(XmppCounter::RateLimited) > 0);
}
