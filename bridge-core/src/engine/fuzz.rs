//! Feeds the whole engine timed inputs that somebody made up.

use core::time::Duration;

use super::{Engine, HandshakeEvent, HandshakeRequest, Input, Outbox, Path, Run, ShardMessage};
use crate::command::{Command, EndpointOptions, Reply, Ticket};
use crate::config::EngineConfig;
use crate::error::Result;
use crate::event::Event;
use crate::id::{ConferenceId, EndpointAddress, EndpointId, EndpointKey, ShardId};
use crate::packet::Packet;
use crate::time::Time;

/// Throws everything away, but for the keys and the ufrag that inputs must name.
#[derive(Debug, Default)]
struct Nowhere {
    arena: Vec<u8>,
    keys: Vec<EndpointKey>,
    ufrag: String,
}

impl Outbox for Nowhere {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        self.arena.resize(runs.iter().map(|run| run.total).sum(), 0);
        let mut rest = self.arena.as_mut_slice();
        Some(runs.map(|run| {
            let (place, after) = core::mem::take(&mut rest)
                .split_at_mut_checked(run.total)
                .unwrap_or_default();
            rest = after;
            place
        }))
    }

    fn handshake(&mut self, endpoint: EndpointKey, _request: HandshakeRequest) {
        if !self.keys.contains(&endpoint) {
            self.keys.push(endpoint);
        }
    }

    fn shard(&mut self, _to: ShardId, _message: ShardMessage) -> Option<ShardMessage> {
        None
    }

    fn event(&mut self, _event: Event) {}

    fn reply(&mut self, _ticket: Ticket, reply: Result<Reply>) {
        if let Ok(Reply::Endpoint { transport, .. }) = reply {
            self.ufrag = transport.ufrag;
        }
    }
}

/// Each step is a kind, some milliseconds, a length and as many bytes. Kinds: a datagram as it is,
/// a check for our ufrag, a datagram of another shard, news of a handshake.
pub(crate) fn engine(data: &[u8]) {
    let mut config = EngineConfig::new([3; 32]);
    config.shards = 2;
    config.hold = Duration::from_millis(1);
    let longest = config.hold;
    let mut engine = Engine::new(config);
    let mut out = Nowhere::default();
    let mut now = Time::ZERO;
    let (Ok(conference), Ok(endpoint)) = (ConferenceId::new("c"), EndpointId::new("e")) else {
        return;
    };
    let address = EndpointAddress {
        conference: conference.clone(),
        endpoint,
    };
    let commands = [
        Command::CreateConference { conference },
        Command::CreateEndpoint {
            endpoint: address,
            options: EndpointOptions::default(),
        },
    ];
    for command in commands {
        engine.handle(now, Input::Command(Ticket(0), command), &mut out);
    }
    let mut rest = data;
    while let [kind, millis, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now = now + Duration::from_millis(u64::from(*millis) * 16);
        let path = Path {
            remote: ([192, 0, 2, *kind >> 4], 4_000).into(),
            local: None,
        };
        let packet = Packet::copy_of(bytes);
        let input = match *kind & 3 {
            0 => Input::Datagram { path, packet },
            1 => Input::Datagram {
                path,
                packet: check(&out.ufrag, bytes),
            },
            2 => Input::Shard(ShardMessage::Datagram { path, packet }),
            _ => match out.keys.first() {
                Some(key) => Input::Handshake(*key, HandshakeEvent::Datagram(packet)),
                None => Input::Shard(ShardMessage::Path {
                    path,
                    owner: ShardId(1),
                }),
            },
        };
        engine.handle(now, input, &mut out);
        engine.flush(now, &mut out);
        assert!(
            engine.wakeup().is_none_or(|at| at > now),
            "what was due is done"
        );
        assert!(
            engine.rest_until().is_none_or(|at| at <= now + longest),
            "no rest is longer than allowed"
        );
    }
}

/// A check that names our ufrag, with attributes that somebody made up.
fn check(ufrag: &str, attributes: &[u8]) -> Packet {
    let name = format!("{ufrag}:them");
    let mut body = vec![0, 6];
    body.extend(u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
    body.extend(name.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(attributes);
    let mut bytes = vec![0, 1];
    bytes.extend(u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    bytes.extend([
        0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
    bytes.extend(body);
    Packet::copy_of(&bytes)
}
