//! Gives peers sockets of their own, connected to them, so that the kernel brings each peer's
//! datagrams to the shard that owns it, and needs no route to answer if they send as well.
//!
//! A connected socket is bound to the same address and port as the shared ones (`SO_REUSEPORT`);
//! the kernel prefers it for its peer and takes it for nobody else. Everything else stays with the
//! shared sockets: peers that have not settled yet, peers beyond the bound, strangers. So nothing
//! here can fail: what has no socket of its own, or whose socket takes nothing, goes the other way.
//!
//! Between `bind` and `connect` a new socket is like a shared one, and datagrams of others can come
//! to it. They are read with the sender that each has, and the engine finds whose they are.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::sys::{Arrival, Receiver};
use super::udp;
use crate::engine::Path;
use crate::id::EndpointKey;
use crate::map::{Map, MapSeed};
use crate::packet::Pool;
use crate::time::Time;

/// A path that media has taken for so long gets a socket. A peer that changes its address all the
/// time opens none, and one that joins costs none while it is busy with its handshake.
const SETTLING: Duration = Duration::from_secs(1);

/// Sockets that are opened in one pass: each costs some 20 µs, and media waits.
const OPENED_PER_PASS: usize = 8;

/// Receive calls of one pass.
const CALLS_PER_PASS: usize = 512;

/// All that a shard sends and receives by.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) shared: UdpSocket,
    /// `None` when peers have no sockets of their own.
    pub(crate) connected: Option<Connected>,
    /// Whether the connected ones send: a call for each peer, where the shared one takes many.
    pub(crate) sends: bool,
}

impl Sockets {
    /// A shared socket alone.
    pub(crate) const fn shared(socket: UdpSocket) -> Self {
        Self {
            shared: socket,
            connected: None,
            sends: false,
        }
    }

    /// The connected socket that sends to the peer of this path.
    pub(crate) fn sender(&self, path: &Path) -> Option<&UdpSocket> {
        let connected = self.connected.as_ref().filter(|_| self.sends);
        connected?.of(path)
    }
}

/// What happened since somebody last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Peers that got no socket: the bound is reached or the system gives none.
    pub(crate) refused: u64,
    /// Errors of reading: what a router or the peer's system said of datagrams before.
    pub(crate) errors: u64,
}

/// The connected sockets of one shard.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Where the shared socket is bound.
    bound: SocketAddr,
    /// The token of the first place.
    first: usize,
    most: usize,
    /// Of this pass.
    now: Time,
    wishes: Map<EndpointKey, Wish>,
    /// When to look whether an endpoint's path has settled; each endpoint is here once at most.
    settling: VecDeque<(Time, EndpointKey)>,
    places: Vec<Option<Own>>,
    free: Vec<usize>,
    by_path: Map<Path, usize>,
    /// Places that may have datagrams.
    ready: VecDeque<usize>,
    /// Sockets that are read once more before they are closed.
    leaving: Vec<Own>,
    noted: Noted,
    /// Whether it was logged that a peer got none.
    is_told: bool,
}

/// Where the media of an endpoint goes.
#[derive(Clone, Copy, Debug)]
struct Wish {
    path: Path,
    since: Time,
    is_settling: bool,
}

/// A connected socket.
#[derive(Debug)]
struct Own {
    socket: UdpSocket,
    path: Path,
    endpoint: EndpointKey,
    is_ready: bool,
}

