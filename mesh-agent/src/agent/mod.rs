//! The daemon: starts the sources, the [owner](owner) of the state, the data plane and the servers,
//! and connects them.
//!
//! ```text
//! source::watch ─────Update────► event_loop ──► owner ──Op──► dataplane
//! health::run ────HealthReport──►    │ ◄──Command── api::server
//!                                    │ Snapshot
//!                                    ▼
//!                         view ──► api::server, metrics ◄── counters (read from the maps on request)
//! ```

mod auto_addresses;
mod change_log;
mod client_cgroups;
mod clock;
mod commands;
mod ejection_log;
mod ejection_watch;
mod event_loop;
mod exclusions;
mod explain;
mod frontend_owners;
mod frontend_status;
mod health_task;
mod instance_lock;
#[cfg(feature = "kernel-log")]
mod kernel_log;
pub mod malloc;
mod missing_capabilities;
mod node_addresses;
mod node_watch;
pub mod open_file_limit;
mod overrides;
mod owner;
mod problem_log;
mod signals;
mod stale_sockets;
mod state_files;
pub mod state_lock;
mod table_sweep;
mod unejection;
pub mod uninstall;
mod view;

use std::{
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use mesh_files::dir::DirectoryReader;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use self::{
    ejection_watch::EjectionWatch,
    event_loop::{EventLoop, Hooks},
    health_task::HealthTask,
    owner::Owner,
    problem_log::ProblemLog,
    stale_sockets::StaleSockets,
    view::AgentView,
};
use crate::{
    api,
    config::Settings,
    dataplane::{kernel::Kernel, pin::Cgroup, privileges::Capabilities},
    metrics,
    model::Update,
    source::{frontend_owners::FrontendOwners, watch::watch as watch_directories},
};

/// Runs until stopped by a signal. Links and maps stay in the kernel, so connects are still
/// balanced afterwards.
pub async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let capabilities = Capabilities::effective();
    capabilities.check()?;
    let degraded = missing_capabilities::turn_off(&mut settings, &capabilities);
    let cgroup = Cgroup::open(&settings.cgroup)?;
    let (_state_lock, pins) = instance_lock::lock(&settings, &cgroup)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (updates, owners) = start_source(&settings, &tasks, &stop);
    let excludes = !settings.excluded_cgroups.is_empty() || !settings.excluded_netns.is_empty();
    let kernel = Kernel::open(pins, settings.capacity, excludes)?;
    signals::cancel_on_signal(&stop)?;
    let inherits = kernel.serves();
    let (meter, sockets) = (kernel.meter(), kernel.socket_rows()?);
    let listener = api::server::bind(&settings.socket)?;
    let mut owner = Owner::new(kernel, settings.vip_pools.clone(), &settings.state_dir)?;
    // Fails when the source has ended, which the event loop reports.
    _ = owners.send(frontend_owners::in_kernel(&owner.snapshot().tables));
    configure(&mut owner, &settings, &cgroup)?;

    let (snapshots_in, snapshots) = watch::channel(owner.snapshot());
    #[cfg(feature = "kernel-log")]
    tasks.spawn(kernel_log::run(
        &mut owner.dataplane,
        snapshots.clone(),
        stop.clone(),
    )?);
    let (hooks_in, hooks) = watch::channel(Hooks::new());
    let (commands_in, commands) = mpsc::channel(1);
    let health = HealthTask::start(&tasks, &stop, owner.down());
    let view = Arc::new(AgentView {
        started: Instant::now(),
        settings: settings.clone(),
        degraded,
        snapshots: snapshots.clone(),
        hooks: hooks.clone(),
        reports: health.reports(),
        meter: Arc::clone(&meter),
        commands: commands_in,
    });
    tasks.spawn(api::server::serve(listener, view.clone(), stop.clone()));
    start_metrics(&settings, view, &tasks, &stop).await?;
    let sweep = table_sweep::run(sockets, snapshots, settings.clone(), stop.clone());
    tasks.spawn(sweep);

    let (socket, uninstall) = (settings.socket.clone(), settings.uninstall_command());
    let event_loop = EventLoop {
        owner,
        stale_sockets: StaleSockets::new(settings.enter_namespaces.into()),
        settings,
        cgroup,
        updates,
        commands,
        health,
        ejections: EjectionWatch::new(meter),
        snapshots: snapshots_in,
        hooks: hooks_in,
        errors: ProblemLog::default(),
        problems: ProblemLog::default(),
    };
    let result = event_loop.run(&stop).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    if inherits || !hooks.borrow().is_empty() {
        info!("stopped; programs and services stay in the kernel until `{uninstall}`");
    } else {
        // A socket that stays means that programs are attached, and none are.
        api::server::unbind(&socket)?;
    }
    result
}

/// Starts to read the service files, while the verifier checks the programs. The update waits for
/// the frontend owners in the kernel, which decide between conflicting files.
fn start_source(
    settings: &Settings,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> (mpsc::Receiver<Update>, Sender<FrontendOwners>) {
    let (updates_in, updates) = mpsc::channel(1);
    let (owners_in, owners) = std::sync::mpsc::channel();
    let reader = DirectoryReader::new(settings.services.clone(), settings.allow_empty)
        .serving(settings.serve)
        .admitting(settings.admission.clone())
        .remembering(&settings.state_dir)
        .keeping(move || owners.recv().unwrap_or_default());
    tasks.spawn(watch_directories(reader, updates_in, stop.clone()));
    (updates, owners_in)
}

/// Passes to the owner what does not change while the agent runs, and the first state of the node.
fn configure(
    owner: &mut Owner<Kernel>,
    settings: &Settings,
    cgroup: &Cgroup,
) -> anyhow::Result<()> {
    owner.set_locality(settings.locality.clone());
    owner.set_admission(settings.admission.clone());
    owner.set_quotas(settings.quotas);
    owner.set_check_policy(settings.check_policy.clone());
    owner.set_node(&settings.node_name, node_addresses::read()?);
    exclusions::apply(owner, settings);
    client_cgroups::update(&owner.dataplane, cgroup);
    Ok(())
}

async fn start_metrics(
    settings: &Settings,
    view: Arc<AgentView>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(address) = &settings.metrics {
        let listener = metrics::bind(address).await?;
        let token = settings.metrics_token_file.clone();
        tasks.spawn(metrics::serve(listener, token, view, stop.clone()));
    }
    Ok(())
}
