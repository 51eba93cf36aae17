//! Starts a server for tests and connects clients to it over real sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::{SinkExt, StreamExt};
use signaling::listen::{Peer, bosh, websocket};
use signaling::xml::reader::read_document;
use signaling::xml::{Element, XmlLimits, ns, writer};
use signaling::xmpp::{XmppConfig, XmppHandle, XmppServer};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A server on a free port of loopback.
pub(crate) struct Server {
    pub(crate) handle: XmppHandle,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(config: XmppConfig) -> Self {
        let handle = XmppServer::start(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        let routes = Router::new()
            .merge(websocket::routes(handle.clone()))
            .merge(bosh::routes(handle.clone()))
            .layer(Extension(Peer {
                address: peer,
                is_secure: false,
            }));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { handle, address }
    }

    /// A WebSocket, not logged in.
    pub(crate) async fn socket(&self) -> Client {
        self.try_socket(Some("xmpp")).await.unwrap()
    }

    pub(crate) async fn try_socket(&self, protocol: Option<&str>) -> Option<Client> {
        let url = format!("ws://{}/xmpp-websocket?room=r", self.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
        }
        let (socket, response) = connect_async(request).await.ok()?;
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "xmpp");
        Some(Client {
            socket,
            jid: String::new(),
        })
    }

    /// A WebSocket that is logged in.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.socket().await;
        client.log_in().await;
        client
    }
}

/// A client over WebSocket.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) jid: String,
}

pub(crate) const OPEN: &str =
    "<open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" to=\"meet.jitsi\" version=\"1.0\"/>";

pub(crate) const AUTH: &str =
    "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"ANONYMOUS\"/>";

pub(crate) const BIND: &str = "<iq xmlns=\"jabber:client\" id=\"_bind_auth_2\" type=\"set\">\
                        <bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\"/></iq>";

impl Client {
    pub(crate) async fn log_in(&mut self) {
        for (text, answers) in [(OPEN, 2), (AUTH, 1), (OPEN, 2), (BIND, 1)] {
            self.send(text).await;
            for _ in 0..answers {
                let answer = self.text().await.unwrap();
                if text == BIND {
                    self.jid = bound(&parse(&answer));
                }
            }
        }
    }

    /// The nick that this client has in a room.
    pub(crate) fn nick(&self) -> &str {
        nick_of(&self.jid)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame of text; `None` when the connection is closed.
    pub(crate) async fn text(&mut self) -> Option<String> {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .expect("an answer in time")
    }

    pub(crate) async fn element(&mut self) -> Option<Element> {
        self.text().await.map(|text| parse(&text))
    }
}

/// The nick of the guest with this address.
pub(crate) fn nick_of(jid: &str) -> &str {
    jid.get(..8).unwrap_or_default()
}

/// The address in the answer to a bind request.
pub(crate) fn bound(answer: &Element) -> String {
    let bind = answer.find("bind", ns::BIND).expect("a bind result");
    bind.find("jid", ns::BIND).expect("an address").own_text()
}

pub(crate) fn parse(text: &str) -> Element {
    let limits = XmlLimits {
        bytes: 1 << 20,
        depth: 64,
        attributes: 64,
        elements: 10_000,
    };
    read_document(text.as_bytes(), limits).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Stanzas as a test writes them: in `jabber:client` unless they say otherwise.
pub(crate) fn stanzas(text: &str) -> Vec<Element> {
    let text = format!("<all xmlns=\"jabber:client\">{text}</all>");
    parse(&text).elements().cloned().collect()
}

pub(crate) fn write(element: &Element) -> String {
    writer::to_string(element)
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
