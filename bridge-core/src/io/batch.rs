//! Collects what a pass sends in one arena and hands it to the kernel in as few calls as it
//! allows: GSO, else `sendmmsg`, else `sendto`, found out while running.
//!
//! What goes to a peer that has a socket of its own leaves by it; whatever that socket does not
//! take leaves by the shared one.
//!
//! Whether a message may have several segments is a matter of its route: the device may not be able
//! to (EIO), or the route's MTU may be too small (EINVAL). So a peer whose message is refused gets
//! its datagrams singly from then on, and all others keep their runs.

use core::net::IpAddr;
use std::io;

use mio::net::UdpSocket;

use super::connected::Sockets;
use super::sys::{self, Message, Sender};
use crate::engine::Run;

/// Bytes of the send arena: a pass of 700 full packets, more only where the socket takes them.
const ARENA_BYTES: usize = 1 << 20;

/// Bytes that are collected for a call, of some 200 full packets: the kernel copies them out of a
/// near cache, and the first receivers of a large pass do not wait for the last.
const CALL_BYTES: usize = 1 << 18;

/// Runs in the arena at once.
const RUNS_MAX: usize = 4_096;

/// Segments that the kernel takes in one message.
const SEGMENTS_MAX: usize = 64;

/// Bytes that the kernel takes in one message: the largest UDP payload over IPv4.
const MESSAGE_BYTES_MAX: usize = 65_507;

/// Peers whose routes refuse segmentation. When there are more, all are tried again: a refusal
/// costs one call.
const REFUSING_MAX: usize = 1_024;

/// What was sent and what was lost, until somebody takes the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Refused for good by the kernel (no route, say).
    pub(crate) refused: u64,
    /// System calls.
    pub(crate) calls: u64,
    /// Peers whose routes turned out to refuse segmentation.
    pub(crate) unsegmented: u64,
    /// Messages that a connected socket did not take.
    pub(crate) unconnected: u64,
}

/// How the kernel is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// One call, many messages of many segments.
    Segmented,
    /// One call, many datagrams.
    Many,
    /// One call a datagram.
    Single,
}

/// The send arena of a shard.
#[derive(Debug)]
pub(crate) struct Batch {
    arena: Vec<u8>,
    used: usize,
    /// Where in the arena it is time for a call.
    call_at: usize,
    queue: Vec<Message>,
    /// Messages of the queue that are done.
    done: usize,
    /// A message in pieces of one segment, when it may not be sent whole.
    pieces: Vec<Message>,
    sender: Sender,
    way: Way,
    /// Peers whose routes refuse segmentation, in order.
    refusing: Vec<IpAddr>,
    sent: Sent,
}

impl Batch {
    pub(crate) fn new(socket: &UdpSocket) -> Self {
        let sender = Sender::new(socket);
        Self {
            arena: vec![0; ARENA_BYTES],
            used: 0,
            call_at: CALL_BYTES,
            queue: Vec::with_capacity(RUNS_MAX),
            done: 0,
            pieces: Vec::with_capacity(SEGMENTS_MAX),
            way: if sender.segments() {
                Way::Segmented
            } else {
                Way::Many
            },
            sender,
            refusing: Vec::new(),
            sent: Sent::default(),
        }
    }

    /// Takes no better way than this, whatever the kernel can do.
    #[cfg(feature = "unstable-toolbox")]
    pub(crate) fn restrict(&mut self, way: super::bench::SendWay) {
        use super::bench::SendWay;
        self.way = match way {
            SendWay::Gso | SendWay::Connected => self.way,
            SendWay::Sendmmsg => self.way.max(Way::Many),
            SendWay::Sendto => Way::Single,
        };
    }

    /// Pieces of the arena for `runs`. When there is enough for a call it is sent first; `None`
    /// when the socket takes no more or the runs could never fit.
    pub(crate) fn reserve<const K: usize>(
        &mut self,
        sockets: &Sockets,
        runs: [Run; K],
    ) -> Option<[&mut [u8]; K]> {
        let bytes: usize = runs.iter().map(|run| run.total).sum();
        let most = runs.each_ref().map(|run| self.message_bytes(run));
        let messages = runs.iter().zip(most);
        let messages = messages.map(|(run, most)| run.total.div_ceil(most)).sum();
        if self.used + bytes > self.call_at || !self.has_room(bytes, messages) {
            self.send(sockets);
        }
        if !self.has_room(bytes, messages) {
            return None;
        }
        let mut rest = self.arena.get_mut(self.used..)?;
        let mut start = self.used;
        let places = runs.map(|run| {
            let (place, after) = core::mem::take(&mut rest)
                .split_at_mut_checked(run.total)
                .unwrap_or_default();
            rest = after;
            place
        });
        for (run, most) in runs.iter().zip(most) {
            queue_run(&mut self.queue, run, start, most);
            start += run.total;
        }
        self.used = start;
        Some(places)
    }

