//! Active health checks: probes the endpoints of services with a health check, and reports which
//! are unhealthy.
//!
//! ```text
//! services ──plan: rules, fair_share──► Wanted ──► run ──HealthReport──► owner ──► desired
//!                                               │
//!                 checks: schedule + hysteresis ┤ (pure)
//!                 probe: tcp, http, tls, grpc ──┘ (one at a time for each endpoint, each within its timeout)
//! ```
//!
//! The results of this node apply to this node only. An endpoint without a probe result counts as
//! healthy, unless the kernel's rows show that an earlier agent had taken it out.

mod checks;
mod failure;
mod fair_share;
mod grpc;
mod http;
mod hysteresis;
mod plan;
mod probe;
mod rules;
mod schedule;
mod tcp;
mod tls;

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::{
    checks::HealthReport,
    failure::{Failure, ProbeResult},
    hysteresis::{HealthState, HealthStatus},
    plan::{Plan, Wanted, plan},
    rules::Rules,
};
use self::{
    checks::{Checks, Due},
    probe::Prober,
    schedule::Id,
};
use crate::desired::Target;

/// Probes the wanted endpoints, which may change, until cancelled. A change to or from unhealthy is
/// published at once, but at most every 100 ms; other changes are published within a second.
/// `failing` lists endpoints that were unhealthy when an earlier agent ended. `clock` is the
/// monotonic clock of the reports.
pub async fn run(
    wanted: watch::Receiver<Arc<Wanted>>,
    reports: watch::Sender<Arc<HealthReport>>,
    failing: BTreeSet<Target>,
    clock: Duration,
    stop: CancellationToken,
) {
    let prober = Prober::new();
    let probe = move |due: Due| {
        let prober = prober.clone();
        async move { prober.probe(&due.target, &due.check).await }
    };
    let seed = RandomState::new().hash_one(clock);
    let mut driver = Driver::new(seed, clock, probe);
    driver.checks.remember(failing);
    driver.run(wanted, reports, stop).await;
}

/// Runs the probes that [`Checks`] schedules.
struct Driver<P> {
    checks: Checks,
    probe: P,
    probes: JoinSet<ProbeResult>,
    /// Target of each probe task.
    under_way: HashMap<task::Id, Id>,
    started: Instant,
    clock: Duration,
}

impl<P, F> Driver<P>
where
    P: Fn(Due) -> F,
    F: Future<Output = ProbeResult> + Send + 'static,
{
    fn new(seed: u64, clock: Duration, probe: P) -> Self {
        let (probes, under_way) = (JoinSet::new(), HashMap::new());
        Self {
            checks: Checks::new(seed),
            probe,
            probes,
            under_way,
            started: Instant::now(),
            clock,
        }
    }

    async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Wanted>>,
        reports: watch::Sender<Arc<HealthReport>>,
        stop: CancellationToken,
    ) {
        wanted.mark_changed();
        loop {
            self.start();
            if let Some(report) = self.checks.report(self.now()) {
                reports.send_replace(Arc::new(report));
            }
            let next = self
                .checks
                .next()
                .map(|next| self.started + next.saturating_sub(self.clock));
            tokio::select! {
                () = stop.cancelled() => return,
                changed = wanted.changed() => match changed {
                    Ok(()) => {
                        let wanted = Arc::clone(&wanted.borrow_and_update());
                        self.checks.set(&wanted, self.now());
                    }
                    Err(_) => return,
                },
                Some(ended) = self.probes.join_next_with_id() => self.end(ended),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            while let Some(ended) = self.probes.try_join_next_with_id() {
                self.end(ended);
            }
        }
    }

    fn now(&self) -> Duration {
        self.clock + self.started.elapsed()
    }

    fn start(&mut self) {
        while let Some(due) = self.checks.start(self.now()) {
            let id = due.id;
            let task = self.probes.spawn((self.probe)(due));
            self.under_way.insert(task.id(), id);
        }
    }

    fn end(&mut self, ended: Result<(task::Id, ProbeResult), JoinError>) {
        let (task, outcome) = ended.unwrap_or_else(|error| {
            error!("a health probe: {error}");
            (error.id(), Err(Failure::Lost))
        });
        let id = self
            .under_way
            .remove(&task)
            .expect("every task is entered when it is spawned");
        let now = self.now();
        let Some((target, status)) = self.checks.record(id, &outcome, now) else {
            return;
        };
        let (service, endpoint) = (
            &target.service,
            std::net::SocketAddr::new(target.address, target.port),
        );
        match status.state {
            HealthState::Unhealthy => {
                warn!(%service, %endpoint, by = "health check", reason = &*status.reason, "endpoint: unhealthy");
            }
            HealthState::Healthy | HealthState::Unknown => {
                info!(%service, %endpoint, by = "health check", "endpoint: healthy");
            }
        }
    }
}

#[cfg(test)]
mod tests;
