//! Connects a user inside this process, as the focus is: plain stanzas in, plain stanzas out.

use tokio::sync::mpsc;

use super::server::Session;
use crate::xml::Element;

/// Both ends of a connection without a stream. Dropping either end ends the session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Link {
    /// What the user says. The server stamps `from`.
    pub sender: mpsc::Sender<Element>,
    /// What is said to the user.
    pub receiver: mpsc::Receiver<Element>,
}

impl Link {
    /// Ties a session to a pair of channels, by a task that ends with either.
    pub(crate) fn tie(session: Session) -> Self {
        let (sender, said) = mpsc::channel(CHANNEL);
        let (tell, receiver) = mpsc::channel(CHANNEL);
        tokio::spawn(carry(session, said, tell));
        Self { sender, receiver }
    }
}

async fn carry(
    mut session: Session,
    mut said: mpsc::Receiver<Element>,
    tell: mpsc::Sender<Element>,
) {
    let sender = session.sender();
    let up = async move {
        while let Some(stanza) = said.recv().await {
            sender.send(stanza).await;
        }
    };
    let down = async move {
        while let Some(stanza) = session.next().await {
            if tell.send(stanza).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Stanzas in each direction; behind it stands the session's own queue.
const CHANNEL: usize = 64;
