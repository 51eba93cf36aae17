//! Serves XMPP over HTTP requests that wait (XEP-0124, XEP-0206) at `/http-bind`.
//!
//! Each session is a task with one stream and one `Window`, which keeps the order of requests and
//! answers. Answers are always 200 with a body, also those that end a session: clients retry on
//! other statuses.

pub(crate) mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use self::window::{Arrival, Window};
use super::connection::{Connection, Reply};
use super::{Peer, origin};
use crate::xml::reader::read_document;
use crate::xml::{Element, XmlLimits, ns, writer};
use crate::xmpp::{XmppCounter, XmppHandle};

/// The route; needs [`Peer`] in the request's extensions.
pub fn routes(handle: XmppHandle) -> Router {
    let bosh = Bosh {
        handle,
        sessions: Arc::default(),
    };
    Router::new()
        .route("/http-bind", get(greet).post(post).options(preflight))
        .with_state(bosh)
}

/// All sessions, by their secret id.
#[derive(Clone, Debug)]
struct Bosh {
    handle: XmppHandle,
    sessions: Arc<Mutex<HashMap<String, mpsc::Sender<Request>>>>,
}

/// A body and where its answer goes.
#[derive(Debug)]
struct Request {
    body: Element,
    answer: oneshot::Sender<Arc<str>>,
}

async fn greet() -> Response {
    respond(
        "text/plain; charset=utf-8",
        "This is the address of XMPP over BOSH.\n".to_owned(),
    )
}

async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, GET, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    (headers, respond("text/plain", String::new())).into_response()
}

/// Any content type will do: `sendBeacon` of a page that closes sends text/plain.
async fn post(
    State(bosh): State<Bosh>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(Extension(peer)) = peer else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let limits = bosh.handle.config().limits;
    // Before it is read nobody knows whose body it is, but strangers have only small ones to send.
    let most = if bosh.handle.admission().knows(peer.address.ip()) {
        limits.stanza_bytes
    } else {
        limits.stanza_bytes_before_auth + 2 * SLACK
    };
    let bytes = match timeout(limits.body_time, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            bosh.handle.stats().count(XmppCounter::StanzasTooLarge);
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        Err(_) => {
            bosh.handle.stats().count(XmppCounter::HandshakeTimeouts);
            return StatusCode::REQUEST_TIMEOUT.into_response();
        }
    };
    let xml = limits.xml(true);
    let xml = XmlLimits {
        depth: xml.depth + 1,
        ..xml
    };
    let body = match read_document(&bytes, xml) {
        Ok(body) if body.is("body", ns::BOSH) => body,
        _ => {
            bosh.handle.stats().count(XmppCounter::BoshViolations);
            return respond(XML, terminate("bad-request"));
        }
    };
    let answer = match body.attr("sid") {
        Some(sid) => bosh.request(sid, body.clone()).await,
        None => bosh.begin(peer, &headers, body).await,
    };
    respond(
        XML,
        answer
            .unwrap_or_else(|| Arc::from(terminate("item-not-found")))
            .to_string(),
    )
}

fn respond(kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, text).into_response()
}

fn terminate(condition: &str) -> String {
    let mut body = Element::new("body", ns::BOSH).with("type", "terminate");
    if !condition.is_empty() {
        body.set("condition", condition);
    }
    writer::to_string(&body)
}

impl Bosh {
    /// Gives a request to its session and waits for the answer.
    async fn request(&self, sid: &str, body: Element) -> Option<Arc<str>> {
        let session = self.lock().get(sid).cloned()?;
        let (answer, answered) = oneshot::channel();
        if session.try_send(Request { body, answer }).is_err() {
            self.handle.stats().count(XmppCounter::BoshViolations);
            return Some(Arc::from(terminate("policy-violation")));
        }
        answered.await.ok()
    }

