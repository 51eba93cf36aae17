//! Runs one engine on one thread: waits, drains everything that came, lets the engine work on it
//! with one reading of the clock, and sends what came of it.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use mio::{Interest, Poll, Token};

use super::batch::Batch;
use super::clock::Clock;
use super::connected::{Connected, Sockets};
use super::handoff::Rings;
use super::handshake::Handshakes;
use super::inbox::{Answer, Doorbell, Order};
use super::sys::{self, Arrival, Polled};
use crate::bridge::Homes;
use crate::command::{Reply, Ticket};
use crate::engine::{
    Engine, HandshakeEvent, HandshakeRequest, Input, Outbox, Path, Run, ShardMessage,
};
use crate::error::{Discard, Result};
use crate::event::Event;
use crate::id::{EndpointKey, ShardId};
use crate::time::Time;

/// The waker's token.
pub(super) const WAKE: Token = Token(0);

const SOCKET: Token = Token(1);

/// The first token of connected sockets.
pub(super) const FIRST_CONNECTED: Token = Token(2);

/// Events that one call of the poll gives.
const EVENTS_PER_CALL: usize = 256;

/// Datagrams of one pass, and what the last call gives beyond them: enough for runs to arise, few
/// enough that a pass takes a millisecond.
const PASS_DATAGRAMS: usize = 512;

/// Messages of other shards in one pass.
const PASS_MESSAGES: usize = 1_024;

/// Commands of one pass.
const PASS_COMMANDS: usize = 64;

/// Timers that are due within one of these share a wake-up, while no picture waits.
const TIMER_UNIT: Duration = Duration::from_millis(1);

/// How soon to try again when the socket took no more.
const SEND_AGAIN: Duration = Duration::from_millis(1);

/// A shorter rest is not worth the call.
const REST_MIN: Duration = Duration::from_micros(100);

/// How long a stopped shard waits for the last words of its handshakes.
const PARTING_MAX: Duration = Duration::from_millis(500);

/// What the handshake thread tells a shard.
pub(super) type News = (EndpointKey, HandshakeEvent);

/// A shard with all that it is joined to.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) engine: Engine,
    pub(super) sockets: Sockets,
    pub(super) poll: Poll,
    pub(super) clock: Clock,
    pub(super) bell: Arc<Doorbell>,
    pub(super) orders: Receiver<Order>,
    pub(super) rings: Rings,
    pub(super) handshakes: Handshakes,
    pub(super) answers: Receiver<News>,
    pub(super) events: SyncSender<Event>,
    pub(super) homes: Arc<Homes>,
}

/// What the engine puts its outputs in.
#[derive(Debug)]
struct Shell {
    id: ShardId,
    sockets: Sockets,
    batch: Batch,
    rings: Rings,
    /// `None` when the shard has stopped.
    handshakes: Option<Handshakes>,
    events: SyncSender<Event>,
    homes: Arc<Homes>,
    /// Commands that the engine works on.
    asked: BTreeMap<Ticket, Asked>,
    events_lost: u64,
}

/// What to do with the answer to a command that the engine works on.
struct Asked(Answer);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl Shard {
    /// Works until it is told to stop.
    pub(super) fn run(self) {
        if !sys::pin_thread(usize::from(self.id.0)) {
            tracing::debug!(shard = self.id.0, "the thread may move between processors");
        }
        if !sys::wake_promptly() {
            tracing::debug!(shard = self.id.0, "the thread may wait when it wakes");
        }
        let Self {
            id,
            engine,
            mut sockets,
            poll,
            clock,
            bell,
            orders,
            rings,
            handshakes,
            answers,
            events,
            homes,
        } = self;
        let registered = poll
            .registry()
            .register(&mut sockets.shared, SOCKET, Interest::READABLE);
        if let Err(error) = registered {
            tracing::error!(%error, shard = id.0, "the media socket cannot be polled");
            return;
        }
        let mut running = Running {
            receiver: sys::Receiver::new(&sockets.shared, true),
            arrivals: Vec::with_capacity(PASS_DATAGRAMS),
            receive_calls: 0,
            engine,
            poll,
            clock,
            bell,
            orders,
            answers,
            next_ticket: 0,
            is_readable: true,
            has_more: false,
            shell: Shell {
                id,
                batch: Batch::new(&sockets.shared),
                sockets,
                rings,
                handshakes: Some(handshakes),
                events,
                homes,
                asked: BTreeMap::new(),
                events_lost: 0,
            },
        };
        let mut polled = Polled::with_capacity(EVENTS_PER_CALL);
        while running.pass(&mut polled) {}
        running.part();
    }
}

