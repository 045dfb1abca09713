//! Refuses services that claim an address allocated to another service from a pool. They keep their
//! earlier version or are left out.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::vips::late_claims,
    model::{Effect, Protocol, Refused, Service, ServiceName, Services},
};

impl<D: Dataplane> Owner<D> {
    /// Replaces services that claim allocated addresses by their earlier version if that has no
    /// conflict; returns the errors.
    pub(super) fn refuse_claims(&self, services: &mut Services, complete: bool) -> Refused {
        let late = |services: &Services| {
            late_claims(services, &self.pools, self.addresses.remembered(), complete)
        };
        let errors = late(services);
        let refused_services: Vec<Arc<Service>> = errors
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
        for (service, error) in refused_services
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

/// Returns whether no other service claims a frontend of this one.
fn is_free(service: &Service, services: &Services) -> bool {
    let taken: HashSet<_> = services
        .values()
        .flat_map(|other| frontends(other))
        .collect();
    frontends(service).all(|frontend| !taken.contains(&frontend))
}

/// Returns the frontends at configured addresses, and the node ports.
fn frontends(service: &Service) -> impl Iterator<Item = (Option<IpAddr>, u16, Protocol)> {
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
