//! Runs agents against each other, and against forged datagrams, in virtual time.

use core::net::SocketAddr;
use core::time::Duration;

use super::agent::{Agent, AgentEvent, AgentOptions};
use super::stun::{self, Check, Credentials, StunMessage};
use super::*;
use crate::description::{Candidate, CandidateKind, IceRole, TransportDescription};
use crate::engine::Path;
use crate::event::TransportFailure;
use crate::time::Time;

/// One end: an agent behind one address.
struct End {
    agent: Agent,
    address: SocketAddr,
    /// Names no candidates.
    is_silent: bool,
    events: Vec<(Time, AgentEvent)>,
}

/// Two ends and a wire of 10 ms each way.
struct Wire {
    now: Time,
    ends: [End; 2],
    flying: Vec<(Time, SocketAddr, SocketAddr, Vec<u8>)>,
    /// Says by number and direction whether a datagram is lost.
    is_lost: fn(u32, u32) -> bool,
    sent: [u32; 2],
}

const DELAY: Duration = Duration::from_millis(10);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn token(index: u32) -> Token {
    Token {
        shard: ShardId(5),
        endpoint: EndpointKey(Key {
            index,
            generation: 9,
        }),
    }
}

fn end(index: u32, role: IceRole, at: &str, advertised: bool) -> End {
    let address = address(at);
    let candidates = local_candidates(&[address], &[]);
    let mut random = Random::new([u8::try_from(index).unwrap(); 32]);
    let options = AgentOptions {
        token: token(index),
        role,
        candidates,
    };
    let agent = Agent::new(Time::ZERO, options, &mut random).unwrap();
    End {
        agent,
        address,
        is_silent: !advertised,
        events: Vec::new(),
    }
}

impl End {
    /// What signaling tells the other end.
    fn description(&self) -> TransportDescription {
        let mut description = self.agent.description();
        if self.is_silent {
            description.candidates.clear();
        }
        description
    }
}

/// A bridge at one end and a client that names no candidates at the other.
fn wire(ours: IceRole, theirs: IceRole) -> Wire {
    Wire {
        now: Time::ZERO,
        ends: [
            end(1, ours, "192.0.2.1:10000", true),
            end(2, theirs, "198.51.100.2:4000", false),
        ],
        flying: Vec::new(),
        is_lost: |_, _| false,
        sent: [0; 2],
    }
}

impl Wire {
    /// Each end gets the other's description, as signaling would bring it.
    fn introduce(&mut self) {
        let descriptions = [self.ends[0].description(), self.ends[1].description()];
        self.ends[0]
            .agent
            .set_remote(self.now, &descriptions[1])
            .unwrap();
        self.ends[1]
            .agent
            .set_remote(self.now, &descriptions[0])
            .unwrap();
    }

    fn at(&self, at: SocketAddr) -> Option<usize> {
        self.ends.iter().position(|end| end.address == at)
    }

