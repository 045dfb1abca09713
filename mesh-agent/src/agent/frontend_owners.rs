//! Reads from the kernel's rows which service owns each frontend.

use std::collections::BTreeSet;

use mesh_common::abi::{FrontendKey, backend_state, protocol};

use crate::{
    desired::{Tables, identified},
    model::{Protocol, ServiceName},
    source::frontend_owners::{FrontendOwners, L4Address},
};

/// Returns the frontends, endpoints and their services that an earlier agent left.
pub(super) fn in_kernel(tables: &Tables) -> FrontendOwners {
    let frontends = tables.services.iter().filter_map(|(key, row)| {
        let service = identified(tables.names.get(&row.id)?)?;
        Some((l4_address(key), service))
    });
    let endpoints = tables
        .backends
        .values()
        .filter(|row| row.state != backend_state::RETIRED)
        .filter_map(|row| {
            let identity = tables.names.get(&row.service)?;
            let protocol = if identity.ends_with("/UDP") {
                Protocol::Udp
            } else {
                Protocol::Tcp
            };
            Some((
                (row.addr.into(), u16::from_be(row.port), protocol),
                identified(identity)?,
            ))
        });
    frontends
        .collect::<FrontendOwners>()
        .with_endpoints(endpoints)
}

/// Returns the services that have a frontend in the kernel.
pub(super) fn services_in_kernel(tables: &Tables) -> BTreeSet<ServiceName> {
    let ids: BTreeSet<u32> = tables.services.values().map(|row| row.id).collect();
    ids.into_iter()
        .filter_map(|id| identified(tables.names.get(&id)?))
        .collect()
}

fn l4_address(key: &FrontendKey) -> L4Address {
    let protocol = if key.protocol == protocol::UDP {
        Protocol::Udp
    } else {
        Protocol::Tcp
    };
    (key.addr.into(), u16::from_be(key.port), protocol)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::{World, compile, fixture},
    };

    #[test]
    fn rows_name_the_service_of_each_frontend() {
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:8080", 1)]);
        cart.ports[0].node_port = Some(30080);
        let mut dns = fixture::fixed("dns", "fd00::1");
        dns.ports[0].protocol = Protocol::Udp;
        let node_addresses = [[127, 0, 0, 1].into()].into();
        let world = World {
            services: fixture::services([cart, dns]),
            node_addresses,
            ..World::default()
        };
        let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
        let expected = [
            (
                ("10.96.0.1".parse().unwrap(), 80, Protocol::Tcp),
                fixture::name("cart"),
            ),
            (
                ("127.0.0.1".parse().unwrap(), 30080, Protocol::Tcp),
                fixture::name("cart"),
            ),
            (
                ("fd00::1".parse().unwrap(), 80, Protocol::Udp),
                fixture::name("dns"),
            ),
        ];
        let endpoint = (
            ("10.0.0.1".parse().unwrap(), 8080, Protocol::Tcp),
            fixture::name("cart"),
        );
        assert_eq!(
            in_kernel(&tables),
            expected
                .into_iter()
                .collect::<FrontendOwners>()
                .with_endpoints([endpoint])
        );
    }
}