    /// Sends what there is. What the sockets do not take now stays for the next time.
    pub(crate) fn send(&mut self, sockets: &Sockets) {
        if self.send_queue(sockets) {
            self.queue.clear();
            self.done = 0;
            self.used = 0;
        }
        // A socket that is full is not tried again for each packet.
        self.call_at = self.used + CALL_BYTES;
    }

    /// `true` when nothing is left.
    fn send_queue(&mut self, sockets: &Sockets) -> bool {
        while self.is_waiting() {
            if !self.send_connected(sockets) && !self.send_shared(sockets) {
                return false;
            }
        }
        true
    }

    /// Sends what is first by the socket of its peer; `false` when it must go by the shared one.
    fn send_connected(&mut self, sockets: &Sockets) -> bool {
        let rest = self.queue.get(self.done..).unwrap_or_default();
        let path = rest.first().map(|first| first.path);
        let Some(socket) = path.and_then(|path| sockets.sender(&path)) else {
            return false;
        };
        // What is cut into singles finds its way there.
        if self.way != Way::Segmented {
            return false;
        }
        let same = rest.iter().take_while(|message| Some(message.path) == path);
        let same = rest.get(..same.count()).unwrap_or_default();
        self.sent.calls += 1;
        match self.sender.send_connected(socket, &self.arena, same) {
            Ok(count) if count > 0 => {
                self.finish(count);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            // Full, or it tells what came of an earlier datagram (ICMP).
            _ => {
                self.sent.unconnected += 1;
                false
            }
        }
    }

    /// Sends the first message, and those behind it that go the same way, by the shared socket;
    /// `false` when it is full.
    fn send_shared(&mut self, sockets: &Sockets) -> bool {
        let socket = &sockets.shared;
        let rest = self.queue.get(self.done..).unwrap_or_default();
        let rest = if sockets.sends {
            let mut further = rest.iter().skip(1);
            let end = further.position(|message| sockets.sender(&message.path).is_some());
            end.and_then(|end| rest.get(..=end)).unwrap_or(rest)
        } else {
            rest
        };
        self.sent.calls += 1;
        let result = match self.way {
            Way::Segmented => self.sender.send(socket, &self.arena, rest),
            Way::Many if rest.first().is_some_and(is_single) => {
                let singles = rest.iter().position(|message| !is_single(message));
                let rest = singles.and_then(|end| rest.get(..end)).unwrap_or(rest);
                self.sender.send(socket, &self.arena, rest)
            }
            Way::Single if rest.first().is_some_and(is_single) => {
                sys::send_one(socket, &self.arena, rest)
            }
            Way::Many | Way::Single => Ok(0),
        };
        match result {
            Ok(0) => self.send_first_in_pieces(socket),
            Ok(count) => {
                self.finish(count);
                true
            }
            Err(error) => self.recover(socket, &error),
        }
    }

    /// Whether something waits for the socket.
    pub(crate) fn is_waiting(&self) -> bool {
        self.queue.len() > self.done
    }

    /// The numbers since the last call.
    pub(crate) fn take_sent(&mut self) -> Sent {
        core::mem::take(&mut self.sent)
    }

    fn has_room(&self, bytes: usize, messages: usize) -> bool {
        self.used + bytes <= self.arena.len() && self.queue.len() + messages <= RUNS_MAX
    }

    /// Counts the next `count` messages as sent.
    fn finish(&mut self, count: usize) {
        let end = (self.done + count).min(self.queue.len());
        for message in self.queue.get(self.done..end).unwrap_or_default() {
            count_message(&mut self.sent, message);
        }
        self.done = end;
    }

    /// Decides what an error about the first message means; `false` when the socket is full.
    fn recover(&mut self, socket: &UdpSocket, error: &io::Error) -> bool {
        if matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
        ) || is_no_buffer_space(error)
        {
            return false;
        }
        if error.kind() == io::ErrorKind::Interrupted {
            return true;
        }
        if self.way == Way::Segmented
            && self
                .queue
                .get(self.done)
                .is_some_and(|first| !is_single(first))
        {
            self.note_refusal(error);
            return self.send_first_in_pieces(socket);
        }
        if self.way == Way::Many && error.kind() == io::ErrorKind::Unsupported {
            self.way = Way::Single;
            return true;
        }
        self.sent.refused += 1;
        self.done += 1;
        true
    }

    /// Remembers that the route of the first message takes single datagrams only.
    fn note_refusal(&mut self, error: &io::Error) {
        let Some(first) = self.queue.get(self.done) else {
            return;
        };
        let peer = first.path.remote.ip();
        let Err(place) = self.refusing.binary_search(&peer) else {
            return;
        };
        tracing::debug!(%error, %peer, "its route refuses segmentation");
        self.sent.unsegmented += 1;
        if self.refusing.len() < REFUSING_MAX {
            self.refusing.insert(place, peer);
        } else {
            self.refusing.clear();
            self.refusing.push(peer);
        }
    }

