//! Runs two shards of a rig side by side, each on a thread of its own and joined by the rings of
//! the shell, so that benches can tell what a second core brings and what a hop costs.

use core::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use mio::{Poll, Token, Waker};

use super::handoff::{self, Rings};
use super::inbox::Doorbell;
use crate::command::{Reply, Ticket};
use crate::engine::{HandshakeRequest, Input, Outbox, Path, Run, ShardMessage};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{EndpointKey, ShardId};
use crate::packet::Packet;
use crate::sim::{Layout, Recorder, Rig, Shard};
use crate::srtp::{GcmBackend, SrtpProfile};
use crate::time::Time;

/// Nanoseconds of some clock.
pub type Nanos = fn() -> u64;

/// Two shards that hold one conference.
#[derive(Debug)]
pub struct Crew {
    rig: Rig,
    rings: Rings,
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// The pass whose datagrams have gone over.
    handed: Arc<AtomicU64>,
    pass: u64,
    clock: Nanos,
}

/// How long a pass took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// From the first datagram to the last receiver of both shards.
    pub all: u64,
    /// On the sender's shard, until all datagrams are taken in.
    pub sender: u64,
    /// On the other shard, for what crosses.
    pub other: u64,
    /// Datagrams put out.
    pub sent: usize,
}

/// What the second shard's thread is to do.
#[derive(Debug)]
struct Job {
    shard: Box<Shard>,
    now: Time,
    pass: u64,
    /// Datagrams that the kernel gave to the wrong shard.
    strays: Vec<(Path, Packet)>,
}

#[derive(Debug)]
struct Done {
    shard: Box<Shard>,
    nanos: u64,
}

/// The outbox of a shard whose rings are real.
struct Joined<'a> {
    recorder: &'a mut Recorder,
    rings: &'a mut Rings,
}

impl Crew {
    /// A [`Rig`] whose conference is spread over two shards, the sender on the first.
    ///
    /// # Errors
    /// Those of [`Rig::new`], and [`Error::Io`] when the system gives no thread or poll.
    pub fn new(receivers: usize, burst: usize, profile: SrtpProfile, clock: Nanos) -> Result<Self> {
        let rig = Rig::build(
            2,
            &Layout::share(receivers, burst),
            GcmBackend::default(),
            profile,
        )?;
        let poll = Poll::new().map_err(|error| Error::Io("make a poll", error))?;
        let bell = |token| {
            let waker = Waker::new(poll.registry(), Token(token));
            let waker = waker.map_err(|error| Error::Io("make a waker", error))?;
            Ok(Arc::new(Doorbell::new(waker)))
        };
        let mut rings = handoff::mesh(&[bell(0)?, bell(1)?]).into_iter();
        let (Some(rings), Some(theirs)) = (rings.next(), rings.next()) else {
            return Err(Error::Misuse("two bells have two rings"));
        };
        let (jobs, orders) = channel();
        let (answers, done) = channel();
        let handed = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&handed);
        thread::Builder::new()
            .name("second shard".to_owned())
            .spawn(move || work(&orders, &answers, theirs, &watched, clock))
            .map_err(|error| Error::Io("start a thread", error))?;
        let mut crew = Self {
            rig,
            rings,
            jobs,
            done,
            handed,
            pass: 0,
            clock,
        };
        for _ in 0..100 {
            crew.prepare(false);
            crew.pass()?;
        }
        Ok(crew)
    }

    /// Lets time pass to the next frame, whose datagrams come to the sender's shard or `stray` to
    /// the other one. Not to be measured.
    pub fn prepare(&mut self, stray: bool) {
        self.rig.gate = usize::from(stray);
        self.rig.prepare();
    }

    /// Lets both shards take the frame and forward it.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the other thread is gone.
    pub fn pass(&mut self) -> Result<Spent> {
        self.pass += 1;
        let strays = if self.rig.gate == 0 {
            Vec::new()
        } else {
            self.rig.arrivals().collect()
        };
        let is_stray = !strays.is_empty();
        let (now, shards) = (self.rig.sim.now, &mut self.rig.sim.shards);
        let shard = Box::new(shards.pop().ok_or(Error::Stopped)?);
        let mut first = shards.pop().ok_or(Error::Stopped)?;
        let job = Job {
            shard,
            now,
            pass: self.pass,
            strays,
        };
        self.jobs.send(job).map_err(|_| Error::Stopped)?;
        let mut spent = Spent::default();
        let rings = &mut self.rings;
        let begin = (self.clock)();
        if is_stray {
            while self.handed.load(Ordering::Acquire) < self.pass {
                spin_loop();
            }
        }
        let taking = (self.clock)();
        for (path, packet) in self.rig.arrivals() {
            first.handle_joined(now, rings, Input::Datagram { path, packet });
        }
        first.take_messages(now, rings);
        spent.sender = (self.clock)() - taking;
        self.handed.fetch_max(self.pass, Ordering::Release);
        first.flush_joined(now, rings);
        let done = loop {
            match self.done.try_recv() {
                Ok(done) => break done,
                Err(TryRecvError::Empty) => spin_loop(),
                Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            }
        };
        spent.all = (self.clock)() - begin;
        spent.other = done.nanos;
        let mut second = *done.shard;
        spent.sent = first.take_sent() + second.take_sent();
        self.rig.sim.shards.extend([first, second]);
        Ok(spent)
    }
}

