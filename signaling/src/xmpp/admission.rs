//! Counts connections and joins by address, so that one address cannot take all there is.

use core::time::Duration;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{XmppCounter, XmppLimits, XmppStats};
use crate::feature::rate_limit::{TokenBucket, network};

/// The connections of all addresses.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: XmppLimits,
    stats: Arc<XmppStats>,
    addresses: Mutex<HashMap<IpAddr, Address>>,
}

#[derive(Debug)]
struct Address {
    unauthenticated: usize,
    authenticated: usize,
    joins: TokenBucket,
    conferences: TokenBucket,
}

impl Address {
    fn is_forgettable(&self, now: Instant) -> bool {
        self.unauthenticated + self.authenticated == 0
            && self.joins.is_full(now)
            && self.conferences.is_full(now)
    }
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    address: IpAddr,
    authenticated: bool,
}

impl Admission {
    pub(crate) fn new(limits: XmppLimits, stats: Arc<XmppStats>) -> Self {
        Self {
            limits,
            stats,
            addresses: Mutex::default(),
        }
    }

    /// Lets a connection in; `None` when its address has too many.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Ticket> {
        let address = network(address);
        let admitted = self.with(address, |entry| {
            let total = entry.unauthenticated + entry.authenticated;
            let room = entry.unauthenticated < self.limits.unauthenticated_per_address
                && total < self.limits.connections_per_address;
            if room {
                entry.unauthenticated += 1;
            }
            room
        });
        if !admitted {
            self.stats.count(XmppCounter::ConnectionsRefused);
            return None;
        }
        Some(Ticket {
            admission: Arc::clone(self),
            address,
            authenticated: false,
        })
    }

    /// Does something to the entry of an address, and forgets it when nothing is left in it.
    fn with<T>(&self, address: IpAddr, act: impl FnOnce(&mut Address) -> T) -> T {
        let now = Instant::now();
        let rate = self.limits.joins_per_second;
        let bucket = || TokenBucket::new(rate, rate.saturating_mul(JOIN_BURST), now);
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = addresses.entry(address).or_insert_with(|| Address {
            unauthenticated: 0,
            authenticated: 0,
            joins: bucket(),
            conferences: bucket(),
        });
        let result = act(entry);
        if entry.is_forgettable(now) {
            addresses.remove(&address);
        }
        result
    }

    /// Forgets addresses that have not been here for long enough to have paid their debts.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|_, entry| !entry.is_forgettable(now));
    }

    /// Whether somebody at this address has logged in.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.with(network(address), |entry| entry.authenticated > 0)
    }

    /// How long a wish for a conference has to wait; `None` when that is longer than `most`.
    pub(crate) fn conference_delay(&self, address: IpAddr, most: Duration) -> Option<Duration> {
        self.with(network(address), |entry| {
            entry.conferences.take_within(1, most, Instant::now())
        })
    }
}

impl Ticket {
    /// Its connection has logged in and does not count as a stranger's any more.
    pub(crate) fn authenticate(&mut self) {
        if self.authenticated {
            return;
        }
        self.authenticated = true;
        self.admission.with(self.address, |entry| {
            entry.unauthenticated = entry.unauthenticated.saturating_sub(1);
            entry.authenticated += 1;
        });
    }

    /// How long a join has to wait.
    pub(crate) fn join_delay(&self) -> Duration {
        self.admission
            .with(self.address, |entry| entry.joins.take(1, Instant::now()))
    }

    /// How long a wish for a conference has to wait.
    pub(crate) fn conference_delay(&self) -> Duration {
        self.admission.with(self.address, |entry| {
            entry.conferences.take(1, Instant::now())
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let authenticated = self.authenticated;
        self.admission.with(self.address, |entry| {
            let count = if authenticated {
                &mut entry.authenticated
            } else {
                &mut entry.unauthenticated
            };
            *count = count.saturating_sub(1);
        });
    }
}

/// Seconds' worth of joins at once.
const JOIN_BURST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(unauthenticated: usize, total: usize) -> Arc<Admission> {
        let limits = XmppLimits {
            unauthenticated_per_address: unauthenticated,
            connections_per_address: total,
            ..XmppLimits::default()
        };
        Arc::new(Admission::new(limits, Arc::default()))
    }

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const B: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn strangers_of_an_address_are_few_and_those_known_are_more() {
        let admission = admission(2, 3);
        let mut first = admission.admit(A).unwrap();
        let second = admission.admit(A).unwrap();
        assert!(admission.admit(A).is_none());
        assert!(admission.admit(B).is_some());
        first.authenticate();
        let third = admission.admit(A).unwrap();
        drop(second);
        let fourth = admission.admit(A).unwrap();
        assert!(admission.admit(A).is_none());
        drop((first, third, fourth));
        assert!(admission.admit(A).is_some());
        assert_eq!(admission.stats.value(XmppCounter::ConnectionsRefused), 2);
        assert!(admission.addresses.lock().unwrap().is_empty());
    }

    #[test]
    fn joins_beyond_the_burst_wait() {
        let ticket = admission(1, 1).admit(A).unwrap();
        for _ in 0..30 {
            assert_eq!(ticket.join_delay(), Duration::ZERO);
            assert_eq!(ticket.conference_delay(), Duration::ZERO);
        }
        assert!(ticket.join_delay() > Duration::from_millis(200));
        assert!(ticket.conference_delay() > Duration::from_millis(200));
    }

    #[test]
    fn an_address_is_known_while_somebody_there_has_logged_in() {
        let admission = admission(1, 1);
        let mut ticket = admission.admit(A).unwrap();
        assert!(!admission.knows(A));
        ticket.authenticate();
        assert!(admission.knows(A) && !admission.knows(B));
        drop(ticket);
        assert!(!admission.knows(A));
    }
}
