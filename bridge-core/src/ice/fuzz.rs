//! Plays ICE by a script of bytes: losses, forgeries, replays, restarts and time, with checks on
//! every step.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use super::agent::{Agent, AgentOptions};
use super::stun::{self, Check, Credentials, Peek};
use super::{Token, local_candidates};
use crate::description::{Candidate, IceRole, TransportDescription};
use crate::engine::Path;
use crate::id::{EndpointKey, Key, ShardId};
use crate::limits;
use crate::random::Random;
use crate::time::Time;

/// Reads any bytes as STUN; what is signed is read whole, and what we write can be read.
pub(crate) fn stun(data: &[u8]) {
    let Ok(key) = Credentials::new("ABCDEFGH".to_owned(), "p".repeat(24)) else {
        return;
    };
    let kind = if data.first().is_some_and(|byte| byte & 1 == 0) {
        0x0001
    } else {
        0x0111
    };
    let signed = stun::sign(kind, data, &key.password);
    for bytes in [data, signed.as_slice()] {
        let request = stun::decode_request(bytes, &key);
        let response = stun::decode_response(bytes, &key);
        assert!(core::ptr::eq(bytes, signed.as_slice()) || request.is_err() && response.is_err());
        if let Ok(Peek::Request {
            local_ufrag,
            remote_ufrag,
        }) = stun::peek(bytes)
        {
            assert!(local_ufrag.len() + remote_ufrag.len() < bytes.len());
        }
    }
    if let Ok(request) = stun::decode_request(&signed, &key) {
        let answer = stun::encode_unknown(request.transaction, &request.unknown, &key);
        let answer = answer.map(|message| stun::decode_response(message.bytes(), &key));
        assert!(matches!(answer, Some(Ok(stun::Response::Refused))));
    }
}

/// Two agents, what flies between them, and the time.
struct Play {
    now: Time,
    agents: [Agent; 2],
    flying: VecDeque<(usize, Vec<u8>)>,
}

/// Plays a script: each step is an operation and its argument.
pub(crate) fn script(data: &[u8]) {
    let (Some(ours), Some(theirs)) = (agent(0), agent(1)) else {
        return;
    };
    let mut play = Play {
        now: Time::ZERO,
        agents: [ours, theirs],
        flying: VecDeque::new(),
    };
    for step in data.chunks_exact(2).take(500) {
        if let [operation, argument] = *step {
            play.step(operation, argument, data);
            play.settle();
        }
    }
}

fn agent(index: u8) -> Option<Agent> {
    let endpoint = EndpointKey(Key {
        index: index.into(),
        generation: 0,
    });
    let options = AgentOptions {
        token: Token {
            shard: ShardId(index),
            endpoint,
        },
        role: if index == 0 {
            IceRole::Controlling
        } else {
            IceRole::Controlled
        },
        candidates: local_candidates(&[address(index, 10_000)], &[]),
    };
    Agent::new(Time::ZERO, options, &mut Random::new([index; 32])).ok()
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), port)
}

impl Play {
    fn step(&mut self, operation: u8, argument: u8, data: &[u8]) {
        let which = usize::from(argument & 1);
        match operation % 10 {
            0 => {
                let millis = u64::from(argument) * u64::from(argument);
                self.now = self.now + Duration::from_millis(millis);
                for agent in &mut self.agents {
                    agent.handle_timeout(self.now);
                }
            }
            1 => self.deliver(10_000, |_| {}),
            2 => drop(self.flying.pop_front()),
            3 => self.deliver(10_000, |bytes| {
                let at = usize::from(argument) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (argument % 8);
                }
            }),
            4 => self.deliver(u16::from(argument), |_| {}),
            5 => drop(self.with(which, Agent::restart)),
            6 => self.introduce(which, Vec::new()),
            7 => self.forge(which, argument),
            8 => self.feed(which, u16::from(argument), data),
            _ => {
                let candidate = |n| Candidate {
                    priority: u32::from(n) << 20,
                    ..local_candidates(&[address(n, u16::from(argument))], &[]).remove(0)
                };
                self.introduce(which, (0..argument).map(candidate).collect());
            }
        }
    }

    fn with<T>(&mut self, which: usize, act: impl FnOnce(&mut Agent, Time) -> T) -> Option<T> {
        self.agents.get_mut(which).map(|agent| act(agent, self.now))
    }

    fn description(&self, which: usize) -> TransportDescription {
        self.agents
            .get(which)
            .map(Agent::description)
            .unwrap_or_default()
    }

    fn introduce(&mut self, which: usize, candidates: Vec<Candidate>) {
        let mut remote = self.description(1 - which);
        remote.candidates = candidates;
        let taken = self.with(which, |agent, now| agent.set_remote(now, &remote));
        assert!(taken.is_some_and(|taken| taken.is_ok()));
    }

    fn deliver(&mut self, port: u16, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some((to, mut bytes)) = self.flying.pop_front() {
            change(&mut bytes);
            self.feed(to, port, &bytes);
        }
    }

    /// A datagram comes from the other end, or from another port of it.
    fn feed(&mut self, to: usize, port: u16, bytes: &[u8]) {
        let host = u8::try_from(1 - to).unwrap_or(0);
        let path = Path {
            remote: address(host, port),
            local: None,
        };
        let _counted = self.with(to, |agent, now| agent.handle_stun(now, path, bytes));
    }

    /// A check that the peer could have sent.
    fn forge(&mut self, to: usize, argument: u8) {
        let (of, at) = (self.description(1 - to), self.description(to));
        let keys = (
            Credentials::new(of.ufrag, of.password),
            Credentials::new(at.ufrag, at.password),
        );
        let (Ok(of), Ok(at)) = keys else { return };
        let check = Check {
            transaction: [argument; 12],
            priority: u32::from(argument) << 24,
            role: if argument & 2 == 0 {
                IceRole::Controlling
            } else {
                IceRole::Controlled
            },
            tie_breaker: if argument & 4 == 0 { 0 } else { u64::MAX },
            use_candidate: argument & 8 == 0,
        };
        if let Some(message) = stun::encode_check(&check, &of, &at) {
            self.feed(to, u16::from(argument), message.bytes());
        }
    }

    /// Takes what comes out, and checks what must always hold.
    fn settle(&mut self) {
        for (which, agent) in self.agents.iter_mut().enumerate() {
            while let Some((_, message)) = agent.poll_message() {
                assert!(message.bytes().len() <= limits::STUN_BYTES_MAX);
                if self.flying.len() < 256 {
                    self.flying.push_back((1 - which, message.bytes().to_vec()));
                }
            }
            while agent.poll_event().is_some() {}
            agent.handle_timeout(self.now);
            assert!(
                agent.deadline().is_none_or(|at| at > self.now),
                "it would spin"
            );
            assert!(agent.selected().is_none_or(|path| agent.is_known(path)));
            assert!((1..=2).contains(&agent.ufrags().count()));
            assert!(
                agent.pairs() <= 2 * (limits::REMOTE_CANDIDATES_MAX + limits::PEER_REFLEXIVE_MAX)
            );
        }
    }
}
