//! Talks to the TCP door with raw bytes: the stream, its restart, and what ends it.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::PATIENCE;
use signaling::listen::c2s;
use signaling::xmpp::{XmppConfig, XmppCounter, XmppHandle, XmppServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='meet.jitsi' version='1.0' \
                      xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

async fn server(config: XmppConfig) -> (XmppHandle, TcpStream) {
    let handle = XmppServer::start(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(c2s::serve(listener, handle.clone()));
    (handle, TcpStream::connect(address).await.unwrap())
}

/// Reads until `end` has come.
async fn until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let read = async {
        let mut buffer = [0; 1024];
        while !text.contains(end) {
            let length = socket.read(&mut buffer).await.unwrap();
            assert!(length > 0, "closed after {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer in time");
    text
}

/// Reads to the end.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = socket.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an end in time")
        .unwrap();
    text
}

#[tokio::test]
async fn a_client_logs_in_byte_by_byte() {
    let (handle, mut socket) = server(XmppConfig::default()).await;
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                <resource>desk</resource></bind></iq>";
    for (say, end) in [
        (HEADER, "</stream:features>"),
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>",
            "<success",
        ),
        (HEADER, "</stream:features>"),
        (bind, "</iq>"),
        (
            "<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>",
            "id=\"2\"",
        ),
    ] {
        for byte in say.bytes() {
            socket.write_all(&[byte]).await.unwrap();
        }
        let answer = until(&mut socket, end).await;
        if say == bind {
            assert!(answer.contains("@meet.jitsi/desk</jid>"), "{answer}");
            assert!(!answer.contains("<iq xmlns"), "the header has said it");
        }
    }
    assert_eq!(handle.stats().value(XmppCounter::Sessions), 1);
    socket.write_all(b"</stream:stream>").await.unwrap();
    assert!(rest(&mut socket).await.ends_with("</stream:stream>"));
}

#[tokio::test]
async fn what_breaks_the_rules_ends_the_stream() {
    for (bytes, condition) in [
        ("<stream", ""),
        ("\0", "not-well-formed"),
        ("<!DOCTYPE x>", "not-well-formed"),
        ("<other xmlns='jabber:client'>", "bad-format"),
        (
            "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='evil'>",
            "host-unknown",
        ),
    ] {
        let mut config = XmppConfig::default();
        config.limits.login_time = Duration::from_millis(200);
        let (handle, mut socket) = server(config).await;
        socket.write_all(bytes.as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await;
        let condition = if condition.is_empty() {
            "connection-timeout"
        } else {
            condition
        };
        assert!(answer.starts_with("<?xml"), "{answer}");
        assert!(answer.contains(&format!("<{condition} ")), "{answer}");
        assert!(
            answer.ends_with("</stream:error></stream:stream>"),
            "{answer}"
        );
        assert_eq!(handle.stats().value(XmppCounter::StreamErrors), 1);
    }
}

#[tokio::test]
async fn stanzas_before_login_are_refused_and_large_ones_cut() {
    for (say, condition) in [
        (
            "<message><body>hi</body></message>".to_owned(),
            "not-authorized",
        ),
        (format!("<a>{}</a>", "x".repeat(11_000)), "policy-violation"),
        (
            format!("<a b='{}'/>", "x".repeat(11_000)),
            "policy-violation",
        ),
        ("<a>".repeat(100), "policy-violation"),
    ] {
        let (_handle, mut socket) = server(XmppConfig::default()).await;
        socket.write_all(HEADER.as_bytes()).await.unwrap();
        until(&mut socket, "</stream:features>").await;
        socket.write_all(say.as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await;
        assert!(answer.contains(&format!("<{condition} ")), "{answer}");
    }
}

#[tokio::test]
async fn only_loopback_is_served() {
    let handle = XmppServer::start(XmppConfig::default());
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    assert!(c2s::serve(listener, handle).await.is_err());
}
