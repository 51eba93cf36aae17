//! Runs the task that owns sessions and rooms, and hands out what connections need to reach it.
//!
//! All stanzas come in on one channel. It is unbounded, but what is in it is not: each session may
//! have [`IN_FLIGHT`] stanzas there, so one that floods waits for itself and delays nobody. Each
//! session has a bounded queue for what it is to get; one whose queue is full does not read, and
//! ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::XmppConfig;
use super::admission::Admission;
use super::client::Link;
use super::jid::Jid;
use super::router::{Router, SessionKey};
use super::stats::{XmppCounter, XmppStats};
use crate::xml::Element;

/// Starts the server.
#[derive(Debug)]
#[non_exhaustive]
pub struct XmppServer;

impl XmppServer {
    /// Starts it on the current tokio runtime. It ends when the last handle and session are gone.
    #[must_use]
    pub fn start(config: XmppConfig) -> XmppHandle {
        let stats = Arc::new(XmppStats::default());
        let (inbox, messages) = mpsc::unbounded_channel();
        let admission = Arc::new(Admission::new(config.limits, Arc::clone(&stats)));
        let router = Router::new(&config, Arc::clone(&stats));
        let task = Task {
            router,
            routes: HashMap::new(),
            stats: Arc::clone(&stats),
        };
        tokio::spawn(task.run(messages, Arc::clone(&admission)));
        XmppHandle {
            inbox,
            shared: Arc::new(Shared {
                config,
                stats,
                admission,
                origins: Mutex::default(),
                sessions: AtomicU64::new(0),
            }),
        }
    }
}

/// Reaches the server; cheap to clone.
#[derive(Clone, Debug)]
pub struct XmppHandle {
    inbox: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: XmppConfig,
    stats: Arc<XmppStats>,
    admission: Arc<Admission>,
    origins: Mutex<HashMap<String, Origin>>,
    sessions: AtomicU64,
}

/// Where a client's connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Its address.
    pub peer: SocketAddr,
    /// What the client calls us, by scheme and `Host` of its request: `ws://localhost:8000` or
    /// `wss://…`. `None` when it came over plain TCP.
    pub url: Option<String>,
}

impl Origin {
    /// An origin.
    #[must_use]
    pub const fn new(peer: SocketAddr, url: Option<String>) -> Self {
        Self { peer, url }
    }
}

impl XmppHandle {
    /// Connects a user of this process. The address must be a full one that nobody else has; a
    /// second attachment with it ends the first. Needs a tokio runtime.
    #[must_use]
    pub fn attach(&self, jid: &str) -> Link {
        Link::tie(self.bind(self.full(jid), None))
    }

    /// Connects a guest without a stream, as if it came from `origin`: for other fronts and tests.
    #[must_use]
    pub fn attach_guest(&self, jid: &str, origin: Origin) -> Link {
        Link::tie(self.bind(self.full(jid), Some(origin)))
    }

    fn full(&self, jid: &str) -> Jid {
        Jid::parse(jid).unwrap_or_else(|| Jid {
            node: String::new(),
            domain: self.shared.config.domain.clone(),
            resource: String::new(),
        })
    }

    /// Where the client with this real full address connects from.
    #[must_use]
    pub fn origin(&self, jid: &str) -> Option<Origin> {
        let origins = self
            .shared
            .origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        origins.get(jid).cloned()
    }

    /// What was carried and refused so far.
    #[must_use]
    pub fn stats(&self) -> &XmppStats {
        &self.shared.stats
    }

    /// What the server was started with.
    #[must_use]
    pub fn config(&self) -> &XmppConfig {
        &self.shared.config
    }

    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.shared.admission
    }

    /// Whether there is place for one more session.
    pub(crate) fn has_place(&self) -> bool {
        let sessions = self.shared.stats.value(XmppCounter::Sessions);
        usize::try_from(sessions).is_ok_and(|count| count < self.shared.config.limits.sessions)
    }

    /// Opens a session under a full address; with an origin for a client, without for a service.
    pub(crate) fn bind(&self, jid: Jid, origin: Option<Origin>) -> Session {
        let key = SessionKey(self.shared.sessions.fetch_add(1, Ordering::Relaxed));
        let is_service = origin.is_none();
        let name = jid.to_string();
        if let Some(origin) = origin {
            let mut origins = self
                .shared
                .origins
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            origins.insert(name.clone(), origin);
        }
        let limits = &self.shared.config.limits;
        let scale = if is_service { SERVICE_SCALE } else { 1 };
        let (sender, receiver) = mpsc::channel(limits.queue_stanzas.saturating_mul(scale));
        let weight = Arc::new(AtomicUsize::new(0));
        let most = limits.queue_bytes.saturating_mul(scale);
        let route = Route {
            sender,
            weight: Arc::clone(&weight),
            most,
        };
        self.tell(Message::Bind {
            key,
            jid,
            is_service,
            route,
        });
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        Session {
            sender: SessionSender {
                key,
                handle: self.clone(),
                permits,
            },
            name,
            receiver,
            weight,
        }
    }

    fn tell(&self, message: Message) {
        // The task ends after the last sender, so it is there; at shutdown nobody misses this.
        drop(self.inbox.send(message));
    }
}

