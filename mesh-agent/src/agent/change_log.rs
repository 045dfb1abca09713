//! Logs what an update changes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use tracing::{debug, info};

use crate::{
    desired::{Tables, World, identified},
    model::{Endpoint, Service, ServiceName, Services},
};

/// Most endpoints of one service that a line names.
const NAMED: usize = 5;
/// Most services of one update that the log names.
const SERVICES: usize = 100;

/// A service that an update adds, changes or removes.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change<'a> {
    /// The service.
    service: Cow<'a, ServiceName>,
    /// `added, 3 endpoints`, `removed`, or the parts that changed.
    what: String,
    /// File and line; for a removed service only the file, because its line may hold another one.
    by: String,
}

/// Logs what an update changes.
pub(super) fn log_changes(before: &Services, after: &Services) {
    log_each(changes(before, after));
}

/// Logs which services were added and removed while no agent ran, compared with the rows that an
/// earlier agent left.
pub(super) fn log_changes_since(left: &Tables, world: &World) {
    log_each(since(left, world));
}

fn log_each<'a>(changes: impl Iterator<Item = Change<'a>>) {
    let mut more = 0;
    for (number, Change { service, what, by }) in changes.enumerate() {
        if number < SERVICES {
            info!(%service, %by, "service: {what}");
        } else {
            more += 1;
            debug!(%service, %by, "service: {what}");
        }
    }
    if more > 0 {
        info!("{more} more services changed");
    }
}

/// Returns the services that differ between two versions of the configuration, apart from their
/// line.
fn changes<'a>(before: &'a Services, after: &'a Services) -> impl Iterator<Item = Change<'a>> {
    before.differences(after).filter_map(|(service, old, new)| {
        let (what, by) = match (old, new) {
            (None, Some(new)) => (
                format!("added, {}", counted(endpoints(new).len())),
                new.origin.to_string(),
            ),
            (Some(old), None) => (
                "removed".to_owned(),
                old.origin.document().display().to_string(),
            ),
            (Some(old), Some(new)) => (differences(old, new)?, new.origin.to_string()),
            (None, None) => return None,
        };
        Some(Change {
            service: Cow::Borrowed(service),
            what,
            by,
        })
    })
}

/// Returns the services added and removed since an earlier agent; none when it left no rows.
fn since<'a>(left: &Tables, world: &'a World) -> impl Iterator<Item = Change<'a>> + use<'a> {
    let before: BTreeSet<ServiceName> = left
        .names
        .values()
        .filter_map(|name| identified(name))
        .collect();
    let what = |what: &str| format!("{what} while no agent ran");
    let is_new = |service: &&Arc<Service>| !before.is_empty() && !before.contains(&service.name);
    let new = world.services.values().filter(is_new);
    let added: Vec<Change<'a>> = new
        .map(|it| Change {
            service: Cow::Borrowed(&it.name),
            what: what("added"),
            by: it.origin.to_string(),
        })
        .collect();
    let is_gone = |name: &ServiceName| {
        world.complete && !world.services.contains_key(name) && !world.uncertain.contains(name)
    };
    let names = before.into_iter().filter(move |name| is_gone(name));
    let removed = names.map(move |name| Change {
        service: Cow::Owned(name),
        what: what("removed"),
        by: "service files".to_owned(),
    });
    added.into_iter().chain(removed)
}

/// Describes what changed in a service; nothing when it only moved within its file.
fn differences(old: &Service, new: &Service) -> Option<String> {
    let settings = |service: &Service| {
        let mut rest = Service {
            origin: new.origin.clone(),
            addresses: new.addresses.clone(),
            ..service.clone()
        };
        rest.ports
            .iter_mut()
            .for_each(|port| port.endpoints.clear());
        rest
    };
    let mut changed = Vec::new();
    if old.addresses != new.addresses {
        changed.push("addresses".to_owned());
    }
    let (before, after) = (settings(old), settings(new));
    if before.ports != after.ports {
        changed.push("ports".to_owned());
    }
    if (Service {
        ports: after.ports.clone(),
        ..before
    }) != after
    {
        changed.push("settings".to_owned());
    }
    let endpoints = endpoint_changes(&endpoints(old), &endpoints(new));
    changed.extend(endpoints.iter().take(NAMED).cloned());
    if endpoints.len() > NAMED {
        changed.push(format!(
            "and {} of {}",
            endpoints.len() - NAMED,
            counted(endpoints.len())
        ));
    }
    (!changed.is_empty()).then(|| changed.join(", "))
}

/// `1 endpoint`, `2 endpoints`
fn counted(endpoints: usize) -> String {
    format!(
        "{endpoints} endpoint{}",
        if endpoints == 1 { "" } else { "s" }
    )
}

/// Endpoints by port and address.
type Endpoints<'a> = BTreeMap<(String, SocketAddr), &'a Endpoint>;

fn endpoints(service: &Service) -> Endpoints<'_> {
    let ports = service.ports.iter().flat_map(|port| {
        port.endpoints
            .iter()
            .map(move |endpoint| (port.label(), endpoint))
    });
    ports
        .map(|(port, endpoint)| {
            (
                (port, SocketAddr::new(endpoint.address, endpoint.port)),
                endpoint,
            )
        })
        .collect()
}

