//! Notes services whose endpoints are all of another address family than their addresses: no
//! connect can be translated.

use std::net::IpAddr;

use crate::model::{ConfigNote, Service, Services};

/// Returns a note with a remedy for each such service. Addresses from the pool are not known here.
pub fn notes(services: &Services) -> impl Iterator<Item = ConfigNote> {
    services.values().filter_map(|service| note(service))
}

fn note(service: &Service) -> Option<ConfigNote> {
    let address = service.addresses.given().first()?;
    let external = service.external.iter().map(|external| external.address);
    let mut addresses = service.addresses.given().iter().copied().chain(external);
    let mut endpoints = service
        .ports
        .iter()
        .flat_map(|port| &port.endpoints)
        .peekable();
    let is_other = |other: IpAddr| other.is_ipv4() != address.is_ipv4();
    // Node ports are served at addresses of both families.
    let has_both =
        service.ports.iter().any(|port| port.node_port.is_some()) || addresses.any(is_other);
    if has_both
        || endpoints.peek().is_none()
        || endpoints.any(|endpoint| !is_other(endpoint.address))
    {
        return None;
    }
    let (ours, theirs) = if address.is_ipv4() {
        ("IPv4", "IPv6")
    } else {
        ("IPv6", "IPv4")
    };
    let message = format!(
        "service {} has only {theirs} endpoints, which programs cannot reach at its {ours} address {address}: connects there \
         are refused; give it an {theirs} address or {ours} endpoints",
        service.name
    );
    Some(ConfigNote {
        origin: service.origin.clone(),
        message,
    })
}
