//! The daemon: wires sources, the [owner](owner) of the state, the data plane and the servers
//! together.
//!
//! ```text
//! source::watch ──Update──► owner ──Op──► dataplane
//! health::run ────Report────►  │ ◄──Order── api::server
//!                             │ Snapshot
//!                             ▼
//!                  api::server, metrics ◄── counters (read from the maps when asked)
//! ```

pub mod addresses;
mod changes;
mod degraded;
pub mod descriptors;
mod ejections;
mod excluded;
mod explain;
mod groups;
mod health;
pub mod heap;
mod holders;
#[cfg(feature = "kernel-log")]
mod kernel_log;
mod lift;
mod news;
mod node;
mod orders;
mod overrides;
mod owner;
mod replay;
pub mod state_lock;
mod stop;
mod sweep;
pub mod uninstall;
mod view;

use std::{sync::Arc, thread, time::Duration};

use anyhow::bail;
use mesh_common::abi::SocketRow;
use nix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{mpsc, watch},
    task::block_in_place,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{
    ejections::{Ejections, Event, What},
    health::Health,
    lift::Lifts,
    news::News,
    orders::Order,
    owner::{Departures, Owner, Snapshot},
    state_lock::StateLock,
    view::Live,
};
use crate::{
    api::{self, types::Ejection},
    config::Settings,
    dataplane::{
        SharedMeter,
        kernel::Kernel,
        link::Attached,
        other_agents,
        pin::{Cgroup, PinDir},
        privileges::Capabilities,
    },
    metrics,
    model::Update,
    source::{dir::DirectoryReader, watch::watch as watch_directories},
    stale::{self, Attempts, BackendSet, CloseSchedule, DueClose, Tracked},
};

/// How often the addresses of the node are read, and the links of the programs looked at.
const NODE_INTERVAL: Duration = Duration::from_secs(3);
/// How often ejected backends are looked for. Where reading them takes long, so much more rarely
/// that it costs no more than one part of this many of a processor.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_COST: u32 = 100;

type Hooks = Vec<(&'static str, Attached)>;

/// Runs until told to stop. Links and maps stay: traffic goes on without us.
pub async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let capabilities = Capabilities::effective();
    capabilities.check()?;
    let degraded = degraded::turn_off(&mut settings, &capabilities);
    let cgroup = Cgroup::open(&settings.cgroup)?;
    let (_state_lock, pins) = keep_others_out(&settings, &cgroup)?;
    let leaves_out = !settings.excluded_cgroups.is_empty() || !settings.excluded_netns.is_empty();
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (updates_in, updates) = mpsc::channel(1);
    // Files are read while the verifier looks at the programs; which of them to believe depends on
    // the kernel's rows, and then on what an earlier agent had in force.
    let (tell_holders, holders) = std::sync::mpsc::channel();
    let reader = DirectoryReader::new(settings.services.clone(), settings.allow_empty)
        .serving(settings.serve)
        .admitting(settings.admission.clone())
        .remembering(&settings.state_dir)
        .keeping(move || holders.recv().unwrap_or_default());
    tasks.spawn(watch_directories(reader, updates_in, stop.clone()));
    let kernel = Kernel::open(pins, settings.capacity, leaves_out)?;
    stop::on_signal(&stop)?;
    let inherits = kernel.serves();
    let (meter, sockets) = (kernel.meter(), kernel.socket_rows()?);
    let listener = api::server::bind(&settings.socket)?;
    let mut owner = Owner::new(kernel, settings.vip_pools.clone(), &settings.state_dir)?;
    _ = tell_holders.send(holders::holders(&owner.snapshot().tables));
    owner.set_locality(settings.locality.clone());
    owner.set_admission(settings.admission.clone());
    owner.set_quotas(settings.quotas);
    owner.set_check_policy(settings.check_policy.clone());
    owner.set_node(&settings.node_name, node::addresses()?);
    excluded::leave_out(&mut owner, &settings);
    groups::tell(&owner.dataplane, &cgroup);

    let (snapshots_in, snapshots) = watch::channel(owner.snapshot());
    #[cfg(feature = "kernel-log")]
    tasks.spawn(kernel_log::run(
        &mut owner.dataplane,
        snapshots.clone(),
        stop.clone(),
    )?);
    let (hooks_in, hooks) = watch::channel(Hooks::new());
    let health = Health::start(&tasks, &stop, owner.down());
    let started = std::time::Instant::now();
    let reports = health.reports();
    let (orders_in, orders) = mpsc::channel(1);
    let attached = hooks.clone();
    let swept = snapshots.clone();
    let view = Arc::new(Live {
        started,
        settings: settings.clone(),
        degraded,
        snapshots,
        hooks,
        reports,
        meter: Arc::clone(&meter),
        orders: orders_in,
    });

    tasks.spawn(api::server::serve(listener, view.clone(), stop.clone()));
    if let Some(address) = &settings.metrics {
        let (listener, token) = (
            metrics::bind(address).await?,
            settings.metrics_token_file.clone(),
        );
        tasks.spawn(metrics::serve(listener, token, view, stop.clone()));
    }
    let resync_interval = settings.resync_interval;
    let sweep = sweep::run(sockets, swept, settings.clone(), stop.clone());
    tasks.spawn(sweep);
    let (socket, uninstall) = (settings.socket.clone(), settings.uninstall_command());
    let drive = Drive {
        owner,
        settings,
        cgroup,
        lookout: CloseSchedule::default(),
        attempts: Attempts::default(),
        meter,
        ejections: Ejections::default(),
        lifts: Lifts::default(),
        next_look: Instant::now(),
        errors: News::default(),
        problems: News::default(),
        unclosed: News::default(),
        updates,
        orders,
        health,
        snapshots: snapshots_in,
        hooks: hooks_in,
    };
    let result = drive.run(resync_interval, &stop).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    if inherits || !attached.borrow().is_empty() {
        info!("stopped; programs and services stay in the kernel until `{uninstall}`");
    } else {
        // Nothing was attached, so no socket is left that would say so.
        api::server::unbind(&socket)?;
    }
    result
}

