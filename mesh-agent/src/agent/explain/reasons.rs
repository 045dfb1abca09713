//! The reasons and notes of an explanation.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use mesh_common::{
    abi::{FrontendKey, ServiceRow, hash_key, policy},
    counter::Counter,
    occupancy::live,
};

use super::{affinity_binding, client::Client};
use crate::{
    api::types::{Candidate, Explanation, clients},
    dataplane::Counters,
    desired::{
        Eligibility, Tables, Target, Weight, World, frontend, identified, out_of_reach,
        port_identity, socket_address, unhealthy,
    },
    model::{Effect, Service, ServiceName, ServicePort, Wrong},
    similar_names::told,
};

/// Returns why a connect to an address that is no frontend is untouched.
pub(super) fn no_service(tables: &Tables, key: &FrontendKey) -> String {
    let address = std::net::IpAddr::from(key.addr);
    let ports: Vec<String> = tables
        .services
        .keys()
        .filter(|other| other.addr == key.addr)
        .map(frontend)
        .collect();
    let endpoint = tables
        .backends
        .values()
        .find(|row| (row.addr, row.port) == (key.addr, key.port));
    let name = endpoint.and_then(|row| tables.names.get(&row.service));
    match (ports.as_slice(), name) {
        ([], Some(name)) => {
            format!("it is an endpoint of {name}, not a service; it is reached directly")
        }
        ([], None) => format!("{address} is not a service address"),
        (ports, _) if ports.iter().any(|it| it.starts_with(&socket(key))) => {
            format!(
                "that port is not served for this protocol; there is {}",
                ports.join(", ")
            )
        }
        (ports, _) => format!(
            "{address} is a service address, but not on this port; there is {}",
            ports.join(", ")
        ),
    }
}

/// `address:port/`
fn socket(key: &FrontendKey) -> String {
    format!(
        "{}/",
        SocketAddr::new(key.addr.into(), u16::from_be(key.port))
    )
}

/// Returns what the explanation does not know or assumes.
pub(super) fn notes(
    tables: &Tables,
    now: Duration,
    row: &ServiceRow,
    client: &Client,
) -> Vec<String> {
    let sticky = tables
        .services
        .get(&row.key)
        .and_then(|row| affinity_binding::note(tables, row, client, now));
    let needed = match hashed_attribute(row) {
        None => None,
        Some(hash_key::CGROUP) if client.cgroup.is_none() => Some(("cgroup:PATH", "its cgroup")),
        Some(hash_key::SOURCE_ADDRESS) if client.source.is_none() && client.netns.is_none() => {
            Some(("ADDRESS", "the address that its socket is bound to"))
        }
        Some(hash_key::NETNS) if client.netns.is_none() => {
            Some(("netns:PATH", "its network namespace"))
        }
        Some(_) => None,
    };
    let needed = needed.map(|(from, what)| {
        format!(
            "where a client goes depends on {what}: --from {from} is needed to see it. Without it each connect counts as \
             another client"
        )
    });
    let shared = client.id.is_none() && row.max_client_connections != 0;
    let shared = shared.then(|| {
        let most = row.max_client_connections;
        format!("a client that holds {most} connections is refused: --from cgroup:PATH shows how the pod or unit there sees the service")
    });
    [sticky, needed, shared].into_iter().flatten().collect()
}

/// Returns which client attribute this service hashes, if any.
fn hashed_attribute(row: &ServiceRow) -> Option<u8> {
    (row.policy == policy::CONSISTENT_HASH).then_some(row.hash_key)
}

/// Returns a note for each backend that clients ejected for themselves, unless the question names a
/// client.
pub(super) fn own_ejections(
    tables: &Tables,
    counters: &Counters,
    row: &ServiceRow,
    client: &Client,
) -> Vec<String> {
    let ours = tables
        .backends
        .iter()
        .filter(|(_, backend)| client.id.is_none() && backend.service == row.id);
    let ejected = ours.filter_map(|(index, backend)| {
        let number = counters.evidence.get(index)?.ejected().count();
        let endpoint = socket_address(backend.addr, backend.port);
        (number > 0).then(|| (endpoint, clients(u32::try_from(number).unwrap_or(u32::MAX))))
    });
    let note = |(endpoint, by): (String, String)| {
        format!(
            "{by} ejected {endpoint} for themselves: --from cgroup:PATH shows how the pod or unit there sees the service"
        )
    };
    ejected.map(note).collect()
}