    fn collect(&mut self) {
        for (which, end) in self.ends.iter_mut().enumerate() {
            while let Some(event) = end.agent.poll_event() {
                end.events.push((self.now, event));
            }
            while let Some((path, message)) = end.agent.poll_message() {
                self.sent[which] += 1;
                if !(self.is_lost)(self.sent[which], u32::try_from(which).unwrap()) {
                    let bytes = message.bytes().to_vec();
                    self.flying
                        .push((self.now + DELAY, end.address, path.remote, bytes));
                }
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.collect();
            let deadlines = self.ends.iter().filter_map(|end| end.agent.deadline());
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let next = deadlines.chain(arrivals).min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.deliver();
            for end in &mut self.ends {
                end.agent.handle_timeout(self.now);
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (due, later) = self.flying.drain(..).partition(|(at, ..)| *at <= now);
        self.flying = later;
        let due: Vec<_> = due;
        for (_, from, to, bytes) in due {
            if let Some(which) = self.at(to) {
                let path = Path {
                    remote: from,
                    local: Some(to.ip()),
                };
                let _discarded = self.ends[which].agent.handle_stun(now, path, &bytes);
            }
        }
    }

    fn has(&self, which: usize, wanted: impl Fn(&AgentEvent) -> bool) -> Option<Time> {
        self.ends[which]
            .events
            .iter()
            .find(|(_, event)| wanted(event))
            .map(|(at, _)| *at)
    }

    fn selected(&self, which: usize) -> Option<SocketAddr> {
        self.ends[which].agent.selected().map(|path| path.remote)
    }
}

fn is_selected(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Selected { .. })
}

fn is_failed(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Failed(_))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_client_that_names_no_candidates_is_found_by_its_checks_in_each_role() {
    for (ours, theirs) in [
        (IceRole::Controlling, IceRole::Controlled),
        (IceRole::Controlled, IceRole::Controlling),
    ] {
        let mut wire = wire(ours, theirs);
        wire.introduce();
        wire.run(seconds(1));
        assert_eq!(wire.selected(0), Some(wire.ends[1].address));
        assert_eq!(wire.selected(1), Some(wire.ends[0].address));
        let at = wire.has(0, is_selected).unwrap();
        assert_eq!(at.as_millis(), 30, "its check, ours, its answer");
        assert!(
            wire.has(0, |e| *e == AgentEvent::PathSeen(path_of(&wire)))
                .is_some()
        );
        assert!(wire.ends.iter().all(|end| end.agent.is_nominated()));
    }
}

fn path_of(wire: &Wire) -> Path {
    Path {
        remote: wire.ends[1].address,
        local: Some(wire.ends[0].address.ip()),
    }
}

#[test]
fn the_round_trip_of_the_first_check_is_told() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(1));
    let rtt = wire.ends[0]
        .events
        .iter()
        .find_map(|(_, event)| match event {
            AgentEvent::Selected { rtt, .. } => *rtt,
            _ => None,
        });
    assert_eq!(rtt, Some(DELAY * 2));
}

#[test]
fn loss_delays_a_path_but_does_not_prevent_it() {
    let patterns: [fn(u32, u32) -> bool; 4] = [
        |n, which| 0x65d1_3b96_e82c_7a4f_u64 >> ((n + 23 * which) % 64) & 1 == 1,
        |n, which| (n * 7 + 3 * which) % 11 < 6,
        |n, which| which == 0 && n < 5,
        |n, which| which == 1 && n < 5,
    ];
    for (which, is_lost) in patterns.into_iter().enumerate() {
        let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
        wire.is_lost = is_lost;
        wire.introduce();
        wire.run(seconds(20));
        assert!(
            wire.selected(0).is_some() && wire.selected(1).is_some(),
            "pattern {which}"
        );
        assert!(
            wire.ends.iter().all(|end| end.agent.is_nominated()),
            "pattern {which}"
        );
    }
}

#[test]
fn ends_of_one_role_settle_on_two() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut wire = wire(role, role);
        wire.introduce();
        wire.run(seconds(3));
        assert_ne!(
            wire.ends[0].agent.role(),
            wire.ends[1].agent.role(),
            "{role:?}"
        );
        assert!(
            wire.ends.iter().all(|end| end.agent.is_nominated()),
            "{role:?}"
        );
    }
}

#[test]
fn checks_that_come_before_signaling_are_answered_and_used_later() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    let ours = wire.ends[0].description();
    wire.ends[1].agent.set_remote(Time::ZERO, &ours).unwrap();
    wire.run(seconds(1));
    assert_eq!(wire.selected(0), None, "the client's password is not known");
    assert!(wire.selected(1).is_some(), "its check was answered");
    let theirs = wire.ends[1].description();
    wire.ends[0].agent.set_remote(wire.now, &theirs).unwrap();
    wire.run(Duration::from_millis(100));
    assert!(wire.selected(0).is_some());
}

