//! Sets up a hall to meet in: server, focus, a recorded engine, and scripted clients.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridge_core::description::{
    Candidate, CandidateKind, CandidateProtocol, Fingerprint, FingerprintHash, TransportDescription,
};
use bridge_core::event::TransportFailure;
use bridge_core::id::Ssrc;
use bridge_core::{Command, EndpointAddress, Error, Event, Reply};
use signaling::focus::{Focus, FocusConfig, FocusHandle, FocusLink, Whence};
use signaling::seam::{MediaEngine, Signaling};
use signaling::xml::{Element, ns};
use signaling::xmpp::{Link, Origin, XmppConfig, XmppHandle, XmppServer};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) const ROOM: &str = "room@muc.meet.jitsi";
pub(crate) const FOCUS: &str = "room@muc.meet.jitsi/focus";
pub(crate) const JINGLE: &str = "urn:xmpp:jingle:1";
pub(crate) const SOURCE: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";

/// An engine that notes what it is asked and answers from a script.
pub(crate) struct Recorder {
    commands: Mutex<Vec<Command>>,
    /// What each name had last: its address and the number of its session.
    made: Mutex<HashMap<String, (EndpointAddress, u64)>>,
    pub(crate) failing: Mutex<bool>,
    events: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    pub(crate) happen: mpsc::Sender<Event>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        let (happen, events) = mpsc::channel(16);
        Arc::new(Self {
            commands: Mutex::default(),
            made: Mutex::default(),
            failing: Mutex::new(false),
            events: tokio::sync::Mutex::new(events),
            happen,
        })
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap())
    }

    /// What the bridge tells when it loses the session that the participant has now.
    pub(crate) fn loss_of(&self, nick: &str) -> Event {
        let (endpoint, session) = self.made.lock().unwrap().get(nick).cloned().unwrap();
        Event::EndpointFailed {
            endpoint,
            session,
            reason: TransportFailure::ConsentLost,
        }
    }
}

impl MediaEngine for Recorder {
    type Error = Error;

    async fn request(&self, command: Command) -> Result<Reply, Error> {
        if *self.failing.lock().unwrap() {
            return Err(Error::Stopped);
        }
        let reply = match &command {
            Command::CreateEndpoint { endpoint, options } => {
                let nick = endpoint.endpoint.as_str().to_owned();
                let made = (endpoint.clone(), options.session);
                self.made.lock().unwrap().insert(nick, made);
                Reply::Endpoint {
                    transport: transport(),
                    audio_feedback: Ssrc(101),
                    video_feedback: Ssrc(102),
                }
            }
            Command::Stats => return Ok(Reply::Stats(Box::default())),
            _ => Reply::Done,
        };
        self.commands.lock().unwrap().push(command);
        Ok(reply)
    }

    async fn event(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }

    fn channel_url(&self, endpoint: &EndpointAddress, base: &str) -> Option<String> {
        Some(format!("{base}/colibri-ws/b/c/{}?pwd=x", endpoint.endpoint))
    }

    fn is_unknown(error: &Error) -> bool {
        matches!(error, Error::Unknown(_))
    }
}

pub(crate) fn transport() -> TransportDescription {
    TransportDescription {
        ufrag: "bridge".into(),
        password: "p".repeat(24),
        candidates: vec![Candidate {
            foundation: "1".into(),
            priority: 1,
            protocol: CandidateProtocol::Udp,
            address: "192.0.2.1:10000".parse().unwrap(),
            kind: CandidateKind::Host,
        }],
        fingerprints: vec![Fingerprint {
            hash: FingerprintHash::Sha256,
            value: vec![1; 32],
        }],
        ..TransportDescription::default()
    }
}

pub(crate) fn focus_config() -> FocusConfig {
    FocusConfig {
        rooms: "muc.meet.jitsi".into(),
        user: "focus@auth.meet.jitsi/focus".into(),
        channel_url: None,
        channel_fallback: "ws://fallback".into(),
        min_participants: 2,
        single_participant_timeout: Duration::from_secs(20),
        initial_timeout: Duration::from_secs(15),
        conferences: 10,
    }
}

/// A whole system in which clients meet.
pub(crate) struct Hall {
    xmpp: XmppHandle,
    pub(crate) media: Arc<Recorder>,
    pub(crate) focus: FocusHandle,
}

