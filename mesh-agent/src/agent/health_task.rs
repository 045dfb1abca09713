//! Starts the task that runs health checks, and holds the channels to it.

use std::{collections::BTreeSet, future::pending, sync::Arc};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::clock::now;
use crate::{
    desired::{Target, World},
    health::{self, HealthReport, Plan, Wanted},
};

/// The channels to the task.
pub(super) struct HealthTask {
    wanted: watch::Sender<Arc<Wanted>>,
    reports: watch::Receiver<Arc<HealthReport>>,
    /// `HealthReport::changes` of the last report seen.
    changes: u64,
    /// Endpoints that were unhealthy when an earlier agent ended, and that no report has covered
    /// yet.
    before: BTreeSet<Target>,
}

impl HealthTask {
    /// Starts the task with no checks. `before` holds the endpoints that were unhealthy when an
    /// earlier agent ended.
    pub(super) fn start(
        tasks: &TaskTracker,
        stop: &CancellationToken,
        before: BTreeSet<Target>,
    ) -> Self {
        let (wanted, receiver) = watch::channel(Arc::default());
        let (sender, reports) = watch::channel(Arc::default());
        tasks.spawn(health::run(
            receiver,
            sender,
            before.clone(),
            now(),
            stop.clone(),
        ));
        Self {
            wanted,
            reports,
            changes: 0,
            before,
        }
    }

    /// Returns a receiver of the reports.
    pub(super) fn reports(&self) -> watch::Receiver<Arc<HealthReport>> {
        self.reports.clone()
    }

    /// Returns the latest report.
    pub(super) fn report(&self) -> Arc<HealthReport> {
        Arc::clone(&self.reports.borrow())
    }

    /// Replaces the endpoints to check.
    pub(super) fn ask(&mut self, world: &World, plan: &Plan) {
        let wanted = &plan.wanted;
        // An incomplete configuration may still bring the missing endpoints.
        if world.complete {
            self.before.retain(|target| {
                wanted.contains_key(target) || !world.services.contains_key(&target.service)
            });
        }
        self.wanted.send_if_modified(|old| {
            let changed = old != wanted;
            if changed {
                *old = Arc::clone(wanted);
            }
            changed
        });
    }

    /// Waits until an endpoint is added, removed or changes its state. Cancel safe.
    pub(super) async fn changed(&mut self) {
        while self.reports.changed().await.is_ok() {
            let changes = self.reports.borrow_and_update().changes;
            if changes != self.changes {
                self.changes = changes;
                return;
            }
        }
        // The task stops with the agent, and may stop first.
        pending::<()>().await;
    }

    /// Returns the endpoints that get no new connections.
    pub(super) fn unhealthy(&mut self, world: &World) -> BTreeSet<Target> {
        let report = self.report();
        self.before
            .retain(|target| !report.targets.contains_key(target));
        health::unhealthy(&report, &self.before, world)
    }
}
