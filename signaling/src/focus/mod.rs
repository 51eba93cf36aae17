//! Brings the participants of a room together at a bridge: Jicofo's counterpart.
//!
//! The focus is an ordinary XMPP user that joins each room by presence, so it works in our own
//! server as well as a client of another one. [`Focus::run`] hands what comes in to one task per
//! conference; a conference does one thing at a time, so its bridge hears of changes in order.

mod conference;

mod conferences;

pub mod health;

mod mute;

pub mod offer;

pub mod participant;

mod session;

pub(crate) mod sources;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bridge_core::{Command, Reply};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::conferences::Conferences;
pub use self::health::Health;
use crate::jingle::Malformed;
use crate::seam::{MediaEngine, Signaling};
use crate::xml::{Condition, Element, StanzaError};

/// How the focus is called and how it behaves.
#[derive(Clone, Debug)]
pub struct FocusConfig {
    /// Domain of the rooms.
    pub rooms: String,
    /// Our own full address; the resource is the name in rooms.
    pub user: String,
    /// Where clients reach the bridge channel, as scheme and host (`wss://host:port`); where it is
    /// not given, each client is told the host that it came to.
    pub channel_url: Option<String>,
    /// The same for clients that did not come by HTTP.
    pub channel_fallback: String,
    /// Participants that it takes to begin.
    pub min_participants: usize,
    /// How long the last one keeps a session.
    pub single_participant_timeout: Duration,
    /// How long a room without participants is kept after it was asked for.
    pub initial_timeout: Duration,
    /// Conferences at a time.
    pub conferences: usize,
}

/// What answers to conference requests say of us.
#[must_use]
pub fn properties() -> std::collections::BTreeMap<&'static str, &'static str> {
    conferences::PROPERTIES.into()
}

/// Where a client came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whence {
    /// Whether over loopback.
    pub loopback: bool,
    /// Scheme and host that it used, e.g. `ws://localhost:8000`.
    pub url: Option<String>,
}

/// Tells where the client of a real address came from.
pub type WhenceOf = Arc<dyn Fn(&str) -> Whence + Send + Sync>;

/// The way of the focus to its XMPP server.
pub struct FocusLink {
    /// Stanzas to the server.
    pub sender: mpsc::Sender<Element>,
    /// Stanzas from the server.
    pub receiver: mpsc::Receiver<Element>,
    /// Where clients came from.
    pub whence: WhenceOf,
}

impl fmt::Debug for FocusLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FocusLink").finish_non_exhaustive()
    }
}

/// The focus. [`Focus::new`] makes it together with its handle.
#[derive(Debug)]
pub struct Focus {
    config: FocusConfig,
    link: FocusLink,
    health: Arc<Health>,
    requests: mpsc::Receiver<Request>,
}

/// Asks the focus for conferences, from HTTP.
#[derive(Clone, Debug)]
pub struct FocusHandle {
    requests: mpsc::Sender<Request>,
    /// State for operators.
    pub health: Arc<Health>,
    /// The focus' own full address.
    pub user: String,
}

/// A wish for a conference.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) room: String,
    pub(crate) start_muted: StartMuted,
    pub(crate) answer: oneshot::Sender<Result<(), Refusal>>,
}

/// From which participant on clients start without sound and without picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartMuted {
    /// Without sound.
    pub audio: Option<usize>,
    /// Without picture.
    pub video: Option<usize>,
}

/// Why the focus does not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Condition of the stanza error.
    pub condition: Condition,
    /// In words.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(condition: Condition, text: &str) -> Self {
        Self {
            condition,
            text: text.to_owned(),
        }
    }

    /// The answer to an IQ.
    pub(crate) fn answer(&self, iq: &Element) -> Option<Element> {
        let mut reply = iq.error_reply(self.condition)?;
        if let Some(error) = reply.elements_mut().find(|it| it.name == "error") {
            let text = Element::new("text", crate::xml::ns::STANZA_ERROR).text(&*self.text);
            *error = error.clone().child(text);
        }
        Some(reply)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self {
            condition: Condition::BadRequest,
            text: malformed.0,
        }
    }
}

impl From<StanzaError> for Refusal {
    fn from(error: StanzaError) -> Self {
        Self::new(error.condition, error.text)
    }
}

