//! Receives and sends many datagrams per system call: `recvmmsg`, `sendmmsg` and the kernel's own
//! joining (`UDP_GRO`) and segmentation (`UDP_SEGMENT`).
//!
//! Addresses and control messages are written and read as bytes in the kernel's layout, so that
//! what is `unsafe` are the calls alone.

#![expect(
    unsafe_code,
    reason = "batched datagrams cost a quarter of single ones and std has no call for them"
)]

use core::ffi::{c_int, c_uint};
use core::mem::{size_of, size_of_val};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ptr;
use std::io;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;

use super::{Arrival, Message, unmapped};
use crate::engine::Path;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::packet::{Packet, Pool};

/// Datagrams of one `recvmmsg`. Measured: the cost per datagram is flat from 32 on.
const RECEIVE_BATCH: usize = 64;

/// Bytes of the longest message that the kernel makes of several datagrams.
const JOINED_BYTES: usize = 65_536;

/// Messages of one `sendmmsg`.
const SEND_BATCH: usize = 128;

/// A `sockaddr_in` or `sockaddr_in6` as bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
struct Name([u8; 32]);

/// Control messages as bytes: room for two addresses (20 bytes at most) and a segment length.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; 96]);

/// Bytes of the kernel's `struct cmsghdr`: a `size_t` length, then level and type.
const CONTROL_HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();

impl Control {
    const EMPTY: Self = Self([0; 96]);

    /// Appends a control message at `at`; returns where the next one goes.
    fn put(&mut self, at: usize, level: c_int, kind: c_int, data: &[u8]) -> usize {
        let length = CONTROL_HEADER + data.len();
        let next = at + length.next_multiple_of(size_of::<usize>());
        if let Some(room) = self.0.get_mut(at..next) {
            room.fill(0);
            let parts = [
                &length.to_ne_bytes()[..],
                &level.to_ne_bytes(),
                &kind.to_ne_bytes(),
                data,
            ];
            let bytes = parts.into_iter().flatten();
            room.iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
        }
        next
    }

    /// The data of the first control message of that level and type.
    fn find(&self, used: usize, level: c_int, kind: c_int) -> Option<&[u8]> {
        let mut rest = self.0.get(..used)?;
        loop {
            let (length, after) = rest.split_first_chunk()?;
            let length = usize::from_ne_bytes(*length);
            let (its_level, after) = after.split_first_chunk()?;
            let (its_kind, _) = after.split_first_chunk()?;
            let data = rest.get(CONTROL_HEADER..length)?;
            if c_int::from_ne_bytes(*its_level) == level && c_int::from_ne_bytes(*its_kind) == kind
            {
                return Some(data);
            }
            rest = rest.get(length.next_multiple_of(size_of::<usize>())..)?;
        }
    }
}

impl Name {
    /// Writes an address for a socket of the given version; returns the length for the kernel. An
    /// IPv6 address for an IPv4 socket stays one: the kernel refuses it.
    fn set(&mut self, address: SocketAddr, ipv6: bool) -> u32 {
        let ipv6 = ipv6 || address.is_ipv6();
        let (family, length): (c_int, usize) = if ipv6 {
            (libc::AF_INET6, size_of::<libc::sockaddr_in6>())
        } else {
            (libc::AF_INET, size_of::<libc::sockaddr_in>())
        };
        let family = u16::try_from(family).unwrap_or(0).to_ne_bytes();
        let port = address.port().to_be_bytes();
        let (v4, v6, scope);
        let parts: [&[u8]; 5] = match (address, ipv6) {
            (SocketAddr::V4(address), false) => {
                v4 = address.ip().octets();
                [&family, &port, &v4, &[0; 8], &[]]
            }
            (SocketAddr::V4(address), true) => {
                v6 = address.ip().to_ipv6_mapped().octets();
                [&family, &port, &[0; 4], &v6, &[0; 4]]
            }
            (SocketAddr::V6(address), _) => {
                v6 = address.ip().octets();
                scope = address.scope_id().to_ne_bytes();
                [&family, &port, &[0; 4], &v6, &scope]
            }
        };
        let bytes = parts.into_iter().flatten();
        self.0
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        u32::try_from(length).unwrap_or(0)
    }

