//! Joins over colibri2: what a focus says to a bridge, said by ourselves.

use core::net::SocketAddrV4;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Ask;
use crate::clock::wall;
use crate::load::http::{Url, ask};
use crate::load::leg::{Local, Numbers, Remote};
use crate::load::plan::Member;
use crate::load::voice::OPUS;
use crate::load::{Failure, failure};

/// Numbers as Jitsi's focus gives them.
const NUMBERS: Numbers = Numbers {
    vp8: 100,
    rtx: Some(96),
    transport_cc: Some(5),
};

const CONFERENCES: &str = "/colibri/v2/conferences";

/// A bridge.
pub(crate) struct Colibri {
    url: Url,
    /// Rooms that exist. One conference is made at a time.
    rooms: Mutex<BTreeSet<usize>>,
    /// Makes the names of conferences those of this run.
    run: u64,
}

impl Colibri {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            rooms: Mutex::default(),
            run: wall(),
        }
    }

    pub(crate) async fn join(&self, it: Ask<'_>) -> Result<Remote, Failure> {
        let room = it.member.room;
        let name = format!("{:08x}", it.member.id);
        let meeting = self.meeting(room);
        let mut capabilities = vec!["source-names"];
        if !it.keep_ssrcs {
            capabilities.push("ssrc-rewriting");
        }
        let mut endpoint = json!({
            "id": name,
            "create": true,
            "capabilities": capabilities,
            "medias": medias(it.transport_cc),
            "transport": { "ice-controlling": false, "rtcp-mux": true },
        });
        if let (Some(last_n), Value::Object(fields)) = (it.member.last_n, &mut endpoint) {
            fields.insert("initial-last-n".to_owned(), json!({ "value": last_n }));
        }
        let mut rooms = self.rooms.lock().await;
        let answer = if rooms.contains(&room) {
            drop(rooms);
            self.patch(&meeting, &endpoint).await?
        } else {
            let body = json!({ "meeting-id": meeting, "create": true, "endpoints": [endpoint] });
            let answer = self.ask("POST", CONFERENCES, &body).await?;
            rooms.insert(room);
            answer
        };
        let mut update = json!({
            "id": name,
            "transport": { "transport": {
                "ufrag": it.local.ufrag,
                "pwd": it.local.password,
                "rtcp-mux": true,
                "fingerprints": [{
                    "fingerprint": it.identity.fingerprint,
                    "hash": "sha-256",
                    "setup": "active",
                }],
            } },
        });
        if let (true, Value::Object(fields)) = (it.member.sends, &mut update) {
            let mut sources = vec![camera(it.local, &name)];
            if it.member.talks {
                sources.push(microphone(it.local, &name));
            }
            fields.insert("sources".to_owned(), json!(sources));
        }
        self.patch(&meeting, &update).await?;
        remote(&answer).ok_or_else(|| Failure(format!("no transport in {answer}")))
    }

    /// Says that a member that sends shares its screen as well.
    pub(crate) async fn share_screen(&self, member: &Member, local: &Local) -> Result<(), Failure> {
        let name = format!("{:08x}", member.id);
        let screen = source(&format!("{name}-v1"), local.screen_ssrc, "desktop");
        let update = json!({ "id": name, "sources": [camera(local, &name), screen] });
        self.patch(&self.meeting(member.room), &update).await?;
        Ok(())
    }

    /// Ends all rooms.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        for room in core::mem::take(&mut *self.rooms.lock().await) {
            let path = format!("{CONFERENCES}/{}", self.meeting(room));
            self.ask("PATCH", &path, &json!({ "expire": true })).await?;
        }
        Ok(())
    }

    fn meeting(&self, room: usize) -> String {
        format!("load-{:x}-{room}", self.run)
    }

    async fn patch(&self, meeting: &str, endpoint: &Value) -> Result<Value, Failure> {
        let path = format!("{CONFERENCES}/{meeting}");
        self.ask("PATCH", &path, &json!({ "endpoints": [endpoint] }))
            .await
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = ask(
            &self.url,
            method,
            path,
            "application/json",
            &body.to_string(),
        )
        .await?;
        serde_json::from_str(&answer.good()?).map_err(|error| failure("colibri2", error))
    }
}

fn camera(local: &Local, name: &str) -> Value {
    source(&format!("{name}-v0"), local.ssrc, "camera")
}

fn microphone(local: &Local, name: &str) -> Value {
    let name = format!("{name}-a0");
    json!({
        "type": "audio",
        "id": name,
        "sources": [{ "ssrc": local.voice_ssrc, "name": name }],
    })
}

fn source(name: &str, ssrc: u32, video_type: &str) -> Value {
    json!({
        "type": "video",
        "id": name,
        "sources": [{ "ssrc": ssrc, "name": name, "videoType": video_type }],
    })
}

fn medias(transport_cc: bool) -> Value {
    let feedback = |kind: &str, subtype: &str| json!({ "type": kind, "subtype": subtype });
    let mut feedbacks = vec![
        feedback("ccm", "fir"),
        json!({ "type": "nack" }),
        feedback("nack", "pli"),
    ];
    let mut extensions = Vec::new();
    if transport_cc {
        feedbacks.push(json!({ "type": "transport-cc" }));
        extensions.push(json!({
            "id": NUMBERS.transport_cc,
            "uri": "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        }));
    }
    json!([{
        "type": "video",
        "payload-types": [
            { "id": NUMBERS.vp8, "name": "VP8", "clockrate": 90_000, "rtcp-fbs": feedbacks },
            {
                "id": NUMBERS.rtx,
                "name": "rtx",
                "clockrate": 90_000,
                "parameters": { "apt": NUMBERS.vp8.to_string() },
            },
        ],
        "rtp-hdrexts": extensions,
    }, {
        "type": "audio",
        "payload-types": [
            { "id": OPUS, "name": "opus", "clockrate": 48_000, "channels": 2 },
        ],
    }])
}

/// The bridge's end of the first endpoint's transport.
fn remote(answer: &Value) -> Option<Remote> {
    let transport = answer.pointer("/endpoints/0/transport/transport")?;
    let text = |name: &str| transport.get(name)?.as_str().map(str::to_owned);
    let candidates = transport.get("candidates")?.as_array()?;
    Some(Remote {
        ufrag: text("ufrag")?,
        password: text("pwd")?,
        address: candidates.iter().find_map(address)?,
        controlling: true,
        dtls_client: true,
        numbers: NUMBERS,
    })
}

fn address(candidate: &Value) -> Option<SocketAddrV4> {
    let field = |name: &str| {
        let value = candidate.get(name)?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    let is_udp = field("protocol")?.eq_ignore_ascii_case("udp");
    let address = SocketAddrV4::new(field("ip")?.parse().ok()?, field("port")?.parse().ok()?);
    is_udp.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridges_end_is_read() {
        let candidate = |ip: &str| json!({ "protocol": "udp", "ip": ip, "port": "10000" });
        let answer = json!({ "endpoints": [{ "transport": { "transport": {
            "ufrag": "u", "pwd": "p", "candidates": [candidate("::1"), candidate("127.0.0.1")],
        } } }] });
        let remote = remote(&answer).unwrap();
        assert_eq!(remote.address.to_string(), "127.0.0.1:10000");
        assert_eq!(
            (remote.ufrag.as_str(), remote.password.as_str()),
            ("u", "p")
        );
    }
}
