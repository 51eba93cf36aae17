//! Holds the pairs of one pair of credentials and decides which to check, nominate and select
//! (RFC 8445 sections 6.1.4, 7.2.5, 7.3.1 and 8).
//!
//! | pair state | request of the peer | success | time-out | error |
//! |---|---|---|---|---|
//! | `Waiting` | triggered | – | – | – |
//! | `InProgress` | sent again at once | `Succeeded` | `Failed` | `Failed` |
//! | `Succeeded` | counted; nominated if it says so | refreshed | `Failed` | `Failed` |
//! | `Failed` | `Waiting`, triggered | – | – | – |
//!
//! Controlling, the first pair that works is nominated; one over a relay waits half a second for a
//! better one. A nominated pair is left only when its consent is in doubt and the peer is heard on
//! another pair that works: that is how a client that changed networks is followed. Controlled, the
//! peer's latest nomination holds.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use super::Token;
use super::candidate;
use super::consent::Consent;
use super::stun::{self, Check, Credentials, Request, Response, StunMessage, TransactionId};
use crate::description::{Candidate, CandidateKind, CandidateProtocol, IceRole};
use crate::engine::Path;
use crate::error::Discard;
use crate::event::TransportFailure;
use crate::limits;
use crate::random::Random;
use crate::time::Time;

use super::agent::AgentEvent;

/// What all checklists of an agent share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) role: IceRole,
    pub(super) tie_breaker: u64,
    pub(super) token: Token,
    pub(super) local: Vec<Candidate>,
    pub(super) random: Random,
    /// Whether more is sent than checks and their answers.
    pub(super) is_in_use: bool,
    pub(super) out: VecDeque<(Path, StunMessage)>,
    pub(super) events: VecDeque<AgentEvent>,
}

impl Context {
    /// Queues a message; what does not fit is lost like any datagram.
    pub(super) fn send(&mut self, path: Path, message: Option<StunMessage>) {
        if let Some(message) = message
            && self.out.len() < limits::ICE_QUEUE_MAX
        {
            self.out.push_back((path, message));
        }
    }

    fn allows_loopback(&self) -> bool {
        self.local
            .iter()
            .any(|candidate| candidate.address.ip().is_loopback())
    }

    fn has_family_of(&self, ip: IpAddr) -> bool {
        self.local
            .iter()
            .any(|candidate| candidate.address.is_ipv4() == ip.is_ipv4())
    }

    /// Priority of the candidate of ours that a pair uses: the one whose address the path shows,
    /// else the best of the family.
    fn local_priority(&self, path: Path) -> u32 {
        let exact = self
            .local
            .iter()
            .find(|c| path.local == Some(c.address.ip()));
        let family = |c: &&Candidate| c.address.is_ipv4() == path.remote.is_ipv4();
        exact.map_or_else(
            || {
                let best = self.local.iter().filter(family).map(|c| c.priority).max();
                best.unwrap_or(candidate::priority(CandidateKind::Host, 0))
            },
            |c| c.priority,
        )
    }
}

