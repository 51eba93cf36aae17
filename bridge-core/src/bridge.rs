//! Runs a whole bridge: threads, sockets and handles to ask it for things.
//!
//! A [`Bridge`] takes [`Command`]s and gives each one [`Reply`]; [`Events`] tells what happened by
//! itself. [`Conference`] and [`Endpoint`] are names with methods: dropping one ends nothing.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::command::{Command, EndpointOptions, Reply};
use crate::config::{BridgeConfig, ConnectedSockets};
use crate::description::{
    MediaDescription, ReceiverConstraints, SourceDescription, TransportDescription,
};
use crate::dtls::DtlsVersion;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ConferenceId, EndpointAddress, EndpointId, Ssrc};
use crate::io::{self, inbox::Inbox};
use crate::limits::{self, Limits};
use crate::srtp::GcmBackend;
use crate::stats::BridgeStats;

/// A running bridge. Clones are the same bridge; when the last is dropped its threads end.
#[derive(Clone, Debug)]
pub struct Bridge(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inboxes: Vec<Inbox>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    homes: Arc<Homes>,
    media_address: SocketAddr,
}

/// Sets up a [`Bridge`]. Everything has a default; see [`BridgeConfig`].
#[derive(Clone, Debug, Default)]
pub struct BridgeBuilder {
    config: BridgeConfig,
}

impl BridgeBuilder {
    /// The media address; port 0 takes a free port. Default `0.0.0.0:10000`.
    #[must_use]
    pub fn udp(mut self, address: SocketAddr) -> Self {
        self.config.udp = address;
        self
    }

    /// Announces an address that a router maps to us, beside our own addresses.
    #[must_use]
    pub fn announce(mut self, address: IpAddr) -> Self {
        self.config.announce.push(address);
        self
    }

    /// How many threads forward media, 1 to 64; 0, the default, is as many as processors.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        self.config.shards = count;
        self
    }

    /// Bounds, for the whole bridge.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Which versions of DTLS are spoken. Default 1.2.
    #[must_use]
    pub fn dtls(mut self, version: DtlsVersion) -> Self {
        self.config.dtls = version;
        self
    }

    /// Lines of every video that a receiver gets before it says what it wants; −1 is unlimited.
    /// Default 0: nothing.
    #[must_use]
    pub fn initial_max_height(mut self, lines: i32) -> Self {
        self.config.initial_max_height = lines;
        self
    }

    /// Endpoints of a conference from which on others join the shard that has the fewest. Default
    /// [`limits::SPREAD_FROM`].
    #[must_use]
    pub fn spread_from(mut self, endpoints: usize) -> Self {
        self.config.spread_from = endpoints;
        self
    }

    /// Whether a receiver that gives no feedback on its bandwidth gets everything it wants.
    /// Default `false`.
    #[must_use]
    pub fn trust_no_estimate(mut self, trust: bool) -> Self {
        self.config.trust_no_estimate = trust;
        self
    }

    /// Which library seals AES-GCM. Default: a measurement of less than 5 ms at the start decides.
    #[must_use]
    pub fn gcm(mut self, backend: GcmBackend) -> Self {
        self.config.gcm = Some(backend);
        self
    }

    /// Whether packets of a picture are evened out with a few bytes of RTP padding, so that a
    /// frame leaves in one system call. Default `true`.
    #[must_use]
    pub fn evens_out(mut self, evens_out: bool) -> Self {
        self.config.evens_out = evens_out;
        self
    }

    /// How long pictures may wait for those of other senders when several are busy, and how long a
    /// busy shard may rest, at most 20 ms. Default 1 ms.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.config.hold = hold;
        self
    }

    /// What peers have connected sockets of their own for. Linux alone. Default: they have none.
    #[must_use]
    pub fn connected_sockets(mut self, uses: ConnectedSockets) -> Self {
        self.config.connected_sockets = uses;
        self
    }

    /// Opens the sockets and starts the threads.
    ///
    /// # Errors
    /// [`Error::Misuse`] when there would be more than 64 shards or the system has no connected
    /// sockets beside shared ones, [`Error::Io`] when the
    /// port is taken, or the system refuses a socket or a thread.
    pub fn start(self) -> Result<(Bridge, Events)> {
        let shards = match self.config.shards {
            0 => io::shards_by_processors(),
            count @ 1..=limits::SHARDS_MAX => count,
            _ => return Err(Error::Misuse("a bridge has 1 to 64 shards")),
        };
        let homes = Arc::new(Homes::new(shards, &self.config.limits));
        let (events, receiver) = sync_channel(limits::EVENTS_MAX);
        let started = io::start(&self.config, &events, &homes)?;
        let bridge = Bridge(Arc::new(Shared {
            inboxes: started.inboxes,
            threads: Mutex::new(started.threads),
            homes,
            media_address: started.media_address,
        }));
        Ok((bridge, Events(receiver)))
    }
}

