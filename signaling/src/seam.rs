//! The two seams: what drives an engine, and what forwards media.

use core::error::Error;
use core::future::Future;
use std::sync::Arc;

use bridge_core::{Command, EndpointAddress, Event, Reply};

/// A front that drives an engine: our focus, colibri2, WHIP, or your own.
pub trait Signaling {
    /// Why it ended.
    type Error: Error + Send + Sync + 'static;

    /// Runs until it is told to stop or fails.
    fn run<M: MediaEngine>(self, media: M) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Something that forwards media: the bridge in this process, or any colibri2 bridge.
pub trait MediaEngine: Send + Sync + 'static {
    /// Why a request failed.
    type Error: Error + Send + Sync + 'static;

    /// Asks for something and waits for the answer.
    fn request(&self, command: Command) -> impl Future<Output = Result<Reply, Self::Error>> + Send;

    /// The next event; `None` when the engine has stopped. One caller at a time gets each event,
    /// and a caller that stops waiting loses none.
    fn event(&self) -> impl Future<Output = Option<Event>> + Send;

    /// The URL at which the endpoint's client finds its bridge channel; `base` is scheme and host
    /// as the client reaches us. `None` when the engine has no such channel.
    fn channel_url(&self, endpoint: &EndpointAddress, base: &str) -> Option<String>;

    /// Whether an error says that what was named does not exist (any more).
    fn is_unknown(error: &Self::Error) -> bool;

    /// Whether there is an engine at all.
    fn is_present(&self) -> bool {
        true
    }
}

impl<M: MediaEngine> MediaEngine for Arc<M> {
    type Error = M::Error;

    fn request(&self, command: Command) -> impl Future<Output = Result<Reply, Self::Error>> + Send {
        M::request(self, command)
    }

    fn event(&self) -> impl Future<Output = Option<Event>> + Send {
        M::event(self)
    }

    fn channel_url(&self, endpoint: &EndpointAddress, base: &str) -> Option<String> {
        M::channel_url(self, endpoint, base)
    }

    fn is_unknown(error: &Self::Error) -> bool {
        M::is_unknown(error)
    }

    fn is_present(&self) -> bool {
        M::is_present(self)
    }
}

/// Stands where no bridge is: every request fails.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct NoBridge;

impl MediaEngine for NoBridge {
    type Error = bridge_core::Error;

    async fn request(&self, _: Command) -> Result<Reply, Self::Error> {
        Err(bridge_core::Error::Stopped)
    }

    async fn event(&self) -> Option<Event> {
        core::future::pending().await
    }

    fn channel_url(&self, _: &EndpointAddress, _: &str) -> Option<String> {
        None
    }

    fn is_unknown(_: &Self::Error) -> bool {
        false
    }

    fn is_present(&self) -> bool {
        false
    }
}