impl Hall {
    pub(crate) fn open() -> Self {
        let xmpp = XmppServer::start(XmppConfig::default());
        let link = xmpp.attach(&focus_config().user);
        let whence = Whence {
            loopback: true,
            url: Some("ws://localhost:8000".into()),
        };
        let (focus, handle) = Focus::new(
            focus_config(),
            FocusLink {
                sender: link.sender,
                receiver: link.receiver,
                whence: Arc::new(move |_| whence.clone()),
            },
        );
        let media = Recorder::new();
        tokio::spawn(focus.run(media.clone()));
        Self {
            xmpp,
            media,
            focus: handle,
        }
    }

    /// A client that asks for the conference and joins, with these features.
    pub(crate) async fn join(&self, nick: &str, features: &[&str]) -> Client {
        let origin = Origin::new("127.0.0.1:9".parse().unwrap(), None);
        let mut client = Client {
            link: self
                .xmpp
                .attach_guest(&format!("{nick}-0000@meet.jitsi/x"), origin),
            nick: nick.to_owned(),
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            seen: VecDeque::new(),
            ids: 0,
        };
        let wish = Element::new("conference", ns::FOCUS).with("room", ROOM);
        let answer = client.ask("focus.meet.jitsi", wish).await;
        let ready = answer.find("conference", ns::FOCUS).expect("a conference");
        assert_eq!(ready.attr("ready"), Some("true"));
        assert_eq!(ready.attr("focusjid"), Some("focus@auth.meet.jitsi"));
        let presence = Element::new("presence", ns::CLIENT)
            .with("to", format!("{ROOM}/{nick}"))
            .child(Element::new("x", ns::MUC));
        client.say(presence).await;
        let own = format!("{ROOM}/{nick}");
        client
            .wait(|it| it.name == "presence" && it.attr("from") == Some(&own))
            .await;
        client
    }

    /// Two clients that rewrite SSRCs, both with an accepted session.
    pub(crate) async fn two(&self) -> (Client, Client) {
        let mut a = self.join("aaaaaaaa", &MODERN).await;
        let mut b = self.join("bbbbbbbb", &MODERN).await;
        a.accept(10).await;
        b.accept(20).await;
        self.media.take();
        (a, b)
    }
}

pub(crate) const MODERN: [&str; 4] = [
    "http://jitsi.org/json-encoded-sources",
    "http://jitsi.org/ssrc-rewriting-1",
    "http://jitsi.org/tcc",
    "urn:ietf:rfc:4588",
];

pub(crate) const PLAIN: [&str; 2] = ["http://jitsi.org/tcc", "urn:ietf:rfc:4588"];

pub(crate) struct Client {
    link: Link,
    nick: String,
    features: Vec<String>,
    seen: VecDeque<Element>,
    ids: u32,
}

impl Client {
    pub(crate) async fn say(&self, stanza: Element) {
        self.link.sender.send(stanza).await.unwrap();
    }

    /// The next stanza for us; questions what we can are answered on the way.
    pub(crate) async fn hear(&mut self) -> Element {
        loop {
            let stanza = self.link.receiver.recv().await.expect("the server is up");
            if stanza
                .payload()
                .is_some_and(|it| it.is("query", ns::DISCO_INFO))
                && stanza.attr("type") == Some("get")
            {
                let features = self
                    .features
                    .iter()
                    .map(|var| Element::new("feature", ns::DISCO_INFO).with("var", &**var));
                let query = Element::new("query", ns::DISCO_INFO).children(features);
                self.say(stanza.reply("result").child(query)).await;
                continue;
            }
            return stanza;
        }
    }

