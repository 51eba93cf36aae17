//! Drives the engine with a UDP loop of your own. You will see a check of a stranger stay without
//! answer, what the engine replies to commands, and when it wants to be called again.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bridge_core::command::{EndpointOptions, Ticket};
use bridge_core::config::{EngineConfig, LocalAddress};
use bridge_core::engine::{Engine, HandshakeRequest, Input, Outbox, Path, Run, ShardMessage};
use bridge_core::id::{EndpointKey, ShardId};
use bridge_core::{Command, ConferenceId, EndpointAddress, EndpointId, Event, Reply, Result, Time};

/// Where the engine puts what it wants to send: here one buffer for each datagram.
struct Sending {
    datagrams: Vec<(Run, Vec<u8>)>,
}

impl Outbox for Sending {
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]> {
        let first = self.datagrams.len();
        self.datagrams
            .extend(runs.map(|run| (run, vec![0; run.total])));
        let mut places = self.datagrams[first..].iter_mut();
        Some([(); K].map(|()| places.next().map_or(&mut [][..], |(_, bytes)| bytes)))
    }

    fn handshake(&mut self, endpoint: EndpointKey, request: HandshakeRequest) {
        println!("to the DTLS machine of {endpoint:?}: {request:?}");
    }

    fn shard(&mut self, _to: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        Some(message)
    }

    fn event(&mut self, event: Event) {
        println!("event: {event:?}");
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>) {
        match reply {
            Ok(Reply::Endpoint { transport, .. }) => {
                println!(
                    "{ticket:?}: a client may come to {:?}",
                    transport.candidates
                );
            }
            other => println!("{ticket:?}: {other:?}"),
        }
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let start = Instant::now();
    let now = || Time::ZERO + start.elapsed();

    // A real program takes the seed from the system; with this one each run is the same.
    let mut config = EngineConfig::new([7; 32]);
    let address = socket.local_addr()?;
    config.addresses.push(LocalAddress {
        address,
        announced: false,
    });
    let mut engine = Engine::new(config);
    let mut out = Sending {
        datagrams: Vec::new(),
    };

    let conference = ConferenceId::new("standup")?;
    let endpoint = EndpointAddress {
        conference: conference.clone(),
        endpoint: EndpointId::new("alice")?,
    };
    let options = EndpointOptions {
        loopback: true,
        ..EndpointOptions::default()
    };
    let commands = [
        Command::CreateConference {
            conference: conference.clone(),
        },
        Command::CreateEndpoint { endpoint, options },
        Command::ExpireConference { conference },
    ];

    // A stranger who knows no ufrag of ours: no answer, no state.
    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    stranger.send_to(b"\0\x01\0\0\x21\x12\xa4\x42not for you.", address)?;

    for (ticket, command) in (0..).map(Ticket).zip(commands) {
        engine.handle(now(), Input::Command(ticket, command), &mut out);

        let due = engine
            .wakeup()
            .map_or(Duration::from_millis(50), |at| at.since(now()));
        println!("the engine can wait {due:?}");
        let patience = due.clamp(Duration::from_millis(1), Duration::from_millis(50));
        socket.set_read_timeout(Some(patience))?;
        let mut packet = engine.pool().take();
        if let Ok((length, remote)) = socket.recv_from(packet.room_mut()) {
            packet.set_len(length);
            let path = Path {
                remote,
                local: None,
            };
            engine.handle(now(), Input::Datagram { path, packet }, &mut out);
        }
        engine.flush(now(), &mut out);

        for (run, bytes) in out.datagrams.drain(..) {
            for datagram in bytes.chunks(run.segment) {
                socket.send_to(datagram, run.path.remote)?;
            }
        }
    }
    Ok(())
}
