//! Services that ask for an address which another holds from the pool: they stay as they were, or
//! out.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::vips::late_claims,
    model::{Effect, Protocol, Refused, Service, ServiceName, Services},
};

impl<D: Dataplane> Owner<D> {
    /// Replaces services that ask for what another holds by what they were before, where nothing
    /// speaks against that, and says what is wrong with them.
    pub(super) fn hold_addresses(&self, services: &mut Services, complete: bool) -> Refused {
        let late = |services: &Services| {
            late_claims(services, &self.pools, self.addresses.remembered(), complete)
        };
        let errors = late(services);
        let wrong: Vec<Arc<Service>> = errors
            .keys()
            .filter_map(|name| services.remove(name))
            .collect();
        for name in errors.keys() {
            let before = self
                .world
                .services
                .get(name)
                .filter(|before| is_free(before, services));
            services.extend(before.map(|before| (name.clone(), Arc::clone(before))));
        }
        let again: Vec<ServiceName> = if errors.is_empty() {
            vec![]
        } else {
            late(services).into_keys().collect()
        };
        again.iter().for_each(|name| _ = services.remove(name));
        let mut refused = Refused::default();
        for (service, error) in wrong
            .iter()
            .zip(errors.into_values())
            .flat_map(|(it, all)| all.into_iter().map(move |error| (it, error)))
        {
            let effect = if services.contains_key(&service.name) {
                Effect::Kept
            } else {
                Effect::LeftOut
            };
            refused.add_error(service, error, effect);
        }
        refused
    }
}

/// Whether no other service asks for what this one asks for.
fn is_free(service: &Service, services: &Services) -> bool {
    let taken: HashSet<_> = services
        .values()
        .flat_map(|other| front_ends(other))
        .collect();
    front_ends(service).all(|front_end| !taken.contains(&front_end))
}

/// Front ends at addresses that are written down, and node ports.
fn front_ends(service: &Service) -> impl Iterator<Item = (Option<IpAddr>, u16, Protocol)> {
    let external = service.external.iter().map(|external| external.address);
    let addresses = service.addresses.given().iter().copied().chain(external);
    let at = |address| {
        service
            .ports
            .iter()
            .map(move |port| (Some(address), port.port, port.protocol))
    };
    let node_ports = service
        .ports
        .iter()
        .filter_map(|port| Some((None, port.node_port?, port.protocol)));
    addresses.flat_map(at).chain(node_ports)
}
