//! Rejects endpoints that are themselves a service address. No server listens there, and a connect
//! is translated only once, so such an endpoint would not answer. It is left out; the other
//! endpoints of its service serve.
//!
//! External addresses (`externalIPs`, load balancers) are not checked, because hosts may have them.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::frontend_owners::{FrontendOwners, L4Address};
use crate::model::{
    Addresses, Admission, ConfigError, Effect, Endpoint, Origin, Refused, Service, ServiceName,
    ServicePort, Services,
};

/// Services by address, port and protocol.
type ServicesByAddress = HashMap<L4Address, Arc<Service>>;

/// Few services are less than one in this many: their endpoints take less memory than the addresses
/// of all services.
const FEW: usize = 16;

/// Leaves out the endpoints that are among the `addresses` of a service, and says of each which
/// service that is. `slice` knows where the slice is that lists an endpoint. Only `suspects` are
/// checked.
pub fn leave_out(
    services: &mut Services,
    suspects: Vec<Arc<Service>>,
    addresses: impl Fn(&Service) -> Vec<IpAddr>,
    slice: impl Fn(&Service, &Endpoint) -> Option<Origin>,
) -> Refused {
    let places = places(services, &suspects, addresses);
    let crosses = |port: &ServicePort| {
        port.endpoints
            .iter()
            .any(|it| is_at(&places, port, it).is_some())
    };
    let crossing = suspects
        .into_iter()
        .filter(|it| !places.is_empty() && it.ports.iter().any(crosses));
    let wrong: Vec<Arc<Service>> = crossing.collect();
    let mut refused = Refused::default();
    for service in wrong {
        let mut rest = Service::clone(&service);
        for (port, all) in rest.ports.iter_mut().zip(&service.ports) {
            let hits = all
                .endpoints
                .iter()
                .filter_map(|it| Some((it, is_at(&places, all, it)?)));
            for (endpoint, at) in hits {
                let origin = slice(&service, endpoint).unwrap_or_else(|| service.origin.clone());
                let error = ConfigError {
                    origin,
                    field: String::new(),
                    reason: reason(&service, endpoint, at),
                };
                refused.add_error(&service, error, Effect::Part);
            }
            port.endpoints
                .retain(|it| is_at(&places, all, it).is_none());
        }
        services.insert(service.name.clone(), Arc::new(rest));
    }
    refused.errors.sort_unstable();
    refused
}

/// Whether any service claims an address or port that it did not have before.
pub fn claim_anew(before: &Services, after: &Services) -> bool {
    before.differences(after).any(|(_, old, new)| {
        let had = |address: &IpAddr| old.is_some_and(|old| old.addresses.given().contains(address));
        let had_port = |port: &ServicePort| {
            let mut ports = old.into_iter().flat_map(|old| &old.ports);
            ports.any(|it| (it.port, it.protocol) == (port.port, port.protocol))
        };
        new.is_some_and(|new| {
            !new.addresses.given().iter().all(had) || !new.ports.iter().all(had_port)
        })
    })
}

/// Returns the services whose endpoints may be at an address of a service: those that differ from
/// the result of the last check, or all when there is a new address.
pub fn suspects(last: Option<&Services>, services: &Services) -> Vec<Arc<Service>> {
    match last {
        Some(last) if !claim_anew(last, services) => {
            let differences = last.differences(services);
            differences.filter_map(|(_, _, new)| new.cloned()).collect()
        }
        _ => services.values().cloned().collect(),
    }
}