    /// Bytes of the largest message that a run may be sent in; at least one.
    fn message_bytes(&self, run: &Run) -> usize {
        let segment = run.segment.max(1);
        let is_refused =
            !self.refusing.is_empty() && self.refusing.binary_search(&run.path.remote.ip()).is_ok();
        if is_refused {
            return segment;
        }
        let segments = (MESSAGE_BYTES_MAX / segment).clamp(1, SEGMENTS_MAX);
        segments * segment
    }

    /// Sends the segments of the first message one by one; `false` when the socket is full. Then
    /// the rest of it stays the first message.
    fn send_first_in_pieces(&mut self, socket: &UdpSocket) -> bool {
        let Some(first) = self.queue.get(self.done).copied() else {
            return false;
        };
        self.pieces.clear();
        self.pieces.extend(segments_of(&first));
        let mut offset = 0;
        while offset < self.pieces.len() {
            let rest = self.pieces.get(offset..).unwrap_or_default();
            self.sent.calls += 1;
            let result = if self.way == Way::Single {
                sys::send_one(socket, &self.arena, rest)
            } else {
                self.sender.send(socket, &self.arena, rest)
            };
            match result {
                Ok(count) if count > 0 => {
                    for piece in rest.iter().take(count) {
                        count_message(&mut self.sent, piece);
                    }
                    offset += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if error.kind() == io::ErrorKind::Unsupported && self.way != Way::Single =>
                {
                    self.way = Way::Single;
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.sent.refused += 1;
                    offset += 1;
                }
                _ => {
                    if let Some(message) = self.queue.get_mut(self.done) {
                        let gone = (offset * first.segment).min(first.total);
                        message.start += gone;
                        message.total -= gone;
                    }
                    return false;
                }
            }
        }
        self.done += 1;
        true
    }
}

/// Whether a message is one datagram.
const fn is_single(message: &Message) -> bool {
    message.total <= message.segment
}

fn count_message(sent: &mut Sent, message: &Message) {
    let packets = message.total.div_ceil(message.segment.max(1));
    sent.packets += u64::try_from(packets).unwrap_or(0);
    sent.bytes += u64::try_from(message.total).unwrap_or(0);
}

/// Queues a run in messages of at most `most` bytes.
fn queue_run(queue: &mut Vec<Message>, run: &Run, start: usize, most: usize) {
    let mut offset = 0;
    while offset < run.total {
        let total = (run.total - offset).min(most);
        queue.push(Message {
            path: run.path,
            start: start + offset,
            segment: run.segment,
            total,
        });
        offset += total;
    }
}

fn segments_of(message: &Message) -> impl Iterator<Item = Message> {
    let message = *message;
    let step = message.segment.max(1);
    (0..message.total).step_by(step).map(move |offset| Message {
        start: message.start + offset,
        total: (message.total - offset).min(step),
        ..message
    })
}

/// `ENOBUFS`: the device's queue is full. It has no `ErrorKind` of its own.
#[cfg(unix)]
fn is_no_buffer_space(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(not(unix))]
fn is_no_buffer_space(_error: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Path;
    use core::time::Duration;

    fn pair() -> (Sockets, std::net::UdpSocket, Path) {
        let ours = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        theirs
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let remote = theirs.local_addr().unwrap();
        let path = Path {
            remote,
            local: None,
        };
        (Sockets::shared(ours), theirs, path)
    }

    fn send_run_of_five(way: Way) {
        let (ours, theirs, path) = pair();
        let mut batch = Batch::new(&ours.shared);
        batch.way = batch.way.max(way);
        let run = Run {
            path,
            segment: 100,
            total: 450,
        };
        let single = Run {
            path,
            segment: 20,
            total: 20,
        };
        let [place, other] = batch.reserve(&ours, [run, single]).unwrap();
        place
            .iter_mut()
            .zip(0..)
            .for_each(|(byte, at)| *byte = u8::try_from(at / 100).unwrap());
        other.fill(9);
        batch.send(&ours);
        assert!(!batch.is_waiting());
        let mut buffer = [0; 2_000];
        for (byte, length) in [(0, 100), (1, 100), (2, 100), (3, 100), (4, 50), (9, 20)] {
            assert_eq!(theirs.recv(&mut buffer).unwrap(), length, "{way:?}");
            assert_eq!(buffer[0], byte);
        }
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.bytes, sent.refused), (6, 470, 0));
    }

    #[test]
    fn a_run_arrives_as_its_segments_whatever_the_way() {
        for way in [Way::Segmented, Way::Many, Way::Single] {
            send_run_of_five(way);
        }
    }

    #[test]
    fn a_frame_for_fifty_receivers_takes_one_call() {
        let (ours, _theirs, path) = pair();
        let mut batch = Batch::new(&ours.shared);
        if batch.way != Way::Segmented {
            return;
        }
        for _ in 0..50 {
            let run = Run {
                path,
                segment: 1_100,
                total: 4_400,
            };
            batch.reserve(&ours, [run]).unwrap();
        }
        batch.send(&ours);
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.calls), (200, 1));
    }

    #[test]
    fn a_route_that_refuses_segments_goes_singly_for_itself_alone() {
        let (ours, theirs, path) = pair();
        let other = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
        let mut batch = Batch::new(&ours.shared);
        if batch.way != Way::Segmented {
            return;
        }
        // More segments than the kernel takes are as good as a route that takes none: EINVAL.
        let refused = Message {
            path,
            start: 0,
            segment: 3,
            total: 3 * 132,
        };
        batch.queue.push(refused);
        batch.send(&ours);
        assert!(!batch.is_waiting());
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.refused, sent.unsegmented), (132, 0, 1));
        assert_eq!(batch.way, Way::Segmented);
        let good = Path {
            remote: other.local_addr().unwrap(),
            local: None,
        };
        let runs = [path, good].map(|path| Run {
            path,
            segment: 3,
            total: 9,
        });
        batch.reserve(&ours, runs).unwrap();
        let totals: Vec<_> = batch.queue.iter().map(|message| message.total).collect();
        assert_eq!(totals, [3, 3, 3, 9]);
        batch.send(&ours);
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.calls, sent.unsegmented), (6, 1, 0));
        let mut buffer = [0; 10];
        for _ in 0..135 {
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 3);
        }
    }

    #[test]
    fn refusing_peers_are_forgotten_when_there_are_too_many() {
        let (ours, _, path) = pair();
        let mut batch = Batch::new(&ours.shared);
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        for at in 0..=u16::try_from(REFUSING_MAX).unwrap() {
            let [high, low] = at.to_be_bytes();
            let remote = ([127, 1, high, low], 9).into();
            batch.queue.push(Message {
                path: Path { remote, ..path },
                start: 0,
                segment: 3,
                total: 6,
            });
            batch.note_refusal(&error);
            batch.note_refusal(&error);
            batch.done += 1;
        }
        assert_eq!(batch.refusing.len(), 1);
        assert_eq!(
            batch.sent.unsegmented,
            u64::try_from(REFUSING_MAX).unwrap() + 1
        );
    }

    #[test]
    fn what_the_kernel_refuses_is_counted_and_the_rest_goes_on() {
        let (ours, theirs, path) = pair();
        let mut batch = Batch::new(&ours.shared);
        let nowhere = Path {
            remote: "[::1]:9".parse().unwrap(),
            local: None,
        };
        for path in [nowhere, path] {
            let run = Run {
                path,
                segment: 3,
                total: 3,
            };
            let [place] = batch.reserve(&ours, [run]).unwrap();
            place.copy_from_slice(b"abc");
        }
        batch.send(&ours);
        let mut buffer = [0; 10];
        assert_eq!(theirs.recv(&mut buffer).unwrap(), 3);
        let sent = batch.take_sent();
        assert_eq!((sent.packets, sent.refused), (1, 1));
    }

    #[test]
    fn the_first_receivers_of_a_large_pass_do_not_wait_for_the_last() {
        let (ours, _theirs, path) = pair();
        let mut batch = Batch::new(&ours.shared);
        let run = Run {
            path,
            segment: 1_000,
            total: 10_000,
        };
        for _ in 0..CALL_BYTES / run.total {
            batch.reserve(&ours, [run]).unwrap();
        }
        assert_eq!(batch.take_sent().calls, 0);
        batch.reserve(&ours, [run]).unwrap();
        assert!(batch.take_sent().calls > 0);
        assert_eq!(batch.used, run.total);
    }

    #[test]
    fn a_long_run_is_cut_at_what_the_kernel_takes() {
        let (ours, _, path) = pair();
        let batch = Batch::new(&ours.shared);
        let mut queue = Vec::new();
        let run = Run {
            path,
            segment: 1_200,
            total: 1_200 * 100 + 7,
        };
        let most = batch.message_bytes(&run);
        queue_run(&mut queue, &run, 10, most);
        assert_eq!(queue.len(), run.total.div_ceil(most));
        assert!(
            queue
                .iter()
                .all(|message| message.total <= MESSAGE_BYTES_MAX)
        );
        assert_eq!(
            queue.iter().map(|message| message.total).sum::<usize>(),
            run.total
        );
        assert_eq!(queue[1].start, 10 + 54 * 1_200);
    }
}
