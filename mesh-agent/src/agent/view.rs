//! What the API and the metrics show: the published snapshot, joined with the kernel's counters at the time of asking.

use std::{
    collections::HashMap,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_common::{abi::maps, addr::Addr};
use tokio::sync::watch;

use super::{explain::explain, owner::Snapshot};
use crate::{
    api::{server::View, types},
    config::Settings,
    dataplane::{Capacity, Counters, SharedMeter, pin::Attached},
    desired::{Tables, World, active, port_identity},
    health::{self, Report},
    model::{ConfigError, ConfigNote, Endpoint, LeftOut, Origin, Protocol, Service, ServiceName, ServicePort},
};

/// Everything an answer is made of.
pub(super) struct Live {
    pub(super) started: Instant,
    pub(super) settings: Settings,
    pub(super) snapshots: watch::Receiver<Snapshot>,
    pub(super) hooks: watch::Receiver<Vec<(&'static str, Attached)>>,
    pub(super) reports: watch::Receiver<Arc<Report>>,
    pub(super) meter: SharedMeter,
}

impl View for Live {
    fn status(&self) -> types::Status {
        let snapshot = self.snapshots.borrow().clone();
        let hooks = self.hooks.borrow().clone();
        let applied = snapshot.applied;
        let waiting = hooks.is_empty();
        types::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: !waiting && applied.is_some() && snapshot.errors.is_empty() && snapshot.problems.is_empty(),
            node_name: self.settings.node_name.clone(),
            pid: process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            cgroup: self.settings.cgroup.display().to_string(),
            pin_dir: self.settings.pin_dir.display().to_string(),
            revision: applied.map_or(0, |applied| applied.revision),
            applied_seconds_ago: applied.map(|applied| applied.at.elapsed().as_secs()),
            apply_milliseconds: applied.map(|applied| u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX)),
            capacity: capacity(&snapshot.tables, self.settings.capacity),
            hooks: hooks.into_iter().map(hook).collect(),
            sources: self.settings.services.iter().map(ToString::to_string).collect(),
            errors: snapshot.errors.iter().map(error).collect(),
            notes: snapshot.notes.iter().map(note).collect(),
            problems: problems(snapshot.problems, waiting),
        }
    }

    fn services(&self) -> Result<Vec<types::Service>, String> {
        let snapshot = self.snapshots.borrow().clone();
        let counters = self.meter.read(&snapshot.tables).map_err(|error| error.to_string())?;
        let report = Arc::clone(&self.reports.borrow());
        let rows = Rows::new(&snapshot.tables, &counters, &report);
        let services = snapshot.world.services.values();
        Ok(services.map(|service| rows.service(&snapshot.world, &snapshot.tables, service)).collect())
    }

    fn left_out(&self, namespace: &str, name: &str) -> Option<types::Service> {
        let left_out = Arc::clone(&self.snapshots.borrow().left_out);
        let name = ServiceName { namespace: namespace.to_owned(), name: name.to_owned() };
        let LeftOut { origin, reason } = left_out.get(&name)?;
        Some(types::Service {
            namespace: name.namespace,
            name: name.name,
            origin: origin.to_string(),
            addresses: Vec::new(),
            ports: Vec::new(),
            frontends: Vec::new(),
            left_out: Some(reason.clone()),
        })
    }
}

/// The tables by what they stand for.
struct Rows<'a> {
    ids: HashMap<&'a str, u32>,
    backends: HashMap<(u32, Addr, u16), u32>,
    counters: &'a Counters,
    report: &'a Report,
    now: Duration,
}

impl<'a> Rows<'a> {
    fn new(tables: &'a Tables, counters: &'a Counters, report: &'a Report) -> Self {
        Self {
            ids: tables.names.iter().map(|(&id, name)| (name.as_str(), id)).collect(),
            backends: tables.backends.iter().map(|(&i, row)| ((row.service, row.addr, row.port), i)).collect(),
            counters,
            report,
            now: super::now(),
        }
    }