/// Refuses newly claimed service addresses at which another service already had an endpoint: the
/// endpoint stays. `before` holds what was in force. An address in the service networks is never an
/// endpoint.
pub fn refuse_newcomers(
    services: &mut Services,
    before: &FrontendOwners,
    admission: &Admission,
) -> Refused {
    let mut refused = Refused::default();
    let newcomers = services.values().filter_map(|service| {
        let taken: Vec<(IpAddr, ServiceName)> = service
            .addresses
            .given()
            .iter()
            .filter_map(|address| {
                Some((*address, endpoint_of(services, before, service, *address)?))
            })
            .filter(|(address, _)| !admission.is_service_address(*address))
            .filter(|(address, _)| !before.has_address(&service.name, *address))
            .collect();
        (!taken.is_empty()).then(|| (Arc::clone(service), taken))
    });
    for (service, taken) in newcomers.collect::<Vec<_>>() {
        let mut rest = Service::clone(&service);
        if let Addresses::Cluster(addresses) | Addresses::Fixed(addresses) = &mut rest.addresses {
            addresses.retain(|address| !taken.iter().any(|(it, _)| it == address));
        }
        let effect = if rest.addresses.given().is_empty() {
            Effect::LeftOut
        } else {
            Effect::Part
        };
        for (address, other) in &taken {
            let reason = format!(
                "service {} asks for {address}, where service {other} has an endpoint, which stays: give the service another \
                 address",
                service.name
            );
            refused.add(&service, "", reason, effect.clone());
        }
        match effect {
            Effect::LeftOut => _ = services.remove(&service.name),
            _ => _ = services.insert(service.name.clone(), Arc::new(rest)),
        }
    }
    refused
}

/// Returns the other service that had, and still has, an endpoint at this address and a port of
/// this service.
fn endpoint_of(
    services: &Services,
    before: &FrontendOwners,
    service: &Service,
    address: IpAddr,
) -> Option<ServiceName> {
    let places = service
        .ports
        .iter()
        .map(|port| (address, port.port, port.protocol));
    let known = places.filter_map(|place| Some((place, before.endpoint(&place)?)));
    let mut others = known.filter(|(_, name)| **name != service.name);
    let still = others.find(|((address, number, protocol), name)| {
        services.get(name).is_some_and(|other| {
            let mut ports = other.ports.iter().filter(|port| port.protocol == *protocol);
            ports.any(|port| {
                port.endpoints
                    .iter()
                    .any(|it| (it.address, it.port) == (*address, *number))
            })
        })
    });
    still.map(|(_, name)| name.clone())
}

/// Returns the services by their addresses. Where few services are suspects, only the addresses of
/// their endpoints are taken.
fn places(
    services: &Services,
    suspects: &[Arc<Service>],
    addresses: impl Fn(&Service) -> Vec<IpAddr>,
) -> ServicesByAddress {
    let is_few = suspects.len() < services.len() / FEW;
    let wanted: Option<HashSet<L4Address>> =
        is_few.then(|| suspects.iter().flat_map(|it| endpoints(it)).collect());
    let room = if is_few { 0 } else { services.len() };
    let mut places = ServicesByAddress::with_capacity(room);
    for service in services.values() {
        for address in addresses(service) {
            let ports = service.ports.iter();
            let all = ports.map(|port| (address, port.port, port.protocol));
            let wanted = all.filter(|it| wanted.as_ref().is_none_or(|all| all.contains(it)));
            places.extend(wanted.map(|place| (place, Arc::clone(service))));
        }
    }
    places
}

/// Returns the addresses of all endpoints.
fn endpoints(service: &Service) -> impl Iterator<Item = L4Address> {
    service.ports.iter().flat_map(|port| {
        let endpoints = port.endpoints.iter();
        endpoints.map(|it| (it.address, it.port, port.protocol))
    })
}

/// Returns the service whose address the endpoint is.
fn is_at<'a>(
    places: &'a ServicesByAddress,
    port: &ServicePort,
    endpoint: &Endpoint,
) -> Option<&'a Service> {
    places
        .get(&(endpoint.address, endpoint.port, port.protocol))
        .map(AsRef::as_ref)
}

fn reason(service: &Service, endpoint: &Endpoint, at: &Service) -> String {
    let address = SocketAddr::new(endpoint.address, endpoint.port);
    let itself = if at.name == service.name {
        " itself"
    } else {
        ""
    };
    format!(
        "endpoint {address} of service {} is the address of service {}{itself} (in {}), where no server listens: list the \
         servers behind it instead",
        service.name, at.name, at.origin
    )
}
