//! Decides which endpoints may be checked. Pure.

use std::net::IpAddr;

use crate::{
    desired::World,
    model::{Endpoint, HealthCheck, Probe, Service},
};

/// Headers that an annotation may set by default. Any other may carry a credential, or be what
/// makes a metadata server of a cloud answer.
const HARMLESS_HEADERS: [&str; 10] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "host",
    "user-agent",
    "x-check",
    "x-health-check",
    "x-request-id",
];

/// Rules of the settings for the health check of one service.
pub struct Rules<'a> {
    world: &'a World,
    /// Why no endpoint of the service may be checked.
    whole: Option<String>,
}

impl<'a> Rules<'a> {
    /// Creates the rules for a service with this health check.
    pub fn new(world: &'a World, service: &Service, check: &HealthCheck) -> Self {
        let origin = &service.traffic.health_origin;
        let whole = if origin.is_annotation {
            annotated(world, service, check)
        } else {
            None
        };
        Self { world, whole }
    }

    /// Returns why no endpoint of the service may be checked, if so.
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// Returns why an endpoint may not be checked, if so.
    pub fn refusal(&self, endpoint: &Endpoint) -> Option<String> {
        self.whole.clone().or_else(|| {
            let kind = kind(self.world, endpoint.address)?;
            Some(format!(
                "it is {kind}; `healthChecks.allowedNetworks` can allow it"
            ))
        })
    }
}

/// Returns why the check of an annotation is not allowed, if so.
fn annotated(world: &World, service: &Service, check: &HealthCheck) -> Option<String> {
    let policy = &world.check_policy;
    let headers = match &check.probe {
        Probe::Http(probe) => probe.headers.as_slice(),
        Probe::Tcp | Probe::Grpc { .. } => &[],
    };
    if let Some((name, _)) = headers
        .iter()
        .find(|(name, _)| !policy.allow_credentials && !is_harmless(name))
    {
        return Some(format!(
            "an annotation sends the header {name}, which may carry credentials; without `healthChecks.allowCredentials` only these are sent: {}",
            HARMLESS_HEADERS.join(", ")
        ));
    }
    let is_own = |port| {
        service
            .ports
            .iter()
            .flat_map(|it| &it.endpoints)
            .any(|it| it.port == port)
    };
    let other = check
        .port
        .filter(|port| !policy.allow_other_ports && !is_own(*port))?;
    Some(format!(
        "an annotation names port {other}, which none of its endpoints serves; `healthChecks.allowOtherPorts` can allow it"
    ))
}

fn is_harmless(header: &str) -> bool {
    HARMLESS_HEADERS
        .iter()
        .any(|harmless| header.eq_ignore_ascii_case(harmless))
}

/// Returns the kind of an address to which requests by root must not go.
fn kind(world: &World, address: IpAddr) -> Option<&'static str> {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match () {
        () if world.check_policy.allows(address) => None,
        () if address.is_loopback() => Some("a loopback address"),
        () if is_link_local => Some("a link-local address"),
        () if world.node_addresses.contains(&address) => Some("an address of this node"),
        () => None,
    }
}

#[cfg(test)]
mod tests;
