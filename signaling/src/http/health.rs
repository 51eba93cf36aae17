//! Answers `/about/health` and `/about/version` of focus and bridge, and guards private APIs.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bridge_core::Command;
use serde_json::json;

use crate::focus::Health;
use crate::seam::MediaEngine;

/// Health and version of the focus.
pub fn focus_routes(health: Arc<Health>) -> Router {
    Router::new()
        .route("/about/health", get(focus_health))
        .route("/about/version", get(async || version("Trestle focus")))
        .with_state(health)
}

/// 200 when a meeting could begin, else 500 with the reason, in Jicofo's words.
async fn focus_health(State(health): State<Arc<Health>>) -> Response {
    match health.trouble() {
        None => StatusCode::OK.into_response(),
        Some(trouble) => (StatusCode::INTERNAL_SERVER_ERROR, trouble).into_response(),
    }
}

/// Health and version of the bridge.
pub fn bridge_routes<M: MediaEngine>(media: Arc<M>) -> Router {
    Router::new()
        .route("/about/health", get(bridge_health::<M>))
        .route("/about/version", get(async || version("Trestle")))
        .with_state(media)
}

async fn bridge_health<M: MediaEngine>(State(media): State<Arc<M>>) -> Response {
    match media.request(Command::Stats).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn version(name: &str) -> Json<serde_json::Value> {
    Json(json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
    }))
}

/// Guards an API that is for operators of this machine: a browser that was lured somewhere must
/// not reach it. Names of hosts are refused, so that nobody points a name of theirs here; pages of
/// other origins are refused, and bodies that a form could send.
pub fn private(router: Router) -> Router {
    router.layer(from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = header(headers, HOST.as_str()).unwrap_or_default();
    if !is_own_host(host) {
        return (
            StatusCode::FORBIDDEN,
            "Host is not an address of this machine",
        )
            .into_response();
    }
    let own = |origin: &str| {
        origin
            .strip_prefix("http://")
            .is_some_and(|origin| origin == host)
    };
    if headers.contains_key(ORIGIN) && !header(headers, ORIGIN.as_str()).is_some_and(own) {
        return (StatusCode::FORBIDDEN, "Origin is another one").into_response();
    }
    let length = header(headers, CONTENT_LENGTH.as_str());
    let has_body =
        headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0");
    let json = header(headers, CONTENT_TYPE.as_str()).is_some_and(is_json);
    if has_body && !json {
        let text = "Content-Type of a body is application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    next.run(request).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// An address or `localhost`, with or without port: never a name that somebody can point here.
fn is_own_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    // Nothing may stand before or between the two.
    let whole = match authority.port() {
        Some(port) => host == format!("{name}:{port}"),
        None => host == name,
    };
    let address = match name.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    };
    whole && (address || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, headers: &[(&str, &str)], body: &'static str) -> StatusCode {
        let router = private(Router::new().route("/", post(async || "").get(async || "")));
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-length", body.len().to_string());
        }
        router
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap()
            .status()
    }

    #[tokio::test]
    async fn foreign_hosts_and_origins_are_refused() {
        for host in [
            "127.0.0.1:8080",
            "LOCALHOST",
            "[::1]:8080",
            "[::1]",
            "192.0.2.1",
        ] {
            assert_eq!(
                ask("GET", &[("host", host)], "").await,
                StatusCode::OK,
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "",
            "localhost.evil",
            "[::1].evil.example",
            "[evil.example]:8080",
            "[::1",
            "127.0.0.1:8080@evil.example",
            "evil.example@127.0.0.1",
            "127.0.0.1:8080:8080",
            "127.0.0.1/evil.example",
            "127.1",
        ] {
            assert_eq!(
                ask("GET", &[("host", host)], "").await,
                StatusCode::FORBIDDEN,
                "{host}"
            );
        }
        assert_eq!(ask("GET", &[], "").await, StatusCode::FORBIDDEN, "no Host");
        let host = ("host", "127.0.0.1:8080");
        for origin in ["http://evil.example", "null", "https://127.0.0.1:8080"] {
            assert_eq!(
                ask("GET", &[host, ("origin", origin)], "").await,
                StatusCode::FORBIDDEN
            );
        }
        assert_eq!(
            ask("GET", &[host, ("origin", "http://127.0.0.1:8080")], "").await,
            StatusCode::OK
        );
    }

    #[tokio::test]
    async fn bodies_are_json_or_refused() {
        let host = ("host", "127.0.0.1");
        assert_eq!(
            ask("POST", &[host], "{}").await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        let form = ("content-type", "text/plain");
        assert_eq!(
            ask("POST", &[host, form], "{}").await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(ask("POST", &[host, json], "{}").await, StatusCode::OK);
        assert_eq!(ask("POST", &[host], "").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_focus_tells_why_no_meeting_could_begin() {
        let health = Arc::new(Health::default());
        let ask = || {
            let request = Request::builder()
                .uri("/about/health")
                .body(Body::empty())
                .unwrap();
            focus_routes(health.clone()).oneshot(request)
        };
        assert_eq!(
            ask().await.unwrap().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
        health.set_bridge(true, true);
        let response = ask().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 100)
            .await
            .unwrap();
        assert!(body.is_empty());
    }
}