/// A shard at work.
#[derive(Debug)]
struct Running {
    engine: Engine,
    shell: Shell,
    receiver: sys::Receiver,
    arrivals: Vec<Arrival>,
    /// System calls that received, since they were last counted.
    receive_calls: u64,
    poll: Poll,
    clock: Clock,
    bell: Arc<Doorbell>,
    orders: Receiver<Order>,
    answers: Receiver<News>,
    next_ticket: u64,
    /// Whether the socket may have more.
    is_readable: bool,
    /// Whether a queue may have more.
    has_more: bool,
}

impl Running {
    /// Waits if there is nothing to do, then does one pass; `false` when it is to stop.
    fn pass(&mut self, polled: &mut Polled) -> bool {
        self.rest();
        self.wait(polled);
        if self.is_readable {
            self.drain_socket();
        }
        self.drain_connected();
        // After the socket was drained, so that no datagram is older than its time.
        let now = self.clock.now();
        if let Some(connected) = &mut self.shell.sockets.connected {
            connected.open_settled(now, self.poll.registry(), &self.receiver);
        }
        self.shell.rings.collect(self.engine.pool());
        for arrival in self.arrivals.drain(..) {
            if arrival.cut {
                self.engine.refuse(arrival.packet, Discard::Oversized);
                continue;
            }
            let input = Input::Datagram {
                path: arrival.path,
                packet: arrival.packet,
            };
            self.engine.handle(now, input, &mut self.shell);
        }
        self.take_messages(now);
        self.take_orders(now);
        let is_stopped = self.bell.is_stopped();
        if is_stopped {
            self.engine.close(now, &mut self.shell);
        }
        // Others begin with what came while we serve our own receivers.
        self.shell.rings.wake();
        self.send(now);
        !is_stopped
    }

    fn send(&mut self, now: Time) {
        self.engine.flush(now, &mut self.shell);
        self.shell.rings.wake();
        self.shell.batch.send(&self.shell.sockets);
        let sent = self.shell.batch.take_sent();
        self.engine
            .note_sent(sent.packets, sent.bytes, sent.refused);
        self.engine
            .note_calls(core::mem::take(&mut self.receive_calls), sent.calls);
        self.engine.note_unsegmented(sent.unsegmented);
        if let Some(connected) = &mut self.shell.sockets.connected {
            let noted = connected.take_noted();
            let open = u64::try_from(connected.len()).unwrap_or(0);
            let errors = noted.errors + sent.unconnected;
            self.engine.note_sockets(open, noted.refused, errors);
        }
    }

    /// Sends the last words of the handshakes. Their thread ends when every shard is here, after
    /// it has answered all of them.
    fn part(mut self) {
        self.shell.handshakes = None;
        let until = self.clock.now() + PARTING_MAX;
        while let Ok((key, event)) = self.answers.recv_timeout(self.clock.until(until)) {
            let input = Input::Handshake(key, event);
            self.engine.handle(self.clock.now(), input, &mut self.shell);
        }
        self.send(self.clock.now());
    }

    /// Takes what other shards and the handshakes have.
    fn take_messages(&mut self, now: Time) {
        let mut left = PASS_MESSAGES;
        while left > 0
            && let Some(message) = self.shell.rings.receive(self.engine.pool())
        {
            left -= 1;
            self.engine
                .handle(now, Input::Shard(message), &mut self.shell);
        }
        while left > 0
            && let Ok((key, event)) = self.answers.try_recv()
        {
            left -= 1;
            self.engine
                .handle(now, Input::Handshake(key, event), &mut self.shell);
        }
        self.has_more = left == 0;
    }

    fn take_orders(&mut self, now: Time) {
        let mut left = PASS_COMMANDS;
        while left > 0
            && let Ok(Order { command, answer }) = self.orders.try_recv()
        {
            left -= 1;
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.shell.asked.insert(ticket, Asked(answer));
            self.engine
                .handle(now, Input::Command(ticket, command), &mut self.shell);
        }
        self.has_more |= left == 0;
    }

