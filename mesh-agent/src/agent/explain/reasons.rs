//! The reasons and notes of an explanation.

use std::{net::SocketAddr, time::Duration};

use mesh_common::{
    abi::{FrontendKey, ServiceRow, hash_key, policy},
    counter::Counter,
    occupancy::live,
};

use super::{affinity_binding, client::Client};
use crate::{
    api::types::{Explanation, clients},
    dataplane::Counters,
    desired::{Tables, frontend, socket_address},
    model::{Effect, Wrong},
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
    let missing = match hashed_attribute(row) {
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
    let needed = missing.map(|(from, what)| {
        format!(
            "the endpoint of a client depends on {what}: --from {from} names it. Without it, each connect counts as \
             another client"
        )
    });
    let has_share = client.id.is_none() && row.max_client_connections != 0;
    let shared = has_share.then(|| {
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
            "{endpoint} is ejected for {by} alone: --from cgroup:PATH shows how the pod or unit there sees the service"
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