/// Fails, having changed nothing, when another agent serves the cgroup or uses one of the
/// directories; from then on another agent fails. A state directory that cannot be locked is no
/// reason not to serve.
fn keep_others_out(
    settings: &Settings,
    cgroup: &Cgroup,
) -> anyhow::Result<(Option<StateLock>, PinDir)> {
    if !settings.allow_second_agent {
        other_agents::check(cgroup, &settings.pin_dir)?;
    }
    let state = match StateLock::take(&settings.state_dir) {
        Err(error @ state_lock::Error::NotPrivate(_)) => return Err(error.into()),
        Err(error @ state_lock::Error::Taken { .. }) if !settings.allow_second_agent => {
            return Err(error.into());
        }
        Err(error) => {
            warn!("{error}");
            None
        }
        Ok(lock) => Some(lock),
    };
    // Before anything is pinned: what is pinned stays when the start fails.
    let unused = api::server::check_unused(&settings.socket).map_err(anyhow::Error::from);
    match unused.and_then(|()| Ok(PinDir::lock(&settings.pin_dir)?)) {
        Ok(pins) => Ok((state, pins)),
        Err(error) => {
            state.into_iter().for_each(StateLock::undo);
            Err(error)
        }
    }
}

/// The owner and its channels.
struct Drive {
    owner: Owner<Kernel>,
    settings: Settings,
    cgroup: Cgroup,
    lookout: CloseSchedule,
    attempts: Attempts,
    meter: SharedMeter,
    ejections: Ejections,
    lifts: Lifts,
    /// When ejected backends are looked for again.
    next_look: Instant,
    errors: News,
    problems: News,
    /// Why stale sockets stay open.
    unclosed: News,
    updates: mpsc::Receiver<Update>,
    orders: mpsc::Receiver<Order>,
    health: Health,
    snapshots: watch::Sender<Snapshot>,
    hooks: watch::Sender<Hooks>,
}