/// A bound connection; ends when dropped.
#[derive(Debug)]
pub(crate) struct Session {
    sender: SessionSender,
    name: String,
    receiver: mpsc::Receiver<Element>,
    weight: Arc<AtomicUsize>,
}

impl Session {
    /// What is next for this session; `None` when the server has ended it.
    pub(crate) async fn next(&mut self) -> Option<Element> {
        let stanza = self.receiver.recv().await?;
        self.weight.fetch_sub(stanza.weight(), Ordering::Relaxed);
        Some(stanza)
    }

    /// What is next, if it is there already.
    pub(crate) fn next_now(&mut self) -> Option<Element> {
        let stanza = self.receiver.try_recv().ok()?;
        self.weight.fetch_sub(stanza.weight(), Ordering::Relaxed);
        Some(stanza)
    }

    /// The way to the server.
    pub(crate) fn sender(&self) -> SessionSender {
        self.sender.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let shared = &self.sender.handle.shared;
        shared
            .origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.name);
        self.sender.handle.tell(Message::Gone {
            key: self.sender.key,
        });
    }
}

/// Gives a session's stanzas to the server.
#[derive(Clone, Debug)]
pub(crate) struct SessionSender {
    key: SessionKey,
    handle: XmppHandle,
    permits: Arc<Semaphore>,
}

impl SessionSender {
    /// Gives a stanza, and waits while too many of this session are not handled yet.
    pub(crate) async fn send(&self, stanza: Element) {
        if let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            self.handle.tell(Message::Stanza {
                key: self.key,
                stanza,
                _permit: permit,
            });
        }
    }
}

#[derive(Debug)]
enum Message {
    Bind {
        key: SessionKey,
        jid: Jid,
        is_service: bool,
        route: Route,
    },
    Stanza {
        key: SessionKey,
        stanza: Element,
        _permit: OwnedSemaphorePermit,
    },
    Gone {
        key: SessionKey,
    },
}

/// The queue of a session, bounded in stanzas and bytes.
#[derive(Debug)]
struct Route {
    sender: mpsc::Sender<Element>,
    weight: Arc<AtomicUsize>,
    most: usize,
}

impl Route {
    /// Queues a stanza; false when there is no place.
    fn push(&self, stanza: Element) -> bool {
        let weight = stanza.weight();
        let queued = self.weight.fetch_add(weight, Ordering::Relaxed);
        queued.saturating_add(weight) <= self.most && self.sender.try_send(stanza).is_ok()
    }
}

struct Task {
    router: Router,
    routes: HashMap<SessionKey, Route>,
    stats: Arc<XmppStats>,
}

impl Task {
    async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        admission: Arc<Admission>,
    ) {
        let clock = Clock::start();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.take(clock.now(), message),
                    None => return,
                },
                _ = tick.tick() => {
                    self.router.expire(clock.now());
                    admission.sweep();
                }
            }
            self.deliver();
        }
    }

    fn take(&mut self, now: u64, message: Message) {
        match message {
            Message::Bind {
                key,
                jid,
                is_service,
                route,
            } => {
                if let Some(replaced) = self.router.bind(key, jid, is_service) {
                    self.routes.remove(&replaced);
                }
                self.routes.insert(key, route);
            }
            Message::Stanza { key, stanza, .. } => self.router.handle(now, key, stanza),
            Message::Gone { key } => {
                self.routes.remove(&key);
                self.router.end(key);
            }
        }
    }

    /// Queues what the router has said. A session that does not read ends, which makes the router
    /// say more.
    fn deliver(&mut self) {
        while let Some(delivery) = self.router.next_delivery() {
            let Some(route) = self.routes.get(&delivery.session) else {
                continue;
            };
            if route.push(delivery.stanza) {
                self.stats.count(XmppCounter::StanzasSent);
            } else {
                self.stats.count(XmppCounter::SlowClosed);
                self.routes.remove(&delivery.session);
                self.router.end(delivery.session);
            }
        }
    }
}

/// Wall time that never goes back, in Unix milliseconds.
struct Clock {
    unix: Duration,
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            unix,
            start: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from((self.unix + self.start.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Stanzas of one session that wait for the server.
const IN_FLIGHT: usize = 8;

/// How much longer the queue of a service is than that of a client.
const SERVICE_SCALE: usize = 16;

/// Time between looks at what has expired.
const TICK: Duration = Duration::from_secs(1);
