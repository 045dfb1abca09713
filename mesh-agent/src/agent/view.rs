//! The view of the agent for the API and the metrics: the published snapshot, joined with the
//! kernel's counters at the time of the request.

mod doctor;
mod services;
mod settings;
mod support;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    path::Path,
    process,
    sync::Arc,
};

use mesh_common::abi::maps;
use tokio::sync::watch;

pub(super) use self::doctor::Started;
use self::services::ServiceRows;
use super::{
    clock::now, context::Context, event::Command, explain, frontend_owners, owner::Snapshot,
    self_probe_task::ProbeReport,
};
use crate::{
    api::{server::View, types, view::Refusal},
    dataplane::{inspect::Inspector, link::Attached},
    desired::{Capacity, Tables, Target},
    health::HealthReport,
    model::{ConfigError, ConfigNote, LeftOut, Origin, Scope, ServiceName, Wrong},
};

/// Most objects in error that are listed for one file.
const MOST_WRONG: usize = 100;

/// The sources of all answers.
pub(super) struct AgentView {
    pub(super) started: Started,
    pub(super) inspector: Inspector,
    pub(super) degraded: Vec<String>,
    pub(super) kernel_features: Vec<String>,
    pub(super) context: Context,
    pub(super) hooks: watch::Receiver<Vec<(&'static str, Attached)>>,
    pub(super) reports: watch::Receiver<Arc<HealthReport>>,
    pub(super) probed: watch::Receiver<ProbeReport>,
}

impl View for AgentView {
    fn ready(&self) -> bool {
        let snapshot = self.context.snapshots.borrow();
        let applied = snapshot.applied.is_some() && !self.hooks.borrow().is_empty();
        applied
            && only_objects(&snapshot.wrong)
            && snapshot.problems.is_empty()
            && self.probed.borrow().is_well()
    }

    fn status(&self) -> types::Status {
        let snapshot = self.context.snapshots.borrow().clone();
        let hooks = self.hooks.borrow().clone();
        let applied = snapshot.applied;
        let waiting = hooks.is_empty();
        let probed = self.probed.borrow().clone();
        let unserved = probed.problem(&self.context.settings.cgroup);
        types::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.ready(),
            config_valid: snapshot.errors.is_empty(),
            node_name: self.context.settings.node_name.clone(),
            pid: process::id(),
            uptime_seconds: self.started.at.elapsed().as_secs(),
            cgroup: self.context.settings.cgroup.display().to_string(),
            pin_dir: self.context.settings.pin_dir.display().to_string(),
            revision: applied.map_or(0, |applied| applied.revision),
            applied_seconds_ago: applied.map(|applied| applied.at.elapsed().as_secs()),
            apply_milliseconds: applied
                .map(|applied| u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX)),
            capacity: capacity(&snapshot.tables, self.context.settings.capacity),
            hooks: hooks.into_iter().map(hook).collect(),
            self_probe: probed.hooks(),
            sources: self
                .context
                .settings
                .services
                .iter()
                .map(ToString::to_string)
                .collect(),
            admission: Some(self.context.settings.admission.clone().into()),
            errors: snapshot.errors.iter().map(error).collect(),
            errors_total: snapshot.errors_total as u64,
            wrong_total: snapshot.wrong.len() as u64,
            wrong: wrong(&snapshot),
            notes: snapshot
                .notes
                .iter()
                .map(note)
                .chain(unused_overrides(&snapshot))
                .collect(),
            problems: problems(snapshot.problems, waiting, unserved),
            degraded: self
                .degraded
                .iter()
                .cloned()
                .chain(self.context.namespaces.problem())
                .collect(),
            kernel_features: self.kernel_features.clone(),
        }
    }

    fn doctor(&self) -> types::Diagnosis {
        self.diagnose(self.status())
    }

    fn support(&self) -> types::Support {
        support::support(self)
    }

    fn loaded(&self) -> bool {
        self.context.snapshots.borrow().loaded
    }

    fn services(&self) -> Result<Vec<types::Service>, String> {
        let snapshot = self.context.snapshots.borrow().clone();
        let counters = self
            .context
            .meter
            .read(&snapshot.tables)
            .map_err(|error| error.to_string())?;
        let report = Arc::clone(&self.reports.borrow());
        let rows = ServiceRows::new(&snapshot, &counters, &report, now());
        Ok(snapshot
            .world
            .services
            .values()
            .map(|service| rows.service(service))
            .collect())
    }

    fn left_out(&self, namespace: &str, name: &str) -> Option<types::Service> {
        let left_out = Arc::clone(&self.context.snapshots.borrow().left_out);
        let name = ServiceName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let LeftOut { origin, reason } = left_out.get(&name)?;
        Some(types::Service {
            namespace: name.namespace,
            name: name.name,
            origin: origin.to_string(),
            addresses: Vec::new(),
            ports: Vec::new(),
            frontends: Vec::new(),
            notes: Vec::new(),
            left_out: Some(reason.clone()),
        })
    }

    fn change_endpoint(
        &self,
        service: ServiceName,
        endpoint: SocketAddr,
        change: types::Change,
        force: bool,
    ) -> Result<Option<String>, Refusal> {
        let target = Target {
            service,
            address: endpoint.ip(),
            port: endpoint.port(),
        };
        self.context.inbox.ask(Command {
            target,
            change,
            force,
        })
    }

    fn explain(&self, question: &types::Question) -> Result<types::Explanation, Refusal> {
        let snapshot = self.context.snapshots.borrow().clone();
        explain::explain(
            &snapshot,
            &*self.context.meter,
            &self.context.settings,
            &self.context.namespaces,
            now(),
            question,
        )
    }
}

