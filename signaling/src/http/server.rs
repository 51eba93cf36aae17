//! Accepts connections and hands their requests to a router, over TLS or not, within bounds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::feature::rate_limit::network;
use crate::listen::Peer;
use crate::listen::gate::{Gate, Gated};

/// Serves `router` on a listener until the task is dropped. At most `connections` are open at a
/// time; more wait in the kernel's queue. One address gets a quarter of them, so that it cannot
/// keep the others out; more of it are closed at once. Loopback, where reverse proxies are, is
/// trusted with all.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    connections: usize,
) {
    let places = Arc::new(Semaphore::new(connections));
    let shares = Shares {
        most: connections.div_ceil(SHARE),
        taken: Arc::default(),
    };
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(share) = shares.take(peer.ip()) else {
            tracing::debug!(%peer, "too many connections of one address");
            continue;
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            connection(stream, peer, tls, router).await;
            drop((place, share));
        });
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let peer = Peer {
        address,
        is_secure: tls.is_some(),
    };
    match tls {
        None => requests(stream, peer, router).await,
        Some(acceptor) => match timeout(TLS_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, peer, router).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn requests<S>(stream: S, peer: Peer, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = Gate::open();
    let stream = Gated::new(stream, gate.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let peer = behind_proxy(peer, request.headers());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(gate.clone());
        let router = router.clone();
        async move {
            router
                .oneshot(request)
                .await
                .map_err(|never: Infallible| never)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Whom a request of a reverse proxy is from. Only one on loopback is believed, and only the last
/// word of each header, which is its own.
fn behind_proxy(peer: Peer, headers: &HeaderMap) -> Peer {
    if !peer.address.ip().is_loopback() {
        return peer;
    }
    let last = |name| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    let address = last("x-forwarded-for").and_then(|text| text.parse().ok());
    Peer {
        address: SocketAddr::new(
            address.unwrap_or_else(|| peer.address.ip()),
            peer.address.port(),
        ),
        is_secure: peer.is_secure || last("x-forwarded-proto") == Some("https"),
    }
}

/// Gives up on requests that take too long to come in and to be answered. Not for those that wait
/// on purpose.
pub fn punctual(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        match timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }))
}

/// How many connections each address has.
#[derive(Clone)]
struct Shares {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of an address; given back when dropped.
struct Share {
    shares: Shares,
    address: IpAddr,
}

impl Shares {
    fn take(&self, address: IpAddr) -> Option<Share> {
        let address = network(address);
        let trusted = address.is_loopback() || address == network(Ipv6Addr::LOCALHOST.into());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.most && !trusted {
            return None;
        }
        *count += 1;
        drop(taken);
        let shares = self.clone();
        Some(Share { shares, address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let taken = &self.shares.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Which part of all connections one address may have.
const SHARE: usize = 4;

/// Time for a request with its body and the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the head of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the head of a request.
const HEADER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_loopback_all() {
        let shares = Shares {
            most: 2,
            taken: Arc::default(),
        };
        let take = |text: &str| shares.take(text.parse().unwrap());
        let mine = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(mine.0.is_some() && mine.1.is_some());
        assert!(take("2001:db8::3").is_none(), "one network is one address");
        assert!(take("2001:db8:0:1::3").is_some());
        let proxy: Vec<_> = (0..9).map(|_| take("::1").zip(take("127.0.0.1"))).collect();
        assert!(proxy.iter().all(Option::is_some));
        drop((mine, proxy));
        assert!(shares.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn a_proxy_on_loopback_says_whom_a_request_is_from() {
        let peer = |address: &str, is_secure| Peer {
            address: address.parse().unwrap(),
            is_secure,
        };
        let mut headers = HeaderMap::new();
        let proxy = peer("127.0.0.1:9", false);
        assert_eq!(behind_proxy(proxy, &headers), proxy);
        headers.append("x-forwarded-for", "127.0.0.1".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.1, 2001:db8::1".parse().unwrap());
        headers.append("x-forwarded-proto", "https".parse().unwrap());
        let expected = peer("[2001:db8::1]:9", true);
        assert_eq!(behind_proxy(proxy, &headers), expected);
        let stranger = peer("192.0.2.1:9", false);
        assert_eq!(behind_proxy(stranger, &headers), stranger, "not believed");
        headers.insert("x-forwarded-for", "unknown".parse().unwrap());
        assert_eq!(behind_proxy(proxy, &headers), peer("127.0.0.1:9", true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_end_is_given_up() {
        let router = Router::new().route(
            "/",
            axum::routing::post(async |_: axum::body::Bytes| StatusCode::OK),
        );
        let never = Body::from_stream(futures_util::stream::pending::<Result<&[u8], Infallible>>());
        let request = Request::post("/").body(never).unwrap();
        let response = punctual(router).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
