//! Runs the bridge of this process behind the seam: commands in, events out, channels beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridge_core::{
    Bridge, BridgeBuilder, Command, EndpointAddress, Error, Event, Events, Reply, Result,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::channel::Channels;
use crate::seam::MediaEngine;

/// The bridge of this process.
#[derive(Debug)]
pub struct LocalBridge {
    bridge: Bridge,
    channels: Arc<Channels>,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    farewells: Arc<Mutex<Farewells>>,
}

/// Endpoints that were ended by command and whose event is still to come. Without it the event of
/// an endpoint could be taken for that of its successor of the same name.
type Farewells = HashMap<EndpointAddress, u32>;

impl LocalBridge {
    /// Starts a bridge whose receivers are told what concerns them over `channels`.
    ///
    /// # Errors
    /// As [`BridgeBuilder::start`].
    pub fn start(builder: BridgeBuilder, channels: Arc<Channels>) -> Result<Self> {
        let (bridge, events) = builder.start()?;
        let (sender, receiver) = mpsc::channel(EVENTS);
        let farewells = Arc::new(Mutex::new(Farewells::new()));
        let pump = Pump {
            channels: channels.clone(),
            farewells: farewells.clone(),
            sender,
        };
        std::thread::Builder::new()
            .name("bridge-events".to_owned())
            .spawn(move || pump.run(events))
            .map_err(|error| Error::Io("start a thread for events", error))?;
        Ok(Self {
            bridge,
            channels,
            events: AsyncMutex::new(receiver),
            farewells,
        })
    }

    /// The bridge itself.
    #[must_use]
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }
}

impl MediaEngine for LocalBridge {
    type Error = Error;

    async fn request(&self, mut command: Command) -> Result<Reply> {
        if let Command::SetSources { endpoint, sources } = &mut command {
            self.channels.amend(endpoint, sources);
        }
        let ending = match &command {
            Command::ExpireEndpoint { endpoint } => Some(endpoint.clone()),
            _ => None,
        };
        let conference = match &command {
            Command::ExpireConference { conference } => Some(conference.clone()),
            _ => None,
        };
        if let Some(endpoint) = &ending {
            *lock(&self.farewells).entry(endpoint.clone()).or_default() += 1;
        }
        let (sender, receiver) = oneshot::channel();
        self.bridge.submit(command, move |reply| {
            // Whoever asked may have given up waiting.
            drop(sender.send(reply));
        });
        let reply = receiver.await.unwrap_or(Err(Error::Stopped));
        if let Some(endpoint) = ending {
            if reply.is_err() {
                forget(&mut lock(&self.farewells), &endpoint);
            }
            self.channels.close(&endpoint);
        }
        if let Some(conference) = conference {
            self.channels.close_conference(&conference);
        }
        reply
    }

    async fn event(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }

    fn channel_url(&self, endpoint: &EndpointAddress, base: &str) -> Option<String> {
        Some(format!("{base}{}", self.channels.open(endpoint)))
    }

    fn is_unknown(error: &Error) -> bool {
        // A bridge that has stopped has forgotten everything.
        matches!(error, Error::Unknown(_) | Error::Stopped)
    }
}

/// Carries events from the bridge to channels and to whoever drives it.
struct Pump {
    channels: Arc<Channels>,
    farewells: Arc<Mutex<Farewells>>,
    sender: mpsc::Sender<Event>,
}

impl Pump {
    fn run(self, mut events: Events) {
        while let Some(event) = events.recv() {
            match &event {
                Event::EndpointExpired { endpoint, .. } => {
                    if forget(&mut lock(&self.farewells), endpoint) {
                        continue;
                    }
                    self.channels.close(endpoint);
                }
                Event::ConferenceExpired { conference } => {
                    self.channels.close_conference(conference);
                    lock(&self.farewells).retain(|it, _| it.conference != *conference);
                }
                Event::EndpointConnected { .. } | Event::EndpointFailed { .. } => {}
                concerns_receivers => {
                    self.channels.tell(concerns_receivers);
                    continue;
                }
            }
            if self.sender.try_send(event).is_err() {
                tracing::warn!("an event of the bridge is lost: nobody takes them");
            }
        }
    }
}

/// Takes back an expected farewell; `false` when none is expected.
fn forget(farewells: &mut Farewells, endpoint: &EndpointAddress) -> bool {
    let Some(count) = farewells.get_mut(endpoint) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        farewells.remove(endpoint);
    }
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Events that may wait for whoever drives the bridge.
const EVENTS: usize = 4_096;

#[cfg(test)]
mod tests {
    use bridge_core::ConferenceId;

    use super::*;

    #[tokio::test]
    async fn what_ended_by_itself_or_with_the_bridge_is_unknown() {
        let builder = Bridge::builder()
            .udp("127.0.0.1:0".parse().unwrap())
            .shards(1);
        let bridge = LocalBridge::start(builder, Arc::new(Channels::new("b"))).unwrap();
        let conference = ConferenceId::new("c").unwrap();
        let create = Command::CreateConference {
            conference: conference.clone(),
        };
        let expire = Command::ExpireConference { conference };
        let never = bridge.request(expire.clone()).await.unwrap_err();
        assert!(LocalBridge::is_unknown(&never), "{never}");
        bridge.request(create.clone()).await.unwrap();
        let twice = bridge.request(create).await.unwrap_err();
        assert!(!LocalBridge::is_unknown(&twice), "{twice}");
        bridge.bridge().shutdown();
        let stopped = bridge.request(expire).await.unwrap_err();
        assert!(LocalBridge::is_unknown(&stopped), "{stopped}");
    }
}
