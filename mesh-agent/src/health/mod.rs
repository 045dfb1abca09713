//! Active health checks: asks the endpoints of services that want it whether they work.
//!
//! ```text
//! services ──plan: rules, shares──► Wanted ──► run ──Report──► verdicts::unhealthy ──► desired
//!                                               │
//!                 checks: schedule + hysteresis ┤ (pure)
//!                 probe: tcp, http, tls, grpc ──┘ (one at a time for each endpoint, each within its timeout)
//! ```
//!
//! The verdicts of this node decide for this node alone. An endpoint that no probe has reached yet counts as healthy,
//! unless the kernel's rows say that an earlier agent had taken it out.

mod checks;
mod failure;
mod grpc;
mod http;
mod hysteresis;
mod plan;
mod probe;
mod rules;
mod schedule;
mod shares;
mod tcp;
mod tls;
mod verdicts;

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
    checks::Report,
    failure::{Failure, Outcome},
    hysteresis::{Health, Verdict},
    plan::{Plan, Wanted, plan},
    rules::Rules,
    verdicts::{is_kept, target, unhealthy},
};
use self::{
    checks::{Checks, Due},
    probe::Prober,
    schedule::Id,
};
use crate::desired::Target;

/// Probes what is wanted, as it changes, until told to stop. Who became unhealthy, or is so no longer, is published at
/// once, or a tenth of a second after the last report; everything else after a second. `failing` did not work when an
/// earlier agent ended. `clock` is the monotonic clock, by which reports speak.
pub async fn run(
    wanted: watch::Receiver<Arc<Wanted>>,
    reports: watch::Sender<Arc<Report>>,
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

/// Makes the probes that [`Checks`] asks for.
struct Driver<P> {
    checks: Checks,
    probe: P,
    probes: JoinSet<Outcome>,
    /// Which target a task probes.
    under_way: HashMap<task::Id, Id>,
    started: Instant,
    clock: Duration,
}

impl<P, F> Driver<P>
where
    P: Fn(Due) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    fn new(seed: u64, clock: Duration, probe: P) -> Self {
        let (probes, under_way) = (JoinSet::new(), HashMap::new());
        Self { checks: Checks::new(seed), probe, probes, under_way, started: Instant::now(), clock }
    }

    async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Wanted>>,
        reports: watch::Sender<Arc<Report>>,
        stop: CancellationToken,
    ) {
        wanted.mark_changed();
        loop {
            self.start();
            if let Some(report) = self.checks.report(self.now()) {
                reports.send_replace(Arc::new(report));
            }
            let next = self.checks.next().map(|next| self.started + next.saturating_sub(self.clock));
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

    fn end(&mut self, ended: Result<(task::Id, Outcome), JoinError>) {
        let (task, outcome) = ended.unwrap_or_else(|error| {
            error!("a health probe: {error}");
            (error.id(), Err(Failure::Lost))
        });
        let id = self.under_way.remove(&task).expect("every task is entered when it is spawned");
        let now = self.now();
        let Some((target, verdict)) = self.checks.record(id, &outcome, now) else { return };
        let (service, endpoint) = (&target.service, std::net::SocketAddr::new(target.address, target.port));
        match verdict.state {
            Health::Unhealthy => {
                warn!(%service, %endpoint, by = "health check", reason = &*verdict.reason, "endpoint: unhealthy");
            }
            Health::Healthy | Health::Unknown => info!(%service, %endpoint, by = "health check", "endpoint: healthy"),
        }
    }
}

#[cfg(test)]
mod tests;
