//! Owners of frontends, known from the kernel's rows when an agent starts or from a running agent.
//! A service keeps the frontends that it holds, in any order of files.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::frontend_address::FrontendAddress;
pub use super::frontend_address::L4Address;
use crate::model::{ServiceName, Services};

/// Owners of frontends and of endpoints. Empty if nothing is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FrontendOwners {
    frontends: HashMap<L4Address, ServiceName>,
    /// Services by the addresses of their endpoints.
    endpoints: HashMap<L4Address, ServiceName>,
}

impl FrontendOwners {
    /// Whether no owner is known.
    pub fn is_empty(&self) -> bool {
        self.frontends.is_empty()
    }

    /// Adds the services by the addresses of their endpoints.
    pub fn with_endpoints(
        self,
        endpoints: impl IntoIterator<Item = (L4Address, ServiceName)>,
    ) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            ..self
        }
    }

    /// Returns the owners according to services that were in force.
    pub(super) fn of_services(services: &Services) -> Self {
        let (mut frontends, mut endpoints) = (HashMap::new(), HashMap::new());
        for service in services.values() {
            for port in &service.ports {
                let at = |address: IpAddr, number: u16| {
                    ((address, number, port.protocol), service.name.clone())
                };
                frontends.extend(
                    service
                        .addresses
                        .given()
                        .iter()
                        .map(|address| at(*address, port.port)),
                );
                endpoints.extend(port.endpoints.iter().map(|it| at(it.address, it.port)));
            }
        }
        Self {
            frontends,
            endpoints,
        }
    }

    /// Whether a service has this address on any port.
    pub(super) fn has_address(&self, service: &ServiceName, address: IpAddr) -> bool {
        self.frontends
            .iter()
            .any(|((at, ..), of)| *at == address && of == service)
    }

    /// Returns the service that has an endpoint at this address and port.
    pub(super) fn endpoint(&self, place: &L4Address) -> Option<&ServiceName> {
        self.endpoints.get(place)
    }

    /// Returns the frontends of services for which `is_known` is false.
    pub(super) fn of_others(&self, is_known: impl Fn(&ServiceName) -> bool) -> Self {
        let others = self
            .frontends
            .iter()
            .filter(|(_, service)| !is_known(service));
        others
            .map(|(place, service)| (*place, service.clone()))
            .collect()
    }

    /// Returns the union of both.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.frontends.extend(other.frontends);
        self.endpoints.extend(other.endpoints);
        self
    }

    /// Returns why a service may not have a frontend that belongs to one of these services, which
    /// cannot be read now.
    pub(super) fn refusal(
        &self,
        frontend: FrontendAddress,
        claimant: &ServiceName,
    ) -> Option<String> {
        let absent = self.of(frontend).filter(|absent| *absent != claimant)?;
        Some(format!(
            "{frontend} belongs to service {absent}, which cannot be read now"
        ))
    }

    /// Returns the owner of a frontend. A node port is held at every address of the node,
    /// including loopback.
    pub(super) fn of(&self, frontend: FrontendAddress) -> Option<&ServiceName> {
        match frontend {
            FrontendAddress::At(address, port, protocol) => {
                self.frontends.get(&(address, port, protocol))
            }
            FrontendAddress::AtNode(port, protocol) => {
                let loopback = [
                    IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(Ipv6Addr::LOCALHOST),
                ];
                loopback
                    .into_iter()
                    .find_map(|address| self.frontends.get(&(address, port, protocol)))
            }
        }
    }
}

impl FromIterator<(FrontendAddress, ServiceName)> for FrontendOwners {
    fn from_iter<T: IntoIterator<Item = (FrontendAddress, ServiceName)>>(held: T) -> Self {
        held.into_iter()
            .map(|(frontend, service)| (place(frontend), service))
            .collect()
    }
}

/// Returns the key of a frontend.
fn place(frontend: FrontendAddress) -> L4Address {
    match frontend {
        FrontendAddress::At(address, port, protocol) => (address, port, protocol),
        FrontendAddress::AtNode(port, protocol) => (Ipv4Addr::LOCALHOST.into(), port, protocol),
    }
}

impl FromIterator<(L4Address, ServiceName)> for FrontendOwners {
    fn from_iter<T: IntoIterator<Item = (L4Address, ServiceName)>>(held: T) -> Self {
        Self {
            frontends: held.into_iter().collect(),
            endpoints: HashMap::new(),
        }
    }
}