/// Returns why connects are refused.
pub(super) fn refusal(counter: Counter, row: &ServiceRow, counters: &Counters) -> String {
    let connections = counters
        .loads
        .get(&row.id)
        .map_or(0, |load| live(load.connections));
    let limit = u64::from(row.max_connections);
    match counter {
        Counter::RefusedLimit if limit > 0 && connections >= limit => {
            format!("the service is full: {connections} of {limit} connections")
        }
        Counter::RefusedShare => {
            let most = row.max_client_connections;
            let of = if limit == 0 {
                String::new()
            } else {
                format!(" of {limit}")
            };
            format!("the client holds its share of the service: {most}{of} connections")
        }
        Counter::RefusedLimit => "every usable endpoint is full".to_owned(),
        Counter::RefusedNoBackend if row.slot_count == 0 => "no endpoint".to_owned(),
        Counter::RefusedNoBackend => "no endpoint is usable".to_owned(),
        _ => "a map row refers to a missing row; see `meshctl status`".to_owned(),
    }
}

/// Names the services that are left out because of errors when no service was found, because their
/// addresses are unknown.
pub(super) fn name_left_out(wrong: &[Wrong], explanation: &mut Explanation) {
    let left_out = wrong
        .iter()
        .filter(|it| it.effect == Effect::LeftOut && it.service_name().is_some());
    let names: Vec<String> = left_out
        .map(|it| format!("{} ({})", it.name, it.origin))
        .collect();
    if explanation.service.is_none() && !names.is_empty() {
        explanation.notes.push(format!(
            "left out because of errors: {}",
            told(names.into_iter())
        ));
    }
}

/// Adds the reasons that only the agent knows: drains, failed health checks, reach.
pub(super) fn add_agent_reasons(world: &World, explanation: &mut Explanation) {
    let Some(identity) = explanation.identity() else {
        return;
    };
    let Some(name) = identified(&identity) else {
        return;
    };
    let port = port(world, &identity);
    for candidate in candidates(explanation) {
        let reach = || port.and_then(|(service, port)| reach(world, service, port, candidate));
        if let Some(reason) = reason(world, &name, candidate).or_else(reach) {
            candidate.reason = reason;
        }
    }
}

/// Sets the configured and effective weights of all candidates. The kernel's rows have fractional
/// bits during ramps. `now` is the monotonic clock.
pub(super) fn set_weights(world: &World, now: Duration, explanation: &mut Explanation) {
    let Some(identity) = explanation.identity() else {
        return;
    };
    let Some((service, port)) = port(world, &identity) else {
        return;
    };
    explanation.port = Some(port.port);
    explanation.port_name = Some(port.name.clone()).filter(|name| !name.is_empty());
    let eligibility = Eligibility::of(world, now, service, port);
    let weights = port.endpoints.iter().zip(eligibility.weights());
    let weights = weights.map(|(it, weight)| {
        (
            SocketAddr::new(it.address, it.port).to_string(),
            (it.weight, weight),
        )
    });
    let weights: HashMap<String, (u32, &Weight)> = weights.collect();
    for candidate in candidates(explanation) {
        if let Some((configured, weight)) = weights.get(&candidate.endpoint) {
            (candidate.weight, candidate.effective_weight) = (Some(*configured), weight.whole());
        }
    }
}

/// Returns the configured port with this identity.
fn port<'w>(world: &'w World, identity: &str) -> Option<(&'w Service, &'w ServicePort)> {
    let service = world.services.get(&identified(identity)?)?;
    Some((
        service,
        service
            .ports
            .iter()
            .find(|port| port_identity(&service.name, port) == identity)?,
    ))
}

/// Returns why no frontend leads to a configured backend; nothing when one does.
fn reach(
    world: &World,
    service: &Service,
    port: &ServicePort,
    candidate: &Candidate,
) -> Option<String> {
    let at: SocketAddr = candidate.endpoint.parse().ok()?;
    let endpoint = port
        .endpoints
        .iter()
        .find(|it| (it.address, it.port) == (at.ip(), at.port()))?;
    out_of_reach(world, service, port, endpoint).map(str::to_owned)
}

fn candidates(explanation: &mut Explanation) -> impl Iterator<Item = &mut Candidate> {
    let inside = explanation
        .tiers
        .iter_mut()
        .flat_map(|tier| tier.backends.iter_mut());
    inside.chain(explanation.others.iter_mut())
}

fn reason(world: &World, service: &ServiceName, candidate: &Candidate) -> Option<String> {
    let endpoint: SocketAddr = candidate.endpoint.parse().ok()?;
    let target = Target {
        service: service.clone(),
        address: endpoint.ip(),
        port: endpoint.port(),
    };
    let drains = world
        .overrides
        .get(&target)
        .is_some_and(|order| order.draining_since.is_some());
    match candidate.status.as_str() {
        "down" if drains => Some("drained by an operator".to_owned()),
        "down" if is_unhealthy(world, &target) => Some("its health check fails".to_owned()),
        // Its weight falls step by step.
        _ if drains => Some(format!("{}; drained by an operator", candidate.reason)),
        _ => None,
    }
}

fn is_unhealthy(world: &World, target: &Target) -> bool {
    let service = world.services.get(&target.service);
    service.is_some_and(|service| unhealthy(world, service).contains(target))
}
