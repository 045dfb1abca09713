//! Adds to an explanation what only the agent knows: configured weights, and why endpoints take no
//! new connections.

use std::{net::SocketAddr, time::Duration};

use crate::{
    api::types::{Candidate, Explanation, candidate_status},
    desired::{Eligibility, Ineligible, Target, World, identified, port_identity},
    model::{Endpoint, Service, ServiceName, ServicePort},
};

/// Sets weights and reasons of all candidates. The kernel's rows have fractional bits during ramps.
/// `now` is the monotonic clock.
pub(super) fn add(world: &World, now: Duration, explanation: &mut Explanation) {
    let Some(identity) = explanation.identity() else {
        return;
    };
    let Some(name) = identified(&identity) else {
        return;
    };
    let port = port(world, &name, &identity);
    if let Some((_, port)) = port {
        explanation.port = Some(port.port);
        explanation.port_name = Some(port.name.clone()).filter(|name| !name.is_empty());
    }
    let known = port.map(|(service, port)| (port, Eligibility::of(world, now, service, port)));
    for candidate in candidates(explanation) {
        let Ok(endpoint) = candidate.endpoint.parse::<SocketAddr>() else {
            continue;
        };
        let configured = known.as_ref().and_then(|(port, eligibility)| {
            let is_it = |it: &Endpoint| (it.address, it.port) == (endpoint.ip(), endpoint.port());
            Some((port, eligibility, port.endpoints.iter().position(is_it)?))
        });
        let mut why_not = None;
        if let Some((port, eligibility, at)) = configured {
            candidate.weight = Some(port.endpoints[at].weight);
            candidate.effective_weight = eligibility.weights()[at].whole();
            why_not = eligibility.why_not(at);
        }
        if let Some(reason) = reason(candidate, drains(world, &name, endpoint), why_not) {
            candidate.reason = reason;
        }
    }
}

/// Returns the configured port with this identity.
fn port<'w>(
    world: &'w World,
    name: &ServiceName,
    identity: &str,
) -> Option<(&'w Service, &'w ServicePort)> {
    let service = world.services.get(name)?;
    let is_it = |port: &&ServicePort| port_identity(name, port) == identity;
    Some((service, service.ports.iter().find(is_it)?))
}

fn candidates(explanation: &mut Explanation) -> impl Iterator<Item = &mut Candidate> {
    let tiers = explanation.tiers.iter_mut();
    let inside = tiers.flat_map(|tier| tier.backends.iter_mut());
    inside.chain(explanation.others.iter_mut())
}

/// Whether an operator drains the endpoint. Its weight may fall step by step.
fn drains(world: &World, service: &ServiceName, endpoint: SocketAddr) -> bool {
    let target = Target {
        service: service.clone(),
        address: endpoint.ip(),
        port: endpoint.port(),
    };
    let command = world.overrides.get(&target);
    command.is_some_and(|command| command.draining_since.is_some())
}

/// Returns the reason instead of the kernel's, if the agent knows a better one.
fn reason(candidate: &Candidate, drains: bool, why_not: Option<Ineligible>) -> Option<String> {
    let drained = Ineligible::Drained.explanation();
    match candidate.status.as_str() {
        candidate_status::DOWN if drains => Some(drained.to_owned()),
        candidate_status::DOWN => why_not.map(|reason| reason.explanation().to_owned()),
        _ if drains => Some(format!("{}; {drained}", candidate.reason)),
        _ => None,
    }
}