fn problems(mut problems: Vec<String>, waiting: bool, unserved: Option<String>) -> Vec<String> {
    problems.extend(unserved);
    if waiting {
        let wait = "programs are not attached yet; those of an earlier agent stay until the configuration is applied";
        problems.push(wait.to_owned());
    }
    problems
}

fn capacity(tables: &Tables, capacity: Capacity) -> Vec<types::CapacityUse> {
    let rows = [
        (
            maps::SERVICES.name,
            tables.services.len(),
            capacity.services,
        ),
        (maps::SLOTS.name, tables.slots.len(), capacity.slots),
        (
            maps::BACKENDS.name,
            tables.backends.len(),
            capacity.backends,
        ),
    ];
    let row = |(map, used, capacity): (&str, usize, u32)| types::CapacityUse {
        map: map.to_owned(),
        used: used as u64,
        capacity: capacity.into(),
    };
    rows.map(row).into()
}

fn hook((name, attached): (&'static str, Attached)) -> types::Hook {
    types::Hook {
        name: name.to_owned(),
        program_id: attached.program_id,
        link_id: attached.link_id,
    }
}

/// Returns whether only single objects are in error, so that everything else is in force.
fn only_objects(wrong: &[Wrong]) -> bool {
    wrong.iter().all(|it| it.scope == Scope::Object)
}

/// Returns what is not in force as written, up to a limit for each file.
pub(super) fn wrong(snapshot: &Snapshot) -> Vec<types::Wrong> {
    let uncertain = &snapshot.world.uncertain;
    let serving = if uncertain.is_empty() {
        BTreeSet::new()
    } else {
        frontend_owners::services_in_kernel(&snapshot.tables)
    };
    let in_kernel: BTreeSet<String> = uncertain
        .intersection(&serving)
        .map(|name| format!("service {name}"))
        .collect();
    let mut listed: HashMap<&Path, usize> = HashMap::new();
    let first = snapshot.wrong.iter().filter(|it| {
        let count = listed.entry(it.origin.document().as_path()).or_default();
        *count += 1;
        *count <= MOST_WRONG
    });
    first
        .map(|it| types::Wrong::new(it, in_kernel.contains(&it.name)))
        .collect()
}

fn error(error: &ConfigError) -> types::ConfigProblem {
    problem(&error.origin, &error.field, &error.reason)
}

fn note(note: &ConfigNote) -> types::ConfigProblem {
    problem(&note.origin, "", &note.message)
}

/// Returns notes on overrides for endpoints that are not configured, at the file that holds them.
fn unused_overrides(snapshot: &Snapshot) -> impl Iterator<Item = types::ConfigProblem> {
    let file = Arc::new(snapshot.overrides_file.clone());
    let origin = Origin::State(file);
    snapshot
        .unused_overrides
        .iter()
        .map(move |unused| problem(&origin, "", &unused.to_string()))
}

fn problem(origin: &Origin, field: &str, reason: &str) -> types::ConfigProblem {
    types::ConfigProblem {
        field: field.to_owned(),
        reason: reason.to_owned(),
        ..origin.into()
    }
}
