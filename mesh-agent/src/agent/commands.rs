//! Passes operators' commands from the API to the owner, and the answers back.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::{clock::now, owner::Owner};
use crate::{
    api::{types::Change, view::Refusal},
    dataplane::Dataplane,
    desired::Target,
};

/// Sends the result of a command to the client that waits for it: a warning, if there is one.
pub(super) type Answer = oneshot::Sender<Result<Option<String>, Refusal>>;

/// A command that changes an endpoint.
pub(super) struct Command {
    target: Target,
    change: Change,
    force: bool,
    answer: Answer,
}

impl Command {
    /// Records the command in the owner. Returns the answer channel of an accepted command, whose
    /// result follows when it is in effect; answers a refused one at once.
    pub(super) fn execute<D: Dataplane>(self, owner: &mut Owner<D>) -> Option<Answer> {
        let Self {
            target,
            change,
            force,
            answer,
        } = self;
        let by = format!(
            "meshctl backend {}{}",
            change.verb(),
            if force { " --force" } else { "" }
        );
        let (service, endpoint) = (
            &target.service,
            SocketAddr::new(target.address, target.port),
        );
        match owner.change_endpoint(&target, change, force, now()) {
            Ok(()) => {
                info!(%service, %endpoint, by, "endpoint: {change}");
                Some(answer)
            }
            Err(refusal) => {
                info!(%service, %endpoint, by, "command refused: {refusal}");
                // Fails when the client has disconnected.
                _ = answer.send(Err(refusal));
                None
            }
        }
    }
}

/// Answers whether the data plane has applied the command, with a warning when the next agent would
/// not know of it.
pub(super) fn answer<D: Dataplane>(answer: Option<Answer>, owner: &Owner<D>) {
    let Some(answer) = answer else { return };
    let result = match owner.is_applied() {
        true => Ok(owner.unwritten_overrides()),
        false => Err(Refusal::Failed(
            "the command is recorded but the kernel does not have it yet; see `meshctl status`"
                .to_owned(),
        )),
    };
    // Fails when the client has disconnected.
    _ = answer.send(result);
}

/// Sends a command to the owner and waits until it is in effect. Blocks.
pub(super) fn send(
    commands: &mpsc::Sender<Command>,
    target: Target,
    change: Change,
    force: bool,
) -> Result<Option<String>, Refusal> {
    let stopping = || Refusal::Failed("the agent is stopping".to_owned());
    let (answer, answered) = oneshot::channel();
    commands
        .blocking_send(Command {
            target,
            change,
            force,
            answer,
        })
        .map_err(|_| stopping())?;
    answered.blocking_recv().map_err(|_| stopping())?
}
