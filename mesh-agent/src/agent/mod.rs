//! The daemon: wires sources, the [owner](owner) of the state, the data plane and the servers together.
//!
//! ```text
//! source::watch ──Update──► owner ──Op──► dataplane
//!                             │ Snapshot
//!                             ▼
//!                  api::server, metrics ◄── counters (read from the maps when asked)
//! ```

pub mod addresses;
mod owner;
mod view;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::time::{ClockId, clock_gettime};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::block_in_place,
    time::{MissedTickBehavior, interval_at, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use self::{
    owner::{Owner, Snapshot},
    view::Live,
};
use crate::{
    api,
    config::Settings,
    dataplane::{
        kernel::Kernel,
        pin::{Attached, Cgroup},
        privileges,
    },
    metrics,
    model::Update,
    source::{dir::Reader, watch::watch as watch_directories},
};

type Hooks = Vec<(&'static str, Attached)>;

/// Runs until told to stop. Links and maps stay: traffic goes on without us.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    privileges::check()?;
    let cgroup = Cgroup::open(&settings.cgroup)?;
    let kernel = Kernel::open(&settings.pin_dir, settings.capacity)?;
    let meter = kernel.meter();
    let listener = api::server::bind(&settings.socket)?;
    let owner = Owner::new(kernel, settings.vip_pools.clone(), &settings.state_dir)?;

    let (updates_in, updates) = mpsc::channel(1);
    let (snapshots_in, snapshots) = watch::channel(owner.snapshot());
    let (hooks_in, hooks) = watch::channel(Hooks::new());
    let view = Arc::new(Live { started: Instant::now(), settings: settings.clone(), snapshots, hooks, meter });

    let stop = stop_on_signal()?;
    let tasks = TaskTracker::new();
    let reader = Reader::new(settings.services.clone(), settings.allow_empty);
    tasks.spawn(watch_directories(reader, updates_in, stop.clone()));
    tasks.spawn(api::server::serve(listener, view.clone(), stop.clone()));
    if let Some(address) = settings.metrics {
        tasks.spawn(metrics::serve(metrics::bind(address).await?, view, stop.clone()));
    }
    let drive = Drive { owner, cgroup, updates, snapshots: snapshots_in, hooks: hooks_in };
    let result = drive.run(settings.resync_interval, &stop).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    result
}

/// The owner and its channels.
struct Drive {
    owner: Owner<Kernel>,
    cgroup: Cgroup,
    updates: mpsc::Receiver<Update>,
    snapshots: watch::Sender<Snapshot>,
    hooks: watch::Sender<Hooks>,
}

impl Drive {
    async fn run(mut self, resync_interval: Duration, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut resync = interval_at(tokio::time::Instant::now() + resync_interval, resync_interval);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wait = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                update = self.updates.recv() => match update {
                    Some(update) => {
                        report(&update);
                        block_in_place(|| self.owner.accept(update));
                    }
                    // The source hears the same stop, and may hear it first.
                    None if stop.is_cancelled() => return Ok(()),
                    None => bail!("the source has ended"),
                },
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                _ = resync.tick() => block_in_place(|| self.owner.resync()),
            }
            wait = block_in_place(|| self.owner.reconcile(now()));
            self.attach_once()?;
            self.snapshots.send_replace(self.owner.snapshot());
        }
    }

    /// Programs are put in place once the maps hold what the first update says: never do they meet empty ones. Where
    /// that replaces the maps of an earlier agent, an update with gaps does not do: those maps may fill them.
    fn attach_once(&mut self) -> anyhow::Result<()> {
        let filled = self.owner.is_applied() && (self.owner.is_complete() || !self.owner.dataplane.replaces_other());
        if filled && self.hooks.borrow().is_empty() {
            let attached = self.owner.dataplane.attach(&self.cgroup)?;
            info!(hooks = attached.len(), "attached");
            self.hooks.send_replace(attached);
            // Without a service manager there is nobody to tell.
            _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        Ok(())
    }
}

fn report(update: &Update) {
    info!(services = update.services.len(), errors = update.errors.len(), "configuration read");
    for error in &update.errors {
        error!("{error}");
    }
}

/// The monotonic clock, which no change of the date touches.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock").into()
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}