#[test]
fn a_path_that_nobody_answers_fails_after_thirty_seconds() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.is_lost = |_, which| which == 1;
    wire.introduce();
    wire.run(seconds(40));
    let failed = AgentEvent::Failed(TransportFailure::Ice);
    assert_eq!(
        wire.has(0, |e| *e == failed).map(Time::as_millis),
        Some(30_000)
    );
    assert_eq!(
        wire.ends[0]
            .events
            .iter()
            .filter(|(_, e)| is_failed(e))
            .count(),
        1
    );
}

#[test]
fn without_consent_nothing_is_sent_after_thirty_seconds() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(300));
    assert!(wire.selected(0).is_some(), "consent is renewed for minutes");
    let stopped = wire.now;
    wire.is_lost = |_, which| which == 1;
    wire.run(seconds(40));
    let lost = AgentEvent::Failed(TransportFailure::ConsentLost);
    let at = wire.has(0, |event| *event == lost).unwrap();
    assert!((24..=30).contains(&at.since(stopped).as_secs()), "{at:?}");
    assert_eq!(wire.selected(0), None);
    let sent = wire.sent[0];
    wire.run(seconds(60));
    assert_eq!(wire.sent[0], sent);
}

#[test]
fn consent_checks_are_sent_at_the_pace_of_the_rfc() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(10));
    let before = wire.sent;
    wire.run(seconds(600));
    // Each end asks about 120 times and answers as often.
    for (after, before) in wire.sent.iter().zip(before) {
        assert!(
            (220..=260).contains(&(after - before)),
            "{}",
            after - before
        );
    }
}

/// A bridge that sends nothing but checks and answers, after a while.
fn resting() -> Wire {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.ends[0].agent.set_in_use(false);
    wire.run(seconds(20));
    wire
}

#[test]
fn on_a_path_that_rests_half_of_the_checks_are_left_out() {
    let mut wire = resting();
    let before = wire.sent;
    wire.run(seconds(600));
    // The client asks about 120 times, the bridge less than half as often.
    for (after, before) in wire.sent.iter().zip(before) {
        let sent = after - before;
        assert!((155..=185).contains(&sent), "{sent}");
    }
    assert!(wire.has(0, is_failed).is_none());
}

#[test]
fn a_peer_that_falls_silent_on_a_path_that_rests_is_asked_at_once_and_given_up_in_time() {
    let mut wire = resting();
    wire.is_lost = |_, which| which == 1;
    let sent = wire.sent[0];
    wire.run(seconds(13));
    assert!(wire.selected(0).is_some());
    assert!(wire.sent[0] - sent >= 2, "{}", wire.sent[0] - sent);
    wire.run(seconds(17));
    let lost = AgentEvent::Failed(TransportFailure::ConsentLost);
    assert!(wire.has(0, |event| *event == lost).is_some());
    assert!(wire.selected(0).is_none());
}

#[test]
fn a_path_that_is_used_again_is_asked_on_at_the_full_pace_again() {
    let mut wire = resting();
    let due = wire.ends[0].agent.deadline().unwrap();
    assert!(due > wire.now);
    assert!(!wire.ends[0].agent.set_in_use(true));
    assert!(wire.ends[0].agent.deadline().unwrap() < due);
    let before = wire.sent;
    wire.run(seconds(600));
    for (after, before) in wire.sent.iter().zip(before) {
        assert!((220..=260).contains(&(after - before)));
    }
}

