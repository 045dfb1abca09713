//! What others may see of the agent, and how it is read without holding anybody up.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::types;

/// Reads at one time. Each may walk every row of the kernel maps.
const MAX_READS: usize = 2;

/// What the agent shows of itself. Methods may block, for instance to read kernel maps.
pub trait View: Send + Sync + 'static {
    /// The state of the agent.
    fn status(&self) -> types::Status;
    /// All services, sorted by namespace and name; an error says what could not be read.
    fn services(&self) -> Result<Vec<types::Service>, String>;
    /// A service that is left alone; those are not among [`services`](Self::services).
    fn left_out(&self, namespace: &str, name: &str) -> Option<types::Service>;
}

/// Reads a [`View`] away from the threads that serve connections, a few reads at a time.
#[derive(Clone)]
pub(crate) struct Reader {
    view: Arc<dyn View>,
    reads: Arc<Semaphore>,
}

impl Reader {
    pub(crate) fn new(view: Arc<dyn View>) -> Self {
        Self { view, reads: Arc::new(Semaphore::new(MAX_READS)) }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn View) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let permit = self.reads.clone().acquire_owned().await.map_err(|_| Stopped)?;
        let view = self.view.clone();
        // The permit goes along: a client that hangs up does not end the read, so it must not free its place either.
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
