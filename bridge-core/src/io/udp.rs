//! Opens the media sockets: one for each shard, all on one port (`SO_REUSEPORT`).

use core::net::SocketAddr;
use std::io;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::sys;
use crate::error::{Error, Result};

/// Kernel buffer of a media socket: 30 ms of a full 1 Gbit/s. The kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Kernel buffer of a connected socket: 200 ms of what one endpoint may send.
const PEER_BUFFER_BYTES: usize = 1 << 20;

/// Opens `count` sockets on `address`; port 0 takes a free one, the same for all. All are bound
/// before the first datagram is read, so that the kernel's spreading stays as it is. The first is
/// bound as one that shares with nobody: the port of another bridge is taken, not shared. `shared`:
/// connected sockets will join them there, even if there is but one.
pub(crate) fn open(address: SocketAddr, count: usize, shared: bool) -> Result<Vec<UdpSocket>> {
    let mut sockets = Vec::with_capacity(count);
    let mut bind_to = address;
    for at in 0..count {
        let socket =
            open_one(bind_to, at > 0).map_err(|error| Error::Io("open the media port", error))?;
        bind_to = socket
            .local_addr()
            .map_err(|error| Error::Io("read the media port", error))?;
        if at == 0 && (shared || count > 1) {
            reuse_port(SockRef::from(&socket))
                .map_err(|error| Error::Io("share the media port", error))?;
        }
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open_one(address: SocketAddr, joins: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    if joins {
        reuse_port(SockRef::from(&socket))?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    set_buffers(&socket, SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into());
    if address.ip().is_unspecified() {
        sys::ask_for_local_address(&socket)?;
    }
    Ok(socket)
}

/// Opens a socket beside the shared ones, for one peer.
pub(crate) fn connect(local: SocketAddr, remote: SocketAddr) -> io::Result<UdpSocket> {
    if local.ip().is_unspecified() {
        // It would take from the shared sockets what is for any address of ours.
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let socket = Socket::new(
        Domain::for_address(remote),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    reuse_port(SockRef::from(&socket))?;
    if remote.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    set_buffers(&socket, PEER_BUFFER_BYTES);
    socket.bind(&local.into())?;
    socket.connect(&remote.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The kernel cuts these to its own limits; a smaller buffer only drops earlier.
fn set_buffers(socket: &Socket, bytes: usize) {
    for result in [
        socket.set_recv_buffer_size(bytes),
        socket.set_send_buffer_size(bytes),
    ] {
        if let Err(error) = result {
            tracing::warn!(%error, "the system refuses larger socket buffers");
        }
    }
}

#[cfg(unix)]
fn reuse_port(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn reuse_port(_socket: SockRef<'_>) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_all_shards_share_one_free_port() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), 3, false).unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        assert_ne!(ports[0], 0);
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn a_taken_port_is_an_error_that_says_what_was_tried() {
        for (ours, theirs) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
            let taken = open("127.0.0.1:0".parse().unwrap(), ours, true).unwrap();
            let error = open(taken[0].local_addr().unwrap(), theirs, true).unwrap_err();
            assert!(error.to_string().starts_with("open the media port: "));
        }
    }
}
