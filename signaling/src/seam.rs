//! The two seams: what drives an engine, and what forwards media.

use core::error::Error;
use core::future::Future;

use bridge_core::{Command, Event, Reply};

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

    /// The next event; `None` when the engine has stopped. One caller at a time gets each event.
    fn event(&self) -> impl Future<Output = Option<Event>> + Send;
}
