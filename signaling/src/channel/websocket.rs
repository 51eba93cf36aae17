//! Serves the bridge channel as WebSocket: `/colibri-ws/BRIDGE/CONFERENCE/ENDPOINT?pwd=SECRET`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bridge_core::{Command, EndpointAddress};
use tokio::time::{Instant, sleep_until, timeout};

use super::message::{self, FromClient};
use super::{Attached, Channels, Outgoing};
use crate::feature::rate_limit::{TokenBucket, network};
use crate::listen::Peer;
use crate::seam::MediaEngine;

/// The route of the bridge channel, for every web listener; needs [`Peer`] in the request's
/// extensions.
pub fn routes<M: MediaEngine>(channels: Arc<Channels>, media: Arc<M>) -> Router {
    let door = Door {
        channels,
        media,
        failures: Arc::default(),
    };
    Router::new()
        .route(
            "/colibri-ws/{bridge}/{conference}/{endpoint}",
            get(open::<M>),
        )
        .with_state(door)
}

struct Door<M> {
    channels: Arc<Channels>,
    media: Arc<M>,
    failures: Arc<Mutex<Failures>>,
}

impl<M> Clone for Door<M> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            media: self.media.clone(),
            failures: self.failures.clone(),
        }
    }
}

async fn open<M: MediaEngine>(
    State(door): State<Door<M>>,
    Path((bridge, conference, endpoint)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let now = Instant::now();
    let from = network(peer.address.ip());
    if door.failures().are_too_many(from, now) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let query = query.unwrap_or_default();
    let password = query.strip_prefix("pwd=").unwrap_or_default();
    let password = password.split('&').next().unwrap_or_default();
    // One answer for all that can be wrong: nothing is learned from it.
    let Some(attached) = door
        .channels
        .attach(&bridge, &conference, &endpoint, password)
    else {
        door.failures().count(from, now);
        return (
            StatusCode::FORBIDDEN,
            "Unknown conference, endpoint or password",
        )
            .into_response();
    };
    let upgrade = upgrade
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX);
    upgrade.on_upgrade(|socket| async move { serve(socket, attached, &door).await })
}

impl<M> Door<M> {
    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve<M: MediaEngine>(mut socket: WebSocket, mut attached: Attached, door: &Door<M>) {
    tracing::debug!(endpoint = %attached.endpoint, "bridge channel opened");
    let end = converse(&mut socket, &mut attached, door).await;
    door.channels.detach(&attached.endpoint, attached.number);
    if let Some((code, reason)) = end {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let closed = timeout(SILENCE, socket.send(Message::Close(Some(frame)))).await;
        tracing::debug!(endpoint = %attached.endpoint, reason, ?closed, "bridge channel closed");
    }
}

/// Carries messages both ways until one side ends; gives code and reason if it is ours to close.
async fn converse<M: MediaEngine>(
    socket: &mut WebSocket,
    attached: &mut Attached,
    door: &Door<M>,
) -> Option<(u16, &'static str)> {
    let mut rate = Rate::new(Instant::now());
    let mut heard = Instant::now();
    let mut pinged = false;
    loop {
        let patience = if pinged { 2 * SILENCE } else { SILENCE };
        tokio::select! {
            outgoing = attached.queue.recv() => match outgoing {
                Some(Outgoing::Text(text)) => {
                    match timeout(SILENCE, socket.send(Message::Text(text))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return None,
                        Err(_) => return Some((1008, "too slow")),
                    }
                }
                Some(Outgoing::Close(code, reason)) => return Some((code, reason)),
                None => return Some((1008, "too slow")),
            },
            incoming = socket.recv() => {
                heard = Instant::now();
                pinged = false;
                match incoming {
                    Some(Ok(Message::Text(text))) => {
                        if !rate.allow(text.len(), heard) {
                            return Some((1008, "too many messages"));
                        }
                        take(text.as_str(), &attached.endpoint, door).await;
                    }
                    Some(Ok(Message::Binary(_))) => return Some((1003, "text only")),
                    Some(Ok(Message::Close(_))) | None => return None,
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return Some((1009, "too long or not a message")),
                }
            }
            () = sleep_until(heard + patience) => {
                if pinged {
                    return Some((1001, "silent"));
                }
                pinged = true;
                if socket.send(Message::Ping(axum::body::Bytes::new())).await.is_err() {
                    return None;
                }
            }
        }
    }
}

/// Does what a message asks for. What is not understood is counted and changes nothing.
async fn take<M: MediaEngine>(text: &str, endpoint: &EndpointAddress, door: &Door<M>) {
    let read = message::read(text);
    door.channels.count_received(read.is_ok());
    let command = match read {
        Ok(FromClient::Hello) => return door.channels.greet(endpoint),
        Ok(FromClient::Constraints(constraints)) => Command::SetConstraints {
            endpoint: endpoint.clone(),
            constraints,
        },
        Ok(FromClient::VideoType { source, video_type }) => {
            door.channels.note_video_type(endpoint, &source, video_type);
            Command::SetVideoType {
                endpoint: endpoint.clone(),
                source,
                video_type,
            }
        }
        Ok(FromClient::Relay { to, fields }) => {
            return door.channels.relay(endpoint, to.as_deref(), fields);
        }
        Ok(_) => return,
        Err(error) => {
            tracing::debug!(%endpoint, %error, "a message on the bridge channel is not understood");
            return;
        }
    };
    if let Err(error) = door.media.request(command).await {
        tracing::debug!(%endpoint, %error, "the bridge refuses a message");
    }
}

/// Bounds what one client may say, since each word may go to a thousand others: 50 messages a
/// second, 100 at once, and 64 KiB a second, 256 KiB at once.
#[derive(Debug)]
struct Rate {
    messages: TokenBucket,
    bytes: TokenBucket,
}

impl Rate {
    fn new(now: Instant) -> Self {
        let now = now.into_std();
        Self {
            messages: TokenBucket::new(50, 100, now),
            bytes: TokenBucket::new(64 * 1024, 256 * 1024, now),
        }
    }