impl Bridge {
    /// A bridge with default settings, to be changed and started.
    #[must_use]
    pub fn builder() -> BridgeBuilder {
        BridgeBuilder::default()
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// What the command may end in; [`Error::Stopped`] when the bridge is.
    pub fn request(&self, command: Command) -> Result<Reply> {
        let (sender, receiver) = sync_channel(1);
        self.submit(command, move |reply| {
            // Nobody waits only if the caller's thread is gone.
            drop(sender.try_send(reply));
        });
        receiver.recv().unwrap_or(Err(Error::Stopped))
    }

    /// Asks for something and goes on. `answer` runs exactly once, here or on a thread that
    /// forwards media: it must not block.
    pub fn submit(&self, command: Command, answer: impl FnOnce(Result<Reply>) + Send + 'static) {
        let home = match &command {
            Command::Stats => return self.gather_stats(answer),
            Command::CreateConference { conference } => self.0.homes.found(conference),
            Command::CreateEndpoint { .. } if self.0.homes.is_draining() => Err(Error::Stopped),
            other => match other.conference() {
                Some(conference) => self.0.homes.of(conference),
                None => Err(Error::Misuse("a command without a conference")),
            },
        };
        let inbox = home.and_then(|home| self.0.inboxes.get(home).ok_or(Error::Stopped));
        match (inbox, &command) {
            (Err(error), _) => answer(Err(error)),
            (Ok(inbox), Command::CreateConference { conference }) => {
                let (homes, conference) = (Arc::clone(&self.0.homes), conference.clone());
                inbox.submit(
                    command,
                    Box::new(move |reply| {
                        if reply.is_err() {
                            homes.leave(&conference);
                        }
                        answer(reply);
                    }),
                );
            }
            (Ok(inbox), _) => inbox.submit(command, Box::new(answer)),
        }
    }

    /// Makes an empty conference.
    ///
    /// # Errors
    /// [`Error::Exists`] when it exists, [`Error::Limit`] when there are too many.
    pub fn conference(&self, name: &str) -> Result<Conference> {
        let id = ConferenceId::new(name)?;
        self.request(Command::CreateConference {
            conference: id.clone(),
        })?;
        Ok(Conference {
            bridge: self.clone(),
            id,
        })
    }

    /// Counters of all shards together.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the bridge is.
    pub fn stats(&self) -> Result<BridgeStats> {
        match self.request(Command::Stats)? {
            Reply::Stats(stats) => Ok(*stats),
            _ => Err(Error::Stopped),
        }
    }

    /// The address of the media port, with the port that was taken if any was asked for.
    #[must_use]
    pub fn media_address(&self) -> SocketAddr {
        self.0.media_address
    }

    /// Takes no new conferences and endpoints, and waits until the last conference is gone or
    /// `patience` is over; `true` if none is left.
    #[must_use]
    pub fn drain(&self, patience: Duration) -> bool {
        self.0.homes.drain(patience)
    }

    /// Ends all threads and waits for them. Whoever asks for something afterwards is told so.
    pub fn shutdown(&self) {
        self.0.stop();
    }

    /// Adds up the counters of all shards.
    fn gather_stats(&self, answer: impl FnOnce(Result<Reply>) + Send + 'static) {
        let gathering = Arc::new(Mutex::new(Gathering {
            stats: Ok(BridgeStats::default()),
            missing: self.0.inboxes.len(),
            answer: Some(answer),
        }));
        for inbox in &self.0.inboxes {
            let gathering = Arc::clone(&gathering);
            inbox.submit(
                Command::Stats,
                Box::new(move |reply| lock(&gathering).add(reply)),
            );
        }
    }
}

impl Shared {
    fn stop(&self) {
        for inbox in &self.inboxes {
            inbox.stop();
        }
        for thread in lock(&self.threads).drain(..) {
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the bridge ended in a panic");
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Gathering<F> {
    stats: Result<BridgeStats>,
    missing: usize,
    answer: Option<F>,
}

impl<F: FnOnce(Result<Reply>)> Gathering<F> {
    fn add(&mut self, reply: Result<Reply>) {
        match (&mut self.stats, reply) {
            (Ok(sum), Ok(Reply::Stats(stats))) => sum.add(&stats),
            (stats @ Ok(_), Err(error)) => *stats = Err(error),
            _ => {}
        }
        self.missing -= 1;
        if self.missing == 0
            && let Some(answer) = self.answer.take()
        {
            let stats = core::mem::replace(&mut self.stats, Err(Error::Stopped));
            answer(stats.map(|stats| Reply::Stats(Box::new(stats))));
        }
    }
}

/// What happened at a bridge.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

impl Events {
    /// Waits for the next event; `None` when the bridge has stopped and all are taken.
    #[must_use]
    pub fn recv(&mut self) -> Option<Event> {
        self.0.recv().ok()
    }

    /// The next event if there is one now.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the bridge has stopped and all are taken.
    pub fn try_recv(&mut self) -> Result<Option<Event>> {
        match self.0.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::Stopped),
        }
    }

    /// Waits for the next event, but not longer than `patience`.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the bridge has stopped and all are taken.
    pub fn recv_timeout(&mut self, patience: Duration) -> Result<Option<Event>> {
        match self.0.recv_timeout(patience) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Stopped),
        }
    }
}

