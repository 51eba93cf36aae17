//! Serves the web client out of the binary: `/`, `/ROOM`, `/_/assets/…` and `/config.js`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde_json::json;

#[derive(RustEmbed)]
#[folder = "web/"]
#[include = "*.html"]
#[include = "*.svg"]
#[include = "css/*"]
#[include = "js/*"]
#[include = "lang/*"]
struct Files;

/// What the pages are told of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by the one who starts the server"
)]
pub struct Site {
    /// Domain of the participants.
    pub domain: String,
    /// Domain of the rooms.
    pub rooms: String,
    /// Address of the focus.
    pub focus: String,
    /// Scheme and host of the bridge channel when it is another one than the page's.
    pub channel: Option<String>,
}

/// The routes of the web client.
pub fn routes(site: Site) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/{room}", get(room))
        .route("/config.js", get(config))
        .route("/robots.txt", get(async || "User-agent: *\nDisallow: /\n"))
        .route("/favicon.ico", get(icon))
        .route("/_/assets/{*path}", get(asset))
        .with_state(Arc::new(site))
}

async fn front(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    page("index.html", &site, &headers)
}

async fn room(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    page("room.html", &site, &headers)
}

async fn icon(headers: HeaderMap) -> Response {
    file("favicon.svg", &headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file(&path, &headers)
}

fn page(name: &str, site: &Site, headers: &HeaderMap) -> Response {
    let mut response = file(name, headers);
    if let Ok(policy) = HeaderValue::from_str(&policy(site, headers)) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Only what comes from here runs, and only this server is talked to. WebSockets are named by
/// host, since not every browser counts them to `'self'`.
fn policy(site: &Site, headers: &HeaderMap) -> String {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let plain = |it: char| it.is_ascii_alphanumeric() || "-._:[]".contains(it);
    let mut connect = "'self'".to_owned();
    if !host.is_empty() && host.chars().all(plain) {
        connect = format!("{connect} ws://{host} wss://{host}");
    }
    if let Some(channel) = &site.channel {
        connect = format!("{connect} {channel}");
    }
    format!(
        "default-src 'self'; connect-src {connect}; img-src 'self' data: blob:; \
         media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'self'"
    )
}

fn file(path: &str, headers: &HeaderMap) -> Response {
    match Files::get(path) {
        Some(file) => embedded(path, file, headers),
        None => (StatusCode::NOT_FOUND, "There is no such page.").into_response(),
    }
}

/// Browsers ask each time whether a file is still the same; a new version shows at once.
fn embedded(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let tag = hash
        .iter()
        .take(16)
        .fold("\"".to_owned(), |tag, byte| format!("{tag}{byte:02x}"));
    let tag = format!("{tag}\"");
    let known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|it| it.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match file.data {
            std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
            std::borrow::Cow::Owned(bytes) => Body::from(bytes),
        };
        Response::new(body)
    };
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Settings in the form of Jitsi's own `config.js`.
async fn config(State(site): State<Arc<Site>>) -> Response {
    let settings = json!({
        "hosts": { "domain": site.domain, "muc": site.rooms, "focus": site.focus },
        "bosh": "/http-bind",
        "websocket": "/xmpp-websocket",
        "bridgeChannel": { "preferSctp": false },
        "p2p": { "enabled": false },
        "flags": { "ssrcRewritingEnabled": true },
    });
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, format!("var config = {settings};\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::*;

    fn site() -> Router {
        routes(Site {
            domain: "meet.jitsi".into(),
            rooms: "muc.meet.jitsi".into(),
            focus: "focus.meet.jitsi".into(),
            channel: None,
        })
    }

    async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        site()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn pages_have_a_strict_policy_and_are_not_sent_twice() {
        let response = get("/AnyRoom", &[("host", "localhost:8000")]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'self'; connect-src 'self' ws://localhost:8000"));
        let tag = response.headers()[ETAG].to_str().unwrap();
        let again = get("/AnyRoom", &[("if-none-match", tag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn a_host_with_strange_characters_does_not_reach_the_policy() {
        let response = get("/", &[("host", "a;script-src *")]).await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'self'; connect-src 'self';"));
    }

    #[tokio::test]
    async fn nothing_beyond_the_files_is_served() {
        for path in [
            "/_/assets/../Cargo.toml",
            "/_/assets/%2e%2e/Cargo.toml",
            "/_/assets/..%2fCargo.toml",
            "/_/assets/%5c..%5cCargo.toml",
            "/_/assets//etc/passwd",
            "/_/assets/%00",
            "/_/assets/package.json",
            "/_/assets/nothing.js",
        ] {
            assert_eq!(
                get(path, &[]).await.status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn settings_are_a_script_in_jitsis_form() {
        let response = get("/config.js", &[]).await;
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = core::str::from_utf8(&body).unwrap();
        let settings = text
            .strip_prefix("var config = ")
            .unwrap()
            .trim_end()
            .trim_end_matches(';');
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        assert_eq!(settings["hosts"]["muc"], "muc.meet.jitsi");
        assert_eq!(settings["bridgeChannel"]["preferSctp"], false);
    }
}