#[test]
fn our_restart_keeps_the_old_path_until_the_new_one_works() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(1));
    let old = wire.ends[0].description();
    wire.ends[0].agent.restart(wire.now).unwrap();
    let new = wire.ends[0].description();
    assert_ne!(old.ufrag, new.ufrag);
    assert_eq!(
        new.ufrag.as_bytes()[0],
        old.ufrag.as_bytes()[0],
        "the shard"
    );
    assert_eq!(wire.ends[0].agent.ufrags().count(), 2);
    wire.run(seconds(10));
    assert!(wire.selected(0).is_some(), "the peer has not answered yet");
    // The client restarts from a new address too.
    wire.ends[1].agent.restart(wire.now).unwrap();
    wire.ends[1].address = address("198.51.100.2:5000");
    wire.introduce();
    wire.run(seconds(1));
    assert_eq!(wire.selected(0), Some(address("198.51.100.2:5000")));
    wire.run(seconds(4));
    assert!(wire.ends[0].agent.ufrags().eq([new.ufrag.as_str()]));
    let gone = AgentEvent::UfragForgotten(old.ufrag);
    assert!(wire.has(0, |event| *event == gone).is_some());
    let forgotten =
        |e: &AgentEvent| matches!(e, AgentEvent::PathForgotten(p) if p.remote.port() == 4000);
    assert!(wire.has(0, forgotten).is_some());
    assert!(wire.has(0, is_failed).is_none());
}

#[test]
fn a_restart_that_comes_to_nothing_leaves_the_old_path_in_force() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(1));
    let old = wire.ends[0].description().ufrag;
    wire.ends[0].agent.restart(wire.now).unwrap();
    wire.run(seconds(60));
    assert!(wire.selected(0).is_some());
    assert!(wire.ends[0].agent.ufrags().eq([old.as_str()]));
    assert!(wire.has(0, is_failed).is_none());
}

#[test]
fn a_restart_of_the_peer_alone_keeps_our_ufrag() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(1));
    let ours = wire.ends[0].description();
    wire.ends[1] = end(3, IceRole::Controlled, "198.51.100.2:4000", false);
    wire.ends[1].agent.set_remote(wire.now, &ours).unwrap();
    // Its new checks are here before signaling.
    wire.run(seconds(1));
    assert!(wire.selected(0).is_some());
    let theirs = wire.ends[1].description();
    assert!(wire.ends[0].agent.set_remote(wire.now, &theirs).unwrap());
    assert!(
        !wire.ends[0].agent.set_remote(wire.now, &theirs).unwrap(),
        "said twice"
    );
    wire.run(seconds(10));
    assert!(wire.ends.iter().all(|end| end.agent.is_nominated()));
    assert!(wire.ends[0].agent.ufrags().eq([ours.ufrag.as_str()]));
    assert!(wire.has(0, is_failed).is_none());
}

#[test]
fn a_client_that_changed_networks_is_followed() {
    for is_in_use in [true, false] {
        let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
        wire.introduce();
        wire.ends[0].agent.set_in_use(is_in_use);
        wire.run(seconds(5));
        follow(wire);
    }
}

fn follow(mut wire: Wire) {
    let theirs = wire.ends[1].description();
    let ours = wire.ends[0].description();
    // The same credentials at another address, as a browser's agent does it; the old one is dead.
    wire.ends[1].address = address("203.0.113.9:6000");
    let check = Check {
        transaction: [7; 12],
        priority: 1,
        role: IceRole::Controlled,
        tie_breaker: 1,
        use_candidate: false,
    };
    for second in 0..30 {
        if second % 2 == 0 {
            let bytes = signed(&check, &theirs, &ours);
            let from = wire.ends[1].address;
            wire.flying
                .push((wire.now, from, wire.ends[0].address, bytes));
        }
        wire.run(seconds(1));
    }
    assert_eq!(wire.selected(0), Some(address("203.0.113.9:6000")));
    assert!(wire.has(0, is_failed).is_none());
}

/// A check from `from` to `to`, as signaling described them.
fn signed(check: &Check, from: &TransportDescription, to: &TransportDescription) -> Vec<u8> {
    let of =
        |d: &TransportDescription| Credentials::new(d.ufrag.clone(), d.password.clone()).unwrap();
    stun::encode_check(check, &of(from), &of(to))
        .unwrap()
        .bytes()
        .to_vec()
}

