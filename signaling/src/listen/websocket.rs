//! Serves XMPP over WebSocket (RFC 7395) at `/xmpp-websocket`.
//!
//! A plain GET of the same address is the client's keep-alive and answers 200.

use std::time::Instant;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::SinkExt;
use tokio::time::{sleep_until, timeout};

use super::connection::{Connection, Reply};
use super::gate::Gate;
use super::{Peer, origin};
use crate::xml::reader::read_document;
use crate::xml::{Element, ns, writer};
use crate::xmpp::{XmppCounter, XmppHandle};

/// The route; needs [`Peer`] in the request's extensions.
pub fn routes(handle: XmppHandle) -> Router {
    Router::new()
        .route("/xmpp-websocket", get(connect))
        .with_state(handle)
}

async fn connect(
    State(handle): State<XmppHandle>,
    peer: Option<Extension<Peer>>,
    gate: Option<Extension<Gate>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return "This is the address of XMPP over WebSocket.\n".into_response();
    };
    let Some(Extension(peer)) = peer else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let limits = handle.config().limits;
    let limit = limits.stanza_bytes;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit);
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, "the subprotocol is xmpp\n").into_response();
    }
    let Some(connection) = Connection::admit(handle, origin(peer, &headers)) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let gate = gate.map_or_else(Gate::open, |Extension(gate)| gate);
    gate.limit(limits.stanza_bytes_before_auth * LOGIN_STANZAS);
    upgrade.on_upgrade(move |socket| serve(socket, connection, gate))
}

/// Runs one connection to its end.
async fn serve(mut socket: WebSocket, mut connection: Connection, gate: Gate) {
    let silence = connection.handle().config().limits.silence;
    let mut heard = Instant::now();
    let mut is_pinged = false;
    while !connection.is_closed() {
        let patience = if is_pinged { silence * 2 } else { silence };
        let login = connection.login_deadline();
        let replies = tokio::select! {
            message = socket.recv() => {
                let Some(Ok(message)) = message else {
                    if gate.is_shut() {
                        connection.count(XmppCounter::StanzasTooLarge);
                    }
                    return;
                };
                (heard, is_pinged) = (Instant::now(), false);
                match message {
                    Message::Text(text) => frame(&mut connection, text.as_bytes()).await,
                    Message::Binary(_) => connection.fail("bad-format"),
                    Message::Ping(_) | Message::Pong(_) => Vec::new(),
                    Message::Close(_) => return,
                }
            }
            replies = connection.next() => replies,
            () = sleep_until((heard + patience).into()) => {
                if is_pinged {
                    connection.count(XmppCounter::SilentClosed);
                    return;
                }
                is_pinged = true;
                if !send(&mut socket, &connection, [Message::Ping(Default::default())]).await {
                    return;
                }
                Vec::new()
            }
            () = sleep_until(login.unwrap_or(heard + silence * 4).into()), if login.is_some() => {
                connection.time_out()
            }
        };
        if connection.is_authenticated() {
            gate.lift();
        }
        let more = std::iter::from_fn(|| connection.next_now())
            .take(BATCH)
            .map(Reply::Element);
        let replies: Vec<_> = replies.into_iter().chain(more).collect();
        let domain = &connection.handle().config().domain;
        let messages = replies.into_iter().map(|reply| message(domain, reply));
        if !send(&mut socket, &connection, messages).await {
            return;
        }
    }
}

/// One frame is one element.
async fn frame(connection: &mut Connection, bytes: &[u8]) -> Vec<Reply> {
    match read_document(bytes, connection.xml_limits()) {
        Err(error) => connection.xml_error(error),
        Ok(open) if open.is("open", ns::FRAMING) => connection.open(open.attr("to")).await,
        Ok(close) if close.is("close", ns::FRAMING) => connection.close(),
        Ok(element) => connection.element(element, bytes.len()).await,
    }
}

fn message(domain: &str, reply: Reply) -> Message {
    let text = match reply {
        Reply::Open(id) => writer::to_string(
            &Element::new("open", ns::FRAMING)
                .with("from", domain)
                .with("id", id)
                .with("version", "1.0")
                .with("xml:lang", "en"),
        ),
        Reply::Element(element) => writer::to_string(&element),
        Reply::Close => CLOSE.to_owned(),
    };
    Message::text(text)
}

/// Writes messages and flushes once; false when the client is gone or does not read.
async fn send(
    socket: &mut WebSocket,
    connection: &Connection,
    messages: impl IntoIterator<Item = Message>,
) -> bool {
    let write = async {
        for message in messages {
            socket.feed(message).await?;
        }
        if connection.is_closed() {
            socket.feed(Message::Close(None)).await?;
        }
        socket.flush().await
    };
    match timeout(connection.handle().config().limits.write_time, write).await {
        Ok(result) => result.is_ok(),
        Err(_) => {
            connection.count(XmppCounter::SlowClosed);
            false
        }
    }
}

/// The subprotocol (RFC 7395, section 3.1); clients want it echoed.
const SUBPROTOCOL: &str = "xmpp";

/// The end of a stream, byte for byte as Strophe compares it.
const CLOSE: &str = "<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />";

/// How many of the longest stanzas a stranger may send until it has logged in. The WebSocket is
/// made for the stanzas after it, so the bound is below it.
const LOGIN_STANZAS: usize = 2;

/// Bytes of the read buffer of a connection; strangers get no more than that from us.
const BUFFER: usize = 8 * 1024;

/// Stanzas written between flushes.
const BATCH: usize = 64;
