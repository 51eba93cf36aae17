//! Plays many participants on few sockets: datagrams in batches, with the address they were sent
//! to and the time at which the kernel had them.
//!
//! Against a server on this machine one socket is enough, since each participant has an address of
//! its own in 127/8. The kernel's arrival times mean that nobody has to wait at the socket: a
//! waiting reader is woken at the expense of whoever sends, which would be the server's.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg,
    sendmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 64;

/// Bytes of the longest datagram.
pub(crate) const DATAGRAM: usize = 2_048;

/// Bytes asked of the kernel for each direction.
const BUFFER: usize = 64 << 20;

/// A datagram as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) from: SocketAddrV4,
    /// Which of our addresses it was sent to.
    pub(crate) to: Ipv4Addr,
    /// When the kernel had it: nanoseconds since 1970, 0 when it did not say.
    pub(crate) at: u64,
}

/// What is known of a datagram in a buffer.
#[derive(Clone, Copy, Debug)]
struct Taken {
    length: usize,
    from: SocketAddrV4,
    to: Ipv4Addr,
    at: u64,
}

/// Datagrams of one length for one address: a piece of an arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) to: SocketAddrV4,
    pub(crate) start: usize,
    pub(crate) segment: usize,
    pub(crate) total: usize,
}

/// A socket with what its batches need.
pub(crate) struct Socket {
    inner: UdpSocket,
    port: u16,
    buffers: Vec<[u8; DATAGRAM]>,
    taken: Vec<Taken>,
    headers: MultiHeaders<SockaddrIn>,
    singles: MultiHeaders<SockaddrIn>,
    segmented: MultiHeaders<SockaddrIn>,
}

impl Socket {
    /// Binds to an address; port 0 takes a free one.
    pub(crate) fn bind(address: SocketAddrV4) -> io::Result<Self> {
        let inner = UdpSocket::bind(address)?;
        inner.set_nonblocking(true)?;
        setsockopt(&inner, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&inner, sockopt::ReceiveTimestampns, &true)?;
        // Beyond the system's limit only root gets; else as much as there is.
        if setsockopt(&inner, sockopt::RcvBufForce, &BUFFER).is_err() {
            setsockopt(&inner, sockopt::RcvBuf, &BUFFER)?;
        }
        if setsockopt(&inner, sockopt::SndBufForce, &BUFFER).is_err() {
            setsockopt(&inner, sockopt::SndBuf, &BUFFER)?;
        }
        let port = inner.local_addr()?.port();
        Ok(Self {
            inner,
            port,
            buffers: vec![[0; DATAGRAM]; BATCH],
            taken: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(
                BATCH,
                Some(cmsg_space!(libc::in_pktinfo, TimeSpec)),
            ),
            singles: MultiHeaders::preallocate(BATCH, None),
            segmented: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(u16))),
        })
    }

    /// Our port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Reads one batch of what waits; says how many there are. They stay until the next call.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        self.taken.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let descriptor = self.inner.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages = match recvmmsg(descriptor, &mut self.headers, &mut slices, flags, None) {
            Ok(messages) => messages,
            // The last: an answer to something that we sent, since nobody listens there (any more).
            Err(nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ECONNREFUSED) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        for message in messages {
            let any = SockaddrIn::new(0, 0, 0, 0, 0);
            let from = message.address.unwrap_or(any);
            let mut taken = Taken {
                length: message.bytes,
                from: SocketAddrV4::new(from.ip(), from.port()),
                to: Ipv4Addr::UNSPECIFIED,
                at: 0,
            };
            for told in message.cmsgs()? {
                match told {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        taken.to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                    }
                    ControlMessageOwned::ScmTimestampns(time) => taken.at = nanos(time),
                    _ => {}
                }
            }
            self.taken.push(taken);
        }
        Ok(self.taken.len())
    }

    /// The datagrams of the last batch.
    pub(crate) fn arrivals(&self) -> impl Iterator<Item = Arrival<'_>> {
        let each = self.taken.iter().zip(&self.buffers);
        each.map(|(taken, buffer)| Arrival {
            bytes: buffer.get(..taken.length).unwrap_or_default(),
            from: taken.from,
            to: taken.to,
            at: taken.at,
        })
    }

    /// Buffer and length of a datagram of the last batch, to be changed in place.
    pub(crate) fn arrival_mut(&mut self, at: usize) -> Option<(&mut [u8; DATAGRAM], usize)> {
        let length = self.taken.get(at)?.length;
        Some((self.buffers.get_mut(at)?, length))
    }

    /// Sends one datagram from one of our addresses, and says whether it left: a full buffer or a
    /// refusal loses it, as a network would.
    pub(crate) fn send(&self, from: Ipv4Addr, to: SocketAddrV4, bytes: &[u8]) -> bool {
        let info = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr {
                s_addr: u32::from(from).to_be(),
            },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let to = SockaddrIn::from(to);
        let told = [ControlMessage::Ipv4PacketInfo(&info)];
        let descriptor = self.inner.as_raw_fd();
        let pieces = [IoSlice::new(bytes)];
        sendmsg(descriptor, &pieces, &told, MsgFlags::empty(), Some(&to)).is_ok()
    }

    /// Sends runs in as few calls as the kernel takes: those with one length of segment together.
    /// Says how many datagrams went.
    pub(crate) fn send_runs(&mut self, arena: &[u8], runs: &[Run]) -> usize {
        let mut sent = 0;
        let mut rest = runs;
        while let Some(first) = rest.first() {
            let is_alike = |run: &Run| {
                run.segment == first.segment
                    && (run.total > run.segment) == (first.total > first.segment)
            };
            let alike = rest.iter().take(BATCH).take_while(|run| is_alike(run));
            let count = alike.count();
            let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            sent += self.send_alike(arena, now);
            rest = later;
        }
        sent
    }

    fn send_alike(&mut self, arena: &[u8], runs: &[Run]) -> usize {
        let mut sent = 0;
        let mut rest = runs;
        while let Some(first) = rest.first() {
            let segment = u16::try_from(first.segment).unwrap_or(u16::MAX);
            let (headers, told) = if first.total > first.segment {
                let told = vec![ControlMessage::UdpGsoSegments(&segment)];
                (&mut self.segmented, told)
            } else {
                (&mut self.singles, Vec::new())
            };
            let pieces: Vec<[IoSlice<'_>; 1]> = rest
                .iter()
                .map(|run| [IoSlice::new(piece(arena, run))])
                .collect();
            let names: Vec<Option<SockaddrIn>> = rest
                .iter()
                .map(|run| Some(SockaddrIn::from(run.to)))
                .collect();
            let flags = MsgFlags::empty();
            let descriptor = self.inner.as_raw_fd();
            let taken = sendmmsg(descriptor, headers, &pieces, names, told, flags)
                .map_or(0, Iterator::count);
            let (done, later) = rest.split_at_checked(taken.max(1)).unwrap_or((rest, &[]));
            if taken > 0 {
                sent += done
                    .iter()
                    .map(|run| run.total.div_ceil(run.segment.max(1)))
                    .sum::<usize>();
            }
            rest = later;
        }
        sent
    }

    /// Sends each datagram by a call of its own.
    pub(crate) fn send_singly(&self, arena: &[u8], runs: &[Run]) -> usize {
        let mut sent = 0;
        for run in runs {
            for datagram in piece(arena, run).chunks(run.segment.max(1)) {
                sent += usize::from(self.inner.send_to(datagram, run.to).is_ok());
            }
        }
        sent
    }

    /// Waits until something can be read, at most so long; says whether there is something.
    pub(crate) fn wait(&self, milliseconds: u16) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let mut descriptors = [PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
        poll(&mut descriptors, PollTimeout::from(milliseconds)).is_ok_and(|count| count > 0)
    }

    /// Datagrams that found our receive buffer full since the socket was made.
    pub(crate) fn overruns(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
        let ours = format!(":{:04X}", self.port);
        table
            .lines()
            .filter(|line| {
                line.split_whitespace()
                    .nth(1)
                    .is_some_and(|it| it.ends_with(&ours))
            })
            .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
            .sum()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.port)
    }
}

