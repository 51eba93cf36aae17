//! Answers checks, sends its own and says where the peer can be reached (RFC 8445), through ICE
//! restarts of either end.
//!
//! An agent holds a [`Checklist`] for the credentials in force and, during a restart, the one
//! before it. The old one stays in use, consent included, until the new one has nominated a path
//! and some seconds more, for what is still under way. A restart that finds no path is dropped and
//! the old list holds again. A restart of the peer alone (new remote credentials) keeps our ufrag:
//! the two lists are then told apart by the peer's ufrag.
//!
//! Not done: ICE-lite peers need no rule of their own, since we always send checks; gathering is
//! the caller's; there is no keep-alive but consent.

use core::time::Duration;
use std::collections::VecDeque;

use super::checklist::{Checklist, Context, GIVE_UP, opposite};
use super::stun::{self, Credentials, Peek, Request, StunMessage, TransactionId};
use super::{PASSWORD_CHARS, Token, new_ufrag};
use crate::description::{Candidate, IceRole, TransportDescription};
use crate::engine::Path;
use crate::error::{Discard, Result};
use crate::event::TransportFailure;
use crate::random::Random;
use crate::time::Time;

/// What an agent is made of.
#[derive(Clone, Debug)]
pub(crate) struct AgentOptions {
    /// Leads answers back to this agent.
    pub(crate) token: Token,
    /// Our role, until a conflict says otherwise.
    pub(crate) role: IceRole,
    /// What signaling tells the peer; all on one socket.
    pub(crate) candidates: Vec<Candidate>,
}

/// What an agent tells its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentEvent {
    /// An authenticated check came from there; it may be a replay.
    PathSeen(Path),
    /// A check of ours was answered there.
    PathValidated(Path),
    /// The path is not of interest any more.
    PathForgotten(Path),
    /// Data goes there from now on.
    Selected { path: Path, rtt: Option<Duration> },
    /// Checks with this ufrag of ours are not answered any more.
    UfragForgotten(String),
    /// Nothing may be sent any more; a restart may help.
    Failed(TransportFailure),
}

/// A full ICE agent.
#[derive(Debug)]
pub(crate) struct Agent {
    context: Context,
    current: Checklist,
    old: Option<Old>,
}

#[derive(Debug)]
struct Old {
    list: Checklist,
    /// When the restart is given up, or the new path was nominated some seconds ago.
    until: Time,
}

impl Agent {
    pub(crate) fn new(now: Time, options: AgentOptions, random: &mut Random) -> Result<Self> {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let mut random = Random::new(seed);
        let local = new_credentials(options.token, &mut random)?;
        let context = Context {
            role: options.role,
            tie_breaker: random.u64(),
            token: options.token,
            local: options.candidates,
            random,
            is_in_use: true,
            out: VecDeque::new(),
            events: VecDeque::new(),
        };
        Ok(Self {
            context,
            current: Checklist::new(now, local),
            old: None,
        })
    }

    /// Our ufrag, password and candidates for signaling.
    pub(crate) fn description(&self) -> TransportDescription {
        TransportDescription {
            ufrag: self.current.local.ufrag.clone(),
            password: self.current.local.password.clone(),
            candidates: self.context.local.clone(),
            ..TransportDescription::default()
        }
    }

