//! Tells operators whether a meeting could begin, and what the focus holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// State of the focus for its HTTP API. Written by the focus, read by anyone.
#[derive(Debug, Default)]
pub struct Health {
    bridge: AtomicBool,
    operational: AtomicBool,
    /// Conferences now.
    pub(crate) conferences: Gauge,
    /// Participants now.
    pub(crate) participants: Gauge,
    /// Conferences ever.
    pub(crate) conferences_created: Gauge,
    /// Participants ever.
    pub(crate) participants_created: Gauge,
    /// Sessions restarted because the client asked.
    pub(crate) restarts_requested: Gauge,
    /// Sessions begun again because the bridge lost them.
    pub(crate) sessions_moved: Gauge,
    /// Stanzas dropped because a conference was too slow.
    pub(crate) stanzas_dropped: Gauge,
}

/// A number that many tasks change.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Health {
    /// Says whether there is a bridge, and whether it answers.
    pub fn set_bridge(&self, present: bool, operational: bool) {
        self.bridge.store(present, Ordering::Relaxed);
        self.operational.store(operational, Ordering::Relaxed);
    }

    /// Whether a bridge answers.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        self.operational.load(Ordering::Relaxed)
    }

    /// Number of bridges, working or not.
    #[must_use]
    pub fn bridges(&self) -> u64 {
        u64::from(self.bridge.load(Ordering::Relaxed))
    }

    /// Why no meeting could begin, in Jicofo's words; `None` when it could.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let total = self.bridges();
        (!self.is_operational())
            .then(|| format!("No operational bridges available (total bridge count: {total})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_in_the_words_that_operators_look_for() {
        let health = Health::default();
        assert_eq!(
            health.trouble().unwrap(),
            "No operational bridges available (total bridge count: 0)"
        );
        health.set_bridge(true, true);
        assert_eq!(health.trouble(), None);
        health.set_bridge(true, false);
        assert!(health.trouble().unwrap().ends_with("count: 1)"));
    }
}
