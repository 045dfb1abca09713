//! Orders of operators, on their way from the API to the owner and back.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::owner::Owner;
use crate::{
    api::{types::Change, view::Refusal},
    dataplane::Dataplane,
    desired::Target,
};

/// The client that gave an order, waiting for the answer: a warning, if there is one.
pub(super) type Answer = oneshot::Sender<Result<Option<String>, Refusal>>;

/// An order, and whom to answer.
pub(super) struct Order {
    target: Target,
    change: Change,
    force: bool,
    answer: Answer,
}

impl Order {
    /// Writes it down. A client that is returned waits to hear whether it is in effect; others have
    /// their answer.
    pub(super) fn carry_out<D: Dataplane>(self, owner: &mut Owner<D>) -> Option<Answer> {
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
        match owner.order(&target, change, force, super::now()) {
            Ok(()) => {
                info!(%service, %endpoint, by, "endpoint: {change}");
                Some(answer)
            }
            Err(refusal) => {
                info!(%service, %endpoint, by, "order declined: {refusal}");
                // The client may be gone.
                _ = answer.send(Err(refusal));
                None
            }
        }
    }
}

/// Says whether the data plane has what was ordered, and why the next agent would not know of it.
pub(super) fn tell<D: Dataplane>(answer: Option<Answer>, owner: &Owner<D>) {
    let Some(answer) = answer else { return };
    let done = match owner.is_applied() {
        true => Ok(owner.unwritten_orders()),
        false => Err(Refusal::Failed(
            "the order is remembered but the kernel does not have it yet; see `meshctl status`"
                .to_owned(),
        )),
    };
    // The client that asked may be gone.
    _ = answer.send(done);
}

/// Gives an order and waits until it is in effect. Blocks.
pub(super) fn give(
    orders: &mpsc::Sender<Order>,
    target: Target,
    change: Change,
    force: bool,
) -> Result<Option<String>, Refusal> {
    let stopping = || Refusal::Failed("the agent is stopping".to_owned());
    let (answer, answered) = oneshot::channel();
    orders
        .blocking_send(Order {
            target,
            change,
            force,
            answer,
        })
        .map_err(|_| stopping())?;
    answered.blocking_recv().map_err(|_| stopping())?
}
