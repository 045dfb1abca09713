//! Derives which endpoints are out of service because of health checks. Pure.

use std::{collections::BTreeSet, time::Duration};

use super::{Target, World, frontends::serving, world::of_service};
use crate::model::{Endpoint, InternalTraffic, Protocol, Service, ServicePort};

/// An endpoint whose checks fail for this long leaves the slots.
const LEAVES_AFTER: Duration = Duration::from_secs(60);

/// Returns the endpoints of a service that are out of service because their checks fail. If all
/// endpoints that could take the connections of a port in one address family fail, they are kept,
/// unless the service sets `allow_empty`: if everything fails at once, the check itself may be
/// wrong.
pub fn unhealthy(world: &World, service: &Service) -> BTreeSet<Target> {
    let Some(check) = &service.traffic.health else {
        return BTreeSet::new();
    };
    if of_service(&world.failing, &service.name).next().is_none() {
        return BTreeSet::new();
    }
    let fails = |target: &Target| world.failing.contains_key(target);
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
        for group in groups.filter(|group| group.iter().all(fails)) {
            group.iter().for_each(|target| _ = failing.remove(target));
        }
    }
    failing
}

/// Returns when an endpoint whose checks fail since `since` leaves the slots.
pub(super) fn leaves_at(since: Duration) -> Duration {
    since.saturating_add(LEAVES_AFTER)
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
    let may = |it: &Endpoint| takes(world, it.weight, &Target::of(service, it));
    let serving = serving(endpoints.iter().copied(), may);
    let takers = endpoints
        .iter()
        .filter(|it| it.condition == serving && may(it));
    takers.map(|it| Target::of(service, it)).collect()
}

fn takes(world: &World, weight: u32, target: &Target) -> bool {
    let said = world.overrides.get(target).copied().unwrap_or_default();
    said.draining_since.is_none() && said.weight.map_or(weight, u32::from) > 0
}

#[cfg(test)]
mod tests;