#[test]
fn strangers_get_no_answer_and_leave_no_state() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(seconds(1));
    let ours = wire.ends[0].description();
    let theirs = wire.ends[1].description();
    let mut wrong = ours.clone();
    wrong.password = "x".repeat(24);
    let mut unknown = ours.clone();
    unknown.ufrag = "F234567890".to_owned();
    let check = Check {
        transaction: [7; 12],
        priority: 1,
        role: IceRole::Controlled,
        tie_breaker: 1,
        use_candidate: true,
    };
    let stranger = Path {
        remote: address("203.0.113.1:1"),
        local: None,
    };
    let cases = [
        (
            signed(&check, &theirs, &wrong),
            Discard::StunUnauthenticated,
        ),
        (signed(&check, &theirs, &unknown), Discard::StunUnknownUfrag),
        (
            unsigned(&signed(&check, &theirs, &ours)),
            Discard::StunUnauthenticated,
        ),
    ];
    for (bytes, reason) in cases {
        let agent = &mut wire.ends[0].agent;
        assert_eq!(agent.handle_stun(wire.now, stranger, &bytes), Err(reason));
        assert!(agent.poll_message().is_none() && agent.poll_event().is_none());
        assert!(!agent.is_known(stranger));
    }
}

/// The same request without integrity and fingerprint.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 32].to_vec();
    let length = u16::try_from(bytes.len() - 20).unwrap().to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    bytes
}

#[test]
fn a_replayed_check_from_elsewhere_moves_nothing() {
    let mut wire = wire(IceRole::Controlled, IceRole::Controlling);
    wire.introduce();
    wire.run(seconds(1));
    let check = Check {
        transaction: [7; 12],
        priority: u32::MAX,
        role: IceRole::Controlling,
        tie_breaker: 1,
        use_candidate: true,
    };
    let ours = wire.ends[0].description();
    let bytes = signed(&check, &wire.ends[1].description(), &ours);
    let before = wire.selected(0);
    for port in 0..200 {
        let from = SocketAddr::new("203.0.113.1".parse().unwrap(), 1_000 + port);
        wire.flying
            .push((wire.now, from, wire.ends[0].address, bytes.clone()));
    }
    wire.run(seconds(60));
    assert_eq!(wire.selected(0), before);
    let known = (0..200).filter(|port| {
        let remote = SocketAddr::new("203.0.113.1".parse().unwrap(), 1_000 + port);
        wire.ends[0].agent.is_known(Path {
            remote,
            local: Some(wire.ends[0].address.ip()),
        })
    });
    assert!(known.count() <= crate::limits::PEER_REFLEXIVE_MAX);
}

#[test]
fn an_answer_is_taken_once_from_where_it_was_asked_and_with_the_right_key() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    wire.run(Duration::from_millis(15));
    // The client's check is answered; our own is on its way.
    let (_, _, to, request) = wire
        .flying
        .iter()
        .find(|(_, from, _, bytes)| *from == wire.ends[0].address && bytes[0] == 0)
        .cloned()
        .unwrap();
    let Ok(Peek::Request { .. }) = peek(&request) else {
        panic!("not a request")
    };
    let transaction: [u8; 12] = request[8..20].try_into().unwrap();
    assert_eq!(Token::of_transaction(transaction), token(1));
    let theirs = wire.ends[1].description();
    let key = Credentials::new(theirs.ufrag, theirs.password).unwrap();
    let answer = stun::encode_success(transaction, to, &key).unwrap();
    let forged = Credentials::new("abcdefgh".into(), "y".repeat(24)).unwrap();
    let forged = stun::encode_success(transaction, to, &forged).unwrap();
    let path = path_of(&wire);
    let elsewhere = Path {
        remote: address("203.0.113.1:9"),
        local: path.local,
    };
    let now = wire.now;
    let mut take =
        |path, message: &StunMessage| wire.ends[0].agent.handle_stun(now, path, message.bytes());
    assert_eq!(take(path, &forged), Err(Discard::StunUnauthenticated));
    assert_eq!(take(elsewhere, &answer), Err(Discard::StunUnexpected));
    assert_eq!(take(path, &answer), Ok(()));
    assert_eq!(take(path, &answer), Err(Discard::StunUnexpected));
}