    /// The first stanza, heard already or to come, that fits.
    pub(crate) async fn wait(&mut self, fits: impl Fn(&Element) -> bool) -> Element {
        if let Some(at) = self.seen.iter().position(&fits) {
            return self.seen.remove(at).unwrap();
        }
        let waited = timeout(Duration::from_secs(90), async {
            loop {
                let stanza = self.hear().await;
                if fits(&stanza) {
                    return stanza;
                }
                self.seen.push_back(stanza);
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("{} waits in vain", self.nick))
    }

    /// Whether nothing that fits comes for a while.
    pub(crate) async fn is_spared(&mut self, fits: impl Fn(&Element) -> bool) -> bool {
        if self.seen.iter().any(&fits) {
            return false;
        }
        let waited = timeout(Duration::from_secs(10), async {
            loop {
                let stanza = self.hear().await;
                let found = fits(&stanza);
                self.seen.push_back(stanza);
                if found {
                    return;
                }
            }
        });
        waited.await.is_err()
    }

    pub(crate) async fn ask(&mut self, to: &str, payload: Element) -> Element {
        self.ids += 1;
        let id = format!("{}{}", self.nick, self.ids);
        let iq = Element::new("iq", ns::CLIENT)
            .with("type", "set")
            .with("to", to)
            .with("id", &*id)
            .child(payload);
        self.say(iq).await;
        self.wait(|it| it.name == "iq" && it.attr("id") == Some(&id) && !it.is_request())
            .await
    }

    /// The next Jingle of this action, acknowledged; gives its payload.
    pub(crate) async fn jingle(&mut self, action: &str) -> Element {
        let iq = self.wait(|it| is_jingle(it, action)).await;
        self.say(iq.reply("result")).await;
        iq.payload().unwrap().clone()
    }

    /// Takes the offer and sends one microphone and one camera, with SSRCs from `base` on.
    pub(crate) async fn accept(&mut self, base: u32) -> String {
        let offer = self.jingle("session-initiate").await;
        let sid = offer.attr("sid").unwrap().to_owned();
        let answer = self.answer(&sid, base);
        let answered = self.ask(FOCUS, answer).await;
        assert_eq!(answered.attr("type"), Some("result"), "{answered:?}");
        sid
    }

    pub(crate) fn answer(&self, sid: &str, base: u32) -> Element {
        let audio = content(
            "audio",
            vec![
                payload_type("111", "opus"),
                source(
                    &format!("{}-a0", self.nick),
                    base,
                    &format!("{}-a t", self.nick),
                ),
            ],
        );
        let msid = format!("{}-v t", self.nick);
        let camera = format!("{}-v0", self.nick);
        let group = Element::new("ssrc-group", SOURCE)
            .with("semantics", "FID")
            .children(
                [base + 1, base + 2]
                    .map(|it| Element::new("source", SOURCE).with("ssrc", it.to_string())),
            );
        let video = content(
            "video",
            vec![
                payload_type("100", "VP8"),
                payload_type("96", "rtx").child(
                    Element::new("parameter", RTP)
                        .with("name", "apt")
                        .with("value", "100"),
                ),
                payload_type("101", "VP9"),
                source(&camera, base + 1, &msid),
                source(&camera, base + 2, &msid),
                group,
            ],
        );
        jingle("session-accept", sid).child(audio).child(video)
    }
}

pub(crate) const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";

pub(crate) fn is_jingle(stanza: &Element, action: &str) -> bool {
    stanza.attr("type") == Some("set")
        && stanza
            .payload()
            .is_some_and(|it| it.is("jingle", JINGLE) && it.attr("action") == Some(action))
}

pub(crate) fn jingle(action: &str, sid: &str) -> Element {
    Element::new("jingle", JINGLE)
        .with("action", action)
        .with("sid", sid)
}

pub(crate) fn payload_type(id: &str, name: &str) -> Element {
    Element::new("payload-type", RTP)
        .with("id", id)
        .with("name", name)
        .with("clockrate", "90000")
}

pub(crate) fn source(name: &str, ssrc: u32, msid: &str) -> Element {
    Element::new("source", SOURCE)
        .with("ssrc", ssrc.to_string())
        .with("name", name)
        .child(
            Element::new("parameter", SOURCE)
                .with("name", "msid")
                .with("value", msid),
        )
}

pub(crate) fn content(kind: &str, parts: Vec<Element>) -> Element {
    let fingerprint = Element::new("fingerprint", "urn:xmpp:jingle:apps:dtls:0")
        .with("hash", "sha-256")
        .with("setup", "active")
        .text(["AB"; 32].join(":"));
    let transport = Element::new("transport", "urn:xmpp:jingle:transports:ice-udp:1")
        .with("ufrag", "clnt")
        .with("pwd", "q".repeat(24))
        .child(fingerprint);
    Element::new("content", JINGLE)
        .with("name", kind)
        .with("creator", "responder")
        .child(
            Element::new("description", RTP)
                .with("media", kind)
                .children(parts),
        )
        .child(transport)
}

pub(crate) fn is_error(answer: &Element, condition: &str) -> bool {
    answer.attr("type") == Some("error")
        && answer
            .find("error", ns::CLIENT)
            .is_some_and(|error| error.find(condition, ns::STANZA_ERROR).is_some())
}

pub(crate) fn json_of(payload: &Element) -> serde_json::Value {
    let text = payload
        .find("json-message", ns::JITMEET)
        .expect("sources in JSON")
        .own_text();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn name_of(command: &Command) -> String {
    let text = format!("{command:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}
