//! Builds the API's services from the configuration, the kernel's rows and the health checks.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use mesh_common::{
    abi::BackendLoad,
    addr::Addr,
    occupancy::{connecting, live},
};

use super::settings;
use crate::{
    agent::{frontend_status, owner::Snapshot},
    api::types,
    dataplane::{Counters, Evidence},
    desired::{Eligibility, Target, Weight, World, has_family, out_of_reach, port_identity},
    health::{HealthReport, HealthState, Rules},
    model::{Endpoint, HealthCheck, Locality, Protocol, Service, ServicePort},
};

/// The inputs of all services, with indexes by name and endpoint.
pub(super) struct ServiceRows<'a> {
    snapshot: &'a Snapshot,
    ids: HashMap<&'a str, u32>,
    backends: HashMap<(u32, Addr, u16), u32>,
    counters: &'a Counters,
    report: &'a HealthReport,
    /// Monotonic clock.
    now: Duration,
}

impl<'a> ServiceRows<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        counters: &'a Counters,
        report: &'a HealthReport,
        now: Duration,
    ) -> Self {
        let tables = &snapshot.tables;
        Self {
            snapshot,
            ids: tables
                .names
                .iter()
                .map(|(&id, name)| (name.as_str(), id))
                .collect(),
            backends: tables
                .backends
                .iter()
                .map(|(&i, row)| ((row.service, row.addr, row.port), i))
                .collect(),
            counters,
            report,
            now,
        }
    }

    pub(super) fn service(&self, service: &Service) -> types::Service {
        let Snapshot { world, tables, .. } = self.snapshot;
        types::Service {
            namespace: service.name.namespace.clone(),
            name: service.name.name.clone(),
            origin: service.origin.to_string(),
            addresses: world
                .addresses(service)
                .iter()
                .map(ToString::to_string)
                .collect(),
            ports: service
                .ports
                .iter()
                .map(|port| self.port(world, service, port))
                .collect(),
            frontends: frontend_status::all(world, tables, service),
            notes: self.notes(world, service),
            left_out: None,
        }
    }

    /// Returns notes on overrides for endpoints that the service does not have, and on endpoints in
    /// an address family that it does not have.
    fn notes(&self, world: &World, service: &Service) -> Vec<String> {
        let unused = self
            .snapshot
            .unused_overrides
            .iter()
            .filter(|it| it.service == service.name)
            .map(ToString::to_string);
        let unreachable = service.ports.iter().flat_map(|port| {
            let has_no_family = |it: &&Endpoint| !has_family(world, service, it.address.is_ipv4());
            let unreachable = port.endpoints.iter().filter(has_no_family);
            unreachable.map(|it| {
                let family = if it.address.is_ipv4() { 4 } else { 6 };
                let endpoint = SocketAddr::new(it.address, it.port);
                format!("{endpoint} takes no connection: the service has no IPv{family} address")
            })
        });
        unused.chain(unreachable).collect()
    }

    fn port(&self, world: &World, service: &Service, port: &ServicePort) -> types::ServicePort {
        let id = self
            .ids
            .get(port_identity(&service.name, port).as_str())
            .copied();
        let eligibility = Eligibility::of(world, self.now, service, port);
        let rules = check(service, port).map(|it| Rules::new(world, service, it));
        let weights = eligibility.weights();
        let endpoint = |(at, tier): (usize, Option<u32>)| {
            let (it, why_not) = (&port.endpoints[at], eligibility.why_not(at));
            types::Endpoint {
                health: rules.as_ref().and_then(|rules| {
                    self.health(service, rules, it, !eligibility.is_unhealthy(at))
                }),
                draining: world
                    .overrides
                    .get(&Target::of(service, it))
                    .is_some_and(|it| it.draining_since.is_some()),
                effective_weight: weights[at].whole(),
                active: why_not.is_none(),
                inactive_reason: why_not.map(|reason| reason.word().to_owned()),
                out_of_reach: out_of_reach(world, service, port, it).map(|it| it.word().to_owned()),
                tier,
                ..self.endpoint(id, service, it)
            }
        };
        let tiers = eligibility.tiers(world, service).into_iter();
        let endpoints: Vec<types::Endpoint> = tiers.enumerate().map(endpoint).collect();
        let connections = endpoints.iter().map(|endpoint| endpoint.connections).sum();
        let (balance, hash_key) = settings::balance(service.traffic.balance);
        types::ServicePort {
            port_name: port.name.clone(),
            port: port.port,
            protocol: port.protocol.to_string(),
            counters: id
                .and_then(|id| self.counters.services.get(&id))
                .copied()
                .unwrap_or_default()
                .into(),
            balance: balance.to_owned(),
            hash_key: hash_key.map(str::to_owned),
            connections,
            capacity: capacity(&endpoints, eligibility.weights(), connections),
            limits: settings::limits(service.traffic.limits),
            outlier: settings::outlier(service.traffic.outlier),
            health_check: check(service, port)
                .map(|it| settings::health_check(it, self.interval(service, it))),
            endpoints,
        }
    }

    fn health(
        &self,
        service: &Service,
        rules: &Rules<'_>,
        endpoint: &Endpoint,
        works: bool,
    ) -> Option<types::EndpointHealth> {
        if let Some(reason) = rules.refusal(endpoint) {
            return Some(types::EndpointHealth::unchecked(reason));
        }
        let target = Target::of(service, endpoint);
        let status = self.report.targets.get(&target)?;
        let is_kept = status.state == HealthState::Unhealthy && works;
        Some(status.shown(is_kept, self.now))
    }

    /// Returns the interval of the health check, which may be longer than the configured one.
    fn interval(&self, service: &Service, check: &HealthCheck) -> Duration {
        self.snapshot
            .checks
            .slowed
            .get(&service.name)
            .copied()
            .unwrap_or(check.interval)
    }

    fn endpoint(&self, id: Option<u32>, service: &Service, endpoint: &Endpoint) -> types::Endpoint {
        let key = id.map(|id| (id, Addr::from(endpoint.address), endpoint.port.to_be()));
        let index = key.and_then(|key| self.backends.get(&key)).copied();
        let configured = types::Endpoint {
            endpoint: SocketAddr::new(endpoint.address, endpoint.port).to_string(),
            weight: endpoint.weight,
            condition: endpoint.condition.to_string(),
            node: endpoint.node.as_deref().map(str::to_owned),
            index,
            locality: locality(&endpoint.locality),
            source: endpoint.source.as_deref().map(str::to_owned),
            capacity: endpoint.capacity,
            ..types::Endpoint::default()
        };
        let Some(index) = index else {
            return configured;
        };
        // The kernel ignores ejections when the service has no outlier detection.
        let ejects = service.traffic.outlier.consecutive_failures != 0;
        let known = self.counters.evidence.get(&index).filter(|_| ejects);
        let counted = known.map_or(configured.clone(), |known| {
            with_evidence(configured, known, self.now)
        });
        match self.counters.backends.get(&index) {
            Some(load) => with_load(counted, load),
            None => counted,
        }
    }
}

