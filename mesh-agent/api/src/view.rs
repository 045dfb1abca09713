//! The view of the agent that the API and the metrics read, a few reads at a time.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::Semaphore;

use super::types;
use crate::model::ServiceName;

/// Most concurrent reads. Each may walk every row of the kernel maps.
const MAX_READS: usize = 2;

/// The state of the agent, for readers. Methods may block, for instance to read kernel maps.
pub trait View: Send + Sync + 'static {
    /// Returns whether the kernel holds the configuration. Does not block.
    fn ready(&self) -> bool;
    /// Returns the state of the agent.
    fn status(&self) -> types::Status;
    /// Returns what is wrong with the agent and its node.
    fn doctor(&self) -> types::Diagnosis;
    /// Returns what else a bug report needs.
    fn support(&self) -> types::Support;
    /// Returns whether the services were read; a new agent has to read them first.
    fn loaded(&self) -> bool;
    /// Returns all services, sorted by namespace and name, or what could not be read.
    fn services(&self) -> Result<Vec<types::Service>, String>;
    /// Returns a service that is left alone, which [`services`](Self::services) does not include.
    fn left_out(&self, namespace: &str, name: &str) -> Option<types::Service>;
    /// Changes an endpoint by an operator's command, and waits until that is in effect. Returns a
    /// warning when the change would not survive a restart of the agent.
    fn change_endpoint(
        &self,
        service: ServiceName,
        endpoint: SocketAddr,
        change: types::Change,
        force: bool,
    ) -> Result<Option<String>, Refusal>;
    /// Explains where a connect goes now.
    fn explain(&self, question: &types::Question) -> Result<types::Explanation, Refusal>;
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed.
    #[error("{0}")]
    Malformed(String),
    /// The request names an unknown object.
    #[error("{0}")]
    Unknown(String),
    /// The change would stop traffic.
    #[error("{0}")]
    Declined(String),
    /// The agent has not read its services yet.
    #[error(
        "the agent has not loaded its services yet; try again in a moment, and see `meshctl status` if that does not help"
    )]
    NotLoaded,
    /// The agent cannot do it now.
    #[error("{0}")]
    Failed(String),
}

/// Reads a [`View`] on other threads than those that serve connections, a few reads at a time.
#[derive(Clone)]
pub struct ViewReader {
    /// The view.
    view: Arc<dyn View>,
    reads: Arc<Semaphore>,
}

impl ViewReader {
    pub fn new(view: Arc<dyn View>) -> Self {
        Self {
            view,
            reads: Arc::new(Semaphore::new(MAX_READS)),
        }
    }

    /// Returns whether the kernel holds the configuration, without waiting for reads.
    pub fn ready(&self) -> bool {
        self.view.ready()
    }

    pub async fn read<T: Send + 'static>(
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
        // The read holds the permit, because it goes on when the client disconnects.
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(view.as_ref())
        });
        reading.await.map_err(|_| Stopped)
    }
}

/// A read ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("the agent is stopping, or reading its state panicked")]
pub struct Stopped;
