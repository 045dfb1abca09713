//! The context that every room gets: settings, snapshots, meter, inbox and end of life. A room is a
//! task beside the owner: the API, the metrics, the health checks, the sweep of socket rows.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{inbox::Inbox, owner::Snapshot};
use crate::{config::Settings, dataplane::SharedMeter, namespaces::Namespaces};

/// What every room gets.
#[derive(Clone)]
pub(super) struct Context {
    /// Settings, which do not change while the agent runs.
    pub(super) settings: Arc<Settings>,
    /// The state that the owner published last.
    pub(super) snapshots: watch::Receiver<Snapshot>,
    /// The kernel's counters.
    pub(super) meter: SharedMeter,
    /// Where sockets are listed and closed.
    pub(super) namespaces: Arc<Namespaces>,
    /// Where events go.
    pub(super) inbox: Inbox,
    /// How long the room runs.
    pub(super) life: Life,
}

/// Tasks that end together.
#[derive(Clone, Default)]
pub(super) struct Life {
    /// Ends all tasks.
    pub(super) stop: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    /// Runs a task, which must end soon after `stop`.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends all tasks, and waits for them.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
