//! Holds one participant: its transport, what it sends, what it receives, and whether it is there.

use core::time::Duration;

use super::Path;
use super::rate::EndpointRate;
use super::timers::{Timer, TimerTable};
use super::transport::Transport;
use crate::egress::Receiver;
use crate::id::{ConferenceKey, EndpointAddress};
use crate::ingest::Ingest;
use crate::stats::BridgeStats;
use crate::time::{COMMON_STEP, Time};

/// One participant.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: EndpointAddress,
    /// The caller's number for it, which its events carry.
    pub(super) session: u64,
    pub(super) conference: ConferenceKey,
    pub(super) transport: Transport,
    pub(super) ingest: Ingest,
    pub(super) receiver: Receiver,
    pub(super) rate: EndpointRate,
    pub(super) timers: TimerTable,
    /// Paths that lead here.
    pub(super) paths: Vec<Path>,
    /// Where media goes, as the shell was told.
    pub(super) media_path: Option<Path>,
    /// Whether the transport is up.
    pub(super) connected: bool,
    /// When the last authenticated packet came; when it was made, before the first.
    last_heard: Time,
    active: bool,
}

/// What a look at an endpoint's activity found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// As before.
    Unchanged,
    /// Packets stay away.
    Paused,
    /// Nothing has come for so long that nothing will.
    Dead,
}

impl Endpoint {
    pub(super) fn new(
        now: Time,
        address: EndpointAddress,
        conference: ConferenceKey,
        parts: (Transport, Ingest, Receiver),
    ) -> Self {
        let (transport, ingest, receiver) = parts;
        let mut timers = TimerTable::default();
        timers.set(Timer::Activity, Some(now + SILENCE_MAX));
        Self {
            address,
            session: 0,
            conference,
            transport,
            ingest,
            receiver,
            rate: EndpointRate::new(),
            timers,
            paths: Vec::new(),
            media_path: None,
            connected: false,
            last_heard: now,
            active: false,
        }
    }

    /// Notes an authenticated packet; `true` when packets had stayed away before.
    pub(super) fn hear(&mut self, now: Time) -> bool {
        self.last_heard = now;
        self.connected && !core::mem::replace(&mut self.active, self.connected)
    }

    /// Sets the timer of the next look, as an authenticated packet came at `heard`.
    pub(super) fn put_off_look(&mut self, heard: Time) {
        let next = if self.active { PAUSE } else { SILENCE_MAX };
        let at = (heard + next).round_up(COMMON_STEP);
        self.timers.set(Timer::Activity, Some(at));
    }

    /// Adds what was done for it to a bridge's counters.
    pub(super) fn add_to(&self, stats: &mut BridgeStats) {
        let counters = self.ingest.counters();
        stats.packets_nacked += counters.packets_nacked;
        stats.packets_recovered += counters.packets_recovered;
        stats.keyframe_requests_sent += counters.keyframe_requests_sent;
    }

    /// Looks whether packets still come, and sets the timer of the next look.
    pub(super) fn look(&mut self, now: Time) -> Activity {
        let silence = now.since(self.last_heard);
        if silence >= SILENCE_MAX {
            return Activity::Dead;
        }
        let pauses = self.active && silence >= PAUSE;
        self.active &= !pauses;
        self.put_off_look(self.last_heard);
        if pauses {
            Activity::Paused
        } else {
            Activity::Unchanged
        }
    }
}

/// An endpoint of which nothing came for so long counts as inactive (as in Jitsi's bridge).
pub(super) const PAUSE: Duration = Duration::from_secs(8);

/// An endpoint of which nothing came for so long, or ever, is expired (as in Jitsi's bridge).
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);