/// What every conference works with.
pub(crate) struct Context<M> {
    pub(crate) config: FocusConfig,
    pub(crate) media: M,
    pub(crate) stanzas: mpsc::Sender<Element>,
    pub(crate) whence: WhenceOf,
    pub(crate) health: Arc<Health>,
}

impl<M: MediaEngine> Context<M> {
    /// Asks the bridge for something, within bounds of time.
    pub(crate) async fn request(&self, command: Command) -> Result<Reply, String> {
        match timeout(REPLY_TIMEOUT, self.media.request(command)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the bridge does not answer".to_owned()),
        }
    }

    /// Ends something at the bridge that may have ended by itself meanwhile.
    pub(crate) async fn end(&self, command: Command) -> Result<(), String> {
        match timeout(REPLY_TIMEOUT, self.media.request(command)).await {
            Ok(Err(error)) if !M::is_unknown(&error) => Err(error.to_string()),
            Ok(_) => Ok(()),
            Err(_) => Err("the bridge does not answer".to_owned()),
        }
    }

    /// Sends a stanza. When the server is gone there is nobody to tell, and the focus ends soon.
    pub(crate) async fn send(&self, stanza: Element) {
        if self.stanzas.send(stanza).await.is_err() {
            tracing::debug!("a stanza is lost: the server is gone");
        }
    }

    /// Our name in rooms.
    pub(crate) fn nick(&self) -> &str {
        self.config
            .user
            .rsplit_once('/')
            .map_or("focus", |(_, resource)| resource)
    }
}

/// The focus has lost its server or its bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it has one server and one bridge")]
pub enum FocusEnd {
    /// The XMPP server ended the link.
    Server,
    /// The bridge stopped.
    Bridge,
}

impl fmt::Display for FocusEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "the focus lost its XMPP server",
            Self::Bridge => "the focus lost its bridge",
        })
    }
}

impl std::error::Error for FocusEnd {}

impl Focus {
    /// A focus that speaks over `link`, and its handle.
    #[must_use]
    pub fn new(config: FocusConfig, link: FocusLink) -> (Self, FocusHandle) {
        let (sender, requests) = mpsc::channel(64);
        let health = Arc::new(Health::default());
        let user = config.user.clone();
        let handle = FocusHandle {
            requests: sender,
            health: health.clone(),
            user,
        };
        (
            Self {
                config,
                link,
                health,
                requests,
            },
            handle,
        )
    }
}

impl FocusHandle {
    /// Asks for a conference and waits until the focus is in its room.
    ///
    /// # Errors
    /// [`Refusal`] when there can be no such conference.
    pub async fn conference(&self, room: &str, start_muted: StartMuted) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            room: room.to_owned(),
            start_muted,
            answer,
        };
        let gone = || Refusal::new(Condition::ServiceUnavailable, "the focus is not running");
        self.requests.send(request).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Signaling for Focus {
    type Error = FocusEnd;

    async fn run<M: MediaEngine>(self, media: M) -> Result<(), FocusEnd> {
        let Self {
            config,
            mut link,
            health,
            mut requests,
        } = self;
        let context = Arc::new(Context {
            config,
            media,
            stanzas: link.sender,
            whence: link.whence,
            health,
        });
        let mut conferences = Conferences::new(context.clone());
        let mut tick = interval(HEALTH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                stanza = link.receiver.recv() => match stanza {
                    Some(stanza) => conferences.stanza(stanza),
                    None => return Err(FocusEnd::Server),
                },
                event = context.media.event() => match event {
                    Some(event) => conferences.event(event),
                    None => {
                        context.health.set_bridge(false, false);
                        return Err(FocusEnd::Bridge);
                    }
                },
                Some(request) = requests.recv() => conferences.request(request),
                _ = tick.tick() => {
                    tokio::spawn(check_bridge(context.clone()));
                }
            }
        }
    }
}

/// Asks the bridge for a sign of life.
async fn check_bridge<M: MediaEngine>(context: Arc<Context<M>>) {
    let present = context.media.is_present();
    let operational = present && context.request(Command::Stats).await.is_ok();
    context.health.set_bridge(present, operational);
}

/// How long a bridge may take to answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);

/// How often the bridge is asked for a sign of life.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
