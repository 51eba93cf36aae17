//! Records what an engine puts out, so that it can be delivered, compared or thrown away.

use crate::command::{Reply, Ticket};
use crate::engine::{HandshakeRequest, Outbox, Path, Run, ShardMessage};
use crate::error::Result;
use crate::event::Event;
use crate::id::{EndpointKey, ShardId};
use crate::limits::HANDOFF_MAX;

/// Bytes that a recorder holds at once.
const ARENA_BYTES: usize = 4 << 20;

/// An outbox that keeps everything until it is asked.
#[derive(Debug)]
pub struct Recorder {
    arena: Vec<u8>,
    used: usize,
    runs: Vec<(Run, usize)>,
    /// What happened.
    pub events: Vec<Event>,
    /// Answers to commands.
    pub replies: Vec<(Ticket, Result<Reply>)>,
    /// Requests to handshake machines.
    pub handshakes: Vec<(EndpointKey, HandshakeRequest)>,
    /// Where the media of endpoints goes, as it changed.
    pub media_paths: Vec<(EndpointKey, Option<Path>)>,
    /// Messages to other shards.
    pub messages: Vec<(ShardId, ShardMessage)>,
    /// How many of these it takes until they are taken out.
    pub messages_max: usize,
}

impl Recorder {
    /// An empty recorder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            arena: vec![0; ARENA_BYTES],
            used: 0,
            runs: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            handshakes: Vec::new(),
            media_paths: Vec::new(),
            messages: Vec::new(),
            messages_max: HANDOFF_MAX,
        }
    }

    /// The datagrams since the last [`Recorder::clear_datagrams`], in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, &[u8])> {
        self.runs.iter().flat_map(|(run, start)| {
            let bytes = self
                .arena
                .get(*start..start + run.total)
                .unwrap_or_default();
            bytes
                .chunks(run.segment.max(1))
                .map(|datagram| (run.path, datagram))
        })
    }

    /// The runs since then.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().map(|(run, _)| *run)
    }

    /// Forgets the datagrams.
    pub fn clear_datagrams(&mut self) {
        self.runs.clear();
        self.used = 0;
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox for Recorder {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        let total: usize = runs.iter().map(|run| run.total).sum();
        let mut start = self.used;
        let end = start
            .checked_add(total)
            .filter(|end| *end <= self.arena.len())?;
        let mut rest = self.arena.get_mut(start..end)?;
        let places = runs.map(|run| {
            let (place, after) = core::mem::take(&mut rest)
                .split_at_mut_checked(run.total)
                .unwrap_or_default();
            rest = after;
            place
        });
        for run in runs {
            self.runs.push((run, start));
            start += run.total;
        }
        self.used = end;
        Some(places)
    }

    fn handshake(&mut self, endpoint: EndpointKey, request: HandshakeRequest) {
        self.handshakes.push((endpoint, request));
    }

    fn media_path(&mut self, endpoint: EndpointKey, path: Option<Path>) {
        self.media_paths.push((endpoint, path));
    }

    fn shard(&mut self, to: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        if self.messages.len() >= self.messages_max {
            return Some(message);
        }
        self.messages.push((to, message));
        None
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>) {
        self.replies.push((ticket, reply));
    }
}
