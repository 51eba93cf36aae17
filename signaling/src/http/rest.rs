//! Serves the small JSON interfaces: conference requests, the focus' state, the connection test.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bridge_core::description::IceRole;
use bridge_core::{Command, ConferenceId, EndpointAddress, EndpointId, EndpointOptions, Reply};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::colibri;
use crate::feature::rate_limit::network;
use crate::focus::{FocusHandle, Refusal, StartMuted};
use crate::http::server::punctual;
use crate::listen::Peer;
use crate::seam::MediaEngine;
use crate::xml::Condition;
use crate::xmpp::XmppHandle;

/// `POST /conference-request/v1`, for clients and operators. With `xmpp` an address may not ask
/// faster than over XMPP.
pub fn conference_request(focus: FocusHandle, xmpp: Option<XmppHandle>) -> Router {
    let asked = Asked { focus, xmpp };
    let router = Router::new()
        .route(
            "/conference-request/v1",
            post(request).options(async || StatusCode::OK),
        )
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(asked);
    punctual(router)
}

#[derive(Clone)]
struct Asked {
    focus: FocusHandle,
    xmpp: Option<XmppHandle>,
}

/// `GET /stats` of the focus.
pub fn focus_stats(focus: FocusHandle) -> Router {
    Router::new().route("/stats", get(stats)).with_state(focus)
}

#[derive(Deserialize)]
struct Request {
    room: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

async fn request(
    State(Asked { focus, xmpp }): State<Asked>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Response {
    if let Some(xmpp) = xmpp {
        let address = peer.address.ip();
        let Some(delay) = xmpp.admission().conference_delay(address, PATIENCE) else {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        };
        tokio::time::sleep(delay).await;
    }
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a conference request").into_response();
    };
    let number = |name: &str| match request.properties.get(name) {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64().and_then(|it| usize::try_from(it).ok()),
        None => None,
    };
    let start_muted = StartMuted {
        audio: number("startAudioMuted"),
        video: number("startVideoMuted"),
    };
    match focus.conference(&request.room, start_muted).await {
        Ok(()) => Json(json!({
            "room": request.room,
            "ready": true,
            "focusJid": focus.user.split('/').next(),
            "properties": crate::focus::properties(),
        }))
        .into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.condition {
        Condition::NotAuthorized | Condition::NotAllowed => StatusCode::FORBIDDEN,
        Condition::ResourceConstraint | Condition::ServiceUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    (status, refusal.text.clone()).into_response()
}

async fn stats(State(focus): State<FocusHandle>) -> Json<Value> {
    let health = &focus.health;
    let operational = u64::from(health.is_operational());
    Json(json!({
        "conferences": health.conferences.get(),
        "participants": health.participants.get(),
        "total_conferences_created": health.conferences_created.get(),
        "total_participants": health.participants_created.get(),
        "bridge_failures": { "participants_moved": health.sessions_moved.get() },
        "participant_notifications": { "request_restart": health.restarts_requested.get() },
        "bridge_selector": {
            "bridge_count": health.bridges(),
            "operational_bridge_count": operational,
        },
        "stanzas_dropped": health.stanzas_dropped.get(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// The connection test: `POST /connection-test` opens a transport for a while, `GET
/// /connection-test/data` gives something to measure with.
pub fn connection_test<M: MediaEngine>(media: Arc<M>) -> Router {
    let test = Test {
        media,
        running: Arc::default(),
    };
    let router = Router::new()
        .route("/connection-test", post(open_test::<M>))
        .route("/connection-test/data", get(data))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(test);
    punctual(router)
}

struct Test<M> {
    media: Arc<M>,
    running: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl<M> Clone for Test<M> {
    fn clone(&self) -> Self {
        Self {
            media: self.media.clone(),
            running: self.running.clone(),
        }
    }
}

/// Holds a place among the running tests.
struct Place {
    running: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(running: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Option<Self> {
        let address = network(address);
        let mut table = running.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = table.values().sum();
        let mine = table.get(&address).copied().unwrap_or(0);
        if total >= TESTS_MAX || mine >= TESTS_PER_ADDRESS {
            return None;
        }
        table.insert(address, mine + 1);
        drop(table);
        Some(Self {
            running: running.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.address);
            }
        }
    }
}

/// Answers our transport. The page controls ICE, so that it may go by the answer alone; it may
/// give its own transport in the same form.
async fn open_test<M: MediaEngine>(
    State(test): State<Test<M>>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Response {
    let Some(place) = Place::take(&test.running, peer.address.ip()) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let remote = match colibri::json::read_transport(&body) {
        Ok(remote) => remote,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let name = uuid::Uuid::new_v4().to_string();
    let (Ok(conference), Ok(endpoint)) = (ConferenceId::new(&name), EndpointId::new("test")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let endpoint = EndpointAddress {
        conference: conference.clone(),
        endpoint,
    };
    let opened = open_transport(&*test.media, &endpoint, remote, peer).await;
    let open_for = if opened.is_ok() {
        TEST_TIME
    } else {
        Duration::ZERO
    };
    let media = test.media;
    tokio::spawn(async move {
        tokio::time::sleep(open_for).await;
        if let Err(error) = media
            .request(Command::ExpireConference { conference })
            .await
        {
            tracing::debug!(%error, "a connection test ended by itself");
        }
        drop(place);
    });
    match opened {
        Ok(transport) => Json(transport).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error).into_response(),
    }
}

async fn open_transport<M: MediaEngine>(
    media: &M,
    endpoint: &EndpointAddress,
    remote: Option<bridge_core::description::TransportDescription>,
    peer: Peer,
) -> Result<Value, String> {
    let text = |error: M::Error| error.to_string();
    let conference = endpoint.conference.clone();
    media
        .request(Command::CreateConference { conference })
        .await
        .map_err(text)?;
    let options = EndpointOptions {
        ice_role: IceRole::Controlled,
        ssrc_rewriting: true,
        loopback: peer.address.ip().is_loopback(),
        ..EndpointOptions::default()
    };
    let command = Command::CreateEndpoint {
        endpoint: endpoint.clone(),
        options,
    };
    let Reply::Endpoint { transport, .. } = media.request(command).await.map_err(text)? else {
        return Err("the bridge answers something else".to_owned());
    };
    if let Some(remote) = remote {
        let command = Command::SetTransport {
            endpoint: endpoint.clone(),
            transport: remote,
        };
        media.request(command).await.map_err(text)?;
    }
    Ok(colibri::json::write_transport(&transport, None))
}

async fn data() -> Response {
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, Bytes::from_static(&DATA)).into_response()
}

static DATA: [u8; 512 * 1024] = [0; 512 * 1024];

/// Bytes of a request's body.
const REQUEST_BYTES: usize = 64 * 1024;

/// Longest wait of a request that came too fast.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a test's transport is open.
const TEST_TIME: Duration = Duration::from_secs(15);

/// Tests at a time, of everybody and of one address.
const TESTS_MAX: usize = 200;
const TESTS_PER_ADDRESS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_one_address_are_bounded_and_places_come_back() {
        let running = Arc::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<Place> = (0..TESTS_PER_ADDRESS)
            .map(|_| Place::take(&running, address).unwrap())
            .collect();
        assert!(Place::take(&running, address).is_none());
        assert!(Place::take(&running, IpAddr::from([192, 0, 2, 2])).is_some());
        drop(places);
        assert!(running.lock().unwrap().is_empty());
        assert!(Place::take(&running, address).is_some());
    }
}