impl Drive {
    async fn run(
        mut self,
        resync_interval: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut resync = interval_at(Instant::now() + resync_interval, resync_interval);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut node = interval_at(Instant::now() + NODE_INTERVAL, NODE_INTERVAL);
        node.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // When the owner wants the next step; a point in time, for other events come in between.
        let mut next = None;
        // Whether an update has come since the heap was trimmed.
        let mut untidy = false;
        loop {
            let mut ordered = None;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                update = self.updates.recv() => match update {
                    Some(update) => {
                        untidy = true;
                        block_in_place(|| self.accept(update));
                        self.health.ask(self.owner.world(), self.owner.checks());
                        self.look_at_health();
                    }
                    // The source hears the same stop, and may hear it first.
                    None if stop.is_cancelled() => return Ok(()),
                    None => bail!("the source has ended"),
                },
                () = self.health.changed() => if !self.look_at_health() {
                    continue;
                },
                Some(order) = self.orders.recv() => {
                    ordered = block_in_place(|| order.carry_out(&mut self.owner));
                    // Who drains is not the last that works.
                    self.look_at_health();
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                () = sleep_until(self.next_look) => {
                    block_in_place(|| self.look_at_ejections());
                    continue;
                },
                _ = resync.tick() => block_in_place(|| {
                    self.owner.resync();
                    self.lookout.ask(BackendSet::All, now());
                    heap::trim();
                }),
                _ = node.tick() => {
                    if !block_in_place(|| self.look_at_node()) {
                        continue;
                    }
                    // Addresses of the node are not checked.
                    self.health.ask(self.owner.world(), self.owner.checks());
                }
            }
            let step =
                block_in_place(|| self.owner.reconcile(now())).map(|wait| Instant::now() + wait);
            self.attach_once()?;
            let snapshot = self.owner.snapshot();
            self.errors
                .tell(snapshot.errors.iter().map(ToString::to_string));
            self.problems.tell(snapshot.problems.iter().cloned());
            self.snapshots.send_replace(snapshot);
            orders::tell(ordered, &self.owner);
            let look = block_in_place(|| self.close_stale()).map(|wait| Instant::now() + wait);
            next = step.into_iter().chain(look).min();
            // Last, when nothing else is to be done.
            if untidy && next.is_none() {
                untidy = false;
                block_in_place(heap::trim);
            }
        }
    }

    /// Takes an update, and says in the log what it changes.
    fn accept(&mut self, update: Update) {
        let before = self
            .owner
            .has_accepted()
            .then(|| self.owner.world().services.clone());
        self.owner.accept(update);
        let after = &self.owner.world().services;
        match before {
            Some(before) => changes::tell(&before, after),
            None => {
                info!(services = after.len(), "configuration read");
                changes::tell_since(&self.snapshots.borrow().tables, self.owner.world());
            }
        }
    }

    /// Says in the log which backends the kernel has ejected since the last look, and which came
    /// back.
    fn look_at_ejections(&mut self) {
        let start = Instant::now();
        let tables = Arc::clone(&self.snapshots.borrow().tables);
        match self.meter.evidence(&tables) {
            Ok(evidence) => {
                let now = now();
                let ejected = evidence
                    .iter()
                    .filter_map(|(index, known)| Some((*index, Ejection::of(known, now)?)));
                self.ejections
                    .look(&tables, ejected)
                    .iter()
                    .for_each(tell_ejection);
                let lifts = self
                    .lifts
                    .due(&tables, &evidence, &self.health.report(), now);
                if let Err(error) = self.owner.dataplane.lift(&lifts) {
                    warn!("cannot end ejections of backends whose health check passes: {error}");
                }
            }
            Err(error) => warn!("cannot look for ejected backends: {error}"),
        }
        self.next_look = Instant::now() + LOOK_INTERVAL.max(start.elapsed() * LOOK_COST);
    }

    /// Closes sockets whose backend left; returns how long to wait before the next look. A connect
    /// under way when it left is met by the step that frees the backend.
    fn close_stale(&mut self) -> Option<Duration> {
        let Departures { left, freed } = self.owner.take_departures();
        self.attempts.forget(&left);
        self.lookout.ask(
            BackendSet::Of(left.into_iter().chain(freed).collect()),
            now(),
        );
        let start = now();
        if let Some(look) = self.lookout.take(start) {
            let again = self.close_stale_of(&look).unwrap_or(look.backends);
            self.lookout.finished(start, now(), again);
        }
        self.lookout.wait(now())
    }

