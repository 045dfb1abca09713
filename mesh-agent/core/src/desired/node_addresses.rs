//! Conflicts over the node's own addresses: node ports that are shadowed because another service
//! has that address and port, and external addresses that are refused because they are the node's.

use std::{collections::HashMap, net::IpAddr};

use super::{World, frontends::frontends};
use crate::model::{
    ConfigNote, Effect, FrontendKind, Protocol, Refused, Service, ServicePort, field, refusal,
};

/// An address, port and protocol.
type L4Address = (IpAddr, u16, Protocol);

/// Returns one note for each address at which a node port is not served.
pub fn shadowed_node_ports(world: &World) -> Vec<ConfigNote> {
    let holders = holders(world);
    let services = || world.services.values().filter(|_| !holders.is_empty());
    let ports =
        services().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    ports
        .flat_map(|(service, port)| notes(world, service, port, &holders))
        .collect()
}

/// Returns the external addresses that are refused because they are addresses of the node.
pub fn refused_node_addresses(world: &World) -> Refused {
    let mut refused = Refused::default();
    for service in world.services.values() {
        for external in &service.external {
            if let Some(reason) = world.refuses(external) {
                let (field, reason) = (
                    field(service, external.kind),
                    refusal(external.kind, service, &reason),
                );
                refused.add(service, field, reason, Effect::Part);
            }
        }
    }
    refused
}

/// Returns the services that list an address of the node as their own.
fn holders(world: &World) -> HashMap<L4Address, &Service> {
    let mut holders = HashMap::new();
    for service in world.services.values() {
        let external = world.external(service).map(|external| &external.address);
        let addresses = world.addresses(service).iter().chain(external);
        for &address in addresses.filter(|address| world.node_addresses.contains(address)) {
            let places = service
                .ports
                .iter()
                .map(|port| ((address, port.port, port.protocol), service.as_ref()));
            holders.extend(places);
        }
    }
    holders
}

fn notes(
    world: &World,
    service: &Service,
    port: &ServicePort,
    holders: &HashMap<L4Address, &Service>,
) -> Vec<ConfigNote> {
    let fronts = frontends(world, service, port)
        .into_iter()
        .filter(|front| front.kind == FrontendKind::NodePort);
    let taken = fronts.filter_map(|front| {
        let holder = holders.get(&(front.address, front.port, port.protocol))?;
        (holder.name != service.name)
            .then(|| note(service, port, (front.address, front.port), holder))
    });
    taken.collect()
}

fn note(
    service: &Service,
    port: &ServicePort,
    (address, node_port): (IpAddr, u16),
    holder: &Service,
) -> ConfigNote {
    let message = format!(
        "node port {node_port}/{} of service {} is not served at {address}: service {} asks for that address and port, in {}",
        port.protocol, service.name, holder.name, holder.origin
    );
    ConfigNote {
        origin: service.origin.clone(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        desired::fixture,
        model::{Admission, External, Wrong},
    };

    fn notes(services: [Service; 2], node_addresses: &[&str]) -> Vec<String> {
        let node_addresses = node_addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        // The settings allow one address of the node by its name.
        let external_cidrs = vec!["192.0.2.1/32".parse().unwrap()];
        let admission = Arc::new(Admission {
            external_cidrs,
            ..Admission::default()
        });
        let world = World {
            services: fixture::services(services),
            node_addresses,
            admission,
            ..World::default()
        };
        shadowed_node_ports(&world)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn external_address_of_the_node_is_refused_while_it_is_one() {
        let mut thief = fixture::fixed("thief", "10.96.0.1");
        thief.external = vec![External {
            address: "192.0.2.1".parse().unwrap(),
            kind: FrontendKind::LoadBalancer,
        }];
        let mut world = World {
            services: fixture::services([thief]),
            ..World::default()
        };
        assert_eq!(refused_node_addresses(&world), Refused::default());
        world.node_addresses = ["192.0.2.1".parse().unwrap()].into();
        let Refused {
            errors,
            wrong,
            more: _,
        } = refused_node_addresses(&world);
        let reason = "test.yaml:1: status.loadBalancer.ingress: load balancer address of service test/thief is refused: \
                      192.0.2.1 is an address of this node; externalCidr (--external-cidr) allows it where it names \
                      192.0.2.1/32";
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [reason]
        );
        assert_eq!(
            wrong,
            [Wrong::service(
                &world.services[&fixture::name("thief")],
                Effect::Part
            )]
        );
    }

    #[test]
    fn node_port_is_not_served_where_another_service_asks_for_the_address() {
        let mut cart = fixture::fixed("cart", "10.96.0.1");
        cart.ports[0].node_port = Some(80);
        let mut other = fixture::fixed("other", "10.96.0.2");
        other.origin = other.origin.at(7);
        let external = External {
            address: "192.0.2.1".parse().unwrap(),
            kind: FrontendKind::ExternalIp,
        };
        other.external = vec![external];
        let expected = "test.yaml:1: node port 80/TCP of service test/cart is not served at 192.0.2.1: \
                        service test/other asks for that address and port, in test.yaml:7";
        assert_eq!(
            notes([cart.clone(), other.clone()], &["127.0.0.1", "192.0.2.1"]),
            [expected]
        );
        assert_eq!(
            notes([cart.clone(), other.clone()], &["127.0.0.1"]),
            [""; 0]
        );
        other.ports[0].protocol = Protocol::Udp;
        assert_eq!(notes([cart.clone(), other], &["192.0.2.1"]), [""; 0]);
        cart.external = vec![external];
        assert_eq!(
            notes([cart, fixture::fixed("third", "10.96.0.3")], &["192.0.2.1"]),
            [""; 0],
            "its own address"
        );
    }
}