#[test]
fn named_candidates_are_checked_best_first_at_a_pace_within_bounds() {
    let mut bridge = end(1, IceRole::Controlling, "192.0.2.1:10000", true);
    let client = end(2, IceRole::Controlled, "198.51.100.2:4000", false);
    let mut remote = client.description();
    remote.candidates = (0..500u16)
        .map(|n| Candidate {
            address: SocketAddr::new("198.51.100.7".parse().unwrap(), 1 + n),
            priority: u32::from(n),
            ..local_candidates(&[client.address], &[]).remove(0)
        })
        .collect();
    for (ip, n) in [
        ("127.0.0.1", 0),
        ("0.0.0.0", 1),
        ("::ffff:127.0.0.1", 2),
        ("fe80::1", 3),
    ] {
        let candidate = Candidate {
            address: SocketAddr::new(ip.parse().unwrap(), 9),
            kind: CandidateKind::Host,
            ..remote.candidates[n].clone()
        };
        remote.candidates.insert(0, candidate);
    }
    bridge.agent.set_remote(Time::ZERO, &remote).unwrap();
    let mut sent = Vec::new();
    for ms in 0..2_500 {
        bridge.agent.handle_timeout(Time::from_millis(ms));
        while let Some((path, _)) = bridge.agent.poll_message() {
            sent.push(path.remote.port());
        }
    }
    let first: Vec<_> = sent.iter().copied().take(10).collect();
    assert_eq!(first, (31..=40).rev().collect::<Vec<_>>(), "best first");
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(
        sent,
        (1..=40).collect::<Vec<u16>>(),
        "forty of them, none of this machine"
    );
}

#[test]
fn a_path_over_a_relay_is_used_at_once_but_waits_for_a_better_one_to_be_nominated() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    let ours = wire.ends[0].description();
    let mut theirs = wire.ends[1].description();
    theirs.candidates = local_candidates(&[wire.ends[1].address], &[]);
    theirs.candidates[0].kind = CandidateKind::Relayed;
    theirs.candidates[0].priority = 1;
    wire.ends[0].agent.set_remote(Time::ZERO, &theirs).unwrap();
    wire.ends[1].agent.set_remote(Time::ZERO, &ours).unwrap();
    wire.run(Duration::from_millis(300));
    assert!(wire.selected(0).is_some() && !wire.ends[0].agent.is_nominated());
    wire.run(Duration::from_millis(400));
    assert!(wire.ends[0].agent.is_nominated());
}

#[test]
fn what_must_be_understood_and_is_not_gets_420_and_no_state() {
    let mut wire = wire(IceRole::Controlling, IceRole::Controlled);
    wire.introduce();
    let ours = wire.ends[0].description();
    let key = Credentials::new(ours.ufrag.clone(), ours.password).unwrap();
    let username = format!("{}:peer", ours.ufrag);
    let length = u8::try_from(username.len()).unwrap();
    let mut body = vec![0, 6, 0, length];
    body.extend(username.bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend([0x77, 0x77, 0, 0]);
    let request = stun::sign(0x0001, &body, &key.password);
    let path = Path {
        remote: address("203.0.113.1:1"),
        local: None,
    };
    wire.ends[0]
        .agent
        .handle_stun(Time::ZERO, path, &request)
        .unwrap();
    let (to, answer) = wire.ends[0].agent.poll_message().unwrap();
    assert_eq!(to, path);
    assert_eq!(
        stun::decode_response(answer.bytes(), &key),
        Ok(stun::Response::Refused)
    );
    assert!(
        answer
            .bytes()
            .windows(4)
            .any(|window| window == [0, 0, 4, 20]),
        "420"
    );
    assert!(!wire.ends[0].agent.is_known(path));
}
