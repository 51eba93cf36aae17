//! Holds a large conference still, so that what a change in it costs can be measured: its shards
//! tell each other, and every receiver's routes are decided anew.

use core::time::Duration;

use super::net::Link;
use super::peer::PeerOptions;
use super::{Settings, Simulation};
use crate::command::{Command, Ticket};
use crate::description::{MediaKind, ReceiverConstraints, VideoType};
use crate::engine::Input;
use crate::error::{Error, Result};
use crate::id::{EndpointAddress, SourceName};
use crate::limits::Limits;

/// A conference in which everybody has a microphone and a camera, and nobody sends.
#[derive(Debug)]
pub struct Crowd {
    sim: Simulation,
    /// Whose picture changes.
    endpoint: EndpointAddress,
    source: SourceName,
    shows_screen: bool,
}

impl Crowd {
    /// So many members on so many shards; each wants at most `last_n` pictures.
    ///
    /// # Errors
    /// [`Error::Misuse`] when nobody came in.
    pub fn new(shards: u8, members: usize, last_n: i32) -> Result<Self> {
        let mut sim = Simulation::new(&Settings {
            limits: Limits {
                stun_per_second: u32::MAX,
                endpoints_per_conference: members,
                ..Limits::default()
            },
            shards,
            spread_from: 0,
            ..Settings::new(1)
        });
        let room = sim.conference("crowd")?;
        let mut first = None;
        for _ in 0..members {
            let link = Link::default();
            let node = sim.join(&room, PeerOptions::default(), link)?;
            let peer = sim.peer_mut(node);
            peer.mute_camera(true);
            peer.mute_microphone(true);
            first = first.or(Some(node));
            sim.request(Command::SetConstraints {
                endpoint: sim.address(node),
                constraints: ReceiverConstraints {
                    last_n: Some(last_n),
                    ..ReceiverConstraints::default()
                },
            })?;
        }
        sim.run(Duration::from_secs(1));
        let first = first.ok_or(Error::Misuse("a crowd of nobody"))?;
        let mut sources = sim.peer(first).sources().into_iter();
        let source = sources.find(|source| source.kind == MediaKind::Video);
        Ok(Self {
            endpoint: sim.address(first),
            source: source.ok_or(Error::Misuse("a camera"))?.name,
            sim,
            shows_screen: false,
        })
    }

    /// Somebody's camera becomes a screen, or a camera again: each shard learns of it and ends its
    /// pass. Gives how many receivers were told something.
    pub fn change(&mut self) -> usize {
        self.shows_screen = !self.shows_screen;
        let command = Command::SetVideoType {
            endpoint: self.endpoint.clone(),
            source: self.source.clone(),
            video_type: if self.shows_screen {
                VideoType::Desktop
            } else {
                VideoType::Camera
            },
        };
        let now = self.sim.now;
        if let Some(home) = self.sim.shards.first_mut() {
            home.handle(now, Input::Command(Ticket(0), command));
        }
        loop {
            for shard in &mut self.sim.shards {
                shard.engine.flush(now, &mut shard.recorder);
            }
            if !self.sim.move_messages() {
                break;
            }
        }
        let mut told = 0;
        for shard in &mut self.sim.shards {
            told += shard.recorder.events.drain(..).count();
            shard.recorder.replies.clear();
            shard.recorder.clear_datagrams();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_the_receivers_of_every_shard() {
        let mut crowd = Crowd::new(2, 6, 3).unwrap();
        for _ in 0..3 {
            assert!(crowd.change() > 0);
        }
    }
}
