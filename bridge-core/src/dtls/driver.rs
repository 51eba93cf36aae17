//! Drives many handshakes at once, within limits, as plain code.
//!
//! | limit | of one handshake | of all |
//! |---|---|---|
//! | time | 30 s from `Start` to the keys | |
//! | datagrams taken before the keys | 256, of 64 KiB together | |
//! | handshakes without keys yet | | 1,000 |
//! | associations | | the engine's endpoints |
//!
//! What goes beyond fails that one handshake, and the engine counts it. So does a panic of the
//! backend, which has met bytes of strangers.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dimpl::{DimplEngine, DimplFactory};
use super::{DtlsEngine, DtlsEvent};
use crate::engine::{HandshakeEvent, HandshakeRequest, Path};
use crate::id::{EndpointKey, ShardId};
use crate::limits;
use crate::time::Time;

/// Whose handshake it is.
pub type HandshakeKey = (ShardId, EndpointKey);

/// All handshakes of a process, or of a simulation.
#[derive(Debug)]
pub struct Driver {
    factory: DimplFactory,
    associations: BTreeMap<HandshakeKey, Association>,
    deadlines: BTreeSet<(Time, HandshakeKey)>,
    half_open: usize,
    out: VecDeque<(HandshakeKey, HandshakeEvent)>,
}

#[derive(Debug)]
struct Association {
    engine: DimplEngine,
    /// When it must have keys.
    until: Time,
    is_complete: bool,
    datagrams: usize,
    bytes: usize,
    deadline: Option<Time>,
}

impl Driver {
    /// A driver of handshakes that `factory` makes.
    pub const fn new(factory: DimplFactory) -> Self {
        Self {
            factory,
            associations: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            half_open: 0,
            out: VecDeque::new(),
        }
    }

    /// Takes what an engine asks for.
    pub fn handle(&mut self, now: Time, key: HandshakeKey, request: HandshakeRequest) {
        match request {
            HandshakeRequest::Start { client } => self.start(now, key, client),
            HandshakeRequest::Datagram(packet) => {
                let bytes = packet.bytes();
                if self.admits(key, bytes.len()) {
                    self.drive(now, key, |engine| engine.handle_datagram(now, bytes));
                }
            }
            HandshakeRequest::Stop { path } => self.stop(now, key, path),
        }
    }

    /// Closes an association. What it has to say goes to `path`, since nobody else will know where.
    fn stop(&mut self, now: Time, key: HandshakeKey, path: Option<Path>) {
        let before = self.out.len();
        self.drive(now, key, |engine| engine.close(now));
        self.remove(key);
        for (_, event) in self.out.split_off(before) {
            if let (HandshakeEvent::Datagram(packet), Some(path)) = (event, path) {
                self.out
                    .push_back((key, HandshakeEvent::Farewell { path, packet }));
            }
        }
    }

    fn start(&mut self, now: Time, key: HandshakeKey, client: bool) {
        self.remove(key);
        if self.half_open >= limits::HALF_OPEN_HANDSHAKES_MAX {
            self.out.push_back((key, HandshakeEvent::Failed));
            return;
        }
        self.half_open += 1;
        let association = Association {
            engine: self.factory.make(now, client),
            until: now + limits::HANDSHAKE_DURATION_MAX,
            is_complete: false,
            datagrams: 0,
            bytes: 0,
            deadline: None,
        };
        self.associations.insert(key, association);
        self.drive(now, key, |engine| engine.start(now));
    }

    /// Counts a datagram against the handshake's limits. Beyond them it fails.
    fn admits(&mut self, key: HandshakeKey, length: usize) -> bool {
        let Some(association) = self.associations.get_mut(&key) else {
            return false;
        };
        if association.is_complete {
            return true;
        }
        association.datagrams += 1;
        association.bytes += length;
        let is_within = association.datagrams <= limits::HANDSHAKE_DATAGRAMS_MAX
            && association.bytes <= limits::HANDSHAKE_BYTES_MAX;
        if !is_within {
            self.out.push_back((key, HandshakeEvent::Failed));
            self.remove(key);
        }
        is_within
    }

    /// Does what is due for all.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, key)) = self.deadlines.first().copied()
            && at <= now
        {
            let is_late = self
                .associations
                .get(&key)
                .is_none_or(|association| !association.is_complete && association.until <= now);
            if is_late {
                self.out.push_back((key, HandshakeEvent::Failed));
                self.remove(key);
            } else {
                self.drive(now, key, |engine| engine.handle_timeout(now));
            }
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The next news for an engine.
    pub fn poll(&mut self) -> Option<(HandshakeKey, HandshakeEvent)> {
        self.out.pop_front()
    }

    /// Handshakes that have no keys yet.
    #[cfg(any(test, feature = "unstable-toolbox"))]
    pub const fn half_open(&self) -> usize {
        self.half_open
    }

    /// Lets one association do something, passes on what comes of it and sets its deadline.
    fn drive(&mut self, now: Time, key: HandshakeKey, act: impl FnOnce(&mut DimplEngine)) {
        let Some(association) = self.associations.get_mut(&key) else {
            return;
        };
        let engine = &mut association.engine;
        // What a panic leaves half done is thrown away with the association.
        if catch_unwind(AssertUnwindSafe(|| act(engine))).is_err() {
            tracing::error!("the DTLS backend panicked; one handshake failed");
            self.out.push_back((key, HandshakeEvent::Failed));
            self.remove(key);
            return;
        }
        while let Some(packet) = association.engine.poll_datagram() {
            self.out.push_back((key, HandshakeEvent::Datagram(packet)));
        }
        let mut is_over = false;
        while let Some(event) = association.engine.poll_event() {
            let event = match event {
                DtlsEvent::Completed {
                    certificate,
                    keys,
                    profile,
                } => {
                    association.is_complete = true;
                    self.half_open = self.half_open.saturating_sub(1);
                    HandshakeEvent::Completed {
                        certificate,
                        keys,
                        profile,
                    }
                }
                DtlsEvent::Failed => HandshakeEvent::Failed,
                DtlsEvent::Closed => HandshakeEvent::Closed,
            };
            is_over |= matches!(event, HandshakeEvent::Failed | HandshakeEvent::Closed);
            self.out.push_back((key, event));
        }
        if is_over {
            self.remove(key);
        } else {
            self.set_deadline(now, key);
        }
    }

    fn set_deadline(&mut self, now: Time, key: HandshakeKey) {
        let Some(association) = self.associations.get_mut(&key) else {
            return;
        };
        if let Some(before) = association.deadline.take() {
            self.deadlines.remove(&(before, key));
        }
        let limit = (!association.is_complete).then_some(association.until);
        // A backend that names a past time again and again must not spin.
        let wish = association
            .engine
            .deadline()
            .map(|at| at.max(now + RESOLUTION));
        if let Some(at) = limit.into_iter().chain(wish).min() {
            association.deadline = Some(at);
            self.deadlines.insert((at, key));
        }
    }

    fn remove(&mut self, key: HandshakeKey) {
        if let Some(association) = self.associations.remove(&key) {
            if let Some(at) = association.deadline {
                self.deadlines.remove(&(at, key));
            }
            if !association.is_complete {
                self.half_open = self.half_open.saturating_sub(1);
            }
        }
    }
}

/// Shortest time between two time-outs of one association.
const RESOLUTION: Duration = Duration::from_millis(1);
