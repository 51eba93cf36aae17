//! Joins rooms of Janus's VideoRoom over its HTTP API: publishers by an offer, subscribers by an
//! answer to Janus's.

use core::time::Duration;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Ask;
use crate::clock::wall;
use crate::load::http::{Url, ask};
use crate::load::leg::Remote;
use crate::load::{Failure, failure};

/// Time between two signs of life; Janus ends a session after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Looks for an event before giving up; each waits for up to half a minute at Janus.
const LOOKS: usize = 5;

/// A Janus.
pub(crate) struct Janus {
    url: Url,
    run: u64,
    /// Rooms made here, by room of the plan, with what joins as a whole asks for once.
    rooms: Mutex<BTreeMap<usize, u64>>,
    sessions: Mutex<Vec<(u64, JoinHandle<()>)>>,
}

impl Janus {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            // Room numbers that no configuration has.
            run: wall() % 1_000_000_000 + 1_000_000_000,
            rooms: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    pub(crate) async fn join(&self, it: Ask<'_>) -> Result<Remote, Failure> {
        let created = self.post("", json!({ "janus": "create" })).await?;
        let session = number(&created, "/data/id")?;
        let keeper = tokio::spawn(keep_alive(self.url.clone(), session));
        self.sessions.lock().await.push((session, keeper));
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        let attached = self.post(&format!("/{session}"), attach).await?;
        let handle = format!("/{session}/{}", number(&attached, "/data/id")?);
        let room = self.room(it.member.room, &handle).await?;
        if it.member.sends {
            self.publish(session, &handle, room, &it).await
        } else {
            self.subscribe(session, &handle, room, &it).await
        }
    }

    async fn publish(
        &self,
        session: u64,
        handle: &str,
        room: u64,
        it: &Ask<'_>,
    ) -> Result<Remote, Failure> {
        let body = json!({
            "request": "joinandconfigure",
            "ptype": "publisher",
            "room": room,
            "id": it.member.id + 1,
            "audio": false,
            "video": true,
        });
        let offer = it.offer(true, 0);
        let jsep = json!({ "type": "offer", "sdp": offer });
        self.message(handle, &body, Some(&jsep)).await?;
        self.description(session, it).await
    }

    async fn subscribe(
        &self,
        session: u64,
        handle: &str,
        room: u64,
        it: &Ask<'_>,
    ) -> Result<Remote, Failure> {
        let wanted = it.member.last_n.unwrap_or(usize::MAX);
        let feeds = it.member.receives.iter().take(wanted);
        let streams: Vec<_> = feeds.map(|feed| json!({ "feed": feed + 1 })).collect();
        let body = json!({
            "request": "join",
            "ptype": "subscriber",
            "room": room,
            "streams": streams,
        });
        self.message(handle, &body, None).await?;
        let offer = self.event(session).await?;
        let offer = offer.pointer("/jsep/sdp").and_then(Value::as_str);
        let offer = offer.ok_or_else(|| Failure("Janus does not offer".to_owned()))?;
        let jsep = json!({ "type": "answer", "sdp": it.answer(offer) });
        let start = json!({ "request": "start", "room": room });
        self.message(handle, &start, Some(&jsep)).await?;
        it.remote(offer)
            .ok_or_else(|| Failure(format!("an offer without a transport: {offer}")))
    }

    /// Makes a room when it is needed first.
    async fn room(&self, room: usize, handle: &str) -> Result<u64, Failure> {
        let mut rooms = self.rooms.lock().await;
        if let Some(id) = rooms.get(&room) {
            return Ok(*id);
        }
        let id = self.run + u64::try_from(room).unwrap_or(0);
        let body = json!({
            "request": "create",
            "room": id,
            "publishers": 1_000,
            "bitrate": 0,
            "videocodec": "vp8",
            "notify_joining": false,
            "transport_wide_cc_ext": true,
        });
        self.message(handle, &body, None).await?;
        rooms.insert(room, id);
        Ok(id)
    }

    /// The answer of an event.
    async fn description(&self, session: u64, it: &Ask<'_>) -> Result<Remote, Failure> {
        let event = self.event(session).await?;
        let answer = event.pointer("/jsep/sdp").and_then(Value::as_str);
        answer
            .and_then(|answer| it.remote(answer))
            .ok_or_else(|| Failure(format!("Janus does not answer: {event}")))
    }

    /// The next event with a description.
    async fn event(&self, session: u64) -> Result<Value, Failure> {
        for _ in 0..LOOKS {
            let path = format!("/{session}?maxev=1");
            let answer = ask(&self.url, "GET", &path, "application/json", "")
                .await?
                .good()?;
            let event: Value =
                serde_json::from_str(&answer).map_err(|error| failure("Janus", error))?;
            check(&event)?;
            if event.get("jsep").is_some() {
                return Ok(event);
            }
        }
        Err(Failure("Janus never describes a transport".to_owned()))
    }

    async fn message(
        &self,
        handle: &str,
        body: &Value,
        jsep: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut message = json!({ "janus": "message", "body": body });
        if let (Some(jsep), Value::Object(fields)) = (jsep, &mut message) {
            fields.insert("jsep".to_owned(), jsep.clone());
        }
        self.post(handle, message).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        post(&self.url, path, body).await
    }

    /// Ends all sessions.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        for (session, keeper) in self.sessions.lock().await.drain(..) {
            keeper.abort();
            self.post(&format!("/{session}"), json!({ "janus": "destroy" }))
                .await?;
        }
        Ok(())
    }
}

async fn post(url: &Url, path: &str, mut body: Value) -> Result<Value, Failure> {
    if let Value::Object(fields) = &mut body {
        fields.insert("transaction".to_owned(), json!("load"));
    }
    let text = body.to_string();
    let answer = ask(url, "POST", path, "application/json", &text)
        .await?
        .good()?;
    let answer = serde_json::from_str(&answer).map_err(|error| failure("Janus", error))?;
    check(&answer)?;
    Ok(answer)
}

async fn keep_alive(url: Url, session: u64) {
    loop {
        sleep(KEEP_ALIVE).await;
        let path = format!("/{session}");
        if post(&url, &path, json!({ "janus": "keepalive" }))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Errors come as good answers.
fn check(answer: &Value) -> Result<(), Failure> {
    let is_error = answer.get("janus").and_then(Value::as_str) == Some("error");
    let wrong = answer.pointer("/plugindata/data/error");
    if is_error || wrong.is_some() {
        return Err(Failure(format!("Janus: {answer}")));
    }
    Ok(())
}

fn number(answer: &Value, at: &str) -> Result<u64, Failure> {
    let number = answer.pointer(at).and_then(Value::as_u64);
    number.ok_or_else(|| Failure(format!("Janus: no {at} in {answer}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_janus_are_errors() {
        let wrong = json!({ "janus": "error", "error": { "code": 458, "reason": "No session" } });
        assert!(check(&wrong).is_err());
        let wrong = json!({ "janus": "event", "plugindata": { "data": { "error": "No room" } } });
        assert!(check(&wrong).is_err());
        let good = json!({ "janus": "success", "data": { "id": 7 } });
        assert!(check(&good).is_ok());
        assert_eq!(number(&good, "/data/id").unwrap(), 7);
        assert!(number(&good, "/data/no").is_err());
    }
}