    /// The ufrags of ours that lead here: one, or two during a restart of ours.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        let old = self.old.as_ref().map(|old| old.list.local.ufrag.as_str());
        let current = self.current.local.ufrag.as_str();
        core::iter::once(current).chain(old.filter(move |ufrag| *ufrag != current))
    }

    /// Where data goes, while the peer consents.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.current
            .selected()
            .or_else(|| self.old.as_ref()?.list.selected())
    }

    /// Whether a check of ours was answered on this path.
    pub(crate) fn is_validated(&self, path: Path) -> bool {
        self.lists().any(|list| list.has_valid(path))
    }

    /// Whether this path is one of ours, validated or not.
    pub(crate) fn is_known(&self, path: Path) -> bool {
        self.lists().any(|list| list.has(path))
    }

    fn lists(&self) -> impl Iterator<Item = &Checklist> {
        core::iter::once(&self.current).chain(self.old.as_ref().map(|old| &old.list))
    }

    /// Says whether more is sent to the peer than checks and their answers: if not, checks are
    /// rarer and [`Self::deadline`] is later. Gives what was said before; at first there is more.
    pub(crate) const fn set_in_use(&mut self, is_in_use: bool) -> bool {
        core::mem::replace(&mut self.context.is_in_use, is_in_use)
    }

    /// Takes the peer's credentials and candidates. The same credentials add candidates; others
    /// are the answer to a restart of ours, or a restart of the peer. Says whether they were new.
    ///
    /// # Errors
    /// [`crate::Error::Misbehaved`] when the credentials are not fit; nothing changes then.
    pub(crate) fn set_remote(&mut self, now: Time, remote: &TransportDescription) -> Result<bool> {
        let ufrag = &remote.ufrag;
        let is_of = |list: &Checklist| {
            list.remote
                .as_ref()
                .is_some_and(|known| known.is(ufrag, &remote.password))
        };
        let is_new = !self.lists().any(is_of);
        if is_of(&self.current) {
            add_candidates(&mut self.current, &self.context, &remote.candidates);
        } else if let Some(old) = self.old.as_mut().filter(|old| is_of(&old.list)) {
            // Said before the peer knew of the restart.
            add_candidates(&mut old.list, &self.context, &remote.candidates);
        } else {
            let credentials = Credentials::new(ufrag.clone(), remote.password.clone())?;
            if self.current.remote.is_some() {
                let next = Checklist::new(now, self.current.local.clone());
                self.replace_current(now, next);
            }
            self.current.set_remote(&mut self.context, now, credentials);
            add_candidates(&mut self.current, &self.context, &remote.candidates);
        }
        self.handle_timeout(now);
        Ok(is_new)
    }

    /// Makes new credentials of ours; the peer's answer comes by [`Self::set_remote`].
    ///
    /// # Errors
    /// None in practice: our own credentials are fit.
    pub(crate) fn restart(&mut self, now: Time) -> Result<()> {
        let local = new_credentials(self.context.token, &mut self.context.random)?;
        self.replace_current(now, Checklist::new(now, local));
        Ok(())
    }

    /// Puts a new list in force. The one before is kept if it works, else the one before that.
    fn replace_current(&mut self, now: Time, next: Checklist) {
        let before = core::mem::replace(&mut self.current, next);
        let until = now + GIVE_UP;
        if before.selected().is_some() || self.old.is_none() {
            let older = self.old.replace(Old {
                list: before,
                until,
            });
            if let Some(older) = older {
                self.forget(&older.list);
            }
        } else {
            if let Some(old) = &mut self.old {
                old.until = until;
            }
            self.forget(&before);
        }
    }

    /// Takes back what the engine knows of a list that is gone.
    fn forget(&mut self, gone: &Checklist) {
        for path in gone.announced() {
            if !self.lists().any(|list| list.has(path)) {
                self.context
                    .events
                    .push_back(AgentEvent::PathForgotten(path));
            }
        }
        let ufrag = &gone.local.ufrag;
        if !self.ufrags().any(|held| held == ufrag) {
            self.context
                .events
                .push_back(AgentEvent::UfragForgotten(ufrag.clone()));
        }
    }

    /// Takes a datagram whose first byte is 0 to 3 and that was found to be for this agent.
    ///
    /// # Errors
    /// What it is counted as when it is not ours, not authentic or not expected.
    pub(crate) fn handle_stun(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
    ) -> Result<(), Discard> {
        match stun::peek(bytes)? {
            Peek::Request {
                local_ufrag,
                remote_ufrag,
            } => {
                self.handle_request(now, path, bytes, local_ufrag, remote_ufrag)?;
            }
            Peek::Response(transaction) => self.handle_response(now, path, bytes, transaction)?,
        }
        self.handle_timeout(now);
        Ok(())
    }

    fn handle_request(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
        local_ufrag: &str,
        remote_ufrag: &str,
    ) -> Result<(), Discard> {
        let is_of = |list: &Checklist| list.local.ufrag == local_ufrag;
        let is_exactly = |list: &Checklist| {
            is_of(list)
                && list
                    .remote
                    .as_ref()
                    .is_some_and(|r| r.ufrag == remote_ufrag)
        };
        let list = match &mut self.old {
            Some(old) if is_exactly(&old.list) && !is_exactly(&self.current) => &mut old.list,
            Some(old) if is_of(&old.list) && !is_of(&self.current) => &mut old.list,
            _ if is_of(&self.current) => &mut self.current,
            _ => return Err(Discard::StunUnknownUfrag),
        };
        let request = stun::decode_request(bytes, &list.local)?;
        let transaction = request.transaction;
        let context = &mut self.context;
        if !request.unknown.is_empty() {
            let refusal = stun::encode_unknown(transaction, &request.unknown, &list.local);
            context.send(path, refusal);
        } else if is_role_conflict(context, &request) {
            context.send(path, stun::encode_role_conflict(transaction, &list.local));
        } else {
            context.send(
                path,
                stun::encode_success(transaction, path.remote, &list.local),
            );
            list.handle_request(context, now, path, &request, remote_ufrag);
        }
        Ok(())
    }

    fn handle_response(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
        transaction: TransactionId,
    ) -> Result<(), Discard> {
        let context = &mut self.context;
        let answer = self
            .current
            .handle_response(context, now, path, bytes, transaction);
        match (answer, &mut self.old) {
            (Err(Discard::StunUnexpected), Some(old)) => {
                old.list
                    .handle_response(context, now, path, bytes, transaction)
            }
            (answer, _) => answer,
        }
    }

    /// Does what is due: checks, consent, giving up.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.current.handle_timeout(&mut self.context, now);
        if let Some(old) = &mut self.old {
            old.list.handle_timeout(&mut self.context, now);
        }
        self.retire_old(now);
        if let Some(reason) = self.current.take_failure(now) {
            match self.old.take_if(|old| old.list.selected().is_some()) {
                Some(old) => {
                    let failed = core::mem::replace(&mut self.current, old.list);
                    self.forget(&failed);
                }
                None => self.context.events.push_back(AgentEvent::Failed(reason)),
            }
        }
    }

    fn retire_old(&mut self, now: Time) {
        let is_nominated = self.current.is_nominated();
        let Some(old) = &mut self.old else { return };
        if is_nominated {
            old.until = old.until.min(now + LINGER);
        }
        let is_lost = old.list.take_failure(now).is_some();
        if !is_lost && now < old.until {
            return;
        }
        let is_pending = self.current.selected().is_none();
        if let Some(old) = self.old.take() {
            if is_pending && old.list.selected().is_some() {
                // The restart came to nothing.
                let failed = core::mem::replace(&mut self.current, old.list);
                self.forget(&failed);
            } else {
                self.forget(&old.list);
                if is_lost && is_pending && self.current.remote.is_none() {
                    self.context
                        .events
                        .push_back(AgentEvent::Failed(TransportFailure::ConsentLost));
                }
            }
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let old = self.old.as_ref().map(|old| {
            let list = old.list.deadline(&self.context);
            list.map_or(old.until, |deadline| deadline.min(old.until))
        });
        self.current
            .deadline(&self.context)
            .into_iter()
            .chain(old)
            .min()
    }

    /// The next message to be sent.
    pub(crate) fn poll_message(&mut self) -> Option<(Path, StunMessage)> {
        self.context.out.pop_front()
    }

    /// The next thing that happened.
    pub(crate) fn poll_event(&mut self) -> Option<AgentEvent> {
        self.context.events.pop_front()
    }

    #[cfg(feature = "unstable-toolbox")]
    pub(super) fn pairs(&self) -> usize {
        self.lists().map(Checklist::len).sum()
    }

    #[cfg(test)]
    pub(super) const fn is_nominated(&self) -> bool {
        self.current.is_nominated()
    }

    #[cfg(test)]
    pub(super) const fn role(&self) -> IceRole {
        self.context.role
    }
}

fn add_candidates(list: &mut Checklist, context: &Context, candidates: &[Candidate]) {
    for candidate in candidates {
        list.add_candidate(context, candidate);
    }
}

/// Settles who gives way when both ends believe to have one role (RFC 8445 section 7.3.1.1): we do
/// at once, or the answer tells the peer to.
fn is_role_conflict(context: &mut Context, request: &Request) -> bool {
    let Some((role, tie_breaker)) = request.role else {
        return false;
    };
    if role != context.role {
        return false;
    }
    let we_control = context.tie_breaker >= tie_breaker;
    let peer_yields = we_control == (role == IceRole::Controlling);
    if !peer_yields {
        context.role = opposite(context.role);
    }
    peer_yields
}

fn new_credentials(token: Token, random: &mut Random) -> Result<Credentials> {
    Credentials::new(
        new_ufrag(token.shard, random),
        random.ice_string(PASSWORD_CHARS),
    )
}

/// Time that the path of before a restart is still known.
const LINGER: Duration = Duration::from_secs(3);