/// The second shard's thread: it waits without sleeping, as a busy shard would.
fn work(
    jobs: &Receiver<Job>,
    done: &Sender<Done>,
    mut rings: Rings,
    handed: &AtomicU64,
    clock: Nanos,
) {
    loop {
        let job = match jobs.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Empty) => {
                spin_loop();
                continue;
            }
            Err(TryRecvError::Disconnected) => return,
        };
        let Job {
            mut shard,
            now,
            pass,
            strays,
        } = job;
        let mut nanos = 0;
        if strays.is_empty() {
            while handed.load(Ordering::Acquire) < pass {
                spin_loop();
            }
            let begin = clock();
            shard.take_messages(now, &mut rings);
            nanos = clock() - begin;
        } else {
            rings.collect(shard.engine.pool());
            let begin = clock();
            for (path, packet) in strays {
                shard.handle_joined(now, &mut rings, Input::Datagram { path, packet });
            }
            nanos += clock() - begin;
            handed.fetch_max(pass, Ordering::Release);
            // What came of the pass before: the first shard is at work on this one.
            shard.take_messages(now, &mut rings);
        }
        shard.flush_joined(now, &mut rings);
        if done.send(Done { shard, nanos }).is_err() {
            return;
        }
    }
}

impl Shard {
    fn handle_joined(&mut self, now: Time, rings: &mut Rings, input: Input) {
        let recorder = &mut self.recorder;
        self.engine
            .handle(now, input, &mut Joined { recorder, rings });
    }

    fn take_messages(&mut self, now: Time, rings: &mut Rings) {
        while let Some(message) = rings.receive(self.engine.pool()) {
            self.handle_joined(now, rings, Input::Shard(message));
        }
    }

    fn flush_joined(&mut self, now: Time, rings: &mut Rings) {
        let recorder = &mut self.recorder;
        self.engine.flush(now, &mut Joined { recorder, rings });
    }

    /// Forgets the datagrams that were put out; gives how many.
    fn take_sent(&mut self) -> usize {
        let runs = self.recorder.runs();
        let sent = runs.map(|run| run.total.div_ceil(run.segment.max(1))).sum();
        self.recorder.clear_datagrams();
        sent
    }
}

impl Outbox for Joined<'_> {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        self.recorder.reserve(runs)
    }

    fn handshake(&mut self, endpoint: EndpointKey, request: HandshakeRequest) {
        self.recorder.handshake(endpoint, request);
    }

    fn shard(&mut self, to: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        self.rings.send(to, message)
    }

    fn event(&mut self, event: Event) {
        self.recorder.event(event);
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>) {
        self.recorder.reply(ticket, reply);
    }
}