    fn allow(&mut self, length: usize, now: Instant) -> bool {
        let now = now.into_std();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let fits =
            |bucket: &mut TokenBucket, amount| bucket.take_within(amount, Duration::ZERO, now);
        fits(&mut self.messages, 1).is_some() && fits(&mut self.bytes, length).is_some()
    }
}

/// Wrong passwords by address: 10 per minute, then nothing is tried any more.
#[derive(Debug, Default)]
struct Failures(HashMap<IpAddr, (Instant, u32)>);

impl Failures {
    fn are_too_many(&self, from: IpAddr, now: Instant) -> bool {
        self.0
            .get(&from)
            .is_some_and(|(since, count)| *count >= 10 && now.duration_since(*since) < MINUTE)
    }

    fn count(&mut self, from: IpAddr, now: Instant) {
        if self.0.len() >= ADDRESSES_MAX {
            self.0
                .retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        }
        if self.0.len() >= ADDRESSES_MAX {
            self.0.clear();
        }
        let entry = self.0.entry(from).or_insert((now, 0));
        if now.duration_since(entry.0) >= MINUTE {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

/// Bytes of the longest message.
const MESSAGE_MAX: usize = 65_536;

/// A client that is silent for so long is pinged, and given up after the same time again.
const SILENCE: Duration = Duration::from_secs(10);

const MINUTE: Duration = Duration::from_secs(60);

/// Addresses of which wrong passwords are remembered.
const ADDRESSES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use bridge_core::description::{ReceiverConstraints, VideoType};
    use bridge_core::{ConferenceId, EndpointId, Event, Reply, SourceName};

    use super::*;

    /// An engine that notes what it is asked.
    #[derive(Default)]
    struct Notes(Mutex<Vec<Command>>);

    impl MediaEngine for Notes {
        type Error = bridge_core::Error;

        async fn request(&self, command: Command) -> Result<Reply, Self::Error> {
            self.0.lock().unwrap().push(command);
            Ok(Reply::Done)
        }

        async fn event(&self) -> Option<Event> {
            None
        }

        fn channel_url(&self, _: &EndpointAddress, _: &str) -> Option<String> {
            None
        }

        fn is_unknown(_: &Self::Error) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn wishes_become_commands_and_nonsense_becomes_none() {
        let door = Door {
            channels: Arc::new(Channels::new("b")),
            media: Arc::new(Notes::default()),
            failures: Arc::default(),
        };
        let endpoint = EndpointAddress {
            conference: ConferenceId::new("m").unwrap(),
            endpoint: EndpointId::new("a").unwrap(),
        };
        for text in [
            r#"{"colibriClass":"LastNChangedEvent","lastN":3}"#,
            r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a-v0","videoType":"none"}"#,
            r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a-v0","videoType":"x"}"#,
            "nonsense",
        ] {
            take(text, &endpoint, &door).await;
        }
        let constraints = ReceiverConstraints {
            last_n: Some(3),
            ..ReceiverConstraints::default()
        };
        let expected = [
            Command::SetConstraints {
                endpoint: endpoint.clone(),
                constraints,
            },
            Command::SetVideoType {
                endpoint,
                source: SourceName::new("a-v0").unwrap(),
                video_type: VideoType::None,
            },
        ];
        assert_eq!(*door.media.0.lock().unwrap(), expected);
        assert_eq!(door.channels.stats().malformed, 2);
    }

    #[test]
    fn a_hundred_messages_at_once_and_fifty_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!((0..200).filter(|_| rate.allow(1, start)).count(), 100);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..200).filter(|_| rate.allow(1, later)).count(), 50);
        let mut rate = Rate::new(start);
        let long = (0..50).filter(|_| rate.allow(MESSAGE_MAX, start));
        assert_eq!(long.count(), 4, "and in bytes");
    }

    #[test]
    fn guessing_is_stopped_for_a_minute() {
        let mut failures = Failures::default();
        let (from, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..10 {
            assert!(!failures.are_too_many(from, now));
            failures.count(from, now);
        }
        assert!(failures.are_too_many(from, now));
        assert!(!failures.are_too_many(IpAddr::from([192, 0, 2, 2]), now));
        assert!(!failures.are_too_many(from, now + MINUTE));
    }
}