fn endpoint_changes(before: &Endpoints<'_>, after: &Endpoints<'_>) -> Vec<String> {
    let added = after
        .keys()
        .filter(|key| !before.contains_key(key))
        .map(|(_, address)| format!("endpoint {address} added"));
    let removed = before
        .keys()
        .filter(|key| !after.contains_key(key))
        .map(|(_, address)| format!("endpoint {address} removed"));
    let both = before
        .iter()
        .filter_map(|(key, old)| Some((key.1, *old, *after.get(key)?)));
    let altered = both
        .filter(|(_, old, new)| old != new)
        .map(|(address, old, new)| altered(address, old, new));
    added.chain(removed).chain(altered).collect()
}

fn altered(address: SocketAddr, old: &Endpoint, new: &Endpoint) -> String {
    let condition = (old.condition != new.condition).then(|| format!("is {}", new.condition));
    let weight = (old.weight != new.weight)
        .then(|| format!("has weight {} instead of {}", new.weight, old.weight));
    let parts: Vec<String> = condition.into_iter().chain(weight).collect();
    let what = if parts.is_empty() {
        "changed".to_owned()
    } else {
        parts.join(" and ")
    };
    format!("endpoint {address} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desired::{fixture, port_identity},
        model::{Condition, Limits},
    };

    fn logged(before: &[Service], after: &[Service]) -> Vec<String> {
        let [before, after] =
            [before, after].map(|services| fixture::services(services.iter().cloned()));
        changes(&before, &after)
            .map(
                |Change {
                     service,
                     what,
                     by: _,
                 }| format!("{service} {what}"),
            )
            .collect()
    }

    fn cart(endpoints: &[(&str, u32)]) -> Service {
        fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints)
    }

    #[test]
    fn added_removed_and_changed_services_are_logged() {
        let two = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
        assert_eq!(
            logged(&[], std::slice::from_ref(&two)),
            ["test/cart added, 2 endpoints"]
        );
        assert_eq!(
            logged(std::slice::from_ref(&two), &[]),
            ["test/cart removed"]
        );
        let mut other = cart(&[("10.0.0.2:80", 5), ("10.0.0.3:80", 1)]);
        other.ports[0].endpoints[0].condition = Condition::NotReady;
        let what = "test/cart endpoint 10.0.0.3:80 added, endpoint 10.0.0.1:80 removed, endpoint 10.0.0.2:80 is notReady \
                    and has weight 5 instead of 1";
        assert_eq!(logged(std::slice::from_ref(&two), &[other]), [what]);
        let mut limited = fixture::with(
            fixture::fixed("cart", "10.96.0.9"),
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
        );
        limited.traffic.limits = Limits {
            connections: std::num::NonZeroU32::new(5),
            ..Limits::default()
        };
        limited.ports[0].node_port = Some(30080);
        assert_eq!(
            logged(&[two], &[limited]),
            ["test/cart addresses, ports, settings"]
        );
    }

    #[test]
    fn removed_service_is_logged_with_its_file_and_others_with_their_line() {
        let by = |before: &[Service], after: &[Service]| {
            let [before, after] =
                [before, after].map(|services| fixture::services(services.iter().cloned()));
            changes(&before, &after)
                .map(|change| change.by)
                .collect::<Vec<_>>()
        };
        let cart = cart(&[]);
        let (file, line) = (
            cart.origin.document().display().to_string(),
            cart.origin.to_string(),
        );
        assert_eq!(by(&[], std::slice::from_ref(&cart)), [line]);
        assert_eq!(by(&[cart], &[]), [file]);
    }

    #[test]
    fn service_that_moves_within_its_file_is_not_logged() {
        let service = cart(&[("10.0.0.1:80", 1)]);
        let mut moved = service.clone();
        moved.origin = moved.origin.at(8);
        assert_eq!(logged(&[service], &[moved]), Vec::<String>::new());
    }

    #[test]
    fn services_added_and_removed_while_no_agent_ran_are_logged() {
        let [old, both, new] = ["old", "both", "new"].map(|name| fixture::fixed(name, "10.96.0.1"));
        let named = |service: &Service| port_identity(&service.name, &service.ports[0]);
        let left = Tables {
            names: (0..).zip([&old, &both].map(named)).collect(),
            ..Tables::default()
        };
        let services = fixture::services([both, new]);
        let mut world = World {
            services,
            complete: true,
            ..World::default()
        };
        let logged = |left: &Tables, world: &World| {
            since(left, world)
                .map(|it| format!("{} {}", it.service, it.what))
                .collect::<Vec<_>>()
        };
        let [added, removed] =
            ["test/new added", "test/old removed"].map(|what| format!("{what} while no agent ran"));
        assert_eq!(logged(&left, &world), [added.clone(), removed]);
        assert_eq!(
            logged(&Tables::default(), &world),
            Vec::<String>::new(),
            "the first agent of a node logs nothing"
        );
        world.uncertain.insert(old.name);
        assert_eq!(
            logged(&left, &world),
            [added],
            "a service that may be in an invalid object is not removed"
        );
    }

    #[test]
    fn many_changed_endpoints_are_counted() {
        let addresses: Vec<String> = (1..=9).map(|last| format!("10.0.0.{last}:80")).collect();
        let all: Vec<(&str, u32)> = addresses
            .iter()
            .map(|address| (address.as_str(), 1))
            .collect();
        let logged = logged(&[cart(&[])], &[cart(&all)]);
        assert!(
            logged[0].starts_with("test/cart endpoint 10.0.0.1:80 added, "),
            "{logged:?}"
        );
        assert!(
            logged[0].ends_with(", endpoint 10.0.0.5:80 added, and 4 of 9 endpoints"),
            "{logged:?}"
        );
    }
}