    fn address(&self) -> Option<SocketAddr> {
        let (family, rest) = self.0.split_first_chunk()?;
        let family = c_int::from(u16::from_ne_bytes(*family));
        let (port, rest) = rest.split_first_chunk()?;
        let ip: IpAddr = if family == libc::AF_INET {
            Ipv4Addr::from(*rest.first_chunk::<4>()?).into()
        } else if family == libc::AF_INET6 {
            Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?).into()
        } else {
            return None;
        };
        Some(unmapped(SocketAddr::new(ip, u16::from_be_bytes(*port))))
    }
}

/// Receives batches. Where the kernel can, it joins datagrams of one sender that came together into
/// one message (`UDP_GRO`), which is cut into packets here.
///
/// The first 1,600 bytes of a message go straight into a packet, the rest into a scratch buffer, so
/// that a datagram that came alone is never copied. Of a joined message all segments but the first
/// are copied. Measured over loopback with packets of 1,200 bytes (bench `io/receive`), as a share
/// of plain `recvmmsg`: 0.35 for a frame of 8, 0.39 for frames of 4 of ten senders, 1.02 when
/// nothing is joined. So it is on wherever the kernel has it.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Empty packets, the next one last.
    packets: Vec<Packet>,
    /// A piece of [`JOINED_BYTES`] for each message, or nothing when the kernel does not join.
    /// Pages that are never written take no memory.
    joined: Vec<u8>,
    /// Places that are to be set up anew, the first ones: their packets were given away.
    used: usize,
    names: Vec<Name>,
    controls: Vec<Control>,
    pieces: Vec<[libc::iovec; 2]>,
    headers: Vec<libc::mmsghdr>,
}