fn piece<'a>(arena: &'a [u8], run: &Run) -> &'a [u8] {
    arena
        .get(run.start..run.start.saturating_add(run.total))
        .unwrap_or_default()
}

fn nanos(time: TimeSpec) -> u64 {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// The IPv4 address in `address`, which is all that is spoken here.
pub(crate) fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(address) => Some(SocketAddrV4::new(
            address.ip().to_ipv4_mapped()?,
            address.port(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_with_their_addresses_and_times() {
        let mut all = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let mut one = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own: Ipv4Addr = "127.64.0.7".parse().unwrap();
        all.send(
            own,
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, one.port()),
            b"abc",
        );
        while one.receive().unwrap() == 0 {}
        let from = SocketAddrV4::new(own, all.port());
        let seen: Vec<_> = one.arrivals().map(|it| (it.bytes, it.from)).collect();
        assert_eq!(seen, [(&b"abc"[..], from)]);
        let (buffer, length) = one.arrival_mut(0).unwrap();
        assert_eq!((buffer[0], length), (b'a', 3));

        let arena = b"ababcdcd";
        let runs = [(0, 2, 4), (4, 2, 2), (6, 2, 2)];
        let runs = runs.map(|(start, segment, total)| Run {
            to: from,
            start,
            segment,
            total,
        });
        assert_eq!(one.send_runs(arena, &runs), 4);
        assert_eq!(one.send_singly(arena, &runs[..1]), 2);
        let mut texts = Vec::new();
        while texts.len() < 6 {
            all.receive().unwrap();
            for it in all.arrivals() {
                assert_eq!(it.to, own);
                assert!(it.at > 1_700_000_000_000_000_000);
                texts.push(it.bytes.to_vec());
            }
        }
        let expected = ["ab", "ab", "cd", "cd", "ab", "ab"];
        assert_eq!(texts, expected.map(|it| it.as_bytes().to_vec()));
        assert_eq!(all.overruns(), 0);
    }
}
