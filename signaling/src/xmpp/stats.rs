//! Counts what the XMPP server carries and refuses, for metrics and statistics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted. The name is the metric's, without prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmppCounter {
    /// Sessions that are bound now.
    Sessions,
    /// Rooms that exist now.
    Rooms,
    /// Occupants of all rooms now.
    Occupants,
    /// Stanzas taken from clients.
    StanzasReceived,
    /// Stanzas given to clients.
    StanzasSent,
    /// Stanzas with no one to give them to.
    StanzasDropped,
    /// Streams ended by us because bytes broke a rule of XML or XMPP.
    StreamErrors,
    /// Stanzas (or their parts) beyond a bound of size, depth, attributes, elements.
    StanzasTooLarge,
    /// Times a client was made to wait because it sent too fast.
    RateLimited,
    /// Joins that had to wait because their address joined too often.
    JoinsDelayed,
    /// Connections refused because their address has too many.
    ConnectionsRefused,
    /// Connections closed because they did not log in in time.
    HandshakeTimeouts,
    /// Connections closed because they did not read.
    SlowClosed,
    /// Connections closed because they were silent.
    SilentClosed,
    /// Logins that failed.
    AuthFailures,
    /// Answers to IQs that were never asked, by id and address.
    StrayAnswers,
    /// Joins refused: password, nick, limits, no such room.
    JoinsRefused,
    /// BOSH requests out of order, too many or too late.
    BoshViolations,
}

/// The counters; shared, lock-free.
#[derive(Debug, Default)]
pub struct XmppStats {
    values: [AtomicU64; NAMES.len()],
}

impl XmppStats {
    /// One more.
    pub fn count(&self, counter: XmppCounter) {
        self.add(counter, 1);
    }

    /// Several more.
    pub fn add(&self, counter: XmppCounter, amount: u64) {
        if let Some(value) = self.values.get(counter as usize) {
            value.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// As many as there are now.
    pub fn set(&self, counter: XmppCounter, amount: usize) {
        if let Some(value) = self.values.get(counter as usize) {
            value.store(amount as u64, Ordering::Relaxed);
        }
    }

    /// How many.
    #[must_use]
    pub fn value(&self, counter: XmppCounter) -> u64 {
        self.values
            .get(counter as usize)
            .map_or(0, |value| value.load(Ordering::Relaxed))
    }

    /// All of them, name and value. The first three go up and down, the others only up.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.into_iter().zip(
            self.values
                .iter()
                .map(|value| value.load(Ordering::Relaxed)),
        )
    }
}

/// In the order of [`XmppCounter`].
const NAMES: [&str; 18] = [
    "sessions",
    "rooms",
    "occupants",
    "stanzas_received",
    "stanzas_sent",
    "stanzas_dropped",
    "stream_errors",
    "stanzas_too_large",
    "rate_limited",
    "joins_delayed",
    "connections_refused",
    "handshake_timeouts",
    "slow_closed",
    "silent_closed",
    "auth_failures",
    "stray_answers",
    "joins_refused",
    "bosh_violations",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_name() {
        let stats = XmppStats::default();
        stats.count(XmppCounter::BoshViolations);
        stats.set(XmppCounter::Rooms, 3);
        let all: Vec<_> = stats.iter().collect();
        assert_eq!(all.last(), Some(&("bosh_violations", 1)));
        assert_eq!(all.get(1), Some(&("rooms", 3)));
        assert_eq!(stats.value(XmppCounter::Rooms), 3);
    }
}
