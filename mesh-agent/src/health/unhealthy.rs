//! Decides which endpoints are taken out of service because of health checks. Pure.

use std::collections::BTreeSet;

use super::{
    checks::HealthReport,
    hysteresis::{HealthState, HealthStatus},
};
use crate::{
    desired::{Target, World},
    model::{Condition, Endpoint, InternalTraffic, Protocol, Service, ServicePort},
};

/// Returns the unhealthy endpoints to take out of service. If all endpoints that could take the
/// connections of a port in one address family fail, they are kept, unless the service sets
/// `allow_empty`: if everything fails at once, the check itself may be wrong. Endpoints missing
/// from the report keep the state in `before`.
pub fn unhealthy(
    report: &HealthReport,
    before: &BTreeSet<Target>,
    world: &World,
) -> BTreeSet<Target> {
    let mut unhealthy = BTreeSet::new();
    let fails = |target: &Target| match report.targets.get(target) {
        Some(status) => status.state == HealthState::Unhealthy,
        None => before.contains(target),
    };
    let checked = world
        .services
        .values()
        .filter_map(|service| Some((service, service.traffic.health.as_ref()?)));
    for (service, check) in checked {
        let ports = || {
            service
                .ports
                .iter()
                .filter(|port| port.protocol == Protocol::Tcp)
        };
        let endpoints = ports().flat_map(|port| &port.endpoints);
        let mut failing: BTreeSet<Target> = endpoints
            .map(|endpoint| Target::of(service, endpoint))
            .filter(fails)
            .collect();
        if !failing.is_empty() && !check.allow_empty {
            let groups = ports().flat_map(|port| groups(world, service, port));
            let kept: Vec<Target> = groups
                .filter(|group| group.iter().all(fails))
                .flatten()
                .collect();
            kept.iter().for_each(|target| _ = failing.remove(target));
        }
        unhealthy.append(&mut failing);
    }
    unhealthy
}

/// Whether a failing endpoint still takes connections.
pub fn is_kept(status: &HealthStatus, world: &World, target: &Target) -> bool {
    status.state == HealthState::Unhealthy && !world.unhealthy.contains(target)
}

/// Returns the groups of endpoints of which one must stay in service: per address family all that
/// can take connections and, with internalTrafficPolicy Local, those on this node.
fn groups(world: &World, service: &Service, port: &ServicePort) -> Vec<Vec<Target>> {
    let local = |endpoint: &Endpoint| endpoint.is_on(&world.node_name);
    let near = service.internal_traffic == InternalTraffic::Local;
    let mut groups = vec![];
    for is_v4 in [true, false] {
        let family = || {
            port.endpoints
                .iter()
                .filter(move |endpoint| endpoint.address.is_ipv4() == is_v4)
        };
        groups.push(takers(world, service, &family().collect::<Vec<_>>()));
        if near {
            groups.push(takers(
                world,
                service,
                &family()
                    .filter(|endpoint| local(endpoint))
                    .collect::<Vec<_>>(),
            ));
        }
    }
    groups
}

/// Returns which of these endpoints would take new connections if all were healthy: the ready ones,
/// else the terminating ones. Endpoints that are drained or have no weight take none.
fn takers(world: &World, service: &Service, endpoints: &[&Endpoint]) -> Vec<Target> {
    let in_condition = |serving: Condition| {
        let usable = endpoints
            .iter()
            .filter(move |endpoint| endpoint.condition == serving);
        usable
            .map(|endpoint| (endpoint.weight, Target::of(service, endpoint)))
            .filter(|(weight, target)| takes(world, *weight, target))
            .map(|(_, target)| target)
    };
    let any_ready = in_condition(Condition::Ready).next().is_some();
    in_condition(Condition::serving(any_ready)).collect()
}

fn takes(world: &World, weight: u32, target: &Target) -> bool {
    let said = world.overrides.get(target).copied().unwrap_or_default();
    said.draining_since.is_none() && said.weight.map_or(weight, u32::from) > 0
}

#[cfg(test)]
mod tests;
