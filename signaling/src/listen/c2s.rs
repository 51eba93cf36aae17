//! Serves XMPP over plain TCP (RFC 6120): on loopback only, until there is STARTTLS.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until, timeout};

use super::connection::{Connection, Reply};
use crate::feature::ping;
use crate::xml::{Element, Reader, StreamEvent, ns, writer};
use crate::xmpp::{Origin, XmppCounter, XmppHandle};

/// Accepts connections until the listener fails for good.
///
/// # Errors
/// When the listener is not on loopback: there is no TLS yet.
pub async fn serve(listener: TcpListener, handle: XmppHandle) -> io::Result<()> {
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "plain XMPP over TCP is for loopback addresses only",
        ));
    }
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let origin = Origin::new(peer, None);
                if let Some(connection) = Connection::admit(handle.clone(), origin) {
                    tokio::spawn(run(socket, connection));
                }
            }
            // Out of descriptors, or the client is gone already: others may still come.
            Err(error) => {
                tracing::warn!(%error, "cannot accept an XMPP connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Runs one connection to its end.
async fn run(mut socket: TcpStream, mut connection: Connection) {
    let mut reader = Reader::new(connection.xml_limits());
    let mut buffer = vec![0; BUFFER];
    let patience = connection.handle().config().limits.silence * SILENCES;
    let mut heard = Instant::now();
    let mut is_pinged = false;
    while !connection.is_closed() {
        let wait = if is_pinged { patience * 2 } else { patience };
        let login = connection.login_deadline();
        let replies = tokio::select! {
            read = socket.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                (heard, is_pinged) = (Instant::now(), false);
                let bytes = buffer.get(..length).unwrap_or_default();
                if !take(&mut socket, &mut connection, &mut reader, bytes).await {
                    return;
                }
                Vec::new()
            }
            replies = connection.next() => replies,
            () = sleep_until((heard + wait).into()) => {
                if is_pinged {
                    connection.count(XmppCounter::SilentClosed);
                    return;
                }
                is_pinged = true;
                let domain = &connection.handle().config().domain;
                vec![Reply::Element(ping::request(domain, "keep-alive"))]
            }
            () = sleep_until(login.unwrap_or(heard).into()), if login.is_some() => {
                connection.time_out()
            }
        };
        if !send(&mut socket, &mut connection, replies).await {
            return;
        }
    }
}

/// Handles what was read; false when the client is gone.
async fn take(
    socket: &mut TcpStream,
    connection: &mut Connection,
    reader: &mut Reader,
    mut bytes: &[u8],
) -> bool {
    while !connection.is_closed() {
        let before = bytes.len();
        let strange = connection.xml_limits();
        let replies = match reader.read(&mut bytes) {
            Ok(None) => return true,
            Ok(Some(StreamEvent::Open(header))) if header.is("stream", ns::STREAM) => {
                connection.open(header.attr("to")).await
            }
            Ok(Some(StreamEvent::Open(_))) => connection.fail("bad-format"),
            Ok(Some(StreamEvent::Close)) => connection.close(),
            Ok(Some(StreamEvent::Element(element))) => {
                let length = element.weight().max(before.saturating_sub(bytes.len()));
                connection.element(element, length).await
            }
            Err(error) => connection.xml_error(error),
        };
        if connection.xml_limits().bytes != strange.bytes {
            *reader = Reader::new(connection.xml_limits()); // logged in: the stream begins again
        }
        if !send(socket, connection, replies).await {
            return false;
        }
    }
    true
}

/// Writes replies and what else is there; false when the client is gone or does not read.
async fn send(socket: &mut TcpStream, connection: &mut Connection, replies: Vec<Reply>) -> bool {
    let more = std::iter::from_fn(|| connection.next_now())
        .take(BATCH)
        .map(Reply::Element);
    let replies: Vec<_> = replies.into_iter().chain(more).collect();
    if replies.is_empty() {
        return true;
    }
    let config = connection.handle().config();
    let mut text = String::new();
    for reply in &replies {
        match reply {
            Reply::Open(id) => text.push_str(&header(&config.domain, id)),
            Reply::Element(element) => writer::write(element, ns::CLIENT, &mut text),
            Reply::Close => text.push_str("</stream:stream>"),
        }
    }
    match timeout(config.limits.write_time, socket.write_all(text.as_bytes())).await {
        Ok(result) => result.is_ok(),
        Err(_) => {
            connection.count(XmppCounter::SlowClosed);
            false
        }
    }
}

fn header(domain: &str, id: &str) -> String {
    let header = Element::new("stream", ns::STREAM)
        .with("xmlns", ns::CLIENT)
        .with("from", domain)
        .with("id", id)
        .with("version", "1.0")
        .with("xml:lang", "en");
    let mut text = String::from("<?xml version='1.0'?>");
    writer::write_open(&header, &mut text);
    text
}

/// Bytes read at once.
const BUFFER: usize = 4 * 1024;

/// Stanzas written at once.
const BATCH: usize = 64;

/// How many times longer than a WebSocket a TCP client may be silent.
const SILENCES: u32 = 6;

/// Time before accepting again after a failure.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
