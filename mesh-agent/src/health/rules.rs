//! Decides which endpoints may be checked. Pure.

use std::net::IpAddr;

use crate::{
    desired::World,
    model::{Endpoint, HealthCheck, Probe, Service},
};

/// Parts of header names that carry credentials.
const CREDENTIALS: [&str; 13] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "credential",
    "session",
    "api-key",
    "apikey",
    "signature",
    "impersonate",
    "remote-user",
    "forwarded-user",
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
        .find(|(name, _)| !policy.allow_credentials && is_credential(name))
    {
        return Some(format!(
            "an annotation sends the header {name}, which can carry credentials; `healthChecks.allowCredentials` can allow it"
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

fn is_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    CREDENTIALS.iter().any(|part| header.contains(part))
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
