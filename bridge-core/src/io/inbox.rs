//! Brings commands to a shard and wakes it: the only door between threads.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use mio::Waker;

use crate::command::{Command, Reply};
use crate::error::{Error, Result};
use crate::limits::COMMANDS_MAX;

/// What to do with an answer. Runs on the shard's thread, so it must not block.
pub(crate) type Answer = Box<dyn FnOnce(Result<Reply>) + Send>;

/// A command with what to do with its answer.
pub(crate) struct Order {
    pub(crate) command: Command,
    pub(crate) answer: Answer,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Order({:?})", self.command)
    }
}

/// Wakes a shard that sleeps. Ringing costs no system call while it is awake.
#[derive(Debug)]
pub(crate) struct Doorbell {
    /// Somebody put something in since the shard last decided to sleep.
    rung: AtomicBool,
    asleep: AtomicBool,
    stopped: AtomicBool,
    waker: Waker,
}

impl Doorbell {
    pub(crate) const fn new(waker: Waker) -> Self {
        Self {
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            waker,
        }
    }

    /// To be called after something was put where the shard will look.
    pub(crate) fn ring(&self) {
        // One order over both flags: either we see that it sleeps, or it sees that we rang.
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard cannot be woken");
        }
    }

    /// Asks the shard to end.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether the shard is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The shard wants to sleep; `false` if it must look at its queues first.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.rung.swap(false, Ordering::SeqCst)
    }

    /// The shard is awake, and will look at its queues.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

/// The outer side of a shard's inbox.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    orders: SyncSender<Order>,
    bell: Arc<Doorbell>,
}

/// Makes an inbox; the shard keeps the receiver.
pub(crate) fn inbox(bell: Arc<Doorbell>) -> (Inbox, Receiver<Order>) {
    let (orders, receiver) = mpsc::sync_channel(COMMANDS_MAX);
    (Inbox { orders, bell }, receiver)
}

impl Inbox {
    /// Puts a command in; never blocks. `answer` is called here with [`Error::Limit`] when the
    /// shard is so far behind that its inbox is full, with [`Error::Stopped`] when it is gone.
    pub(crate) fn submit(&self, command: Command, answer: Answer) {
        match self.orders.try_send(Order { command, answer }) {
            Ok(()) => self.bell.ring(),
            Err(TrySendError::Full(order)) => (order.answer)(Err(Error::Limit("commands waiting"))),
            Err(TrySendError::Disconnected(order)) => (order.answer)(Err(Error::Stopped)),
        }
    }

    /// Asks the shard to end.
    pub(crate) fn stop(&self) {
        self.bell.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    #[test]
    fn whoever_rings_before_the_shard_sleeps_keeps_it_awake_once() {
        let poll = Poll::new().unwrap();
        let bell = Doorbell::new(Waker::new(poll.registry(), Token(0)).unwrap());
        assert!(bell.fall_asleep());
        bell.wake_up();
        bell.ring();
        assert!(!bell.fall_asleep(), "there is something");
        bell.wake_up();
        assert!(bell.fall_asleep());
    }

    #[test]
    fn a_command_for_a_shard_that_is_gone_is_answered_with_an_error() {
        let poll = Poll::new().unwrap();
        let bell = Doorbell::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let (inbox, receiver) = inbox(Arc::new(bell));
        drop(receiver);
        let (sender, answers) = mpsc::channel();
        inbox.submit(
            Command::Stats,
            Box::new(move |reply| sender.send(reply).unwrap()),
        );
        assert!(matches!(answers.recv().unwrap(), Err(Error::Stopped)));
    }
}
