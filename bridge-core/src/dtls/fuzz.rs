//! Plays a handshake between two drivers by a script of bytes: losses, changed and invented
//! datagrams, time.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::LazyLock;

use super::dimpl::DimplFactory;
use super::driver::Driver;
use super::epoch::any_instant;
use super::{Certificate, DtlsVersion};
use crate::engine::{HandshakeEvent, HandshakeRequest};
use crate::id::{EndpointKey, Key, ShardId};
use crate::packet::Packet;
use crate::time::Time;

/// For 1.2 and for both versions; made once, since keys take time.
static FACTORIES: LazyLock<Option<[DimplFactory; 2]>> = LazyLock::new(|| {
    let base = any_instant();
    let certificate = Certificate::generate().ok()?;
    let factory = |version| DimplFactory::new(version, certificate.clone(), base).ok();
    Some([factory(DtlsVersion::V1_2)?, factory(DtlsVersion::Auto)?])
});

const KEY: (ShardId, EndpointKey) = (
    ShardId(0),
    EndpointKey(Key {
        index: 0,
        generation: 0,
    }),
);

struct Play {
    now: Time,
    drivers: [Driver; 2],
    flying: VecDeque<(usize, Vec<u8>)>,
}

/// Plays a script: the first byte chooses versions, then each step is an operation, a length and so
/// many bytes.
pub(crate) fn script(data: &[u8]) {
    let Some([only_1_2, both]) = &*FACTORIES else {
        return;
    };
    let Some((first, mut rest)) = data.split_first() else {
        return;
    };
    let factory = |bit: u8| if first & bit == 0 { only_1_2 } else { both };
    let drivers = [factory(1), factory(2)].map(|factory| Driver::new(factory.clone()));
    let mut play = Play {
        now: Time::ZERO,
        drivers,
        flying: VecDeque::new(),
    };
    for (driver, client) in play.drivers.iter_mut().zip([false, true]) {
        driver.handle(Time::ZERO, KEY, HandshakeRequest::Start { client });
    }
    play.settle();
    while let Some(([operation, length], behind)) = rest.split_first_chunk() {
        let (bytes, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        play.step(*operation, bytes);
        play.settle();
        rest = behind;
    }
}

impl Play {
    fn step(&mut self, operation: u8, bytes: &[u8]) {
        let which = usize::from(operation & 1);
        match operation >> 1 & 7 {
            0 | 1 => {
                if let Some((to, bytes)) = self.flying.pop_front() {
                    self.feed(to, &bytes);
                }
            }
            2 => drop(self.flying.pop_front()),
            3 => {
                if let Some((to, mut datagram)) = self.flying.pop_front() {
                    let at = bytes.first().map_or(0, |at| usize::from(*at) * 4);
                    let behind = bytes.get(1..).unwrap_or_default();
                    for (old, new) in datagram.iter_mut().skip(at).zip(behind) {
                        *old = *new;
                    }
                    self.feed(to, &datagram);
                }
            }
            4 => {
                if let Some((to, datagram)) = self.flying.front().cloned() {
                    self.feed(to, &datagram);
                }
            }
            5 => {
                let millis = bytes.first().map_or(50, |byte| u64::from(*byte) * 20);
                self.now = self.now + Duration::from_millis(millis);
                for driver in &mut self.drivers {
                    driver.handle_timeout(self.now);
                }
            }
            _ => self.feed(which, bytes),
        }
    }

    fn feed(&mut self, to: usize, bytes: &[u8]) {
        if let Some(driver) = self.drivers.get_mut(to) {
            let request = HandshakeRequest::Datagram(Packet::copy_of(bytes));
            driver.handle(self.now, KEY, request);
        }
    }

    /// Takes what comes out, and checks what must always hold.
    fn settle(&mut self) {
        for (which, driver) in self.drivers.iter_mut().enumerate() {
            let mut outcomes = 0;
            while let Some((key, event)) = driver.poll() {
                assert_eq!(key, KEY);
                match event {
                    HandshakeEvent::Datagram(packet) | HandshakeEvent::Farewell { packet, .. }
                        if self.flying.len() < 64 =>
                    {
                        self.flying.push_back((1 - which, packet.bytes().to_vec()));
                    }
                    HandshakeEvent::Datagram(_) | HandshakeEvent::Farewell { .. } => {}
                    _ => outcomes += 1,
                }
            }
            assert!(outcomes <= 2, "keys, then an end, at most");
            assert!(driver.half_open() <= 1);
            assert!(
                driver.deadline().is_none_or(|at| at > self.now),
                "it would spin"
            );
        }
    }
}