    /// Begins a session.
    async fn begin(&self, peer: Peer, headers: &HeaderMap, body: Element) -> Option<Arc<str>> {
        let Some(terms) = Terms::of(&body, &self.handle) else {
            return Some(Arc::from(terminate("bad-request")));
        };
        let origin = origin(peer, headers);
        let Some(connection) = Connection::admit(self.handle.clone(), origin) else {
            return Some(Arc::from(terminate("policy-violation")));
        };
        let sid = Uuid::new_v4().simple().to_string();
        let (requests, receiver) = mpsc::channel(BACKLOG);
        self.lock().insert(sid.clone(), requests);
        let session = Session {
            window: Window::new(terms.rid, WINDOW),
            outgoing: Vec::new(),
            idle_since: None,
            terms,
            connection,
        };
        let (answer, answered) = oneshot::channel();
        let bosh = self.clone();
        tokio::spawn(async move {
            session.run(&sid, Request { body, answer }, receiver).await;
            bosh.lock().remove(&sid);
        });
        answered.await.ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::Sender<Request>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What client and server agreed on at the beginning.
#[derive(Clone, Copy, Debug)]
struct Terms {
    rid: u64,
    wait: Duration,
    hold: usize,
    acks: bool,
}

impl Terms {
    fn of(body: &Element, handle: &XmppHandle) -> Option<Self> {
        let number = |name| body.attr(name).map(str::parse::<u64>);
        let rid = number("rid")?.ok().filter(|rid| *rid < MAX_RID)?;
        let wait = number("wait")
            .and_then(Result::ok)
            .unwrap_or(MAX_WAIT)
            .min(MAX_WAIT);
        // A wait of nothing would make the client ask without end.
        let wait = Duration::from_secs(wait.max(1)).min(handle.config().limits.bosh_inactivity);
        let hold = number("hold")
            .and_then(Result::ok)
            .map_or(1, |hold| usize::from(hold > 0));
        Some(Self {
            rid,
            wait,
            hold,
            acks: body.attr("ack").is_some(),
        })
    }
}

/// One session.
#[derive(Debug)]
struct Session {
    connection: Connection,
    terms: Terms,
    window: Window<oneshot::Sender<Arc<str>>>,
    outgoing: Vec<Reply>,
    /// Since when no request waits.
    idle_since: Option<Instant>,
}

impl Session {
    async fn run(mut self, sid: &str, first: Request, mut requests: mpsc::Receiver<Request>) {
        self.begin(sid, first).await;
        while !self.connection.is_closed() {
            let deadline = self.deadline();
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.take(request).await,
                    None => return,
                },
                replies = self.connection.next() => self.outgoing.extend(replies),
                () = sleep_until(deadline.into()) => self.be_punctual(),
            }
            let more = std::iter::from_fn(|| self.connection.next_now()).take(BATCH);
            self.outgoing.extend(more.map(Reply::Element));
            self.answer();
        }
        self.finish();
    }

    /// The first request opens the stream and tells the terms.
    async fn begin(&mut self, sid: &str, first: Request) {
        let replies = self.connection.open(first.body.attr("to")).await;
        let limits = self.connection.handle().config().limits;
        let mut body = Element::new("body", ns::BOSH)
            .with("sid", sid)
            .with("wait", self.terms.wait.as_secs().to_string())
            .with("hold", self.terms.hold.to_string())
            .with("requests", WINDOW.to_string())
            .with("inactivity", limits.bosh_inactivity.as_secs().to_string())
            .with("polling", "5")
            .with("ver", "1.6")
            .with("from", self.connection.handle().config().domain.clone())
            .with("{urn:xmpp:xbosh}version", "1.0")
            .with("{urn:xmpp:xbosh}restartlogic", "true");
        if self.terms.acks {
            body.set("ack", self.terms.rid.to_string());
        }
        let text = finish_body(body, replies);
        self.window.answer_first(Arc::clone(&text));
        drop(first.answer.send(text));
        self.idle_since = Some(Instant::now());
    }

    /// Takes a request, and those that had to wait for it.
    async fn take(&mut self, request: Request) {
        let Some(rid) = request.body.attr("rid").and_then(|rid| rid.parse().ok()) else {
            return self.violate("bad-request", request.answer);
        };
        match self.window.arrive(rid, request.body, request.answer) {
            Arrival::Fits => {}
            Arrival::Repeat(text, answer) => return drop(answer.send(text)),
            Arrival::Replaces(older) => return drop(older.send(Arc::from(EMPTY))),
            Arrival::Outside(answer) => return self.violate("item-not-found", answer),
        }
        while let Some(body) = self.window.next() {
            self.handle(body).await;
        }
    }

    async fn handle(&mut self, body: Element) {
        let limits = self.connection.xml_limits();
        if body.weight() > limits.bytes.saturating_add(SLACK) {
            let replies = self.connection.xml_error(crate::xml::XmlError::TooLarge);
            return self.outgoing.extend(replies);
        }
        if body.attr("{urn:xmpp:xbosh}restart") == Some("true") {
            let replies = self.connection.open(body.attr("to")).await;
            self.outgoing.extend(replies);
        }
        self.connection.pace(body.weight()).await;
        for child in body.elements() {
            let replies = self.connection.element(child.clone(), 0).await;
            self.outgoing.extend(replies);
        }
        if body.attr("type") == Some("terminate") {
            let replies = self.connection.close();
            self.outgoing.extend(replies);
        }
    }

