//! Starts the whole server on free ports and speaks to it as browsers, operators and attackers do.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signaling::config::Config;
use signaling::start::{Role, Running, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const FREE: &[(&str, &str)] = &[
    ("web.http", "127.0.0.1:0"),
    ("web.https", "127.0.0.1:0"),
    ("web.bosh", "127.0.0.1:0"),
    ("xmpp.c2s", "127.0.0.1:0"),
    ("focus.api", "127.0.0.1:0"),
    ("bridge.api", "127.0.0.1:0"),
    ("bridge.media", "127.0.0.1:0"),
    ("bridge.shards", "1"),
];

fn config(more: &[(&str, &str)]) -> Config {
    let changes = FREE
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).into(), (*value).into()));
    Config::load(None, &changes.collect::<Vec<_>>()).unwrap()
}

async fn all() -> Running {
    start(&config(&[]), Role::All).await.unwrap()
}

/// Status and body of a request that is written by hand.
async fn http(server: &Running, setting: &str, head: &str, body: &str) -> (u16, String) {
    let address = server.address(setting).expect("a listener");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = if body.is_empty() {
        String::new()
    } else {
        format!(
            "Content-Length: {}\r\nContent-Type: application/json\r\n",
            body.len()
        )
    };
    let host = if head.contains("Host:") {
        ""
    } else {
        "Host: 127.0.0.1\r\n"
    };
    let text = format!("{head}\r\n{host}{length}Connection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

/// Makes an endpoint by colibri2; gives path and query of its bridge channel.
async fn endpoint(server: &Running, conference: &str, name: &str, create: bool) -> String {
    let endpoints = json!([{
        "id": name, "create": true, "capabilities": ["source-names", "ssrc-rewriting"],
        "transport": { "ice-controlling": true },
    }]);
    let (status, answer) = if create {
        let body = json!({ "meeting-id": conference, "create": true, "endpoints": endpoints });
        http(
            server,
            "bridge.api",
            "POST /colibri/v2/conferences HTTP/1.1",
            &body.to_string(),
        )
        .await
    } else {
        let head = format!("PATCH /colibri/v2/conferences/{conference} HTTP/1.1");
        let body = json!({ "endpoints": endpoints });
        http(server, "bridge.api", &head, &body.to_string()).await
    };
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let url = &answer["endpoints"][0]["transport"]["transport"]["web-sockets"][0];
    let url = url.as_str().unwrap();
    url.get(url.find("/colibri-ws").unwrap()..)
        .unwrap()
        .to_owned()
}

async fn open(server: &Running, path: &str) -> Result<Socket, Error> {
    let listener = ["web.http", "bridge.channel"];
    let address = listener.iter().find_map(|it| server.address(it)).unwrap();
    connect_async(format!("ws://{address}{path}"))
        .await
        .map(|(socket, _)| socket)
}

/// The next JSON message.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(Duration::from_secs(10), socket.next())
            .await
            .expect("in time");
        if let Message::Text(text) = message.expect("an open socket").unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// The code with which the other side closes.
async fn closed(socket: &mut Socket) -> Option<u16> {
    loop {
        match timeout(Duration::from_secs(10), socket.next())
            .await
            .expect("in time")
        {
            Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Some(code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn operators_see_health_version_and_numbers() {
    let server = all().await;
    for setting in ["focus.api", "bridge.api"] {
        let mut answer = (0, String::new());
        for _ in 0..50 {
            answer = http(&server, setting, "GET /about/health HTTP/1.1", "").await;
            if answer.0 == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(answer, (200, String::new()), "{setting}");
        let (status, version) = http(&server, setting, "GET /about/version HTTP/1.1", "").await;
        assert_eq!(status, 200);
        let version: Value = serde_json::from_str(&version).unwrap();
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    }
    let (status, metrics) = http(&server, "bridge.api", "GET /metrics HTTP/1.1", "").await;
    assert!(status == 200 && metrics.contains("jitsi_jvb_conferences 0"));
    let (_, stats) = http(&server, "bridge.api", "GET /colibri/stats HTTP/1.1", "").await;
    assert_eq!(
        serde_json::from_str::<Value>(&stats).unwrap()["conferences"],
        0
    );
    let (_, stats) = http(&server, "focus.api", "GET /stats HTTP/1.1", "").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["bridge_selector"]["operational_bridge_count"], 1);
    server.stop().await;
}

#[tokio::test]
async fn without_a_bridge_the_focus_is_in_trouble() {
    let server = start(&config(&[("bridge.enabled", "false")]), Role::All)
        .await
        .unwrap();
    let (status, body) = http(&server, "focus.api", "GET /about/health HTTP/1.1", "").await;
    assert_eq!(status, 500);
    assert_eq!(
        body,
        "No operational bridges available (total bridge count: 0)"
    );
    assert!(server.address("bridge.api").is_none());
    server.stop().await;
}

#[tokio::test]
async fn the_bridge_runs_alone() {
    let server = start(&config(&[]), Role::Bridge).await.unwrap();
    assert_eq!(server.listeners.len(), 2, "{:?}", server.listeners);
    let body = r#"{"meeting-id":"m","create":true,"endpoints":[{"id":"a","create":true,
        "capabilities":["source-names"],"transport":{"ice-controlling":true}}]}"#;
    let head = "POST /colibri/v2/conferences HTTP/1.1";
    let (status, answer) = http(&server, "bridge.api", head, body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let transport = &answer["endpoints"][0]["transport"]["transport"];
    assert_eq!(
        (status, &transport["web-sockets"]),
        (200, &json!([])),
        "there is no channel"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_bridge_alone_has_its_channel_on_a_listener_of_its_own() {
    let here = ("bridge.channel", "127.0.0.1:0");
    let server = start(&config(&[here]), Role::Bridge).await.unwrap();
    let path = endpoint(&server, "m", "a", true).await;
    let mut socket = open(&server, &path).await.unwrap();
    assert_eq!(next(&mut socket).await["colibriClass"], "ServerHello");
    assert_eq!(next(&mut socket).await["colibriClass"], "ForwardedSources");
    let other = open(&server, &path.replace("/a?", "/b?")).await;
    assert!(matches!(other, Err(Error::Http(_))), "{other:?}");
    let page = http(&server, here.0, "GET / HTTP/1.1", "").await;
    assert_eq!(page.0, 404, "and nothing else");
    let wishes = r#"{"colibriClass":"ReceiverVideoConstraints","lastN":2}"#;
    socket.send(Message::text(wishes)).await.unwrap();
    let hello = r#"{"colibriClass":"ClientHello"}"#;
    socket.send(Message::text(hello)).await.unwrap();
    assert_eq!(next(&mut socket).await["colibriClass"], "ServerHello");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = all().await;
    let taken = server.address("web.http").unwrap().to_string();
    let error = start(&config(&[("web.http", &taken)]), Role::All)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("web.http") && error.contains(&taken),
        "{error}"
    );
    let media = server.address("bridge.media").unwrap().to_string();
    let error = start(&config(&[("bridge.media", &media)]), Role::All)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("bridge.media"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn conferences_are_asked_for_over_http() {
    let server = all().await;
    let ask = |body: &'static str| {
        http(
            &server,
            "web.http",
            "POST /conference-request/v1 HTTP/1.1",
            body,
        )
    };
    let (status, answer) =
        ask(r#"{"room":"r@muc.meet.jitsi","properties":{"startAudioMuted":"5"}}"#).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["ready"]), (200, &json!(true)));
    assert_eq!(answer["focusJid"], "focus@auth.meet.jitsi");
    assert_eq!(answer["properties"]["authentication"], "false");
    for body in ["{", "[]", r#"{"room":5}"#, r#"{"room":"r@elsewhere"}"#] {
        assert_eq!(ask(body).await.0, 400, "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn conferences_are_not_asked_for_in_floods() {
    let server = all().await;
    let ask = "POST /conference-request/v1 HTTP/1.1";
    let body = r#"{"room":"room@muc.meet.jitsi"}"#;
    let asked = (0..60).map(|_| http(&server, "web.http", ask, body));
    let answers = futures_util::future::join_all(asked).await;
    let with = |wanted| {
        answers
            .iter()
            .filter(|(status, _)| *status == wanted)
            .count()
    };
    assert!(with(200) >= 30, "a class may begin together");
    assert!(with(429) > 0 && with(200) + with(429) == 60);
    let (status, _) = http(&server, "focus.api", ask, body).await;
    assert_eq!(status, 200, "operators are not held up");
    server.stop().await;
}

#[tokio::test]
async fn of_a_stranger_no_large_stanza_is_kept() {
    let server = all().await;
    let url = format!(
        "ws://{}/xmpp-websocket",
        server.address("web.http").unwrap()
    );
    let mut request = url.into_client_request().unwrap();
    let protocol = "xmpp".parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = connect_async(request).await.unwrap();
    // The end is not waited for, so it is no answer to the whole that comes.
    drop(socket.send(Message::text("x".repeat(200_000))).await);
    let end = timeout(Duration::from_secs(10), socket.next())
        .await
        .unwrap();
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    server.stop().await;
}

#[tokio::test]
async fn colibri2_follows_the_rules_of_jitsis_bridge() {
    let server = all().await;
    let post = |body: &'static str| {
        http(
            &server,
            "bridge.api",
            "POST /colibri/v2/conferences HTTP/1.1",
            body,
        )
    };
    let patch = async |id: &'static str, body: &'static str| {
        let head = format!("PATCH /colibri/v2/conferences/{id} HTTP/1.1");
        http(&server, "bridge.api", &head, body).await
    };
    endpoint(&server, "m1", "a", true).await;
    assert_eq!(
        post(r#"{"meeting-id":"m1","create":true}"#).await.0,
        400,
        "it exists"
    );
    assert_eq!(patch("nope", "{}").await.0, 404);
    assert_eq!(patch("m1", r#"{"endpoints":[{"id":"x"}]}"#).await.0, 200);
    let without_transport =
        r#"{"endpoints":[{"id":"b","create":true,"capabilities":["source-names"]}]}"#;
    assert_eq!(patch("m1", without_transport).await.0, 400);
    let without_names = r#"{"endpoints":[{"id":"b","create":true,"transport":{}}]}"#;
    assert_eq!(patch("m1", without_names).await.0, 400);
    let two = r#"{"endpoints":[{"id":"b","create":true,"transport":{}},
        {"id":"c","create":true,"transport":{}}]}"#;
    assert_eq!(patch("m1", two).await.0, 501);
    endpoint(&server, "m1", "b", false).await;
    let twice = r#"{"endpoints":[{"id":"b","create":true,"transport":{},
        "capabilities":["source-names"]}]}"#;
    let (status, text) = patch("m1", twice).await;
    assert_eq!((status, &*text), (400, "Endpoint with ID b already exists"));
    let last = r#"{"endpoints":[{"id":"a","expire":true},{"id":"b","expire":true}]}"#;
    let (status, answer) = patch("m1", last).await;
    assert_eq!(status, 200);
    assert!(answer.contains(r#""expire":true"#));
    assert_eq!(
        patch("m1", "{}").await.0,
        404,
        "it ended with its last endpoint"
    );
    let foreign = "GET /colibri/stats HTTP/1.1\r\nHost: evil.example";
    assert_eq!(http(&server, "bridge.api", foreign, "").await.0, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_bridge_channel_opens_for_its_endpoint_only() {
    let server = all().await;
    let path = endpoint(&server, "m", "a", true).await;
    let (address, password) = path.split_once("?pwd=").unwrap();
    let wrong = [
        address.to_owned(),
        format!("{address}?pwd="),
        format!("{address}?pwd={}x", &password),
        format!("{address}x?pwd={password}"),
        path.replace("/trestle/", "/other/"),
        "/colibri-ws/trestle/0000000000000000/a?pwd=x".to_owned(),
    ];
    for path in wrong {
        match open(&server, &path).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), 403, "{path}"),
            other => panic!("{path} gives {other:?}"),
        }
    }
    let mut socket = open(&server, &path).await.unwrap();
    assert_eq!(next(&mut socket).await["colibriClass"], "ServerHello");
    let forwarded = next(&mut socket).await;
    assert_eq!(forwarded["forwardedSources"], json!([]));
    let mut second = open(&server, &path).await.unwrap();
    assert_eq!(next(&mut second).await["colibriClass"], "ServerHello");
    assert_eq!(
        closed(&mut socket).await,
        Some(1000),
        "a newer one replaces it"
    );
    let body = r#"{"expire":true}"#;
    http(
        &server,
        "bridge.api",
        "PATCH /colibri/v2/conferences/m HTTP/1.1",
        body,
    )
    .await;
    assert_eq!(closed(&mut second).await, Some(1001));
    server.stop().await;
}

#[tokio::test]
async fn messages_go_to_the_others_under_their_true_sender() {
    let server = all().await;
    let path = endpoint(&server, "m", "a", true).await;
    let mut a = open(&server, &path).await.unwrap();
    let mut others = Vec::new();
    for name in ["b", "c"] {
        let path = endpoint(&server, "m", name, false).await;
        let mut socket = open(&server, &path).await.unwrap();
        next(&mut socket).await;
        next(&mut socket).await;
        others.push(socket);
    }
    let say = |text: &str| Message::text(text.to_owned());
    let all = r#"{"colibriClass":"EndpointMessage","to":"","from":"forged","msgPayload":{"x":1}}"#;
    a.send(say(all)).await.unwrap();
    for socket in &mut others {
        let heard = next(socket).await;
        assert_eq!(
            (&heard["from"], &heard["msgPayload"]["x"]),
            (&json!("a"), &json!(1))
        );
    }
    a.send(say(r#"{"colibriClass":"EndpointMessage","to":"c","n":2}"#))
        .await
        .unwrap();
    a.send(say(r#"{"colibriClass":"EndpointStats","n":3}"#))
        .await
        .unwrap();
    assert_eq!(
        next(&mut others[0]).await["n"],
        3,
        "b is not told what is for c"
    );
    assert_eq!(next(&mut others[1]).await["n"], 2);
    server.stop().await;
}

#[tokio::test]
async fn hostile_sockets_are_closed_and_disturb_nobody() {
    let server = all().await;
    let path = endpoint(&server, "m", "a", true).await;
    let other = endpoint(&server, "m", "b", false).await;
    let mut witness = open(&server, &other).await.unwrap();
    next(&mut witness).await;
    next(&mut witness).await;

    let mut socket = open(&server, &path).await.unwrap();
    for text in [
        "",
        "{",
        "[]",
        r#"{"colibriClass":"Nonsense"}"#,
        r#"{"a":1,"a":1}"#,
    ] {
        socket.send(Message::text(text)).await.unwrap();
    }
    socket
        .send(Message::text(r#"{"colibriClass":"ClientHello"}"#))
        .await
        .unwrap();
    next(&mut socket).await;
    next(&mut socket).await;
    assert_eq!(
        next(&mut socket).await["colibriClass"],
        "ServerHello",
        "it is still open"
    );
    socket.send(Message::binary(vec![0; 10])).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(1003));

    let mut socket = open(&server, &path).await.unwrap();
    let sent = socket.send(Message::text("x".repeat(70_000))).await;
    assert!(sent.is_err() || matches!(closed(&mut socket).await, Some(1009) | None));

    let mut socket = open(&server, &path).await.unwrap();
    for _ in 0..200 {
        if socket.send(Message::text("{}")).await.is_err() {
            break;
        }
    }
    assert!(matches!(closed(&mut socket).await, Some(1008) | None));

    let mut socket = open(&server, &path).await.unwrap();
    socket
        .send(Message::text(r#"{"colibriClass":"EndpointMessage","n":1}"#))
        .await
        .unwrap();
    assert_eq!(next(&mut witness).await["n"], 1);
    server.stop().await;
}

#[tokio::test]
async fn the_connection_test_gives_a_transport() {
    let server = all().await;
    let (status, answer) = http(&server, "web.http", "POST /connection-test HTTP/1.1", "").await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["ufrag"].is_string() && answer["candidates"].is_array());
    let (status, _) = http(&server, "web.http", "POST /connection-test HTTP/1.1", "{}").await;
    assert_eq!(status, 400);
    server.stop().await;
}

#[tokio::test]
async fn broken_requests_do_not_stop_the_listener() {
    let server = all().await;
    let address = server.address("web.http").unwrap();
    for bytes in [
        &b"\0\0\0"[..],
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        &vec![b'a'; 100_000],
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The other side may close before all is written.
        drop(stream.write_all(bytes).await);
    }
    let tls = server.address("web.https").unwrap();
    let mut stream = TcpStream::connect(tls).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (status, _) = http(&server, "web.http", "GET /room HTTP/1.1", "").await;
    assert_eq!(status, 200);
    server.stop().await;
}