impl Receiver {
    /// `joins` asks the kernel to join datagrams.
    pub(crate) fn new(socket: &UdpSocket, joins: bool) -> Self {
        let joins = joins && option(socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
        let joined_bytes = if joins {
            RECEIVE_BATCH * JOINED_BYTES
        } else {
            0
        };
        Self {
            packets: Vec::with_capacity(RECEIVE_BATCH),
            joined: vec![0; joined_bytes],
            used: RECEIVE_BATCH,
            names: vec![Name::default(); RECEIVE_BATCH],
            controls: vec![Control::EMPTY; RECEIVE_BATCH],
            pieces: vec![[empty_piece(); 2]; RECEIVE_BATCH],
            headers: vec![empty_header(); RECEIVE_BATCH],
        }
    }

    /// Prepares a further socket to be received from as the first one.
    pub(crate) fn adopt(&self, socket: &UdpSocket) {
        // A kernel that joined for the first socket does so for this one; if not, datagrams come
        // singly.
        let _is_joining =
            !self.joined.is_empty() && option(socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    }

    /// Appends what waits at the socket, up to one batch; returns whether more may wait.
    /// `WouldBlock` when there is nothing.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        pool: &mut Pool,
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<bool> {
        while self.packets.len() < RECEIVE_BATCH {
            self.packets.push(pool.take());
        }
        self.set_up();
        // SAFETY: `headers` holds RECEIVE_BATCH headers whose pointers `set_up` has aimed at
        // packets, scratch pieces, names and controls of this struct, with their true lengths.
        // None of them has been given away, moved or touched since, and the kernel keeps none.
        // WHY: one call per 64 datagrams instead of 64 calls (docs/adr/0003-shards.md).
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                c_uint::try_from(RECEIVE_BATCH).unwrap_or(0),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.used = count;
        let filled = self.headers.iter().zip(&self.names).zip(&self.controls);
        let mut joined = self.joined.chunks_exact_mut(JOINED_BYTES);
        for ((header, name), control) in filled.take(count) {
            // Taken from the back and refilled before the next call: order among buffers is free,
            // but datagrams must keep theirs, so buffers were aimed in reverse.
            let Some(packet) = self.packets.pop() else {
                break;
            };
            let message = Joined {
                length: usize::try_from(header.msg_len).unwrap_or(0),
                segment: segment_length(control, header.msg_hdr.msg_controllen),
                beyond: joined.next().unwrap_or_default(),
                is_cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
            let Some(remote) = name.address() else {
                pool.give(packet);
                continue;
            };
            let path = Path {
                remote,
                local: local_address(control, header.msg_hdr.msg_controllen),
            };
            message.take_apart(packet, path, pool, arrivals);
        }
        Ok(count == RECEIVE_BATCH)
    }

    /// Aims the places that were used by the last call at new packets.
    fn set_up(&mut self) {
        let buffers = self.packets.iter_mut().rev();
        let mut joined = self.joined.chunks_exact_mut(JOINED_BYTES);
        let places = self.headers.iter_mut().zip(&mut self.pieces);
        let places = places.zip(self.names.iter_mut().zip(&mut self.controls));
        let places = buffers.zip(places).take(self.used);
        for (packet, ((header, pieces), (name, control))) in places {
            let rooms = [
                packet.room_mut().get_mut(..DATAGRAM_BYTES_MAX),
                joined
                    .next()
                    .and_then(|joined| joined.get_mut(DATAGRAM_BYTES_MAX..)),
            ];
            let header = &mut header.msg_hdr;
            header.msg_iovlen = rooms.iter().flatten().count();
            *pieces = rooms.map(|room| {
                room.map_or(empty_piece(), |room| libc::iovec {
                    iov_base: room.as_mut_ptr().cast(),
                    iov_len: room.len(),
                })
            });
            header.msg_iov = pieces.as_mut_ptr();
            header.msg_name = name.0.as_mut_ptr().cast();
            header.msg_namelen = u32::try_from(size_of_val(&name.0)).unwrap_or(0);
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control.0);
            header.msg_flags = 0;
        }
        self.used = 0;
    }
}

/// A message of the kernel: a datagram, or several of equal length, of which the last may be
/// shorter.
struct Joined<'a> {
    /// Bytes of all datagrams.
    length: usize,
    /// Bytes of each datagram, if the kernel says so.
    segment: Option<usize>,
    /// Where the bytes behind the first packet are, at the place that they have in the message.
    beyond: &'a mut [u8],
    /// The kernel had to cut it.
    is_cut: bool,
}

impl Joined<'_> {
    /// Makes a packet of each datagram; `first` holds the first bytes of the message.
    fn take_apart(
        self,
        mut first: Packet,
        path: Path,
        pool: &mut Pool,
        arrivals: &mut Vec<Arrival>,
    ) {
        let length = self.length;
        let segment = self.segment.unwrap_or(length);
        // What the first packet has of the others goes where theirs is, so that each is whole.
        let others = segment.min(DATAGRAM_BYTES_MAX)..length.min(DATAGRAM_BYTES_MAX);
        if let (Some(from), Some(to)) = (
            first.room_mut().get(others.clone()),
            self.beyond.get_mut(others),
        ) {
            to.copy_from_slice(from);
        }
        let is_long = |length| length > DATAGRAM_BYTES_MAX;
        first.set_len(length.min(segment).min(DATAGRAM_BYTES_MAX));
        arrivals.push(Arrival {
            path,
            packet: first,
            cut: self.is_cut || is_long(length.min(segment)),
        });
        let datagrams = self.beyond.get(..length).unwrap_or_default();
        for datagram in datagrams.chunks(segment.max(1)).skip(1) {
            let mut packet = pool.take();
            packet.fill(datagram.get(..DATAGRAM_BYTES_MAX).unwrap_or(datagram));
            arrivals.push(Arrival {
                path,
                packet,
                cut: self.is_cut || is_long(datagram.len()),
            });
        }
    }
}

/// Sends batches.
#[derive(Debug)]
pub(crate) struct Sender {
    ipv6: bool,
    segments: bool,
    names: Vec<Name>,
    controls: Vec<Control>,
    pieces: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Sender {
    pub(crate) fn new(socket: &UdpSocket) -> Self {
        Self {
            ipv6: socket.local_addr().is_ok_and(|address| address.is_ipv6()),
            segments: option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok(),
            names: vec![Name::default(); SEND_BATCH],
            controls: vec![Control::EMPTY; SEND_BATCH],
            pieces: vec![empty_piece(); SEND_BATCH],
            headers: vec![empty_header(); SEND_BATCH],
        }
    }

    /// Whether the kernel cuts a message into segments.
    pub(crate) const fn segments(&self) -> bool {
        self.segments
    }

    /// Sends as many of `messages` as the socket takes, in order; returns how many. An error is
    /// about the first of them.
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        self.set_up(arena, messages, false);
        self.call(socket, messages.len().min(SEND_BATCH))
    }

