//! Endpoints that are themselves the address of a service. No server listens there, and a connect is translated once only:
//! what is sent to such an endpoint goes nowhere. It is left out; the others of its service serve.
//!
//! Addresses outside the cluster (`externalIPs`, load balancers) are not looked at: hosts may really have them.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::model::{Effect, Endpoint, Protocol, Refused, Service, ServicePort, Services};

/// Services by their addresses, ports and protocols.
type Places = HashMap<(IpAddr, u16, Protocol), Arc<Service>>;

/// Leaves out the endpoints that are among the `addresses` of a service, and says of each which service that is.
pub fn leave_out(services: &mut Services, addresses: impl Fn(&Service) -> Vec<IpAddr>) -> Refused {
    let places = places(services, addresses);
    let crosses = |port: &ServicePort| port.endpoints.iter().any(|it| is_at(&places, port, it).is_some());
    let wrong = services.values().filter(|it| !places.is_empty() && it.ports.iter().any(crosses));
    let wrong: Vec<Arc<Service>> = wrong.cloned().collect();
    let mut refused = Refused::default();
    for service in wrong {
        let mut rest = Service::clone(&service);
        for (port, all) in rest.ports.iter_mut().zip(&service.ports) {
            let hits = all.endpoints.iter().filter_map(|it| Some((it, is_at(&places, all, it)?)));
            hits.for_each(|(endpoint, at)| refused.add(&service, "", reason(&service, endpoint, at), Effect::Part));
            port.endpoints.retain(|it| is_at(&places, all, it).is_none());
        }
        services.insert(service.name.clone(), Arc::new(rest));
    }
    refused.errors.sort_unstable();
    refused
}

fn places(services: &Services, addresses: impl Fn(&Service) -> Vec<IpAddr>) -> Places {
    let mut places = Places::with_capacity(services.len());
    for service in services.values() {
        for address in addresses(service) {
            let ports = service.ports.iter();
            places.extend(ports.map(|port| ((address, port.port, port.protocol), Arc::clone(service))));
        }
    }
    places
}

/// The service whose address the endpoint is.
fn is_at<'a>(places: &'a Places, port: &ServicePort, endpoint: &Endpoint) -> Option<&'a Service> {
    places.get(&(endpoint.address, endpoint.port, port.protocol)).map(AsRef::as_ref)
}

fn reason(service: &Service, endpoint: &Endpoint, at: &Service) -> String {
    let address = SocketAddr::new(endpoint.address, endpoint.port);
    let itself = if at.name == service.name { " itself" } else { "" };
    format!(
        "endpoint {address} of service {} is the address of service {}{itself} (in {}), where no server listens: list the \
         servers behind it instead",
        service.name, at.name, at.origin
    )
}
