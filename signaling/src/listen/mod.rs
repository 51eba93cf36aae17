//! Takes connections of clients and frames their streams: TCP, WebSocket, BOSH.

pub mod bosh;

pub mod c2s;

mod connection;

pub mod gate;

pub mod websocket;

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};

use crate::xmpp::Origin;

/// What the HTTP server knows of a connection. It puts this into the extensions of each request;
/// without it the routes of this module answer 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address of the other end.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub is_secure: bool,
}

/// Where a request comes from. The URL is that of a WebSocket, as the bridge channel needs it,
/// whatever carries the XMPP.
fn origin(peer: Peer, headers: &HeaderMap) -> Origin {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let scheme = if peer.is_secure { "wss" } else { "ws" };
    Origin::new(
        peer.address,
        host.filter(|host| is_host(host))
            .map(|h| format!("{scheme}://{h}")),
    )
}

/// Whether a `Host` can stand in a URL that we write to its sender.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}