    /// The same by a socket that is connected to where all of them go.
    pub(crate) fn send_connected(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        self.set_up(arena, messages, true);
        self.call(socket, messages.len().min(SEND_BATCH))
    }

    /// Hands over the first `count` headers, just after they were set up.
    fn call(&mut self, socket: &UdpSocket, count: usize) -> io::Result<usize> {
        // SAFETY: the first `count` of at most SEND_BATCH headers were aimed by `set_up` at
        // pieces of `arena` and at names and controls of this struct, with their true lengths;
        // all of them outlive the call, and the kernel only reads them.
        // WHY: GSO and one call for 128 receivers: 1.0 us a packet instead of 4.1 us.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                c_uint::try_from(count).unwrap_or(0),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    fn set_up(&mut self, arena: &[u8], messages: &[Message], is_connected: bool) {
        let places = self.headers.iter_mut().zip(&mut self.pieces);
        let places = places.zip(self.names.iter_mut().zip(&mut self.controls));
        for (message, ((header, piece), (name, control))) in messages.iter().zip(places) {
            let end = message.start.saturating_add(message.total);
            let bytes = arena.get(message.start..end).unwrap_or_default();
            *piece = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let mut used = 0;
            if let Some(local) = message.path.local
                && !is_connected
            {
                used = put_local_address(control, used, local, self.ipv6);
            }
            if message.segment < message.total {
                let segment = u16::try_from(message.segment).unwrap_or(u16::MAX);
                let (level, kind) = (libc::SOL_UDP, libc::UDP_SEGMENT);
                used = control.put(used, level, kind, &segment.to_ne_bytes());
            }
            let header = &mut header.msg_hdr;
            // With a name the kernel would look for the route again.
            (header.msg_name, header.msg_namelen) = if is_connected {
                (ptr::null_mut(), 0)
            } else {
                let length = name.set(message.path.remote, self.ipv6);
                (name.0.as_mut_ptr().cast(), length)
            };
            header.msg_iov = ptr::from_mut(piece);
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = used;
        }
    }
}

