//! The queue of events for the owner.

use tokio::sync::{mpsc, oneshot};

use super::event::{Answer, Command, Event};
use crate::api::view::Refusal;

/// Events that wait for the owner. A source that sends more waits.
const LENGTH: usize = 16;

/// Sends events to the owner.
#[derive(Clone)]
pub(super) struct Inbox(mpsc::Sender<Delivery>);

/// An event on its way, and where its answer goes.
pub(super) struct Delivery {
    pub(super) event: Event,
    pub(super) answer: Option<oneshot::Sender<Answer>>,
}

/// Creates an inbox and its receiver.
pub(super) fn inbox() -> (Inbox, mpsc::Receiver<Delivery>) {
    let (sender, receiver) = mpsc::channel(LENGTH);
    (Inbox(sender), receiver)
}

impl Inbox {
    /// Sends an event. Returns false if the agent is stopping.
    pub(super) async fn send(&self, event: Event) -> bool {
        let delivery = Delivery {
            event,
            answer: None,
        };
        self.0.send(delivery).await.is_ok()
    }

    /// Sends a command and waits until it is in effect. Blocks.
    pub(super) fn ask(&self, command: Command) -> Answer {
        let stopping = || Refusal::Failed("the agent is stopping".to_owned());
        let (sender, answer) = oneshot::channel();
        let delivery = Delivery {
            event: Event::Command(command),
            answer: Some(sender),
        };
        self.0.blocking_send(delivery).map_err(|_| stopping())?;
        answer.blocking_recv().map_err(|_| stopping())?
    }
}