    /// A request that breaks the rules ends the session.
    fn violate(&mut self, condition: &str, answer: oneshot::Sender<Arc<str>>) {
        self.connection.count(XmppCounter::BoshViolations);
        drop(answer.send(Arc::from(terminate(condition))));
        let replies = self.connection.close();
        self.outgoing.extend(replies);
    }

    /// Answers the oldest request when there is something to say, and those beyond `hold`.
    fn answer(&mut self) {
        while !self.connection.is_closed()
            && (self.window.waiting() > self.terms.hold
                || (!self.outgoing.is_empty() && self.window.waiting() > 0))
        {
            self.answer_oldest();
        }
        // A request whose connection is gone keeps nothing alive.
        if self.window.all_waiting(oneshot::Sender::is_closed) {
            self.idle_since.get_or_insert_with(Instant::now);
        } else {
            self.idle_since = None;
        }
    }

    fn answer_oldest(&mut self) {
        let mut body = Element::new("body", ns::BOSH);
        if self.terms.acks
            && let Some(ack) = self.window.ack()
        {
            body.set("ack", ack.to_string());
        }
        let replies = std::mem::take(&mut self.outgoing);
        if let Some((answer, text)) = self.window.answer(finish_body(body, replies)) {
            drop(answer.send(text));
        }
    }

    /// When something is due: an answer to the oldest request, the login, or the end.
    fn deadline(&self) -> Instant {
        let limits = self.connection.handle().config().limits;
        let idle = self.idle_since.map(|since| since + limits.bosh_inactivity);
        let wait = self
            .window
            .oldest_since()
            .map(|since| since + self.terms.wait);
        let login = self.connection.login_deadline();
        let look = Instant::now() + LOOK;
        [idle, wait, login]
            .into_iter()
            .flatten()
            .fold(look, Instant::min)
    }

    /// Does what is due.
    fn be_punctual(&mut self) {
        let now = Instant::now();
        let limits = self.connection.handle().config().limits;
        if self
            .connection
            .login_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            let replies = self.connection.time_out();
            self.outgoing.extend(replies);
        } else if self
            .idle_since
            .is_some_and(|since| since + limits.bosh_inactivity <= now)
        {
            self.connection.count(XmppCounter::SilentClosed);
            let replies = self.connection.close();
            self.outgoing.extend(replies);
        } else if self
            .window
            .oldest_since()
            .is_some_and(|since| since + self.terms.wait <= now)
        {
            self.answer_oldest();
        }
    }

    /// The stream has ended: every request that waits is told, the oldest also why.
    fn finish(&mut self) {
        let replies = std::mem::take(&mut self.outgoing);
        let body = Element::new("body", ns::BOSH).with("type", "terminate");
        let mut ending = finish_body(body, replies);
        while let Some((answer, text)) = self.window.answer(Arc::clone(&ending)) {
            drop(answer.send(text));
            ending = Arc::from(terminate(""));
        }
        for answer in self.window.early() {
            drop(answer.send(Arc::from(terminate("item-not-found"))));
        }
    }
}

/// Writes a body with what there is to say; the end of the stream becomes `terminate`.
fn finish_body(mut body: Element, replies: Vec<Reply>) -> Arc<str> {
    for reply in replies {
        match reply {
            Reply::Open(_) => {}
            Reply::Element(element) => {
                if element.is("error", ns::STREAM) {
                    let condition = element.payload().map_or("", |c| c.name.as_str());
                    let condition = match condition {
                        "host-unknown" | "policy-violation" => condition,
                        _ => "remote-stream-error",
                    };
                    body.set("condition", condition);
                }
                body.children.push(element.into());
            }
            Reply::Close => body.set("type", "terminate"),
        }
    }
    Arc::from(writer::to_string(&body))
}

/// Requests that may be under way at once: one that waits and one that says something.
const WINDOW: usize = 2;

/// Requests of a session that are not looked at yet; with repeated ones there may be more than the
/// window.
const BACKLOG: usize = 8;

/// Longest wait in seconds.
const MAX_WAIT: u64 = 60;

/// Largest first request id (XEP-0124, section 14.1): 2^53 less room to count.
const MAX_RID: u64 = 1 << 52;

/// What a body may take beyond the stanza in it.
const SLACK: usize = 1024;

/// Stanzas in one answer beyond the first.
const BATCH: usize = 64;

/// Time between looks for connections that are gone.
const LOOK: Duration = Duration::from_secs(1);

/// An answer that says nothing.
const EMPTY: &str = "<body xmlns=\"http://jabber.org/protocol/httpbind\"/>";

const XML: &str = "text/xml; charset=utf-8";
