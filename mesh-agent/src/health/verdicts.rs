//! Which endpoints are taken out for what the checks say. Pure.

use std::collections::BTreeSet;

use super::{
    checks::Report,
    hysteresis::{Health, Verdict},
};
use crate::{
    desired::{Target, World},
    model::{Condition, Endpoint, InternalTraffic, Protocol, Service, ServicePort},
};

/// The endpoints that are to be left alone: those that do not work. Where none of the endpoints that could take the
/// connections of a port in one address family works, they are all kept, unless the service says `allow_empty`: when
/// everything fails at once, it may as well be the check. Of whom the report says nothing, those do not work that did not
/// `before`.
pub fn unhealthy(report: &Report, before: &BTreeSet<Target>, world: &World) -> BTreeSet<Target> {
    let mut unhealthy = BTreeSet::new();
    let fails = |target: &Target| match report.targets.get(target) {
        Some(verdict) => verdict.state == Health::Unhealthy,
        None => before.contains(target),
    };
    let checked = world.services.values().filter_map(|service| Some((service, service.traffic.health.as_ref()?)));
    for (service, check) in checked {
        let ports = || service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        let endpoints = ports().flat_map(|port| &port.endpoints);
        let mut failing: BTreeSet<Target> = endpoints.map(|endpoint| target(service, endpoint)).filter(fails).collect();
        if !failing.is_empty() && !check.allow_empty {
            let groups = ports().flat_map(|port| groups(world, service, port));
            let kept: Vec<Target> = groups.filter(|group| group.iter().all(fails)).flatten().collect();
            kept.iter().for_each(|target| _ = failing.remove(target));
        }
        unhealthy.append(&mut failing);
    }
    unhealthy
}

/// Whether a failing endpoint is given connections all the same.
pub fn is_kept(verdict: &Verdict, world: &World, target: &Target) -> bool {
    verdict.state == Health::Unhealthy && !world.unhealthy.contains(target)
}

/// The endpoint of a service.
pub fn target(service: &Service, endpoint: &Endpoint) -> Target {
    Target { service: service.name.clone(), address: endpoint.address, port: endpoint.port }
}

/// Sets of endpoints of which one must stay: all that can take connections, of each address family, and of each those
/// on this node, where they are all that its clients are led to.
fn groups(world: &World, service: &Service, port: &ServicePort) -> Vec<Vec<Target>> {
    let local = |endpoint: &Endpoint| endpoint.is_on(&world.node_name);
    let near = service.internal_traffic == InternalTraffic::Local;
    let mut groups = vec![];
    for is_v4 in [true, false] {
        let family = || port.endpoints.iter().filter(move |endpoint| endpoint.address.is_ipv4() == is_v4);
        groups.push(takers(world, service, &family().collect::<Vec<_>>()));
        if near {
            groups.push(takers(world, service, &family().filter(|endpoint| local(endpoint)).collect::<Vec<_>>()));
        }
    }
    groups
}

/// Of these endpoints, those that new connections would go to if all were healthy: the ready ones, else the terminating
/// ones. What an operator drains, or gives no weight, takes none.
fn takers(world: &World, service: &Service, endpoints: &[&Endpoint]) -> Vec<Target> {
    let in_condition = |serving: Condition| {
        let usable = endpoints.iter().filter(|endpoint| endpoint.condition == serving);
        let usable = usable.map(|endpoint| (endpoint.weight, target(service, endpoint)));
        usable.filter(|(weight, target)| takes(world, *weight, target)).map(|(_, target)| target).collect()
    };
    let ready: Vec<Target> = in_condition(Condition::Ready);
    if ready.is_empty() { in_condition(Condition::Terminating) } else { ready }
}

fn takes(world: &World, weight: u32, target: &Target) -> bool {
    let said = world.overrides.get(target).copied().unwrap_or_default();
    said.draining_since.is_none() && said.weight.map_or(weight, u32::from) > 0
}

#[cfg(test)]
mod tests;