/// A conference of a bridge, by name.
#[derive(Clone, Debug)]
pub struct Conference {
    bridge: Bridge,
    id: ConferenceId,
}

impl Conference {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ConferenceId {
        &self.id
    }

    /// Makes an endpoint in it with default options.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Unknown`] when the conference is gone, [`Error::Limit`].
    pub fn endpoint(&self, name: &str) -> Result<Endpoint> {
        self.endpoint_with(name, EndpointOptions::default())
    }

    /// Makes an endpoint in it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Unknown`] when the conference is gone, [`Error::Limit`].
    pub fn endpoint_with(&self, name: &str, options: EndpointOptions) -> Result<Endpoint> {
        let address = EndpointAddress {
            conference: self.id.clone(),
            endpoint: EndpointId::new(name)?,
        };
        let command = Command::CreateEndpoint {
            endpoint: address.clone(),
            options,
        };
        match self.bridge.request(command)? {
            Reply::Endpoint {
                transport,
                audio_feedback,
                video_feedback,
            } => Ok(Endpoint {
                bridge: self.bridge.clone(),
                address,
                local: transport,
                feedback: [audio_feedback, video_feedback],
            }),
            _ => Err(Error::Stopped),
        }
    }

    /// Ends it and all of its endpoints.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is gone already.
    pub fn close(&self) -> Result<()> {
        self.bridge.ask(Command::ExpireConference {
            conference: self.id.clone(),
        })
    }
}

/// An endpoint of a bridge, by name.
#[derive(Clone, Debug)]
pub struct Endpoint {
    bridge: Bridge,
    address: EndpointAddress,
    local: TransportDescription,
    feedback: [Ssrc; 2],
}

impl Endpoint {
    /// Its name and its conference's.
    #[must_use]
    pub fn address(&self) -> &EndpointAddress {
        &self.address
    }

    /// Our end of its transport, for the peer.
    #[must_use]
    pub fn local_transport(&self) -> &TransportDescription {
        &self.local
    }

    /// SSRCs under which the bridge itself reports, on sound and on pictures.
    #[must_use]
    pub fn feedback_ssrcs(&self) -> [Ssrc; 2] {
        self.feedback
    }

    /// Gives the peer's end of the transport.
    ///
    /// # Errors
    /// [`Error::Misbehaved`] or [`Error::Incompatible`] by what is wrong with it,
    /// [`Error::Unknown`] when the endpoint is gone.
    pub fn connect(&self, remote: &TransportDescription) -> Result<()> {
        self.bridge.ask(Command::SetTransport {
            endpoint: self.address.clone(),
            transport: remote.clone(),
        })
    }