    fn service(&self, world: &World, tables: &Tables, service: &Service) -> types::Service {
        types::Service {
            namespace: service.name.namespace.clone(),
            name: service.name.name.clone(),
            origin: service.origin.to_string(),
            addresses: world.addresses(service).iter().map(ToString::to_string).collect(),
            ports: service.ports.iter().map(|port| self.port(world, service, port)).collect(),
            frontends: explain(world, tables, service),
            left_out: None,
        }
    }

    fn port(&self, world: &World, service: &Service, port: &ServicePort) -> types::ServicePort {
        let id = self.ids.get(port_identity(&service.name, port).as_str()).copied();
        let endpoints = port.endpoints.iter().zip(active(world, service, port));
        let health = |endpoint| self.health(world, service, port, endpoint);
        let endpoint = |(it, active)| types::Endpoint { health: health(it), ..self.endpoint(id, active, it) };
        types::ServicePort {
            name: port.label(),
            port: port.port,
            protocol: port.protocol.to_string(),
            counters: id.and_then(|id| self.counters.services.get(&id)).copied().unwrap_or_default().into(),
            endpoints: endpoints.map(endpoint).collect(),
        }
    }

    fn health(
        &self,
        world: &World,
        service: &Service,
        port: &ServicePort,
        endpoint: &Endpoint,
    ) -> Option<types::EndpointHealth> {
        // An endpoint may have the same number for UDP, which is not checked.
        let checked = port.protocol == Protocol::Tcp && service.traffic.health.is_some();
        let target = health::target(service, endpoint);
        let verdict = self.report.targets.get(&target).filter(|_| checked)?;
        Some(types::EndpointHealth::new(verdict, health::is_kept(verdict, world, &target), self.now))
    }

    fn endpoint(&self, id: Option<u32>, active: bool, endpoint: &Endpoint) -> types::Endpoint {
        let key = id.map(|id| (id, Addr::from(endpoint.address), endpoint.port.to_be()));
        let index = key.and_then(|key| self.backends.get(&key)).copied();
        types::Endpoint {
            address: endpoint.address.to_string(),
            port: endpoint.port,
            weight: endpoint.weight,
            condition: endpoint.condition.to_string(),
            active,
            node: endpoint.node.as_deref().map(str::to_owned),
            index,
            health: None,
            connects: index.and_then(|index| self.counters.backends.get(&index)).map_or(0, |load| load.connects),
        }
    }
}

fn problems(mut problems: Vec<String>, waiting: bool) -> Vec<String> {
    if waiting {
        let wait =
            "programs are not attached yet; what an earlier agent attached stays until the configuration is applied";
        problems.push(wait.to_owned());
    }
    problems
}

fn capacity(tables: &Tables, capacity: Capacity) -> Vec<types::CapacityUse> {
    let rows = [
        (maps::SERVICES, tables.services.len(), capacity.services),
        (maps::SLOTS, tables.slots.len(), capacity.slots),
        (maps::BACKENDS, tables.backends.len(), capacity.backends),
    ];
    let row = |(map, used, capacity): (&str, usize, u32)| types::CapacityUse {
        map: map.to_owned(),
        used: used as u64,
        capacity: capacity.into(),
    };
    rows.map(row).into()
}

fn hook((name, attached): (&'static str, Attached)) -> types::Hook {
    types::Hook { name: name.to_owned(), program_id: attached.program_id, link_id: attached.link_id }
}

fn error(error: &ConfigError) -> types::ConfigProblem {
    problem(&error.origin, &error.field, &error.reason)
}

fn note(note: &ConfigNote) -> types::ConfigProblem {
    problem(&note.origin, "", &note.message)
}

fn problem(origin: &Origin, field: &str, reason: &str) -> types::ConfigProblem {
    types::ConfigProblem {
        file: origin.file.display().to_string(),
        line: origin.line,
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}
