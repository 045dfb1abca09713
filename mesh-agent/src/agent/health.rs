//! The health checks, as the driver of the owner sees them.

use std::{collections::BTreeSet, future::pending, sync::Arc};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    desired::{Target, World},
    health::{self, HealthReport, Plan, Wanted},
};

/// The ends of the channels to the task that checks.
pub(super) struct Health {
    wanted: watch::Sender<Arc<Wanted>>,
    reports: watch::Receiver<Arc<HealthReport>>,
    /// Of the last report that was looked at.
    changes: u64,
    /// Endpoints that did not work when an earlier agent ended, and of which no report has said
    /// anything yet.
    before: BTreeSet<Target>,
}

impl Health {
    /// Starts the task, which has nothing to check yet. `before` says who did not work when an
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
            super::now(),
            stop.clone(),
        ));
        Self {
            wanted,
            reports,
            changes: 0,
            before,
        }
    }

    /// What is known of the endpoints, as it changes.
    pub(super) fn reports(&self) -> watch::Receiver<Arc<HealthReport>> {
        self.reports.clone()
    }

    /// What is known of the endpoints now.
    pub(super) fn report(&self) -> Arc<HealthReport> {
        Arc::clone(&self.reports.borrow())
    }

    /// Has these endpoints checked from now on.
    pub(super) fn ask(&mut self, world: &World, plan: &Plan) {
        let wanted = &plan.wanted;
        // What may still come is remembered.
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

    /// Waits until endpoints came, left, or changed their state. May be given up and called again.
    pub(super) async fn changed(&mut self) {
        while self.reports.changed().await.is_ok() {
            let changes = self.reports.borrow_and_update().changes;
            if changes != self.changes {
                self.changes = changes;
                return;
            }
        }
        // The task hears the same stop as its driver, and may hear it first.
        pending::<()>().await;
    }

    /// The endpoints to be left alone.
    pub(super) fn unhealthy(&mut self, world: &World) -> BTreeSet<Target> {
        let report = self.report();
        self.before
            .retain(|target| !report.targets.contains_key(target));
        health::unhealthy(&report, &self.before, world)
    }
}