    /// Says what it can send and receive.
    ///
    /// # Errors
    /// [`Error::Incompatible`], or [`Error::Unknown`] when the endpoint is gone.
    pub fn set_media(&self, media: Vec<MediaDescription>) -> Result<()> {
        self.bridge.ask(Command::SetMedia {
            endpoint: self.address.clone(),
            media,
        })
    }

    /// Replaces all that it sends.
    ///
    /// # Errors
    /// [`Error::Exists`] when an SSRC or a name is another endpoint's, [`Error::Limit`],
    /// [`Error::Unknown`] when the endpoint is gone.
    pub fn set_sources(&self, sources: Vec<SourceDescription>) -> Result<()> {
        self.bridge.ask(Command::SetSources {
            endpoint: self.address.clone(),
            sources,
        })
    }

    /// Says what it wants to see.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the endpoint is gone.
    pub fn set_constraints(&self, constraints: ReceiverConstraints) -> Result<()> {
        self.bridge.ask(Command::SetConstraints {
            endpoint: self.address.clone(),
            constraints,
        })
    }

    /// Stops or lets through what it sends; `None` leaves a kind as it is.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the endpoint is gone.
    pub fn mute(&self, audio: Option<bool>, video: Option<bool>) -> Result<()> {
        self.bridge.ask(Command::ForceMute {
            endpoint: self.address.clone(),
            audio,
            video,
        })
    }

    /// Makes new ICE credentials of ours; the new end of the transport is for the peer.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the endpoint is gone.
    pub fn restart_ice(&self) -> Result<TransportDescription> {
        let command = Command::RestartIce {
            endpoint: self.address.clone(),
        };
        match self.bridge.request(command)? {
            Reply::Transport(transport) => Ok(transport),
            _ => Err(Error::Stopped),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is gone already.
    pub fn expire(&self) -> Result<()> {
        self.bridge.ask(Command::ExpireEndpoint {
            endpoint: self.address.clone(),
        })
    }
}

impl Bridge {
    fn ask(&self, command: Command) -> Result<()> {
        self.request(command).map(|_| ())
    }
}

/// Which shard is the home of which conference. A shard looks in here only when a conference
/// ends, never on the way of a packet.
pub(crate) struct Homes {
    table: Mutex<HomeTable>,
    changed: Condvar,
    shards: usize,
    conferences_max: usize,
}

#[derive(Default)]
struct HomeTable {
    homes: BTreeMap<ConferenceId, usize>,
    draining: bool,
}

impl Homes {
    fn new(shards: usize, limits: &Limits) -> Self {
        Self {
            table: Mutex::default(),
            changed: Condvar::new(),
            shards,
            conferences_max: limits.conferences,
        }
    }

    /// How many shards there are.
    pub(crate) const fn shards(&self) -> usize {
        self.shards
    }

    /// Chooses a home for a new conference: where the fewest are.
    fn found(&self, conference: &ConferenceId) -> Result<usize> {
        let mut table = lock(&self.table);
        if table.draining {
            return Err(Error::Stopped);
        }
        if table.homes.contains_key(conference) {
            return Err(Error::Exists("conference"));
        }
        if table.homes.len() >= self.conferences_max {
            return Err(Error::Limit("conferences"));
        }
        let mut counts = vec![0_usize; self.shards];
        for home in table.homes.values() {
            if let Some(count) = counts.get_mut(*home) {
                *count += 1;
            }
        }
        let home = (0..self.shards)
            .min_by_key(|shard| counts.get(*shard))
            .unwrap_or(0);
        table.homes.insert(conference.clone(), home);
        Ok(home)
    }

    fn of(&self, conference: &ConferenceId) -> Result<usize> {
        let home = lock(&self.table).homes.get(conference).copied();
        home.ok_or(Error::Unknown("conference"))
    }

    /// The conference is gone.
    pub(crate) fn leave(&self, conference: &ConferenceId) {
        lock(&self.table).homes.remove(conference);
        self.changed.notify_all();
    }

    fn is_draining(&self) -> bool {
        lock(&self.table).draining
    }

    fn drain(&self, patience: Duration) -> bool {
        let mut table = lock(&self.table);
        table.draining = true;
        let (table, _) = self
            .changed
            .wait_timeout_while(table, patience, |table| !table.homes.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        table.homes.is_empty()
    }
}

impl fmt::Debug for Homes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Homes")
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

/// Locks; a panic of another holder left nothing half done in the tables of this file.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
