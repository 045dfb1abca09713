//! The daemon: starts the sources, the [owner](owner) of the state, the data plane and the rooms,
//! and connects them.
//!
//! ```text
//! sources ─────────────┐
//! health_task ─────────┼─Event─► inbox ──► event_loop ──► owner ──Op──► dataplane
//! view (API commands) ─┘                       │ ◄─Effects──┘
//!                                              │ Snapshot
//!                                              ▼
//!                                   rooms: API, metrics, sweep, kernel log
//! ```

mod auto_addresses;
mod change_log;
mod client_cgroups;
mod clock;
mod context;
mod ejection_log;
mod ejection_watch;
mod event;
mod event_loop;
mod exclusions;
mod explain;
mod frontend_owners;
mod frontend_status;
mod health_task;
mod inbox;
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
mod preparation;
mod problem_log;
mod self_probe_task;
mod signals;
mod sources;
mod stale_sockets;
mod state_files;
pub mod state_lock;
mod table_sweep;
mod unejection;
pub mod uninstall;
mod view;

pub use self::preparation::{Preparation, prepare};

use std::sync::Arc;

use tokio::{net::UnixListener, sync::watch};
use tracing::{info, warn};

use self::{
    clock::now,
    context::{Context, Life},
    ejection_watch::EjectionWatch,
    event::{Event, NodeState, Trim},
    event_loop::{EventLoop, Hooks},
    health_task::HealthTask,
    owner::{Owner, Replaces},
    problem_log::ProblemLog,
    self_probe_task::ProbeReport,
    sources::SourceContext,
    stale_sockets::StaleSockets,
    view::{AgentView, Started},
};
use crate::{
    api::{self, group::Group},
    config::Settings,
    dataplane::{kernel::Kernel, pin::Cgroup, sockets::Sockets},
    metrics,
    namespaces::Namespaces,
    self_probe::SelfProbe,
};

/// Runs until stopped by a signal. Links and maps stay in the kernel, so connects are still
/// balanced afterwards. Must run on the main thread, which keeps the capabilities to attach.
pub async fn run(settings: Settings, preparation: Preparation) -> anyhow::Result<()> {
    let started = Started::now();
    let Preparation {
        degraded,
        namespaces,
        run_time,
    } = preparation;
    let settings = Arc::new(settings);
    let cgroup = Cgroup::open(&settings.cgroup)?;
    let (_state_lock, pins) = instance_lock::lock(&settings, &cgroup)?;
    let (life, (inbox, events)) = (Life::default(), inbox::inbox());
    let (owner_in, owner_out) = watch::channel(None);
    // They read while the verifier checks the programs.
    let sources = sources::start(&SourceContext {
        settings: Arc::clone(&settings),
        inbox: inbox.clone(),
        life: life.clone(),
        owner: owner_out,
    });
    let excludes = !settings.excluded_cgroups.is_empty() || !settings.excluded_netns.is_empty();
    let kernel = Kernel::open(pins, settings.capacity, excludes)?;
    signals::cancel_on_signal(&life.stop)?;
    for difference in kernel.differences() {
        warn!("{difference}");
    }
    let kernel_features = kernel.differences().to_vec();
    let inherits = kernel.serves();
    let (meter, sockets) = (kernel.meter(), kernel.socket_rows()?);
    let inspector = kernel.inspector();
    let self_probe = SelfProbe::open(kernel.probe_rows())?;
    let listener = api::server::bind(
        &settings.socket,
        settings.access.socket_group().map(Group::id),
    )?;
    let mut owner = Owner::new(kernel, settings.vip_pools.clone(), &settings.state_dir)?;
    owner.set_sources(sources);
    configure(&mut owner, &settings, &namespaces, &cgroup)?;

    let (snapshots_in, snapshots) = watch::channel(owner.snapshot());
    owner_in.send_replace(Some(snapshots.clone()));
    let (hooks_in, hooks) = watch::channel(Hooks::new());
    let context = Context {
        settings: Arc::clone(&settings),
        snapshots,
        meter,
        namespaces: Arc::clone(&namespaces),
        inbox,
        life: life.clone(),
    };
    let health = HealthTask::start(&context, owner.down());
    let (probed_in, probed) = watch::channel(ProbeReport::default());
    life.spawn(self_probe_task::run(
        context.clone(),
        self_probe,
        hooks.clone(),
        probed_in,
    ));
    let view = Arc::new(AgentView {
        started,
        inspector,
        degraded,
        kernel_features,
        context: context.clone(),
        hooks: hooks.clone(),
        reports: health.reports.clone(),
        probed,
    });
    #[cfg(feature = "kernel-log")]
    life.spawn(kernel_log::run(&context, &mut owner.dataplane)?);
    start_rooms(&context, view, listener, hooks.clone(), sockets).await?;

    let event_loop = EventLoop {
        started: started.at,
        owner,
        stale_sockets: StaleSockets::new(namespaces),
        ejections: EjectionWatch::new(Arc::clone(&context.meter)),
        run_time,
        context,
        events,
        cgroup,
        health,
        snapshots: snapshots_in,
        hooks: hooks_in,
        errors: ProblemLog::default(),
        problems: ProblemLog::default(),
        helper_problems: ProblemLog::default(),
        trim: Trim::No,
    };
    let result = event_loop.run().await;
    life.end().await;
    if inherits || !hooks.borrow().is_empty() {
        let uninstall = settings.uninstall_command();
        info!("stopped; programs and services stay in the kernel until `{uninstall}`");
    } else {
        // Clients take a socket that stays as a sign that programs are attached.
        api::server::unbind(&settings.socket)?;
    }
    result
}

/// Starts the rooms that need nothing of the owner but its snapshots, each with one line.
async fn start_rooms(
    context: &Context,
    view: Arc<AgentView>,
    listener: UnixListener,
    hooks: watch::Receiver<Hooks>,
    sockets: Sockets,
) -> anyhow::Result<()> {
    let (settings, life) = (&context.settings, &context.life);
    let stop = || life.stop.clone();
    let access = settings.access.clone();
    if let Some(address) = &settings.metrics {
        let listener = metrics::bind(address).await?;
        let token = settings.metrics_token_file.clone();
        life.spawn(metrics::serve(listener, token, view.clone(), stop()));
    }
    life.spawn(api::server::serve(listener, view, access, stop()));
    life.spawn(table_sweep::run(context.clone(), hooks, sockets));
    Ok(())
}

/// Passes to the owner what does not change while the agent runs, and the first state of the node.
fn configure(
    owner: &mut Owner<Kernel>,
    settings: &Settings,
    namespaces: &Namespaces,
    cgroup: &Cgroup,
) -> anyhow::Result<()> {
    owner.set_locality(settings.locality.clone());
    owner.set_admission(settings.admission.clone());
    owner.set_quotas(settings.quotas);
    owner.set_check_policy(settings.check_policy.clone());
    owner.set_node(&settings.node_name, node_addresses::read()?);
    owner.set_replaces(Replaces {
        other: owner.dataplane.replaces_other(),
        larger: owner.dataplane.replaces_larger(),
    });
    let first = NodeState {
        addresses: None,
        excluded: exclusions::apply(&owner.dataplane, settings, namespaces),
        links: Vec::new(),
    };
    owner.handle(Event::Node(first), now());
    client_cgroups::update(&owner.dataplane, cgroup);
    Ok(())
}
