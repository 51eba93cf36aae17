//! Gives benches the ways into and out of the kernel, over loopback and without an engine.

use std::io;

use mio::net::UdpSocket;
use mio::{Poll, Token};

use super::batch::Batch;
use super::connected::{Connected, Sockets};
use super::sys::{self, Arrival};
use super::udp;
use crate::engine::{Path, Run};
use crate::id::{EndpointKey, Key};
use crate::map::MapSeed;
use crate::packet::Pool;
use crate::time::Time;

/// How the kernel is asked to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SendWay {
    /// One call, many messages of many segments (`sendmmsg` and `UDP_SEGMENT`).
    Gso,
    /// One call, many datagrams (`sendmmsg`).
    Sendmmsg,
    /// One call a datagram (`sendto`).
    Sendto,
    /// As `Gso`, but by sockets that are connected to the receivers: one call for each.
    Connected,
}

/// One socket that sends a frame to each of many.
#[derive(Debug)]
pub struct SendBench {
    sockets: Sockets,
    batch: Batch,
    /// They never read: what comes is dropped at once, unsegmented, when their buffers are full.
    sinks: Vec<UdpSocket>,
}

impl SendBench {
    /// A socket that sends by `way` to so many `receivers`.
    ///
    /// # Errors
    /// What the system says about the sockets.
    pub fn new(way: SendWay, receivers: usize) -> io::Result<Self> {
        let socket = port()?;
        let mut batch = Batch::new(&socket);
        batch.restrict(way);
        let sinks = (0..receivers).map(|_| {
            let sink = loopback()?;
            let _receiver = sys::Receiver::new(&sink, true);
            Ok(sink)
        });
        let sinks: Vec<UdpSocket> = sinks.collect::<io::Result<_>>()?;
        let connected = match way {
            SendWay::Connected => Some(connect(&socket, &sinks)?),
            _ => None,
        };
        Ok(Self {
            sinks,
            sockets: Sockets {
                shared: socket,
                sends: connected.is_some(),
                connected,
            },
            batch,
        })
    }

    /// Sends each receiver packets of these sizes, equal ones in runs; gives the system calls.
    ///
    /// # Errors
    /// What the system says about an address; [`io::ErrorKind::StorageFull`] when a pass is larger
    /// than the send arena.
    pub fn pass(&mut self, sizes: &[usize]) -> io::Result<u64> {
        for sink in &self.sinks {
            let path = Path {
                remote: sink.local_addr()?,
                local: None,
            };
            for sizes in sizes.chunk_by(|one, next| one == next) {
                let run = Run {
                    path,
                    segment: sizes.first().copied().unwrap_or(0),
                    total: sizes.iter().sum(),
                };
                self.batch
                    .reserve(&self.sockets, [run])
                    .ok_or(io::ErrorKind::StorageFull)?;
            }
        }
        self.batch.send(&self.sockets);
        Ok(self.batch.take_sent().calls)
    }
}

/// One socket that takes the frames of many senders.
#[derive(Debug)]
pub struct ReceiveBench {
    senders: Vec<(Sockets, Batch)>,
    socket: UdpSocket,
    receiver: sys::Receiver,
    pool: Pool,
    arrivals: Vec<Arrival>,
}

impl ReceiveBench {
    /// A socket that may join datagrams, and `senders` to it; `runs` says whether their datagrams
    /// come in runs that can be joined.
    ///
    /// # Errors
    /// What the system says about the sockets.
    pub fn new(joins: bool, senders: usize, runs: bool) -> io::Result<Self> {
        let socket = port()?;
        let senders = (0..senders).map(|_| {
            let sender = loopback()?;
            let mut batch = Batch::new(&sender);
            if !runs {
                batch.restrict(SendWay::Sendmmsg);
            }
            Ok((Sockets::shared(sender), batch))
        });
        Ok(Self {
            senders: senders.collect::<io::Result<_>>()?,
            receiver: sys::Receiver::new(&socket, joins),
            socket,
            pool: Pool::new(8_192),
            arrivals: Vec::new(),
        })
    }

    /// Lets each sender send `burst` datagrams of `size` bytes.
    ///
    /// # Errors
    /// As of [`SendBench::pass`].
    pub fn prepare(&mut self, burst: usize, size: usize) -> io::Result<()> {
        let path = Path {
            remote: self.socket.local_addr()?,
            local: None,
        };
        for (sender, batch) in &mut self.senders {
            let run = Run {
                path,
                segment: size,
                total: burst * size,
            };
            batch
                .reserve(sender, [run])
                .ok_or(io::ErrorKind::StorageFull)?;
            batch.send(sender);
        }
        Ok(())
    }

    /// Takes what came, as a pass does; gives how many datagrams.
    pub fn pass(&mut self) -> usize {
        let Self {
            receiver,
            socket,
            pool,
            arrivals,
            ..
        } = self;
        while let Ok(true) = receiver.receive(socket, pool, arrivals) {}
        arrivals.len()
    }

    /// Gives the packets of the last pass back.
    pub fn clear(&mut self) {
        for arrival in self.arrivals.drain(..) {
            self.pool.give(arrival.packet);
        }
    }
}

/// A socket as a shard's.
fn port() -> io::Result<UdpSocket> {
    let mut sockets = udp::open(([127, 0, 0, 1], 0).into(), 1, true).map_err(io::Error::other)?;
    sockets.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// A connected socket for each of the sinks.
fn connect(socket: &UdpSocket, sinks: &[UdpSocket]) -> io::Result<Connected> {
    let bound = socket.local_addr()?;
    let mut connected = Connected::new(bound, Token(0), sinks.len(), MapSeed::new(1));
    for (index, sink) in (0..).zip(sinks) {
        let endpoint = EndpointKey(Key {
            index,
            generation: 0,
        });
        let path = Path {
            remote: sink.local_addr()?,
            local: None,
        };
        connected.note_path(endpoint, Some(path));
    }
    let (poll, receiver) = (Poll::new()?, sys::Receiver::new(socket, true));
    for seconds in 1..=sinks.len() {
        let now = Time::from_millis(1_000 * u64::try_from(seconds).unwrap_or(0));
        connected.open_settled(now, poll.registry(), &receiver);
    }
    Ok(connected)
}

fn loopback() -> io::Result<UdpSocket> {
    UdpSocket::bind(([127, 0, 0, 1], 0).into())
}