/// Asks the kernel to say on which of our addresses a datagram came, so that answers leave from
/// there; needed when the socket is bound to all of them.
pub(crate) fn ask_for_local_address(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Keeps the calling thread on one processor; `false` when the system refuses.
pub(crate) fn pin_thread(processor: usize) -> bool {
    let mut set = [0_u64; 16];
    let Some(word) = set.get_mut(processor / 64) else {
        return false;
    };
    *word = 1 << (processor % 64);
    // SAFETY: the kernel reads as many bytes as we say, and the array is that long.
    // WHY: a shard that moves loses its caches; std has no call for it.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), set.as_ptr().cast()) };
    result == 0
}

/// How many descriptors this process may have open.
pub(crate) fn descriptors_max() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit`, of this frame.
    // WHY: std has no call for it, and sockets of peers must leave some for all else.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        Ok(limit.rlim_cur)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Addresses of this machine's interfaces that are up, in the system's order.
pub(crate) fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the C library writes one pointer, to a list that is ours until `freeifaddrs`.
    // WHY: std has no call for it, and candidates need the addresses.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut next = first;
    // SAFETY: `next` is null or an entry of the list, which lives until `freeifaddrs` below.
    // WHY: as above.
    while let Some(entry) = unsafe { next.as_ref() } {
        let up = entry.ifa_flags & u32::try_from(libc::IFF_UP).unwrap_or(0) != 0;
        if up && let Some(address) = interface_address(entry) {
            addresses.push(address);
        }
        next = entry.ifa_next;
    }
    // SAFETY: `first` came from `getifaddrs`, and no reference into the list is left.
    // WHY: as above.
    unsafe { libc::freeifaddrs(first) };
    Ok(addresses)
}

fn interface_address(entry: &libc::ifaddrs) -> Option<IpAddr> {
    // SAFETY: the address is null or points to a socket address that begins with its family.
    // WHY: as for `interface_addresses`.
    let family = c_int::from(unsafe { entry.ifa_addr.as_ref() }?.sa_family);
    let length = match family {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: a socket address of that family has `length` readable bytes, which nobody changes
    // before `freeifaddrs`.
    // WHY: read as bytes, so that the layout is handled in one place (`Name`).
    let bytes = unsafe { core::slice::from_raw_parts(entry.ifa_addr.cast::<u8>(), length) };
    let mut name = Name::default();
    name.0
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    Some(name.address()?.ip())
}

/// Bytes of each datagram of a joined message.
fn segment_length(control: &Control, used: usize) -> Option<usize> {
    let length = control.find(used, libc::SOL_UDP, libc::UDP_GRO)?;
    usize::try_from(c_int::from_ne_bytes(*length.first_chunk()?))
        .ok()
        .filter(|length| *length > 0)
}

fn local_address(control: &Control, used: usize) -> Option<IpAddr> {
    if let Some(info) = control.find(used, libc::IPPROTO_IP, libc::IP_PKTINFO) {
        // struct in_pktinfo: interface, our address for answers, address in the header.
        let octets: [u8; 4] = *info.get(8..)?.first_chunk()?;
        return Some(Ipv4Addr::from(octets).into());
    }
    let info = control.find(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
    let octets: [u8; 16] = *info.first_chunk()?;
    Some(IpAddr::from(octets).to_canonical())
}

fn put_local_address(control: &mut Control, at: usize, local: IpAddr, ipv6: bool) -> usize {
    let mut info = [0; 20];
    match (local, ipv6) {
        (IpAddr::V4(local), false) => {
            // struct in_pktinfo: interface 0 (any), then the address to send from.
            info.iter_mut()
                .skip(4)
                .zip(local.octets())
                .for_each(|(to, from)| *to = from);
            let info = info.get(..12).unwrap_or_default();
            control.put(at, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        (IpAddr::V4(local), true) => {
            let octets = local.to_ipv6_mapped().octets();
            info.iter_mut()
                .zip(octets)
                .for_each(|(to, from)| *to = from);
            control.put(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
        }
        (IpAddr::V6(local), true) => {
            info.iter_mut()
                .zip(local.octets())
                .for_each(|(to, from)| *to = from);
            control.put(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
        }
        // Such a datagram cannot leave this socket; the kernel says so.
        (IpAddr::V6(_), false) => at,
    }
}

fn option(socket: &UdpSocket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one int from a pointer to one int.
    // WHY: neither std nor socket2 knows these options.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

const fn empty_piece() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: all fields are integers and raw pointers, for which zero is a value.
    // WHY: some C libraries have private padding in it, so it cannot be written out.
    unsafe { core::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_message_is_found_behind_another() {
        let mut control = Control::EMPTY;
        let at = control.put(0, 1, 2, &[9; 3]);
        let at = control.put(at, libc::SOL_UDP, libc::UDP_SEGMENT, &7_u16.to_ne_bytes());
        let found = control.find(at, libc::SOL_UDP, libc::UDP_SEGMENT);
        assert_eq!(found, Some(&7_u16.to_ne_bytes()[..]));
        assert_eq!(control.find(at, 1, 2), Some(&[9; 3][..]));
        assert_eq!(control.find(at, 1, 3), None);
    }

    /// A receiver with its socket, and what sends to it.
    fn receiver(joins: bool) -> (Receiver, UdpSocket, UdpSocket, Path) {
        let [ours, theirs] =
            [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let path = Path {
            remote: ours.local_addr().unwrap(),
            local: None,
        };
        (Receiver::new(&ours, joins), ours, theirs, path)
    }

    fn drain(receiver: &mut Receiver, socket: &UdpSocket, pool: &mut Pool) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        while receiver.receive(socket, pool, &mut arrivals).unwrap() {}
        arrivals
    }

    #[test]
    fn joined_datagrams_come_apart_whole_and_in_order() {
        for joins in [true, false] {
            let (mut receiver, ours, theirs, path) = receiver(joins);
            let mut pool = Pool::new(100);
            let mut sender = Sender::new(&theirs);
            // Twice, so that buffers are used again.
            for round in 0..2 {
                // Segments that a first packet holds many of, some of, one of.
                let mut expected: Vec<Vec<u8>> = Vec::new();
                for (segment, total) in [(60, 601), (1_000, 4_700), (1_600, 6_400), (9, 9)] {
                    let arena: Vec<u8> = (0..total)
                        .map(|at| u8::try_from((at / segment + at + round) % 251).unwrap())
                        .collect();
                    let message = Message {
                        path,
                        start: 0,
                        segment,
                        total,
                    };
                    assert_eq!(sender.send(&theirs, &arena, &[message]).unwrap(), 1);
                    expected.extend(arena.chunks(segment).map(<[u8]>::to_vec));
                }
                let arrivals = drain(&mut receiver, &ours, &mut pool);
                let is_joined = !receiver.joined.is_empty();
                let messages = if is_joined { 4 } else { expected.len() };
                assert_eq!(receiver.used, messages, "joins: {joins}");
                let came: Vec<_> = arrivals.iter().map(|a| a.packet.bytes().to_vec()).collect();
                assert_eq!(came, expected, "joins: {joins}");
                assert!(arrivals.iter().all(|arrival| !arrival.cut));
                arrivals.into_iter().for_each(|a| pool.give(a.packet));
            }
        }
    }

    #[test]
    fn a_datagram_too_long_is_cut_and_said_to_be_so() {
        for joins in [true, false] {
            let (mut receiver, ours, theirs, path) = receiver(joins);
            let mut pool = Pool::new(100);
            for length in [DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX + 1, 60_000] {
                theirs.send_to(&vec![7; length], path.remote).unwrap();
            }
            let mut sender = Sender::new(&theirs);
            let long = Message {
                path,
                start: 0,
                segment: DATAGRAM_BYTES_MAX + 9,
                total: 2 * DATAGRAM_BYTES_MAX + 9,
            };
            assert_eq!(sender.send(&theirs, &[8; 4_000], &[long]).unwrap(), 1);
            let arrivals = drain(&mut receiver, &ours, &mut pool);
            let cut: Vec<_> = arrivals.iter().map(|arrival| arrival.cut).collect();
            assert_eq!(cut, [false, true, true, true, false], "joins: {joins}");
            let lengths = arrivals.iter().map(|arrival| arrival.packet.bytes().len());
            assert!(
                lengths
                    .into_iter()
                    .all(|length| length == DATAGRAM_BYTES_MAX)
            );
        }
    }

    #[test]
    fn a_full_batch_means_that_more_may_wait() {
        let (mut receiver, ours, theirs, path) = receiver(true);
        let (mut pool, mut arrivals) = (Pool::new(100), Vec::new());
        let nothing = receiver.receive(&ours, &mut pool, &mut arrivals);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for at in 0..=RECEIVE_BATCH {
            theirs
                .send_to(&[u8::try_from(at).unwrap()], path.remote)
                .unwrap();
        }
        assert!(receiver.receive(&ours, &mut pool, &mut arrivals).unwrap());
        assert!(!receiver.receive(&ours, &mut pool, &mut arrivals).unwrap());
        let came: Vec<_> = arrivals.iter().map(|a| a.packet.bytes()[0]).collect();
        assert_eq!(came, (0..=64).collect::<Vec<_>>());
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let addresses = interface_addresses().unwrap();
        assert!(addresses.iter().any(IpAddr::is_loopback), "{addresses:?}");
    }

    #[test]
    fn an_address_survives_the_kernels_layout() {
        for text in ["192.0.2.7:4711", "[2001:db8::1]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = Name::default();
            name.set(address, true);
            assert_eq!(name.address(), Some(address), "{text} on a socket for both");
        }
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let mut name = Name::default();
        assert_eq!(name.set(address, false), 16);
        assert_eq!(name.address(), Some(address));
    }
}
