//! Sends and receives one datagram per system call, for systems without better ones and when a
//! better one is refused.

use std::io;

use mio::net::UdpSocket;

use super::Message;
#[cfg(any(test, not(target_os = "linux")))]
use super::{Arrival, unmapped};
#[cfg(any(test, not(target_os = "linux")))]
use crate::engine::Path;
#[cfg(any(test, not(target_os = "linux")))]
use crate::limits::DATAGRAM_BYTES_MAX;
#[cfg(any(test, not(target_os = "linux")))]
use crate::packet::Pool;

/// Receives without batches.
#[cfg(any(test, not(target_os = "linux")))]
#[derive(Debug)]
pub(crate) struct Receiver;

#[cfg(any(test, not(target_os = "linux")))]
impl Receiver {
    pub(crate) fn new(_socket: &UdpSocket, _joins: bool) -> Self {
        Self
    }

    /// Does nothing: all sockets are alike.
    pub(crate) fn adopt(&self, _socket: &UdpSocket) {}

    /// Appends what waits at the socket, one datagram at a time; `true`: more may wait.
    /// `WouldBlock` when none does.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the batched twin keeps its arrays in itself"
    )]
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        pool: &mut Pool,
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<bool> {
        let mut packet = pool.take();
        let room = packet.room_mut();
        match socket.recv_from(room) {
            Ok((length, remote)) => {
                packet.set_len(length.min(DATAGRAM_BYTES_MAX));
                arrivals.push(Arrival {
                    path: Path {
                        remote: unmapped(remote),
                        local: None,
                    },
                    packet,
                    cut: length > DATAGRAM_BYTES_MAX,
                });
                Ok(true)
            }
            Err(error) => {
                pool.give(packet);
                Err(error)
            }
        }
    }
}

/// Sends without batches.
#[cfg(any(test, not(target_os = "linux")))]
#[derive(Debug)]
pub(crate) struct Sender;

#[cfg(any(test, not(target_os = "linux")))]
impl Sender {
    pub(crate) fn new(_socket: &UdpSocket) -> Self {
        Self
    }

    /// Whether the kernel cuts a message into segments.
    pub(crate) const fn segments(&self) -> bool {
        false
    }

    /// Sends the first message.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the batched twin keeps its arrays in itself"
    )]
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        send_one(socket, arena, messages)
    }

    /// Refuses: peers have no sockets of their own here.
    #[cfg(not(target_os = "linux"))]
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the batched twin keeps its arrays in itself"
    )]
    pub(crate) fn send_connected(
        &mut self,
        _socket: &UdpSocket,
        _arena: &[u8],
        _messages: &[Message],
    ) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Does nothing: the address on which a datagram came is not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for_local_address(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}

/// Nothing is known of interfaces here: announce the addresses.
#[cfg(not(target_os = "linux"))]
pub(crate) fn interface_addresses() -> io::Result<Vec<core::net::IpAddr>> {
    Ok(Vec::new())
}

/// Not known here; nobody asks, since peers have no sockets of their own.
#[cfg(not(target_os = "linux"))]
pub(crate) fn descriptors_max() -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a poll found; it counts in milliseconds, and rounds up.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Polled(mio::Events);

#[cfg(not(target_os = "linux"))]
impl Polled {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(mio::Events::with_capacity(capacity))
    }

    pub(crate) fn wait(
        &mut self,
        poll: &mut mio::Poll,
        patience: Option<core::time::Duration>,
    ) -> io::Result<()> {
        poll.poll(&mut self.0, patience)
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = mio::Token> {
        self.0.iter().map(mio::event::Event::token)
    }
}

/// Does nothing: threads move as the system likes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_thread(_processor: usize) -> bool {
    false
}

/// Does nothing: the system decides which thread goes first.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wake_promptly() -> bool {
    false
}

/// Does nothing: the system decides which thread goes first.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stand_back() -> bool {
    false
}

/// Sends the first message, which is one segment; returns 1.
pub(super) fn send_one(
    socket: &UdpSocket,
    arena: &[u8],
    messages: &[Message],
) -> io::Result<usize> {
    let Some(message) = messages.first() else {
        return Ok(0);
    };
    let end = message.start.saturating_add(message.total);
    let bytes = arena.get(message.start..end).unwrap_or_default();
    let mut remote = message.path.remote;
    if let (core::net::IpAddr::V4(address), true) = (remote.ip(), speaks_ipv6(socket)) {
        remote.set_ip(address.to_ipv6_mapped().into());
    }
    socket.send_to(bytes, remote).map(|_| 1)
}

fn speaks_ipv6(socket: &UdpSocket) -> bool {
    socket.local_addr().is_ok_and(|address| address.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_goes_out_and_comes_in_without_batches() {
        let [one, other] =
            [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let mut receiver = Receiver::new(&other, true);
        receiver.adopt(&one);
        let (mut pool, mut arrivals) = (Pool::new(4), Vec::new());
        let nothing = receiver.receive(&other, &mut pool, &mut arrivals);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let message = Message {
            path: Path {
                remote: other.local_addr().unwrap(),
                local: None,
            },
            start: 1,
            segment: 3,
            total: 3,
        };
        let mut sender = Sender::new(&one);
        assert!(!sender.segments());
        assert_eq!(sender.send(&one, b"xabcx", &[message]).unwrap(), 1);
        assert!(receiver.receive(&other, &mut pool, &mut arrivals).unwrap());
        assert_eq!(arrivals[0].packet.bytes(), b"abc");
        assert_eq!(arrivals[0].path.remote, one.local_addr().unwrap());
        assert!(!arrivals[0].cut);
    }
}
