//! Returns whether each frontend of a service is served, and why not.

use mesh_common::abi::ServiceRow;

use crate::{
    api::types::{self, frontend_state},
    desired::{Frontend, Reach, Tables, World, frontends, port_identity, takers},
    model::{Condition, Endpoint, External, Service, ServicePort, Unserved},
};

/// Returns all frontends of a service.
pub(super) fn all(world: &World, tables: &Tables, service: &Service) -> Vec<types::FrontendStatus> {
    let served = service.ports.iter().flat_map(|port| {
        let frontends = frontends(world, service, port);
        frontends
            .into_iter()
            .map(move |frontend| one(tables, service, port, &frontend))
    });
    served
        .chain(service.unserved.iter().map(unserved))
        .chain(refused_on_this_node(world, service))
        .collect()
}

/// Returns external addresses that are refused because they belong to this node.
fn refused_on_this_node(world: &World, service: &Service) -> Vec<types::FrontendStatus> {
    let refused = service
        .external
        .iter()
        .filter_map(|external| Some((external, world.refuses(external)?)));
    let of = |(external, reason): (&External, String)| {
        let port = |port: &ServicePort| types::FrontendStatus {
            address: external.address.to_string(),
            port: port.port,
            protocol: port.protocol.to_string(),
            kind: external.kind.to_string(),
            state: frontend_state::LEFT_ALONE.to_owned(),
            reason: format!("refused: {reason}"),
        };
        service.ports.iter().map(port).collect::<Vec<_>>()
    };
    refused.flat_map(of).collect()
}

fn one(
    tables: &Tables,
    service: &Service,
    port: &ServicePort,
    frontend: &Frontend<'_>,
) -> types::FrontendStatus {
    let row = tables.services.get(&frontend.key(port));
    let (state, reason) = state(
        tables,
        row,
        &port_identity(&service.name, port),
        port,
        frontend,
    );
    types::FrontendStatus {
        address: frontend.address.to_string(),
        port: frontend.port,
        protocol: port.protocol.to_string(),
        kind: frontend.kind.to_string(),
        state: state.to_owned(),
        reason,
    }
}

/// Returns the state of a frontend, and the reason unless it is served.
fn state(
    tables: &Tables,
    row: Option<&ServiceRow>,
    identity: &str,
    port: &ServicePort,
    frontend: &Frontend<'_>,
) -> (&'static str, String) {
    let Some(row) = row else {
        return (frontend_state::PENDING, NOT_APPLIED.to_owned());
    };
    match tables.names.get(&row.id) {
        Some(owner) if owner != identity => (
            frontend_state::TAKEN,
            format!("it is a frontend of {owner}"),
        ),
        _ if tables.leads_to_active(row) => (frontend_state::SERVED, String::new()),
        _ if row.slot_count > 0 => (
            frontend_state::REFUSED,
            "every endpoint is unhealthy, drains or is not ready".to_owned(),
        ),
        _ => (
            frontend_state::REFUSED,
            no_endpoint(port, frontend).unwrap_or_else(|| NO_ENDPOINT_LEFT.to_owned()),
        ),
    }
}

const NO_ENDPOINT_LEFT: &str = "an operator drained every endpoint or set its weight to 0";
const NOT_APPLIED: &str = "the kernel does not have it yet; see `meshctl status`";

/// Returns why no endpoint takes connections of the frontend; nothing when one does.
fn no_endpoint(port: &ServicePort, frontend: &Frontend<'_>) -> Option<String> {
    let is_v4 = frontend.address.is_ipv4();
    if takers(port, is_v4, frontend.reach).next().is_some() {
        return None;
    }
    let family: Vec<&Endpoint> = port
        .endpoints
        .iter()
        .filter(|it| it.address.is_ipv4() == is_v4)
        .collect();
    let within_reach: Vec<&Endpoint> = family
        .iter()
        .copied()
        .filter(|endpoint| frontend.reach.has(endpoint))
        .collect();
    let what = match () {
        () if port.endpoints.is_empty() => return Some("no endpoint".to_owned()),
        () if family.is_empty() => {
            return Some(format!("no IPv{} endpoint", if is_v4 { 4 } else { 6 }));
        }
        () if within_reach.is_empty() => "no endpoint",
        () if within_reach
            .iter()
            .all(|endpoint| endpoint.condition == Condition::NotReady) =>
        {
            "no ready endpoint"
        }
        () => "no ready endpoint of a weight above 0",
    };
    Some(match frontend.reach {
        Reach::Everywhere => what.to_owned(),
        Reach::Node(node) => {
            format!("internalTrafficPolicy Local and {what} on this node ({node})")
        }
    })
}

