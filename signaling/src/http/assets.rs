//! Serves the web client out of the binary: `/`, `/ROOM`, `/_/HASH/…` and `/config.js`.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HOST, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

// `ASSETS`, sorted by name, `HASH` of all of them, and the pages `FRONT` and `ROOM`: see build.rs.
include!(concat!(env!("OUT_DIR"), "/client.rs"));

/// One file of the client as the binary holds it.
struct Asset {
    name: &'static str,
    /// Hash of its bytes, in hexadecimal digits.
    tag: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

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
        .route("/_/{*path}", get(asset))
        .with_state(Arc::new(site))
}

async fn front(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    page(&FRONT, &site, &headers)
}

async fn room(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    page(&ROOM, &site, &headers)
}

async fn icon(headers: HeaderMap) -> Response {
    find("favicon.svg").map_or_else(missing, |it| it.response(&headers, REVALIDATE))
}

/// The address of an asset changes with any of them, so that none has to be asked for twice.
async fn asset(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    // one that is not UTF-8 names nothing
    path.ok()
        .as_ref()
        .and_then(|path| path.strip_prefix(HASH)?.strip_prefix('/'))
        .and_then(find)
        .map_or_else(missing, |it| it.response(&headers, FOREVER))
}

fn find(name: &str) -> Option<&'static Asset> {
    let at = ASSETS.binary_search_by(|it| it.name.cmp(name)).ok()?;
    ASSETS.get(at)
}

/// Not to be kept: the next version may have it.
fn missing() -> Response {
    let headers = [(CACHE_CONTROL, "no-store")];
    (StatusCode::NOT_FOUND, headers, "There is no such page.").into_response()
}

fn page(page: &Asset, site: &Site, headers: &HeaderMap) -> Response {
    let mut response = page.response(headers, REVALIDATE);
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

impl Asset {
    /// The file in the smallest form that the browser takes, or word that it has it already.
    fn response(&self, headers: &HeaderMap, keep: &'static str) -> Response {
        let (encoding, body) = self.form(headers);
        let tag = match encoding {
            Some(encoding) => format!("\"{}-{encoding}\"", self.tag),
            None => format!("\"{}\"", self.tag),
        };
        let mut response = if is_known(headers, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body.into_response()
        };
        let out = response.headers_mut();
        out.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(content_type(self.name)),
        );
        out.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        out.insert(VARY, HeaderValue::from_static("accept-encoding"));
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        out.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(encoding) = encoding {
            out.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            out.insert(ETAG, tag);
        }
        response
    }

    fn form(&self, headers: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
        if takes(headers, "br") {
            (Some("br"), self.brotli)
        } else if takes(headers, "gzip") {
            (Some("gzip"), self.gzip)
        } else {
            (None, self.plain)
        }
    }
}

/// The elements of a header that is a list, wherever its lines are broken.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// Whether the browser has the file (RFC 9110, 13.1.2: a proxy may have made the tag a weak one).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    list(headers, IF_NONE_MATCH).any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
}

/// Whether `Accept-Encoding` names this coding without the weight 0 (RFC 9110, 12.5.3).
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    list(headers, ACCEPT_ENCODING).any(|it| {
        let mut parts = it.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(coding));
        is_named
            && !parts.any(|it| {
                it.strip_prefix("q=")
                    .or_else(|| it.strip_prefix("Q="))
                    .is_some_and(|weight| weight.parse() == Ok(0.0_f32))
            })
    })
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

/// For what has its version in its address.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Browsers ask each time whether it is still the same; a new version shows at once.
const REVALIDATE: &str = "no-cache";

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
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
        for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}"), "*"] {
            let again = get("/AnyRoom", &[("if-none-match", known)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
        }
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
    async fn assets_are_kept_for_ever_under_their_hash() {
        let response = get(&format!("/_/{HASH}/js/boot.js"), &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        assert_eq!(body, find("js/boot.js").unwrap().plain);
    }

    async fn assert_missing(path: &str) {
        let response = get(path, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{path}");
    }

    #[tokio::test]
    async fn nothing_beyond_the_files_is_served() {
        for path in [
            "../Cargo.toml",
            "%2e%2e/Cargo.toml",
            "..%2fCargo.toml",
            "%5c..%5cCargo.toml",
            "/etc/passwd",
            "%00",
            "%ff",
            "package.json",
            "index.html",
            "nothing.js",
            "js",
            "",
        ] {
            assert_missing(&format!("/_/{HASH}/{path}")).await;
        }
        for path in ["/_/0123456789abcdef/js/boot.js", "/_/js/boot.js", "/_/x"] {
            assert_missing(path).await;
        }
    }

    #[tokio::test]
    async fn a_file_comes_in_the_smallest_form_that_is_taken() {
        let path = format!("/_/{HASH}/js/app.js");
        let app = find("js/app.js").unwrap();
        let mut tags = Vec::new();
        for (accepted, coding, bytes) in [
            ("gzip, deflate, br, zstd", "br", app.brotli),
            ("gzip, deflate", "gzip", app.gzip),
            ("GZIP;q=0.5, br; q=0.0", "gzip", app.gzip),
            ("br;q=0, gzip;q=0, *", "", app.plain),
            ("identity", "", app.plain),
        ] {
            let response = get(&path, &[("accept-encoding", accepted)]).await;
            let headers = response.headers().clone();
            let named = headers
                .get(CONTENT_ENCODING)
                .map_or("", |it| it.to_str().unwrap());
            assert_eq!(named, coding, "{accepted}");
            assert_eq!(headers[VARY], "accept-encoding");
            let body = to_bytes(response.into_body(), 100_000).await.unwrap();
            assert_eq!(body, bytes, "{accepted}");
            tags.push(headers[ETAG].clone());
        }
        tags.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        tags.dedup();
        assert_eq!(tags.len(), 3, "each form has a tag of its own");
    }

    #[tokio::test]
    async fn pages_name_only_files_that_are_there() {
        for page in [&FRONT, &ROOM] {
            let text = core::str::from_utf8(page.plain).unwrap();
            let mut count = 0;
            for name in text.split(&format!("\"/_/{HASH}/")).skip(1) {
                let name = name.split(['"', '#']).next().unwrap();
                assert!(find(name).is_some(), "{} names {name}", page.name);
                count += 1;
            }
            assert!(count > 5);
            assert!(
                !text.contains("/_/assets/"),
                "the place of the hash is filled"
            );
        }
    }

    #[test]
    fn the_whole_client_has_at_most_150_kb() {
        let bytes: usize = ASSETS
            .iter()
            .chain([&FRONT, &ROOM])
            .map(|it| it.brotli.len())
            .sum();
        assert!(bytes <= 150_000, "{bytes} bytes");
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
