//! What others may see of the agent, and how it is read without holding anybody up.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::Semaphore;

use super::types;
use crate::model::ServiceName;

/// Reads at one time. Each may walk every row of the kernel maps.
const MAX_READS: usize = 2;

/// What the agent shows of itself. Methods may block, for instance to read kernel maps.
pub trait View: Send + Sync + 'static {
    /// Whether the kernel holds what the configuration says. Does not block.
    fn ready(&self) -> bool;
    /// The state of the agent.
    fn status(&self) -> types::Status;
    /// Whether the services of the configuration are known; a new agent has to read them first.
    fn loaded(&self) -> bool;
    /// All services, sorted by namespace and name; an error says what could not be read.
    fn services(&self) -> Result<Vec<types::Service>, String>;
    /// A service that is left alone; those are not among [`services`](Self::services).
    fn left_out(&self, namespace: &str, name: &str) -> Option<types::Service>;
    /// Carries out an order of an operator; returns when it is in effect, and says why it would not
    /// survive a restart of the agent.
    fn change_endpoint(
        &self,
        service: ServiceName,
        endpoint: SocketAddr,
        change: types::Change,
        force: bool,
    ) -> Result<Option<String>, Refusal>;
    /// Where a connect goes now, and why.
    fn explain(&self, question: &types::Question) -> Result<types::Explanation, Refusal>;
}

/// Why a request is not answered with what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// It names something that is not there.
    #[error("{0}")]
    Unknown(String),
    /// It would do harm.
    #[error("{0}")]
    Declined(String),
    /// The agent does not know its services yet.
    #[error(
        "the agent has not loaded its services yet; try again in a moment, and see `meshctl status` if that does not help"
    )]
    NotLoaded,
    /// The agent cannot do so now.
    #[error("{0}")]
    Failed(String),
}

/// Reads a [`View`] away from the threads that serve connections, a few reads at a time.
#[derive(Clone)]
pub(crate) struct ViewReader {
    /// What is read.
    view: Arc<dyn View>,
    reads: Arc<Semaphore>,
}

impl ViewReader {
    pub(crate) fn new(view: Arc<dyn View>) -> Self {
        Self {
            view,
            reads: Arc::new(Semaphore::new(MAX_READS)),
        }
    }

    /// Whether the kernel holds what the configuration says; waits for no read.
    pub(crate) fn ready(&self) -> bool {
        self.view.ready()
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn View) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let permit = self
            .reads
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Stopped)?;
        let view = self.view.clone();
        // The permit goes along: a client that hangs up does not end the read, so it must not free
        // its place either.
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(view.as_ref())
        });
        reading.await.map_err(|_| Stopped)
    }
}

/// A read gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the agent is stopping, or reading its state panicked")]
pub(crate) struct Stopped;