fn unserved(unserved: &Unserved) -> types::FrontendStatus {
    let Unserved {
        address,
        port,
        protocol,
        kind,
        reason,
    } = unserved.clone();
    types::FrontendStatus {
        address,
        port,
        protocol,
        kind: kind.to_string(),
        state: frontend_state::LEFT_ALONE.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::{compile, fixture},
        model::{Addresses, FrontendKind, InternalTraffic},
    };

    /// `frontend, kind, state: reason`
    fn lines(world: &World, tables: &Tables, service: &str) -> Vec<String> {
        let frontends = all(world, tables, &world.services[&fixture::name(service)]);
        let line = |it: types::FrontendStatus| {
            format!("{} {} {}: {}", it.label(), it.kind, it.state, it.reason)
        };
        frontends.into_iter().map(line).collect()
    }

    fn world(services: impl IntoIterator<Item = Service>) -> (World, Tables) {
        let world = World {
            services: fixture::services(services),
            complete: true,
            node_name: "n1".into(),
            node_addresses: ["127.0.0.1", "::1"]
                .map(|address| address.parse().unwrap())
                .into(),
            ..World::default()
        };
        let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
        (world, tables)
    }

    fn cart() -> Service {
        let mut cart = fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 0)],
        );
        cart.addresses = Addresses::Cluster(vec![
            "10.96.0.1".parse().unwrap(),
            "fd00::1".parse().unwrap(),
        ]);
        cart.external = vec![External {
            address: "192.0.2.7".parse().unwrap(),
            kind: FrontendKind::LoadBalancer,
        }];
        cart.ports[0].node_port = Some(30080);
        cart.internal_traffic = InternalTraffic::Local;
        cart
    }

    #[test]
    fn every_frontend_has_its_state_and_reason() {
        let mut service = cart();
        let (world_, tables) = world([service.clone()]);
        let expected = [
            "10.96.0.1:80/TCP ClusterIP refused: internalTrafficPolicy Local and no endpoint on this node (n1)",
            "[fd00::1]:80/TCP ClusterIP refused: no IPv6 endpoint",
            "192.0.2.7:80/TCP LoadBalancer served: ",
            "127.0.0.1:30080/TCP NodePort served: ",
            "[::1]:30080/TCP NodePort refused: no IPv6 endpoint",
        ];
        assert_eq!(lines(&world_, &tables, "cart"), expected);
        service.ports[0].endpoints[1].node = Some(Arc::from("n1"));
        let (world_, tables) = world([service.clone()]);
        let weight = "10.96.0.1:80/TCP ClusterIP refused: \
                      internalTrafficPolicy Local and no ready endpoint of a weight above 0 on this node (n1)";
        assert_eq!(lines(&world_, &tables, "cart")[0], weight);
        service.ports[0].endpoints[0].node = Some(Arc::from("n1"));
        let (world_, tables) = world([service]);
        assert_eq!(
            lines(&world_, &tables, "cart")[0],
            "10.96.0.1:80/TCP ClusterIP served: "
        );
    }

    #[test]
    fn unready_endpoints_and_unserved_frontends_have_a_reason() {
        let mut service = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:80", 1)]);
        service.ports[0].endpoints[0].condition = Condition::NotReady;
        service.unserved = vec![Unserved {
            address: "lb.example.org".into(),
            port: 80,
            protocol: "TCP".into(),
            kind: FrontendKind::LoadBalancer,
            reason: "a host name is resolved by DNS".into(),
        }];
        let (world, tables) = world([service]);
        let expected = [
            "10.96.0.1:80/TCP address refused: no ready endpoint",
            "lb.example.org:80/TCP LoadBalancer left alone: a host name is resolved by DNS",
        ];
        assert_eq!(lines(&world, &tables, "cart"), expected);
    }

    #[test]
    fn external_address_of_the_node_is_refused_with_the_reason() {
        let mut cart = fixture::fixed("cart", "10.96.0.1");
        cart.external = vec![External {
            address: "127.0.0.1".parse().unwrap(),
            kind: FrontendKind::ExternalIp,
        }];
        let (world, tables) = world([cart]);
        let refused = "127.0.0.1:80/TCP ExternalIP left alone: refused: 127.0.0.1 is an address of this node; externalCidr \
                       (--external-cidr) allows it where it names 127.0.0.1/32";
        assert_eq!(lines(&world, &tables, "cart")[1..], [refused]);
    }

    #[test]
    fn pending_and_taken_frontends_have_a_reason() {
        let other = fixture::fixed("other", "127.0.0.1");
        let mut service = fixture::fixed("cart", "10.96.0.1");
        service.ports[0].node_port = Some(80);
        let (world, tables) = world([service, other]);
        let pending = "10.96.0.1:80/TCP address pending: the kernel does not have it yet; see `meshctl status`";
        assert_eq!(lines(&world, &Tables::default(), "cart")[0], pending);
        let taken = [
            "10.96.0.1:80/TCP address refused: no endpoint",
            "127.0.0.1:80/TCP NodePort taken: it is a frontend of test/other:80/TCP",
        ];
        assert_eq!(lines(&world, &tables, "cart"), taken);
    }
}