impl Connected {
    /// None yet, and `most` at a time, for a shared socket that is bound there. Tokens from
    /// `first` on are theirs.
    pub(crate) fn new(bound: SocketAddr, first: Token, most: usize, seed: MapSeed) -> Self {
        Self {
            bound,
            first: first.0,
            most,
            now: Time::ZERO,
            wishes: seed.map(),
            settling: VecDeque::new(),
            places: Vec::new(),
            free: Vec::new(),
            by_path: seed.map(),
            ready: VecDeque::new(),
            leaving: Vec::new(),
            noted: Noted::default(),
            is_told: false,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether some have datagrams that were not read.
    pub(crate) fn has_more(&self) -> bool {
        !self.ready.is_empty() || !self.leaving.is_empty()
    }

    /// The numbers since the last call.
    pub(crate) fn take_noted(&mut self) -> Noted {
        core::mem::take(&mut self.noted)
    }

    fn of(&self, path: &Path) -> Option<&UdpSocket> {
        let place = *self.by_path.get(path)?;
        Some(&self.places.get(place)?.as_ref()?.socket)
    }

    /// Notes where the media of an endpoint goes from now on.
    pub(crate) fn note_path(&mut self, endpoint: EndpointKey, path: Option<Path>) {
        let former = self.wishes.remove(&endpoint);
        if let Some(former) = former {
            self.leave(endpoint, &former.path);
        }
        let Some(path) = path else {
            return;
        };
        let is_settling = former.is_some_and(|former| former.is_settling);
        if !is_settling {
            self.settling.push_back((self.now + SETTLING, endpoint));
        }
        let wish = Wish {
            path,
            since: self.now,
            is_settling: true,
        };
        self.wishes.insert(endpoint, wish);
    }

    /// Gives up a socket of an endpoint; what came to it will still be read.
    fn leave(&mut self, endpoint: EndpointKey, path: &Path) {
        let Some(place) = self.by_path.get(path).copied() else {
            return;
        };
        if let Some(entry) = self.places.get_mut(place)
            && entry.as_ref().is_some_and(|own| own.endpoint == endpoint)
        {
            self.by_path.remove(path);
            self.leaving.extend(entry.take());
            self.free.push(place);
        }
    }

    /// Notes that the socket of a token has something.
    pub(crate) fn note_readable(&mut self, token: Token) {
        let Some(place) = token.0.checked_sub(self.first) else {
            return;
        };
        if let Some(Some(own)) = self.places.get_mut(place)
            && !own.is_ready
        {
            own.is_ready = true;
            self.ready.push_back(place);
        }
    }

    /// Opens sockets for the paths that have settled by `now`, the time of this pass.
    pub(super) fn open_settled(&mut self, now: Time, registry: &Registry, receiver: &Receiver) {
        self.now = now;
        for _ in 0..OPENED_PER_PASS {
            let endpoint = match self.settling.front() {
                Some((due, endpoint)) if *due <= now => *endpoint,
                _ => return,
            };
            self.settling.pop_front();
            let Some(wish) = self.wishes.get_mut(&endpoint) else {
                continue;
            };
            if wish.since + SETTLING > now {
                self.settling.push_back((now + SETTLING, endpoint));
                continue;
            }
            wish.is_settling = false;
            let path = wish.path;
            if let Err(error) = self.open(endpoint, path, registry, receiver) {
                self.noted.refused += 1;
                if !core::mem::replace(&mut self.is_told, true) {
                    tracing::warn!(%error, "a peer stays with the shared socket; told once");
                }
            }
        }
    }

    fn open(
        &mut self,
        endpoint: EndpointKey,
        path: Path,
        registry: &Registry,
        receiver: &Receiver,
    ) -> io::Result<()> {
        // Somebody else behind the same address: one socket serves both.
        if self.by_path.contains_key(&path) {
            return Ok(());
        }
        if self.by_path.len() + self.leaving.len() >= self.most {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let ours = path.local.unwrap_or_else(|| self.bound.ip());
        let local = SocketAddr::new(ours, self.bound.port());
        let mut socket = udp::connect(local, path.remote)?;
        receiver.adopt(&socket);
        let place = self.free.last().copied().unwrap_or(self.places.len());
        // What strayed to it before it was connected is an event as well.
        registry.register(&mut socket, Token(self.first + place), Interest::READABLE)?;
        if self.free.pop().is_none() {
            self.places.push(None);
        }
        if let Some(entry) = self.places.get_mut(place) {
            *entry = Some(Own {
                socket,
                path,
                endpoint,
                is_ready: false,
            });
        }
        self.by_path.insert(path, place);
        Ok(())
    }

    /// Appends what waits at the sockets that have something, one batch of each in turn; returns
    /// the calls that it took.
    pub(super) fn receive(
        &mut self,
        receiver: &mut Receiver,
        pool: &mut Pool,
        arrivals: &mut Vec<Arrival>,
        most: usize,
    ) -> u64 {
        let mut calls = 0;
        for own in self.leaving.drain(..) {
            while calls < CALLS_PER_PASS {
                calls += 1;
                match own.receive(receiver, pool, arrivals) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => self.noted.errors += 1,
                }
            }
        }
        let until = arrivals.len() + most;
        while arrivals.len() < until
            && calls < CALLS_PER_PASS
            && let Some(place) = self.ready.pop_front()
        {
            let Some(Some(own)) = self.places.get_mut(place) else {
                continue;
            };
            calls += 1;
            own.is_ready = match own.receive(receiver, pool, arrivals) {
                Ok(more) => more,
                // Reading took the error away; what came is behind it.
                Err(_) => {
                    self.noted.errors += 1;
                    true
                }
            };
            if own.is_ready {
                self.ready.push_back(place);
            }
        }
        u64::try_from(calls).unwrap_or(0)
    }
}

impl Own {
    /// One batch; returns whether there may be more.
    fn receive(
        &self,
        receiver: &mut Receiver,
        pool: &mut Pool,
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<bool> {
        let before = arrivals.len();
        let more = match receiver.receive(&self.socket, pool, arrivals) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            other => other,
        };
        // It is bound to that one address of ours, so the kernel need not say it.
        for arrival in arrivals.iter_mut().skip(before) {
            arrival.path.local = self.path.local;
        }
        more
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use mio::{Events, Poll};

    use super::*;
    use crate::engine::Run;
    use crate::id::Key;
    use crate::io::batch::Batch;

    const LIMIT: usize = 64;

    /// Addresses of shared sockets: for all addresses, as most are, and for one, where connected
    /// sockets belong to the same group of the kernel.
    const BOUND: [&str; 3] = ["0.0.0.0:0", "127.0.0.1:0", "[::]:0"];

    fn key(index: usize) -> EndpointKey {
        EndpointKey(Key {
            index: u32::try_from(index).unwrap(),
            generation: 0,
        })
    }

    fn peer() -> std::net::UdpSocket {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    }

    fn number(bytes: &[u8]) -> usize {
        usize::from_be_bytes(bytes.try_into().unwrap())
    }

    /// A shard that shares its port with another one.
    struct Shore {
        sockets: Sockets,
        other: UdpSocket,
        receivers: [Receiver; 2],
        pool: Pool,
        poll: Poll,
        now: Time,
        to: SocketAddr,
        local: Option<core::net::IpAddr>,
    }

    impl Shore {
        fn new(bound: &str) -> Self {
            let mut both = udp::open(bound.parse().unwrap(), 2, true).unwrap();
            let other = both.pop().unwrap();
            let shared = both.pop().unwrap();
            let bound = shared.local_addr().unwrap();
            let local: core::net::IpAddr = "127.0.0.1".parse().unwrap();
            let connected = Connected::new(bound, Token(7), LIMIT, MapSeed::new(1));
            Self {
                receivers: [&shared, &other].map(|socket| Receiver::new(socket, true)),
                sockets: Sockets {
                    shared,
                    connected: Some(connected),
                    sends: true,
                },
                other,
                pool: Pool::new(1_000),
                poll: Poll::new().unwrap(),
                now: Time::ZERO,
                to: SocketAddr::new(local, bound.port()),
                local: bound.ip().is_unspecified().then_some(local),
            }
        }

        fn path(&self, peer: &std::net::UdpSocket) -> Path {
            Path {
                remote: peer.local_addr().unwrap(),
                local: self.local,
            }
        }

        fn connected(&mut self) -> &mut Connected {
            self.sockets.connected.as_mut().unwrap()
        }

        fn note(&mut self, endpoint: usize, path: Option<Path>) {
            self.connected().note_path(key(endpoint), path);
        }

        /// One pass after some time.
        fn wait(&mut self, span: Duration) {
            self.now = self.now + span;
            let connected = self.sockets.connected.as_mut().unwrap();
            connected.open_settled(self.now, self.poll.registry(), &self.receivers[0]);
        }

        /// Opens a socket for each of the first peers.
        fn connect(&mut self, peers: &[std::net::UdpSocket]) {
            for (at, peer) in peers.iter().enumerate() {
                let path = self.path(peer);
                self.note(at, Some(path));
            }
            self.wait(SETTLING);
            for _ in 0..peers.len().div_ceil(OPENED_PER_PASS) {
                self.wait(Duration::ZERO);
            }
        }

        /// What came to connected sockets, and what came to shared ones.
        fn drain(&mut self) -> [Vec<Arrival>; 2] {
            let mut came = [Vec::new(), Vec::new()];
            let mut events = Events::with_capacity(1_000);
            self.poll
                .poll(&mut events, Some(Duration::from_millis(1)))
                .unwrap();
            let [own, shared] = &mut came;
            let connected = self.sockets.connected.as_mut().unwrap();
            for event in &events {
                connected.note_readable(event.token());
            }
            while connected.has_more() {
                connected.receive(&mut self.receivers[0], &mut self.pool, own, 100);
            }
            let both = [&self.sockets.shared, &self.other];
            for (receiver, socket) in self.receivers.iter_mut().zip(both) {
                while receiver.receive(socket, &mut self.pool, shared).is_ok() {}
            }
            came
        }
    }

    #[test]
    fn a_peer_comes_to_its_own_socket_and_others_behind_its_address_do_not() {
        for bound in BOUND {
            let mut shore = Shore::new(bound);
            let peers: Vec<_> = (0..100).map(|_| peer()).collect();
            shore.connect(&peers[..40]);
            assert_eq!(shore.connected().len(), 40, "{bound}");
            for _ in 0..5 {
                for (at, peer) in peers.iter().enumerate() {
                    peer.send_to(&at.to_be_bytes(), shore.to).unwrap();
                }
            }
            let [own, shared] = shore.drain();
            assert_eq!((own.len(), shared.len()), (5 * 40, 5 * 60), "{bound}");
            let is_own = |arrival: &Arrival| number(arrival.packet.bytes()) < 40;
            assert!(own.iter().all(is_own), "{bound}");
            assert!(!shared.iter().any(is_own), "{bound}");
            for arrival in own.iter().chain(&shared) {
                let path = shore.path(&peers[number(arrival.packet.bytes())]);
                assert_eq!(arrival.path, path, "{bound}");
            }
        }
    }

    #[test]
    fn nothing_is_lost_or_doubled_while_sockets_are_opened() {
        const EACH: usize = 400;
        for bound in BOUND {
            let mut shore = Shore::new(bound);
            let peers: Vec<_> = (0..80).map(|_| peer()).collect();
            for (at, peer) in peers.iter().take(LIMIT).enumerate() {
                let path = shore.path(peer);
                shore.note(at, Some(path));
            }
            shore.now = shore.now + SETTLING;
            let (to, seen) = (shore.to, AtomicUsize::new(0));
            let mut counts = vec![0; peers.len() * EACH];
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for round in 0..EACH {
                        for (at, peer) in peers.iter().enumerate() {
                            let number = at * EACH + round;
                            peer.send_to(&number.to_be_bytes(), to).unwrap();
                            // No buffer runs over, so what is missing was lost on the way.
                            while round * peers.len() + at > seen.load(Ordering::Relaxed) + 100 {
                                std::thread::yield_now();
                            }
                        }
                    }
                });
                for _ in 0..100_000 {
                    // One after the other, in the midst of it all.
                    if seen.load(Ordering::Relaxed) > 1_000 * (shore.connected().len() / 8 + 1) {
                        shore.wait(Duration::ZERO);
                    }
                    for arrival in shore.drain().into_iter().flatten() {
                        let number = number(arrival.packet.bytes());
                        assert_eq!(arrival.path, shore.path(&peers[number / EACH]));
                        counts[number] += 1;
                        seen.fetch_add(1, Ordering::Relaxed);
                        shore.pool.give(arrival.packet);
                    }
                    if seen.load(Ordering::Relaxed) == counts.len() {
                        break;
                    }
                }
                seen.store(counts.len(), Ordering::Relaxed);
            });
            assert_eq!(shore.connected().len(), LIMIT, "{bound}");
            assert!(counts.iter().all(|count| *count == 1), "{bound}");
        }
    }

    #[test]
    fn runs_leave_by_the_peers_socket_and_all_else_by_the_shared_one() {
        for bound in BOUND {
            let mut shore = Shore::new(bound);
            let peers = [peer(), peer(), peer()];
            shore.connect(&peers[..2]);
            let mut batch = Batch::new(&shore.sockets.shared);
            for _ in 0..2 {
                for peer in [&peers[0], &peers[2], &peers[1], &peers[2], &peers[0]] {
                    let run = Run {
                        path: shore.path(peer),
                        segment: 100,
                        total: 250,
                    };
                    let [place] = batch.reserve(&shore.sockets, [run]).unwrap();
                    place.fill(7);
                }
            }
            batch.send(&shore.sockets);
            assert!(!batch.is_waiting());
            let sent = batch.take_sent();
            assert_eq!((sent.packets, sent.refused, sent.unconnected), (30, 0, 0));
            let mut buffer = [0; 300];
            for (peer, runs) in peers.iter().zip([4, 2, 4]) {
                for length in (0..runs).flat_map(|_| [100, 100, 50]) {
                    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (length, shore.to));
                }
            }
        }
    }

    #[test]
    fn a_peer_that_closed_its_port_breaks_nothing() {
        let mut shore = Shore::new(BOUND[0]);
        let peers = [peer(), peer()];
        let paths = peers.each_ref().map(|peer| shore.path(peer));
        shore.connect(&peers);
        let [gone, there] = peers;
        drop(gone);
        let mut batch = Batch::new(&shore.sockets.shared);
        for round in 0..4 {
            for path in paths {
                let run = Run {
                    path,
                    segment: 3,
                    total: 3,
                };
                batch.reserve(&shore.sockets, [run]).unwrap();
            }
            batch.send(&shore.sockets);
            assert!(!batch.is_waiting(), "round {round}");
        }
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.refused), (8, 0));
        assert!(sent.unconnected > 0, "{sent:?}");
        there.send_to(b"x", shore.to).unwrap();
        let [own, _] = shore.drain();
        assert_eq!(own.len(), 1);
        assert!(shore.connected().take_noted().errors > 0);
        assert_eq!(shore.connected().len(), 2, "consent decides, not a router");
    }

    #[test]
    fn beyond_the_bound_peers_share() {
        let mut shore = Shore::new(BOUND[0]);
        let peers: Vec<_> = (0..LIMIT + 3).map(|_| peer()).collect();
        shore.connect(&peers);
        assert_eq!(shore.connected().len(), LIMIT);
        assert_eq!(shore.connected().take_noted().refused, 3);
        for peer in &peers {
            peer.send_to(b"x", shore.to).unwrap();
        }
        let [own, shared] = shore.drain();
        assert_eq!((own.len(), shared.len()), (LIMIT, 3));
    }

    #[test]
    fn what_the_system_refuses_is_counted() {
        let mut shore = Shore::new(BOUND[0]);
        let path = shore.path(&peer());
        let foreign = Some("192.0.2.7".parse().unwrap());
        for (at, local) in [(0, foreign), (1, None)] {
            shore.note(at, Some(Path { local, ..path }));
        }
        shore.wait(SETTLING);
        assert_eq!(shore.connected().len(), 0);
        assert_eq!(shore.connected().take_noted().refused, 2);
    }

    #[test]
    fn a_peer_that_changes_its_address_all_the_time_opens_nothing() {
        let mut shore = Shore::new(BOUND[0]);
        let last = peer();
        for port in 1..=20_000 {
            let remote = SocketAddr::new(shore.to.ip(), port);
            let local = shore.local;
            shore.note(0, Some(Path { remote, local }));
            shore.wait(Duration::from_millis(1));
            assert_eq!(shore.connected().len(), 0);
            assert!(shore.connected().settling.len() <= 1);
        }
        let path = shore.path(&last);
        shore.note(0, Some(path));
        // The look may have been a moment ago: the next one is the one that counts.
        shore.wait(SETTLING);
        shore.wait(SETTLING);
        assert_eq!(shore.connected().len(), 1);
        assert_eq!(shore.connected().places.len(), 1);
    }

    #[test]
    fn after_a_change_of_path_the_old_socket_is_read_once_more() {
        let mut shore = Shore::new(BOUND[0]);
        let peers = [peer(), peer()];
        shore.connect(&peers[..1]);
        peers[0].send_to(b"old", shore.to).unwrap();
        let path = shore.path(&peers[1]);
        shore.note(0, Some(path));
        assert_eq!(shore.connected().len(), 0);
        let [own, _] = shore.drain();
        assert_eq!(own.len(), 1);
        peers[0].send_to(b"late", shore.to).unwrap();
        let [own, shared] = shore.drain();
        assert_eq!((own.len(), shared.len()), (0, 1));
        shore.wait(SETTLING);
        peers[1].send_to(b"new", shore.to).unwrap();
        let [own, _] = shore.drain();
        assert_eq!(own.len(), 1);
        shore.note(0, None);
        assert!(shore.connected().wishes.is_empty());
        shore.drain();
        assert!(shore.connected().leaving.is_empty(), "and closed");
        peers[1].send_to(b"end", shore.to).unwrap();
        assert_eq!(shore.drain()[1].len(), 1);
    }

    #[test]
    fn two_endpoints_behind_one_path_use_one_socket() {
        let mut shore = Shore::new(BOUND[0]);
        let path = shore.path(&peer());
        shore.note(0, Some(path));
        shore.note(1, Some(path));
        shore.wait(SETTLING);
        assert_eq!(shore.connected().len(), 1);
        shore.note(1, None);
        assert!(shore.sockets.sender(&path).is_some(), "it is the other's");
        shore.note(0, None);
        assert!(shore.sockets.sender(&path).is_none());
    }
}
