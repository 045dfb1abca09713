//! The loop around the owner: waits for events, passes them on, and carries out what follows.
//!
//! ```text
//! updates, health reports, commands, timers ──► owner ──► kernel rows ──► snapshot
//!                                                 └─► stale sockets, programs, log
//! ```

use std::time::Duration;

use anyhow::bail;
use tokio::{
    sync::{mpsc, watch},
    task::block_in_place,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    change_log,
    clock::now,
    commands::{self, Command},
    ejection_watch::EjectionWatch,
    health_task::HealthTask,
    malloc, node_watch,
    owner::{Owner, Snapshot},
    problem_log::ProblemLog,
    stale_sockets::StaleSockets,
};
use crate::{
    config::Settings,
    dataplane::{kernel::Kernel, link::Attached, pin::Cgroup},
    model::Update,
    stale::BackendSet,
};

/// Time between two checks of the node's addresses and of the program links.
const NODE_INTERVAL: Duration = Duration::from_secs(3);

/// The attached programs by the name of their hook.
pub(super) type Hooks = Vec<(&'static str, Attached)>;

/// The owner, its inputs and its outputs.
pub(super) struct EventLoop {
    pub(super) owner: Owner<Kernel>,
    pub(super) settings: Settings,
    pub(super) cgroup: Cgroup,
    pub(super) updates: mpsc::Receiver<Update>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) health: HealthTask,
    pub(super) ejections: EjectionWatch,
    pub(super) stale_sockets: StaleSockets,
    pub(super) snapshots: watch::Sender<Snapshot>,
    pub(super) hooks: watch::Sender<Hooks>,
    pub(super) errors: ProblemLog,
    pub(super) problems: ProblemLog,
}

impl EventLoop {
    /// Runs until `stop`, or until the source ends.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut resync = timer(self.settings.resync_interval);
        let mut node = timer(NODE_INTERVAL);
        // The time of the owner's next step. An Instant, because other events come in between.
        let mut next = None;
        // Whether an update was read since memory was last returned to the system.
        let mut needs_trim = false;
        loop {
            let mut answer = None;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                update = self.updates.recv() => match update {
                    Some(update) => {
                        needs_trim = true;
                        block_in_place(|| self.accept(update));
                        self.health.ask(self.owner.world(), self.owner.checks());
                        self.update_health();
                    }
                    // The source stops with the agent, and may stop first.
                    None if stop.is_cancelled() => return Ok(()),
                    None => bail!("the source has ended"),
                },
                () = self.health.changed() => if !self.update_health() {
                    continue;
                },
                Some(command) = self.commands.recv() => {
                    answer = block_in_place(|| command.execute(&mut self.owner));
                    // A drained endpoint does not count as the last healthy one.
                    self.update_health();
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                () = sleep_until(self.ejections.next_check()) => {
                    block_in_place(|| self.check_ejections());
                    continue;
                },
                _ = resync.tick() => block_in_place(|| self.resync()),
                _ = node.tick() => {
                    let Self { owner, settings, cgroup, .. } = &mut self;
                    if !block_in_place(|| node_watch::check(owner, settings, cgroup)) {
                        continue;
                    }
                    // Endpoints at addresses of the node are not checked.
                    self.health.ask(self.owner.world(), self.owner.checks());
                }
            }
            let step =
                block_in_place(|| self.owner.reconcile(now())).map(|wait| Instant::now() + wait);
            self.attach_once()?;
            self.publish();
            commands::answer(answer, &self.owner);
            let close = block_in_place(|| self.stale_sockets.close(&mut self.owner))
                .map(|wait| Instant::now() + wait);
            next = step.into_iter().chain(close).min();
            // Last, when nothing else is left to do.
            if needs_trim && next.is_none() {
                needs_trim = false;
                block_in_place(malloc::trim);
            }
        }
    }

    /// Takes an update, and logs what it changes.
    fn accept(&mut self, update: Update) {
        let before = self
            .owner
            .has_accepted()
            .then(|| self.owner.world().services.clone());
        self.owner.accept(update);
        let after = &self.owner.world().services;
        match before {
            Some(before) => change_log::log_changes(&before, after),
            None => {
                info!(services = after.len(), "configuration read");
                let tables = &self.snapshots.borrow().tables;
                change_log::log_changes_since(tables, self.owner.world());
            }
        }
    }

    /// Passes the unhealthy endpoints to the owner; returns whether they changed.
    fn update_health(&mut self) -> bool {
        let unhealthy = self.health.unhealthy(self.owner.world());
        self.owner.set_unhealthy(unhealthy)
    }

    fn check_ejections(&mut self) {
        let tables = self.snapshots.borrow().tables.clone();
        let report = self.health.report();
        self.ejections
            .check(&mut self.owner.dataplane, &tables, &report);
    }

    fn resync(&mut self) {
        self.owner.resync();
        self.stale_sockets.schedule(BackendSet::All);
        malloc::trim();
    }

    /// Attaches the programs once the maps hold the first update, so that they never run on empty
    /// maps. When that replaces the maps of an earlier agent, an incomplete update is not enough,
    /// because the earlier maps may have what is missing; nor are smaller maps that cannot hold all
    /// services.
    fn attach_once(&mut self) -> anyhow::Result<()> {
        let owner = &self.owner;
        let has_gaps = owner.dataplane.replaces_other() && !owner.is_complete();
        let is_short = owner.dataplane.replaces_larger() && !owner.has_capacity();
        let filled = owner.is_applied() && !has_gaps && !is_short;
        if filled && self.hooks.borrow().is_empty() {
            let attached = self
                .owner
                .dataplane
                .attach(&self.cgroup, self.settings.allow_second_agent)?;
            info!(hooks = attached.len(), "attached");
            self.hooks.send_replace(attached);
            // Fails without a service manager, which is no error.
            _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        Ok(())
    }

    fn publish(&mut self) {
        let snapshot = self.owner.snapshot();
        let errors = snapshot.errors.iter().map(ToString::to_string);
        self.errors.log(errors);
        self.problems.log(snapshot.problems.iter().cloned());
        self.snapshots.send_replace(snapshot);
    }
}

fn timer(period: Duration) -> Interval {
    let mut timer = interval_at(Instant::now() + period, period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
