//! The room of health checks: starts their task, and passes its results to the owner.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

use super::{clock::now, context::Context, event::Event, inbox::Inbox};
use crate::{
    desired::Target,
    health::{self, HealthReport, Wanted},
};

/// The channels to the task.
pub(super) struct HealthTask {
    /// The endpoints to check.
    pub(super) wanted: watch::Sender<Arc<Wanted>>,
    /// The results.
    pub(super) reports: watch::Receiver<Arc<HealthReport>>,
}

impl HealthTask {
    /// Starts the task with no checks. `down` holds the endpoints that were unhealthy when an
    /// earlier agent ended.
    pub(super) fn start(context: &Context, down: BTreeSet<Target>) -> Self {
        let (wanted, receiver) = watch::channel(Arc::default());
        let (sender, reports) = watch::channel(Arc::default());
        let life = &context.life;
        life.spawn(health::run(
            receiver,
            sender,
            down,
            now(),
            life.stop.clone(),
        ));
        life.spawn(forward(reports.clone(), context.inbox.clone()));
        Self { wanted, reports }
    }
}

/// Passes on each report in which an endpoint is added, removed or changes its state. Ends with the
/// checks.
async fn forward(mut reports: watch::Receiver<Arc<HealthReport>>, inbox: Inbox) {
    let mut changes = 0;
    while reports.changed().await.is_ok() {
        let report = Arc::clone(&reports.borrow_and_update());
        let is_new = report.changes != changes;
        changes = report.changes;
        if is_new && !inbox.send(Event::Health(report)).await {
            return;
        }
    }
}
