//! Runs a whole bridge inside your program. You will see two people come in over loopback, one of
//! them speak, both leave, and the program end by itself.

use bridge_core::{Bridge, EndpointOptions, Event, ReceiverConstraints};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (bridge, mut events) = Bridge::builder()
        .udp("127.0.0.1:0".parse()?)
        .announce("203.0.113.7".parse()?)
        .start()?;

    let room = bridge.conference("standup")?;
    for name in ["alice", "bob"] {
        let options = EndpointOptions {
            loopback: true,
            ..EndpointOptions::default()
        };
        let endpoint = room.endpoint_with(name, options)?;
        let answer = my_signaling::exchange(endpoint.address(), endpoint.local_transport())?;
        endpoint.connect(&answer.transport)?;
        endpoint.set_media(answer.media)?;
        endpoint.set_sources(answer.sources)?;
        endpoint.set_constraints(ReceiverConstraints {
            last_n: Some(5),
            default_max_height: Some(720),
            ..ReceiverConstraints::default()
        })?;
    }

    let (mut inside, mut spoken) = (0, false);
    while let Some(event) = events.recv() {
        match event {
            Event::EndpointConnected { endpoint, rtt, .. } => {
                println!("{endpoint} is in, rtt {rtt:?}");
                inside += 1;
            }
            Event::DominantSpeaker { endpoint } => {
                println!("{endpoint} speaks");
                spoken = true;
            }
            Event::EndpointExpired { endpoint, .. } => println!("{endpoint} left"),
            Event::ConferenceExpired { .. } => break,
            _ => {}
        }
        if inside == 2 && spoken {
            inside = 0;
            room.close()?;
        }
    }
    println!("{} datagrams came in", bridge.stats()?.packets_received);
    Ok(())
}

/// Stands in for your signaling, which brings the bridge's end of a transport to a client and the
/// client's answer back. The clients here are scripted and live in this process.
mod my_signaling {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use bridge_core::description::{MediaDescription, SourceDescription, TransportDescription};
    use bridge_core::engine::Path;
    use bridge_core::packet::Packet;
    use bridge_core::sim::{Peer, PeerOptions, RealHandshake};
    use bridge_core::{DtlsVersion, EndpointAddress, Time};

    pub struct Answer {
        pub transport: TransportDescription,
        pub media: Vec<MediaDescription>,
        pub sources: Vec<SourceDescription>,
    }

    pub fn exchange(
        client: &EndpointAddress,
        offer: &TransportDescription,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        let base = Instant::now();
        let dtls = Some(RealHandshake {
            version: DtlsVersion::V1_2,
            base,
        });
        let options = PeerOptions {
            dtls,
            ..PeerOptions::default()
        };
        let (host, number) = (socket.local_addr()?, socket.local_addr()?.port());
        let seed = [number.to_be_bytes()[1]; 32];
        let mut peer = Peer::new(Time::ZERO, number, host, client.clone(), options, seed)?;
        peer.connect(Time::ZERO, offer)?;
        let answer = Answer {
            transport: peer.description(),
            media: peer.media(),
            sources: peer.sources(),
        };
        std::thread::spawn(move || live(&mut peer, &socket, base));
        Ok(answer)
    }

    fn live(peer: &mut Peer, socket: &UdpSocket, base: Instant) {
        let mut buffer = [0; 2_048];
        while peer.counters().failed == 0 {
            let received = socket.recv_from(&mut buffer);
            let now = Time::ZERO + base.elapsed();
            if let Ok((length, remote)) = received {
                let path = Path {
                    remote,
                    local: None,
                };
                peer.handle_datagram(now, path, Packet::copy_of(&buffer[..length]));
            }
            peer.handle_timeout(now);
            while let Some((path, packet)) = peer.poll() {
                // What the system refuses is lost, as on any network.
                drop(socket.send_to(packet.bytes(), path.remote));
            }
        }
    }
}
