//! Simulates a meeting of ten people on bad networks, in virtual time and without a network. You
//! will see what each of them saw and heard in a minute; each run prints the same.

use std::time::Duration;

use bridge_core::Event;
use bridge_core::sim::{Camera, Link, PeerOptions, Settings, Simulation};

fn main() -> bridge_core::Result<()> {
    let mut sim = Simulation::new(&Settings::new(2026));
    let room = sim.conference("ten")?;
    let mut people = Vec::new();
    for number in 0..10 {
        let options = PeerOptions {
            camera: (number < 3).then(Camera::simulcast),
            microphone: Some(if number == 0 { 20 } else { 127 }),
            ..PeerOptions::default()
        };
        let link = Link {
            delay: Duration::from_millis(10 + 10 * u64::from(number)),
            jitter: Duration::from_millis(5),
            ..Link::lossy(number % 4)
        };
        let node = sim.join(&room, options, link)?;
        // The last two have little bandwidth towards them.
        let rate = (number >= 8).then_some(2_000_000);
        sim.set_links(node, link, Link { rate, ..link });
        people.push((number, node));
    }
    for minute in 1..=6 {
        sim.run(Duration::from_secs(10));
        let events = sim.events().len();
        println!("after {:2} s: {events} events", minute * 10);
    }
    let speaker = sim
        .events()
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::DominantSpeaker { endpoint } => Some(endpoint.to_string()),
            _ => None,
        });
    println!(
        "dominant speaker: {}",
        speaker.as_deref().unwrap_or("nobody")
    );
    println!("person  loss  frames  keyframes  recovered  freeze  180/360/720");
    for (number, node) in people {
        let videos = sim
            .peer(node)
            .streams()
            .filter(|(_, is_video, _)| *is_video);
        for (_, _, video) in videos {
            let [small, middle, large] = video.by_encoding;
            println!(
                "{number:6} {:4} % {:7} {:10} {:10} {:4} ms  {small}/{middle}/{large}",
                number % 4,
                video.decoded,
                video.keyframes,
                video.recovered,
                video.longest_freeze.as_millis(),
            );
            assert!(video.faults.is_empty(), "{:?}", video.faults);
        }
    }
    let stats = sim.stats()?;
    println!(
        "{} packets in, {} forwarded, {} sent again, {} asked for again",
        stats.packets_received,
        stats.packets_forwarded,
        stats.packets_retransmitted,
        stats.packets_nacked,
    );
    Ok(())
}
