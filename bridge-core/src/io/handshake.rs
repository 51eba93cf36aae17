//! Gives the DTLS handshakes of all shards a thread of their own that stands back for those of
//! media, so that a join never holds up media.
//!
//! Shards put requests in and never wait. Datagrams beyond a bound are dropped, as a network would;
//! starts and stops always get through, and there are at most two of them for each endpoint. The
//! thread ends when the last [`Handshakes`] is dropped.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use super::sys;
use crate::dtls::driver::{Driver, HandshakeKey};
use crate::engine::{HandshakeEvent, HandshakeRequest};
use crate::error::{Error, Result};
use crate::id::{EndpointKey, ShardId};
use crate::limits::HANDSHAKE_QUEUE_MAX;
use crate::time::Time;

/// A shard's way to the handshake thread.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes {
    requests: Sender<(HandshakeKey, HandshakeRequest)>,
    waiting: Arc<AtomicUsize>,
}

/// Starts the thread. `now` reads the clock that the driver's base instant belongs to; `answer`
/// brings news to a shard and may wait for room there.
///
/// # Errors
/// [`Error::Io`] when the system gives no thread.
pub(crate) fn start(
    driver: Driver,
    now: impl Fn() -> Time + Send + 'static,
    answer: impl FnMut(ShardId, EndpointKey, HandshakeEvent) + Send + 'static,
) -> Result<(Handshakes, JoinHandle<()>)> {
    let (requests, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let handshakes = Handshakes {
        requests,
        waiting: Arc::clone(&waiting),
    };
    let thread = thread::Builder::new()
        .name("handshake".to_owned())
        .spawn(move || {
            if !sys::stand_back() {
                tracing::debug!("handshakes compete with media for processors");
            }
            run(driver, &receiver, &waiting, now, answer);
        })
        .map_err(|error| Error::Io("start the handshake thread", error))?;
    Ok((handshakes, thread))
}

impl Handshakes {
    /// Puts a request in. `false` when it is a datagram and too many wait, or the thread is gone.
    pub(crate) fn send(
        &self,
        shard: ShardId,
        endpoint: EndpointKey,
        request: HandshakeRequest,
    ) -> bool {
        let is_datagram = matches!(request, HandshakeRequest::Datagram(_));
        if is_datagram && self.waiting.fetch_add(1, Ordering::Relaxed) >= HANDSHAKE_QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.requests.send(((shard, endpoint), request)).is_ok()
    }
}

fn run(
    mut driver: Driver,
    requests: &Receiver<(HandshakeKey, HandshakeRequest)>,
    waiting: &AtomicUsize,
    now: impl Fn() -> Time,
    mut answer: impl FnMut(ShardId, EndpointKey, HandshakeEvent),
) {
    loop {
        let received = match driver.deadline() {
            Some(deadline) => requests.recv_timeout(deadline.since(now())),
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok((key, request)) => {
                if matches!(request, HandshakeRequest::Datagram(_)) {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                }
                driver.handle(now(), key, request);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        driver.handle_timeout(now());
        while let Some(((shard, endpoint), event)) = driver.poll() {
            answer(shard, endpoint, event);
        }
    }
}
