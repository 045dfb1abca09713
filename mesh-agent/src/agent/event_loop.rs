//! The loop around the owner: waits for events, and carries out what follows from each.
//!
//! ```text
//! sources, health, commands, timers ──Event──► Owner::handle ──Effects──► snapshot, programs, sockets, answer
//!                                                   └──Op──► kernel rows
//! ```

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::block_in_place,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};
use tracing::info;

use super::{
    clock::now,
    context::Context,
    ejection_watch::EjectionWatch,
    event::{Answer, Effects, Event, NodeState, Trim},
    health_task::HealthTask,
    inbox::Delivery,
    malloc, node_watch,
    owner::{Owner, Snapshot},
    problem_log::ProblemLog,
    stale_sockets::StaleSockets,
};
use crate::{
    confinement::{capabilities::RunTime, system_calls::Filters},
    dataplane::{kernel::Kernel, link::Attached, pin::Cgroup},
    stale::BackendSet,
};

/// Time between two checks of the node's addresses and of the program links.
const NODE_INTERVAL: Duration = Duration::from_secs(3);

/// The attached programs by the name of their hook.
pub(super) type Hooks = Vec<(&'static str, Attached)>;

/// The owner, its events, and what its effects need.
pub(super) struct EventLoop {
    /// When the agent started.
    pub(super) started: std::time::Instant,
    pub(super) owner: Owner<Kernel>,
    pub(super) context: Context,
    pub(super) events: mpsc::Receiver<Delivery>,
    pub(super) cgroup: Cgroup,
    pub(super) health: HealthTask,
    pub(super) ejections: EjectionWatch,
    pub(super) stale_sockets: StaleSockets,
    pub(super) run_time: RunTime,
    pub(super) snapshots: watch::Sender<Snapshot>,
    pub(super) hooks: watch::Sender<Hooks>,
    pub(super) errors: ProblemLog,
    pub(super) problems: ProblemLog,
    pub(super) helper_problems: ProblemLog,
    /// Due after the next step that leaves nothing to do.
    pub(super) trim: Trim,
}

impl EventLoop {
    /// Runs until the agent stops.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let stop = self.context.life.stop.clone();
        let mut resync = timer(self.context.settings.resync_interval);
        let mut node = timer(NODE_INTERVAL);
        // An Instant, because other events come in between.
        let mut next = None;
        loop {
            let mut answer = None;
            let event = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(delivery) = self.events.recv() => {
                    answer = delivery.answer;
                    delivery.event
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => Event::Tick,
                () = sleep_until(self.ejections.next_check()) => {
                    block_in_place(|| self.check_ejections());
                    continue;
                }
                _ = resync.tick() => Event::Resync,
                _ = node.tick() => {
                    self.cgroup.expect_not_replaced()?;
                    Event::Node(block_in_place(|| self.look_at_node()))
                }
            };
            next = block_in_place(|| self.handle(event, answer))?;
        }
    }

    /// Handles an event, and carries out what follows. Returns when the next step is due.
    fn handle(
        &mut self,
        event: Event,
        answer_to: Option<oneshot::Sender<Answer>>,
    ) -> anyhow::Result<Option<Instant>> {
        let Effects {
            attach,
            publish,
            checks,
            answer,
            close,
            close_all,
            trim,
            wake,
        } = self.owner.handle(event, now());
        if let Some(wanted) = checks {
            self.health.wanted.send_replace(wanted);
        }
        if attach {
            self.attach()?;
        }
        if publish {
            self.publish();
        }
        if let (Some(sender), Some(answer)) = (answer_to, answer) {
            // Fails when the client has disconnected.
            _ = sender.send(answer);
        }
        if close_all {
            self.stale_sockets.schedule(BackendSet::All);
        }
        let close = self.stale_sockets.close(close, &self.owner);
        let step = wake.map(|at| at.saturating_sub(now()));
        let wait = step.into_iter().chain(close).min();
        self.trim(trim, wait.is_none());
        Ok(wait.map(|wait| Instant::now() + wait))
    }

    fn look_at_node(&mut self) -> NodeState {
        let problem = self.context.namespaces.problem();
        self.helper_problems.log(problem);
        let Context {
            settings,
            namespaces,
            ..
        } = &self.context;
        node_watch::look(&self.owner.dataplane, settings, namespaces, &self.cgroup)
    }

    /// Returns memory to the system, if it is time.
    fn trim(&mut self, asked: Trim, is_idle: bool) {
        self.trim = self.trim.max(asked);
        if self.trim == Trim::Now || self.trim == Trim::WhenIdle && is_idle {
            self.trim = Trim::No;
            malloc::trim();
        }
    }

    fn check_ejections(&mut self) {
        let tables = Arc::clone(&self.snapshots.borrow().tables);
        let report = Arc::clone(&self.health.reports.borrow());
        self.ejections
            .check(&mut self.owner.dataplane, &tables, &report);
    }

    fn attach(&mut self) -> anyhow::Result<()> {
        let may_be_second = self.context.settings.allow_second_agent;
        let attached = self.owner.dataplane.attach(&self.cgroup, may_be_second)?;
        let milliseconds = self.started.elapsed().as_millis();
        info!(hooks = attached.len(), milliseconds, "attached");
        // The main thread, which runs this, is the last one.
        self.run_time
            .enter()
            .context("cannot give up capabilities")?;
        if self.context.settings.system_call_filter {
            Filters::daemon()?.install()?;
        }
        self.hooks.send_replace(attached);
        // Fails without a service manager, which is no error.
        _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
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