/// The pairs under one pair of credentials.
#[derive(Debug)]
pub(super) struct Checklist {
    pub(super) local: Credentials,
    pub(super) remote: Option<Credentials>,
    pairs: Vec<Pair>,
    triggered: VecDeque<PairId>,
    next_id: u32,
    /// When it was made, or the remote credentials came: begin of the time to find a path.
    started: Time,
    next_check: Time,
    first_valid: Option<Time>,
    /// The pair that data goes by, and its path: asked for each run of packets.
    selected: Option<(PairId, Path)>,
    is_nominated: bool,
    consent: Option<Consent>,
    /// Checks of the peer are answered and nothing else is done.
    is_dead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PairId(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PairState {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

#[derive(Debug)]
struct Pair {
    id: PairId,
    path: Path,
    kind: CandidateKind,
    remote_priority: u32,
    local_priority: u32,
    state: PairState,
    check: Option<RunningCheck>,
    /// We want to nominate it: the next check says so.
    is_nominating: bool,
    /// The peer nominated it, maybe before it worked.
    nominated_at: Option<Time>,
    /// When the peer last sent a check on it.
    heard: Option<Time>,
    /// The peer's ufrag of its check, while signaling has not named it.
    early_ufrag: Option<String>,
    is_announced: bool,
}

#[derive(Debug)]
struct RunningCheck {
    message: Check,
    sent: Time,
    attempts: u32,
    next: Time,
}

impl Pair {
    fn priority(&self, role: IceRole) -> u64 {
        match role {
            IceRole::Controlling => {
                candidate::pair_priority(self.local_priority, self.remote_priority)
            }
            IceRole::Controlled => {
                candidate::pair_priority(self.remote_priority, self.local_priority)
            }
        }
    }
}

impl Checklist {
    pub(super) const fn new(now: Time, local: Credentials) -> Self {
        Self {
            local,
            remote: None,
            pairs: Vec::new(),
            triggered: VecDeque::new(),
            next_id: 0,
            started: now,
            next_check: now,
            first_valid: None,
            selected: None,
            is_nominated: false,
            consent: None,
            is_dead: false,
        }
    }

    /// The peer's credentials are known from now on. Pairs that other credentials revealed go.
    pub(super) fn set_remote(&mut self, ctx: &mut Context, now: Time, remote: Credentials) {
        self.started = now;
        let (kept, gone): (Vec<_>, Vec<_>) = core::mem::take(&mut self.pairs)
            .into_iter()
            .partition(|pair| pair.early_ufrag.as_ref().is_none_or(|u| *u == remote.ufrag));
        self.pairs = kept;
        ctx.events.extend(
            gone.into_iter()
                .map(|pair| AgentEvent::PathForgotten(pair.path)),
        );
        self.remote = Some(remote);
    }

    /// Adds what signaling names; what we already know, cannot reach, must not check or have no
    /// room for is left out.
    pub(super) fn add_candidate(&mut self, ctx: &Context, candidate: &Candidate) {
        let ip = candidate.address.ip().to_canonical();
        let remote = core::net::SocketAddr::new(ip, candidate.address.port());
        if let Some(pair) = self
            .pairs
            .iter_mut()
            .find(|pair| pair.path.remote == remote)
        {
            pair.kind = candidate.kind;
            pair.remote_priority = candidate.priority;
            return;
        }
        let named = |pair: &&Pair| pair.kind != CandidateKind::PeerReflexive;
        if candidate.protocol == CandidateProtocol::Udp
            && candidate::is_checkable(remote, ctx.allows_loopback())
            && ctx.has_family_of(ip)
            && self.pairs.iter().filter(named).count() < limits::REMOTE_CANDIDATES_MAX
        {
            self.add_pair(
                ctx,
                Path {
                    remote,
                    local: None,
                },
                candidate.kind,
                candidate.priority,
            );
        }
    }

    fn add_pair(
        &mut self,
        ctx: &Context,
        path: Path,
        kind: CandidateKind,
        remote_priority: u32,
    ) -> PairId {
        let id = PairId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.pairs.push(Pair {
            id,
            path,
            kind,
            remote_priority,
            local_priority: ctx.local_priority(path),
            state: PairState::Waiting,
            check: None,
            is_nominating: false,
            nominated_at: None,
            heard: None,
            early_ufrag: None,
            is_announced: false,
        });
        id
    }

    fn pair(&self, id: PairId) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.id == id)
    }

    fn pair_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.id == id)
    }

    /// Where data goes: the nominated pair, before that the first one that works.
    pub(super) fn selected(&self) -> Option<Path> {
        self.selected.map(|(_, path)| path)
    }

    fn selected_id(&self) -> Option<PairId> {
        self.selected.map(|(id, _)| id)
    }

    pub(super) const fn is_nominated(&self) -> bool {
        self.is_nominated
    }

    pub(super) fn has_valid(&self, path: Path) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.path == path && pair.state == PairState::Succeeded)
    }

    pub(super) fn has(&self, path: Path) -> bool {
        self.pairs.iter().any(|pair| pair.path == path)
    }

    #[cfg(feature = "unstable-toolbox")]
    pub(super) const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Every path that the engine was told of.
    pub(super) fn announced(&self) -> impl Iterator<Item = Path> {
        self.pairs
            .iter()
            .filter(|pair| pair.is_announced)
            .map(|pair| pair.path)
    }

    /// Takes an authenticated check of the peer, which has been answered.
    pub(super) fn handle_request(
        &mut self,
        ctx: &mut Context,
        now: Time,
        path: Path,
        request: &Request,
        remote_ufrag: &str,
    ) {
        // A ufrag that signaling has not told us yet, of a peer's restart: it will ask again.
        let is_other = self
            .remote
            .as_ref()
            .is_some_and(|remote| remote.ufrag != remote_ufrag);
        if self.is_dead || is_other {
            return;
        }
        let id = self.find_or_discover(ctx, path, request.priority);
        let is_early = self.remote.is_none();
        let is_nomination = request.use_candidate && ctx.role == IceRole::Controlled;
        let Some(pair) = self.pair_mut(id) else {
            return;
        };
        pair.heard = Some(now);
        if is_early {
            pair.early_ufrag = Some(remote_ufrag.to_owned());
        }
        if is_nomination {
            pair.nominated_at = Some(now);
        }
        if !pair.is_announced {
            pair.is_announced = true;
            ctx.events.push_back(AgentEvent::PathSeen(pair.path));
        }
        match (pair.state, &mut pair.check) {
            (PairState::Succeeded, _) => {
                if is_nomination {
                    self.follow_nomination(ctx, now, id);
                }
            }
            (PairState::InProgress, Some(check)) => {
                check.next = check.next.min(now.max(check.sent + PACING));
            }
            _ => {
                pair.state = PairState::Waiting;
                if !self.triggered.contains(&id) {
                    self.triggered.push_back(id);
                }
            }
        }
    }

    fn find_or_discover(&mut self, ctx: &mut Context, path: Path, priority: u32) -> PairId {
        let exact = self
            .pairs
            .iter()
            .find(|pair| pair.path == path)
            .map(|pair| pair.id);
        if let Some(id) = exact {
            return id;
        }
        // A named candidate: now we know which address of ours it reaches.
        let same = |pair: &&mut Pair| {
            pair.path.remote == path.remote && pair.path.local.is_none() && !pair.is_announced
        };
        if let Some(pair) = self.pairs.iter_mut().find(same) {
            pair.path = path;
            return pair.id;
        }
        self.make_room(ctx);
        self.add_pair(ctx, path, CandidateKind::PeerReflexive, priority)
    }

    /// Lets the discovered pair go that was silent for longest, rather one that does not work.
    fn make_room(&mut self, ctx: &mut Context) {
        let is_discovered = |pair: &&Pair| pair.kind == CandidateKind::PeerReflexive;
        if self.pairs.iter().filter(is_discovered).count() < limits::PEER_REFLEXIVE_MAX {
            return;
        }
        let oldest = self
            .pairs
            .iter()
            .filter(|pair| is_discovered(pair) && Some(pair.id) != self.selected_id())
            .min_by_key(|pair| (pair.state == PairState::Succeeded, pair.heard))
            .map(|pair| (pair.id, pair.path));
        if let Some((id, path)) = oldest {
            self.pairs.retain(|pair| pair.id != id);
            self.triggered.retain(|other| *other != id);
            ctx.events.push_back(AgentEvent::PathForgotten(path));
        }
    }

    /// The peer nominates a pair that works. Its latest word holds; only one that nominates several
    /// at once (as RFC 5245 allowed) is kept on the best of them.
    fn follow_nomination(&mut self, ctx: &mut Context, now: Time, id: PairId) {
        let is_better = |new: &Pair, old: &Pair| {
            let is_recent = old
                .nominated_at
                .is_some_and(|at| now.since(at) < NOMINATION_HOLD);
            new.priority(ctx.role) >= old.priority(ctx.role) || !is_recent
        };
        let current = self
            .selected_id()
            .filter(|_| self.is_nominated)
            .and_then(|id| self.pair(id));
        let goes = match (self.pair(id), current) {
            (Some(_), None) => true,
            (Some(new), Some(old)) => new.id != old.id && is_better(new, old),
            (None, _) => false,
        };
        if goes {
            self.select(ctx, now, id, true, None);
        }
    }

    fn select(
        &mut self,
        ctx: &mut Context,
        now: Time,
        id: PairId,
        is_nominated: bool,
        rtt: Option<Duration>,
    ) {
        self.is_nominated |= is_nominated;
        if self.selected_id() == Some(id) {
            return;
        }
        let Some(path) = self.pair(id).map(|pair| pair.path) else {
            return;
        };
        ctx.events.push_back(AgentEvent::Selected { path, rtt });
        self.selected = Some((id, path));
        self.consent = Some(Consent::new(now, &mut ctx.random));
    }

    /// Takes an answer; `StunUnexpected` if it answers nothing that this list asked.
    pub(super) fn handle_response(
        &mut self,
        ctx: &mut Context,
        now: Time,
        path: Path,
        bytes: &[u8],
        transaction: TransactionId,
    ) -> Result<(), Discard> {
        let is_asked = |pair: &&mut Pair| {
            pair.check
                .as_ref()
                .is_some_and(|check| check.message.transaction == transaction)
        };
        let remote = self.remote.as_ref().ok_or(Discard::StunUnexpected)?;
        let Some(pair) = self.pairs.iter_mut().find(is_asked) else {
            return self.handle_consent_response(now, path, bytes, transaction);
        };
        let response = stun::decode_response(bytes, remote)?;
        let is_symmetric = pair.path.remote == path.remote
            && (pair.path.local.is_none() || pair.path.local == path.local);
        let check = pair
            .check
            .take_if(|_| is_symmetric)
            .ok_or(Discard::StunUnexpected)?;
        let id = pair.id;
        match response {
            Response::Success => self.handle_success(ctx, now, id, path, &check),
            Response::RoleConflict => {
                if ctx.role == check.message.role {
                    ctx.role = opposite(ctx.role);
                }
                if pair.state == PairState::InProgress {
                    pair.state = PairState::Waiting;
                    self.triggered.push_back(id);
                }
                pair.is_nominating = false;
            }
            Response::Refused => {
                pair.state = PairState::Failed;
                pair.is_nominating = false;
            }
        }
        Ok(())
    }

    fn handle_consent_response(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
        transaction: TransactionId,
    ) -> Result<(), Discard> {
        let selected = self.selected();
        let consent = self.consent.as_mut().ok_or(Discard::StunUnexpected)?;
        let remote = self.remote.as_ref().ok_or(Discard::StunUnexpected)?;
        if !consent.has_asked(transaction) || selected != Some(path) {
            return Err(Discard::StunUnexpected);
        }
        if stun::decode_response(bytes, remote)? == Response::Success {
            consent.answered(now, transaction);
        }
        Ok(())
    }

    fn handle_success(
        &mut self,
        ctx: &mut Context,
        now: Time,
        id: PairId,
        path: Path,
        check: &RunningCheck,
    ) {
        let Some(pair) = self.pair_mut(id) else {
            return;
        };
        pair.path = path;
        if pair.state != PairState::Succeeded {
            pair.state = PairState::Succeeded;
            pair.is_announced = true;
            ctx.events.push_back(AgentEvent::PathValidated(path));
        }
        let by_us = check.message.use_candidate && ctx.role == IceRole::Controlling;
        let by_peer = pair.nominated_at.is_some() && ctx.role == IceRole::Controlled;
        pair.is_nominating &= !by_us && ctx.role == IceRole::Controlling;
        self.first_valid.get_or_insert(now);
        // Karn: an answer to a repeated check does not say which one it answers.
        let rtt = (check.attempts == 1).then(|| now.since(check.sent));
        if by_us || self.selected.is_none() {
            self.select(ctx, now, id, by_us, rtt);
        }
        if by_peer {
            self.follow_nomination(ctx, now, id);
        }
        if self.selected_id() == Some(id)
            && let Some(consent) = &mut self.consent
        {
            consent.confirm(now);
        }
    }

    /// Does what is due. A list without remote credentials has nothing to do.
    pub(super) fn handle_timeout(&mut self, ctx: &mut Context, now: Time) {
        if self.is_dead || self.remote.is_none() {
            return;
        }
        self.repeat_checks(ctx, now);
        self.nominate(ctx, now);
        if now >= self.next_check && self.start_next_check(ctx, now) {
            self.next_check = now + PACING;
        }
        self.renew_consent(ctx, now);
    }

    /// Why the list has no future, once.
    pub(super) fn take_failure(&mut self, now: Time) -> Option<TransportFailure> {
        let reason = match &self.consent {
            _ if self.is_dead => None,
            Some(consent) => consent
                .is_lost(now)
                .then_some(TransportFailure::ConsentLost),
            None => self
                .remote
                .is_some()
                .then_some(TransportFailure::Ice)
                .filter(|_| now >= self.started + GIVE_UP),
        };
        if reason.is_some() {
            self.is_dead = true;
            self.selected = None;
            self.is_nominated = false;
            self.consent = None;
        }
        reason
    }

    /// When to call [`Self::handle_timeout`] and [`Self::take_failure`] again at the latest.
    pub(super) fn deadline(&self, ctx: &Context) -> Option<Time> {
        if self.is_dead || self.remote.is_none() {
            return None;
        }
        let running = self
            .pairs
            .iter()
            .filter_map(|pair| Some(pair.check.as_ref()?.next));
        let has_work = !self.triggered.is_empty()
            || !self.is_nominated && self.pairs.iter().any(|p| p.state == PairState::Waiting);
        let is_undecided = ctx.role == IceRole::Controlling
            && !self.is_nominated
            && !self.pairs.iter().any(|pair| pair.is_nominating)
            && self
                .pairs
                .iter()
                .any(|pair| pair.state == PairState::Succeeded);
        let other = [
            has_work.then_some(self.next_check),
            self.first_valid
                .filter(|_| is_undecided)
                .map(|at| at + RELAY_PATIENCE),
            Some(
                self.consent
                    .as_ref()
                    .map_or(self.started + GIVE_UP, |consent| {
                        consent.deadline(self.rests(ctx))
                    }),
            ),
        ];
        running.chain(other.into_iter().flatten()).min()
    }

    fn repeat_checks(&mut self, ctx: &mut Context, now: Time) {
        let Some(remote) = &self.remote else { return };
        for pair in &mut self.pairs {
            let Some(check) = pair.check.as_mut().filter(|check| now >= check.next) else {
                continue;
            };
            if check.attempts >= ATTEMPTS_MAX {
                pair.check = None;
                pair.is_nominating = false;
                pair.state = PairState::Failed;
                continue;
            }
            check.sent = now;
            check.next = now + FIRST_TIMEOUT * (1 << check.attempts.min(4));
            check.attempts += 1;
            ctx.send(
                pair.path,
                stun::encode_check(&check.message, &self.local, remote),
            );
        }
    }

    /// Controlling: chooses the pair that the next checks nominate.
    fn nominate(&mut self, ctx: &Context, now: Time) {
        let Some(first_valid) = self.first_valid else {
            return;
        };
        if ctx.role != IceRole::Controlling
            || self.is_nominated
            || self.pairs.iter().any(|pair| pair.is_nominating)
        {
            return;
        }
        let is_patient = now < first_valid + RELAY_PATIENCE;
        let best = self
            .pairs
            .iter_mut()
            .filter(|pair| pair.state == PairState::Succeeded)
            .filter(|pair| !is_patient || pair.kind != CandidateKind::Relayed)
            .max_by_key(|pair| (pair.kind != CandidateKind::Relayed, pair.priority(ctx.role)));
        if let Some(pair) = best {
            pair.is_nominating = true;
            self.triggered.push_front(pair.id);
        }
    }

    /// Sends one check that is wanted: a triggered one first, then by priority.
    fn start_next_check(&mut self, ctx: &mut Context, now: Time) -> bool {
        while let Some(id) = self.triggered.pop_front() {
            if self.start_check(ctx, now, id) {
                return true;
            }
        }
        let best = self
            .pairs
            .iter()
            .filter(|pair| pair.state == PairState::Waiting && !self.is_nominated)
            .max_by_key(|pair| pair.priority(ctx.role))
            .map(|pair| pair.id);
        best.is_some_and(|id| self.start_check(ctx, now, id))
    }

    fn start_check(&mut self, ctx: &mut Context, now: Time, id: PairId) -> bool {
        let Some(remote) = &self.remote else {
            return false;
        };
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.id == id) else {
            return false;
        };
        let is_wanted = pair.state == PairState::Waiting || pair.is_nominating;
        if !is_wanted || pair.check.is_some() {
            return false;
        }
        let message = ctx.new_check(pair.is_nominating);
        ctx.send(pair.path, stun::encode_check(&message, &self.local, remote));
        if pair.state == PairState::Waiting {
            pair.state = PairState::InProgress;
        }
        pair.check = Some(RunningCheck {
            message,
            sent: now,
            attempts: 1,
            next: now + FIRST_TIMEOUT,
        });
        true
    }

    /// When the peer last sent a check on the selected path, if that path rests.
    fn rests(&self, ctx: &Context) -> Option<Time> {
        let selected = self.selected_id().filter(|_| !ctx.is_in_use)?;
        self.pair(selected)?.heard
    }

    fn renew_consent(&mut self, ctx: &mut Context, now: Time) {
        let (Some(remote), Some(path)) = (&self.remote, self.selected()) else {
            return;
        };
        let rests = self.rests(ctx);
        let is_answering = rests == Some(now);
        let is_due =
            |consent: &Consent| consent.is_due(now, rests) || is_answering && consent.is_ripe(now);
        let Some(consent) = self.consent.as_mut().filter(|consent| is_due(consent)) else {
            return;
        };
        let is_doubtful = consent.is_doubtful(now);
        let message = ctx.new_check(false);
        consent.asked(now, message.transaction, &mut ctx.random);
        ctx.send(path, stun::encode_check(&message, &self.local, remote));
        if is_doubtful && ctx.role == IceRole::Controlling {
            self.nominate_spare();
        }
    }

    /// Moves to another pair that works and on which the peer was heard since the selected fell
    /// silent.
    fn nominate_spare(&mut self) {
        let heard = self
            .selected_id()
            .and_then(|id| self.pair(id))
            .and_then(|pair| pair.heard);
        let spare = self
            .pairs
            .iter_mut()
            .filter(|pair| pair.state == PairState::Succeeded && pair.heard > heard)
            .max_by_key(|pair| pair.heard);
        if let Some(pair) = spare {
            pair.is_nominating = true;
            self.triggered.push_front(pair.id);
        }
    }
}

impl Context {
    fn new_check(&mut self, is_nominating: bool) -> Check {
        Check {
            transaction: self.token.transaction(&mut self.random),
            priority: candidate::priority(CandidateKind::PeerReflexive, u16::MAX),
            role: self.role,
            tie_breaker: self.tie_breaker,
            use_candidate: is_nominating && self.role == IceRole::Controlling,
        }
    }
}

pub(super) const fn opposite(role: IceRole) -> IceRole {
    match role {
        IceRole::Controlling => IceRole::Controlled,
        IceRole::Controlled => IceRole::Controlling,
    }
}

/// Least time between two checks of an agent (`Ta`).
const PACING: Duration = Duration::from_millis(50);
/// Time to wait for an answer at first (`RTO`); it doubles up to sixteenfold.
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);
/// Times that a check is sent; the last answer is waited for until 23.5 s have passed.
const ATTEMPTS_MAX: u32 = 6;
/// Time to find a path.
pub(super) const GIVE_UP: Duration = Duration::from_secs(30);
/// Time that a path over a relay waits for a better one.
const RELAY_PATIENCE: Duration = Duration::from_millis(500);
/// Time that a nomination holds against a pair of lower priority.
const NOMINATION_HOLD: Duration = Duration::from_secs(1);