    /// Leaves the socket alone for as long as the engine sees fit, unless there is something to do.
    /// Timers, commands and other shards can wait as long.
    fn rest(&self) {
        let connected = self.shell.sockets.connected.as_ref();
        let has_more = self.has_more || connected.is_some_and(Connected::has_more);
        if has_more || self.is_readable || self.shell.batch.is_waiting() {
            return;
        }
        if let Some(until) = self.engine.rest_until() {
            let rest = self.clock.until(until);
            if rest >= REST_MIN {
                Clock::sleep(rest);
            }
        }
    }

    /// Sleeps until something comes or is due, unless something is here already.
    fn wait(&mut self, polled: &mut Polled) {
        let due = self.engine.wakeup().map(|at| self.clock.until(at));
        let again = self.shell.batch.is_waiting().then_some(SEND_AGAIN);
        let mut patience = [due, again].into_iter().flatten().min();
        let may_sleep = self.bell.fall_asleep();
        let connected = self.shell.sockets.connected.as_ref();
        let has_more = self.has_more || connected.is_some_and(Connected::has_more);
        if !may_sleep || self.is_readable || has_more {
            patience = Some(Duration::ZERO);
        }
        if self.engine.held_until().is_none() {
            patience = patience.map(in_units);
        }
        match polled.wait(&self.poll, patience) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => tracing::error!(%error, "the poll failed"),
        }
        self.bell.wake_up();
        for token in polled.tokens() {
            match (token, &mut self.shell.sockets.connected) {
                (WAKE, _) => {}
                (SOCKET, _) => self.is_readable = true,
                (token, Some(connected)) => connected.note_readable(token),
                (_, None) => {}
            }
        }
    }

    /// After the shared socket: what a peer sent before it had its own came first.
    fn drain_connected(&mut self) {
        if let Some(connected) = &mut self.shell.sockets.connected {
            let (pool, arrivals) = (self.engine.pool(), &mut self.arrivals);
            self.receive_calls +=
                connected.receive(&mut self.receiver, pool, arrivals, PASS_DATAGRAMS);
        }
    }

    fn drain_socket(&mut self) {
        while self.arrivals.len() < PASS_DATAGRAMS {
            let socket = &self.shell.sockets.shared;
            self.receive_calls += 1;
            match self
                .receiver
                .receive(socket, self.engine.pool(), &mut self.arrivals)
            {
                Ok(true) => {}
                // Less than a batch came: the poll tells when more does.
                Ok(false) => {
                    self.is_readable = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return;
                }
                // An error of an earlier send (ICMP); reading it clears it.
                _ => return,
            }
        }
    }
}

/// Rounded up to whole units.
fn in_units(patience: Duration) -> Duration {
    let unit = TIMER_UNIT.as_nanos();
    let units = patience.as_nanos().div_ceil(unit);
    TIMER_UNIT.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX))
}

impl Outbox for Shell {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        self.batch.reserve(&self.sockets, runs)
    }

    fn media_path(&mut self, endpoint: EndpointKey, path: Option<Path>) {
        if let Some(connected) = &mut self.sockets.connected {
            connected.note_path(endpoint, path);
        }
    }

    fn handshake(&mut self, endpoint: EndpointKey, request: HandshakeRequest) {
        let handshakes = self.handshakes.as_ref();
        if handshakes.is_some_and(|thread| !thread.send(self.id, endpoint, request)) {
            tracing::debug!("a handshake datagram is dropped, too many wait");
        }
    }

    fn shard(&mut self, to: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        self.rings.send(to, message)
    }

    fn event(&mut self, event: Event) {
        if let Event::ConferenceExpired { conference } = &event {
            self.homes.leave(conference);
        }
        if self.events.try_send(event).is_err() {
            // Nobody listens, or not fast enough: told at powers of two.
            self.events_lost += 1;
            if self.events_lost.is_power_of_two() {
                tracing::warn!(lost = self.events_lost, "events are not taken and are lost");
            }
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>) {
        if let Some(Asked(answer)) = self.asked.remove(&ticket) {
            answer(reply);
        }
    }
}