/// Returns the health check of a port; nothing for UDP.
fn check<'a>(service: &'a Service, port: &ServicePort) -> Option<&'a HealthCheck> {
    service
        .traffic
        .health
        .as_deref()
        .filter(|_| port.protocol == Protocol::Tcp)
}

/// Returns the endpoint with its ejections.
fn with_evidence(endpoint: types::Endpoint, known: &Evidence, now: Duration) -> types::Endpoint {
    let ejection = types::Ejection::of(known, now);
    let agreed = ejection.filter(|ejection| ejection.is_agreed);
    let streak = known.records.values().map(|health| health.streak).max();
    types::Endpoint {
        ejected_for_seconds: agreed.map(|ejection| ejection.for_seconds),
        ejected_by_clients: ejection.map_or(0, |ejection| ejection.by_clients),
        consecutive_failures: streak.unwrap_or_default().into(),
        ejections: ejection.map_or(0, |ejection| ejection.times),
        ..endpoint
    }
}

/// Returns the endpoint with its load.
fn with_load(endpoint: types::Endpoint, load: &BackendLoad) -> types::Endpoint {
    let BackendLoad {
        live: word,
        connects,
        health: _,
        handshake,
        duration,
    } = *load;
    types::Endpoint {
        connects,
        connections: live(word),
        connecting: connecting(word),
        handshake_microseconds: (handshake != 0).then_some(handshake),
        duration_microseconds: (duration != 0).then_some(duration),
        ..endpoint
    }
}

fn locality(locality: &Locality) -> types::Locality {
    let text = |part: &Option<Arc<str>>| part.as_deref().map(str::to_owned);
    let Locality {
        cloud,
        region,
        zone,
    } = locality;
    types::Locality {
        cloud: text(cloud),
        region: text(region),
        zone: text(zone),
    }
}

/// Returns Σ capacity × weight: the usable part over endpoints that take new connections, by the
/// weight in effect; the total over all endpoints within reach, by the configured weight.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of small numbers above zero"
)]
fn capacity(endpoints: &[types::Endpoint], weights: &[Weight], used: u64) -> types::PortCapacity {
    let takers = endpoints
        .iter()
        .zip(weights)
        .zip(types::Endpoint::takers(endpoints))
        .filter(|(_, takes)| *takes);
    let usable: f64 = takers
        .map(|((it, weight), _)| f64::from(it.capacity) * weight.effective())
        .sum();
    let within_reach = endpoints.iter().filter(|it| it.out_of_reach.is_none());
    let total = within_reach.map(|it| u64::from(it.capacity) * u64::from(it.weight));
    types::PortCapacity {
        usable: usable.round() as u64,
        total: total.sum(),
        used,
    }
}

#[cfg(test)]
mod tests;