    /// Looks once at the sockets of these backends; returns those that deserve another look, or
    /// none when this one failed.
    fn close_stale_of(&mut self, DueClose { backends, close_at }: &DueClose) -> Option<BackendSet> {
        let begun = now();
        let is_wanted = |row: &SocketRow| stale::is_tracked(row) && backends.has(row.backend_index);
        let sockets = match self.owner.dataplane.sockets(is_wanted) {
            Ok(sockets) => sockets,
            Err(error) => {
                warn!("cannot look for stale sockets: {error}");
                return None;
            }
        };
        self.lookout.read(now().saturating_sub(begun));
        let tracked: Vec<Tracked> = sockets
            .iter()
            .map(|(cookie, row)| (*cookie, row.into()))
            .collect();
        let due = self
            .attempts
            .due(&stale::stale(&tracked, self.owner.backends()), backends);
        if !due.is_empty() {
            thread::sleep(close_at.saturating_sub(now()));
            let report = stale::destroy(&due, self.settings.enter_namespaces.into());
            info!(
                closed = report.closed.len(),
                not_found = report.not_found.len(),
                "closed stale sockets"
            );
            self.unclosed.tell(report.failed.iter().cloned());
            self.attempts.record(&due, &report);
        }
        Some(self.attempts.unfinished())
    }

    /// Whether other endpoints are to be left alone than before.
    fn look_at_health(&mut self) -> bool {
        let unhealthy = self.health.unhealthy(self.owner.world());
        self.owner.set_unhealthy(unhealthy)
    }

    /// Whether the node has other addresses than before, or its links other problems.
    fn look_at_node(&mut self) -> bool {
        let excluded = excluded::leave_out(&mut self.owner, &self.settings);
        groups::tell(&self.owner.dataplane, &self.cgroup);
        let addresses = match node::addresses() {
            Ok(addresses) => {
                let count = addresses.len();
                let changed = self.owner.set_node(&self.settings.node_name, addresses);
                if changed {
                    info!(
                        addresses = count,
                        "this node has other addresses; node ports follow"
                    );
                }
                changed
            }
            Err(error) => {
                warn!(
                    "cannot read the addresses of this node, so node ports stay where they were: {error}"
                );
                false
            }
        };
        addresses | excluded | self.look_after_links()
    }

    /// Whether something else is wrong with the links than before.
    fn look_after_links(&mut self) -> bool {
        let problems = self.owner.dataplane.repair_links(&self.cgroup);
        self.owner.set_links(problems)
    }

    /// Programs are put in place once the maps hold what the first update says: never do they meet
    /// empty ones. Where that replaces the maps of an earlier agent, an update with gaps does not
    /// do: those maps may fill them. Nor do smaller maps that have no room for all of it.
    fn attach_once(&mut self) -> anyhow::Result<()> {
        let owner = &self.owner;
        let has_gaps = owner.dataplane.replaces_other() && !owner.is_complete();
        let is_short = owner.dataplane.replaces_larger() && !owner.has_room();
        let filled = owner.is_applied() && !has_gaps && !is_short;
        if filled && self.hooks.borrow().is_empty() {
            let attached = self
                .owner
                .dataplane
                .attach(&self.cgroup, self.settings.allow_second_agent)?;
            info!(hooks = attached.len(), "attached");
            self.hooks.send_replace(attached);
            // Fails where no service manager listens, and need not be told then.
            _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        Ok(())
    }
}

fn tell_ejection(
    Event {
        service,
        port,
        endpoint,
        what,
    }: &Event,
) {
    match what {
        What::Ejected(_) => warn!(%service, %port, %endpoint, "endpoint: {what}"),
        What::Returned => info!(%service, %port, %endpoint, "endpoint: {what}"),
    }
}

/// The monotonic clock, which no change of the date touches.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("Linux has a monotonic clock")
        .into()
}
