//! Collects what a pass sends in one arena and hands it to the kernel in as few calls as it
//! allows: GSO, else `sendmmsg`, else `sendto`, found out while running.

use std::io;

use mio::net::UdpSocket;

use super::sys::{self, Message, Sender};
use crate::engine::Run;

/// Bytes of the send arena: a pass of 700 full packets, small enough for the second-level cache.
const ARENA_BYTES: usize = 1 << 20;

/// Runs in the arena at once.
const RUNS_MAX: usize = 4_096;

/// Segments that the kernel takes in one message.
const SEGMENTS_MAX: usize = 64;

/// Bytes that the kernel takes in one message: the largest UDP payload over IPv4.
const MESSAGE_BYTES_MAX: usize = 65_507;

/// What was sent and what was lost, until somebody takes the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Refused for good by the kernel (no route, say).
    pub(crate) refused: u64,
    /// System calls.
    pub(crate) calls: u64,
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
    queue: Vec<Message>,
    /// Messages of the queue that are done.
    done: usize,
    /// A message in pieces of one segment, when it may not be sent whole.
    pieces: Vec<Message>,
    sender: Sender,
    way: Way,
    sent: Sent,
}

impl Batch {
    pub(crate) fn new(socket: &UdpSocket) -> Self {
        let sender = Sender::new(socket);
        Self {
            arena: vec![0; ARENA_BYTES],
            used: 0,
            queue: Vec::with_capacity(RUNS_MAX),
            done: 0,
            pieces: Vec::with_capacity(SEGMENTS_MAX),
            way: if sender.segments() {
                Way::Segmented
            } else {
                Way::Many
            },
            sender,
            sent: Sent::default(),
        }
    }

    /// Takes no better way than this, whatever the kernel can do.
    #[cfg(feature = "unstable-toolbox")]
    pub(crate) fn restrict(&mut self, way: super::bench::SendWay) {
        use super::bench::SendWay;
        self.way = match way {
            SendWay::Gso => self.way,
            SendWay::Sendmmsg => self.way.max(Way::Many),
            SendWay::Sendto => Way::Single,
        };
    }

    /// Pieces of the arena for `runs`. A full arena is sent first; `None` when the socket takes
    /// no more or the runs could never fit.
    pub(crate) fn reserve<const K: usize>(
        &mut self,
        socket: &UdpSocket,
        runs: [Run; K],
    ) -> Option<[&mut [u8]; K]> {
        let bytes: usize = runs.iter().map(|run| run.total).sum();
        let messages: usize = runs.iter().map(messages_of).sum();
        if !self.has_room(bytes, messages) {
            self.send(socket);
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
        for run in &runs {
            queue_run(&mut self.queue, run, start);
            start += run.total;
        }
        self.used = start;
        Some(places)
    }

    /// Sends what there is. What the socket does not take now stays for the next time.
    pub(crate) fn send(&mut self, socket: &UdpSocket) {
        while let Some(rest) = self.queue.get(self.done..).filter(|rest| !rest.is_empty()) {
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
                Ok(0) => {
                    if !self.send_first_in_pieces(socket) {
                        return;
                    }
                }
                Ok(count) => self.finish(count),
                Err(error) => {
                    if !self.recover(socket, &error) {
                        return;
                    }
                }
            }
        }
        self.queue.clear();
        self.done = 0;
        self.used = 0;
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
            // EIO says that the device cannot; EINVAL that this message is too large for its
            // route. Both are cured by single datagrams, the first for good.
            if error.kind() != io::ErrorKind::InvalidInput {
                tracing::warn!(%error, "the kernel refuses segmentation, datagrams go singly");
                self.way = Way::Many;
            }
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

/// Bytes of the largest message in segments of `segment` bytes.
fn message_bytes(segment: usize) -> usize {
    let segments = (MESSAGE_BYTES_MAX / segment.max(1)).clamp(1, SEGMENTS_MAX);
    segments * segment.max(1)
}

fn messages_of(run: &Run) -> usize {
    run.total.div_ceil(message_bytes(run.segment))
}

fn queue_run(queue: &mut Vec<Message>, run: &Run, start: usize) {
    let most = message_bytes(run.segment);
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

    fn pair() -> (UdpSocket, std::net::UdpSocket, Path) {
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
        (ours, theirs, path)
    }

    fn send_run_of_five(way: Way) {
        let (ours, theirs, path) = pair();
        let mut batch = Batch::new(&ours);
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
    fn what_the_kernel_refuses_is_counted_and_the_rest_goes_on() {
        let (ours, theirs, path) = pair();
        let mut batch = Batch::new(&ours);
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
    fn a_long_run_is_cut_at_what_the_kernel_takes() {
        let (_, _, path) = pair();
        let mut queue = Vec::new();
        let run = Run {
            path,
            segment: 1_200,
            total: 1_200 * 100 + 7,
        };
        queue_run(&mut queue, &run, 10);
        assert_eq!(queue.len(), messages_of(&run));
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
