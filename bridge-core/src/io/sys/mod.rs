//! Wraps the few system calls that the standard library does not offer; the only `unsafe` of the
//! shell is here.

use core::net::SocketAddr;
use std::io;

use mio::net::UdpSocket;

use crate::engine::Path;
use crate::packet::Packet;

#[cfg(target_os = "linux")]
mod epoll;

mod fallback;

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
mod priority;

#[cfg(not(target_os = "linux"))]
use fallback as epoll;

#[cfg(not(target_os = "linux"))]
use fallback as linux;

#[cfg(not(target_os = "linux"))]
use fallback as priority;

pub(super) use epoll::Polled;

pub(super) use linux::{
    Receiver, Sender, ask_for_local_address, descriptors_max, interface_addresses, pin_thread,
};

pub(super) use priority::{stand_back, wake_promptly};

/// Whether the kernel prefers a connected socket among those of one port. Others leave it open.
pub(super) const PREFERS_CONNECTED: bool = cfg!(target_os = "linux");

/// A datagram as it came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) path: Path,
    pub(super) packet: Packet,
    /// It was longer than the buffer, so its end is lost.
    pub(super) cut: bool,
}

/// Datagrams for one address: a piece of the send arena, cut by the kernel into segments when it
/// is longer than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) path: Path,
    /// Where its bytes begin in the arena.
    pub(super) start: usize,
    /// Bytes of each segment; the last may be shorter.
    pub(super) segment: usize,
    /// Bytes of all segments.
    pub(super) total: usize,
}

/// Sends the first message without any help of the kernel; returns 1.
pub(super) fn send_one(
    socket: &UdpSocket,
    arena: &[u8],
    messages: &[Message],
) -> io::Result<usize> {
    fallback::send_one(socket, arena, messages)
}

/// An IPv4 address as the kernel writes it on a socket that takes both versions becomes IPv4.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
