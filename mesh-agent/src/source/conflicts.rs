//! Which service owns what among all files of a source: a service name and a front end inside the cluster belong to one
//! service. What services ask for outside of it comes later, see [`admit`](super::admit).

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
};

use super::{file::Contents, frontend_owners::FrontendOwners};
use crate::model::{ConfigError, Origin, Protocol, Service, ServiceName};

/// What programs ask for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrontendAddress {
    /// At an address.
    At(IpAddr, u16, Protocol),
    /// At every address of the node; which these are is not known here.
    AtNode(u16, Protocol),
}

impl fmt::Display for FrontendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address, port, protocol) => write!(f, "{address} port {port}/{protocol}"),
            Self::AtNode(port, protocol) => write!(f, "node port {port}/{protocol}"),
        }
    }
}

/// Names and frontends that are taken.
#[derive(Default)]
pub struct Claims<'a> {
    names: HashMap<&'a ServiceName, &'a Origin>,
    frontends: HashMap<FrontendAddress, &'a Service>,
    /// Definitions of services that hold all of their front ends, claimed or not.
    reserved_names: HashMap<&'a ServiceName, &'a Origin>,
    /// Front ends that a service holds, claimed or not.
    reserved: HashMap<FrontendAddress, &'a Service>,
    /// What services hold that cannot be read now.
    absent: FrontendOwners,
}

impl<'a> Claims<'a> {
    /// Nothing is taken yet; there is room for what `services` services with one frontend each take.
    pub fn with_room(services: usize) -> Self {
        let (names, frontends) = (HashMap::with_capacity(services), HashMap::with_capacity(services));
        Self { names, frontends, ..Self::default() }
    }

    /// Nothing is taken yet, and no other service gets what these hold.
    pub fn withholding(absent: FrontendOwners) -> Self {
        Self { absent, ..Self::default() }
    }

    /// Keeps what a service asks for and holds already from being claimed by others. To be called for all services before
    /// the first claim.
    pub fn reserve(&mut self, holders: &FrontendOwners, service: &'a Service) {
        if holders.is_empty() {
            return;
        }
        let holds = |frontend: &FrontendAddress| holders.of(*frontend) == Some(&service.name);
        for frontend in frontends(service).filter(holds) {
            self.reserved.entry(frontend).or_insert(service);
        }
        if frontends(service).next().is_some() && frontends(service).all(|frontend| holds(&frontend)) {
            self.reserved_names.entry(&service.name).or_insert(&service.origin);
        }
    }

    /// Takes what a service asks for, or nothing of it where something is taken already, and says what.
    pub fn claim_service(&mut self, service: &'a Service) -> Vec<ConfigError> {
        let reserved = self.reserved_names.get(&service.name).filter(|first| ***first != service.origin);
        let twice = self.names.get(&service.name).or(reserved).map(|first| defined_twice(service, first));
        let taken = frontends(service).filter_map(|frontend| {
            let first = self.frontends.get(&frontend).or_else(|| self.reserved.get(&frontend))?;
            conflict(frontend, first, service)
        });
        let withheld = frontends(service).filter_map(|frontend| {
            let reason = self.absent.refusal(frontend, &service.name)?;
            Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
        });
        let errors: Vec<ConfigError> = twice.into_iter().chain(taken).chain(withheld).collect();
        if errors.is_empty() {
            self.names.insert(&service.name, &service.origin);
            self.frontends.extend(frontends(service).map(|frontend| (frontend, service)));
        }
        errors
    }
}

fn defined_twice(service: &Service, first: &Origin) -> ConfigError {
    let reason = format!("service {} is defined twice: first in {first}, again here", service.name);
    ConfigError { origin: service.origin.clone(), field: String::new(), reason }
}

fn conflict(frontend: FrontendAddress, first: &Service, service: &Service) -> Option<ConfigError> {
    // Of a service that is defined twice, everything is; saying so once is enough.
    if first.name == service.name {
        return None;
    }
    let reason = format!(
        "service {} asks for {frontend}, which belongs to service {} (in {}): give one of them another address or port",
        service.name, first.name, first.origin
    );
    Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
}

/// All services of a file: the native ones, then the others.
pub fn services(contents: &Contents) -> impl Iterator<Item = &Service> {
    let declared = contents.manifests.services.iter().map(|declared| &declared.service);
    contents.services.iter().map(AsRef::as_ref).chain(declared)
}

/// Whether a service asks for nothing that another version of it does not have.
pub fn asks_no_more(service: &Service, held: &Service) -> bool {
    let held: HashSet<FrontendAddress> = frontends(held).collect();
    frontends(service).all(|frontend| held.contains(&frontend))
}

/// What a service asks for inside the cluster, which is its own or makes it wrong. Addresses from the pool are not here: they
/// are kept apart where they are handed out.
fn frontends(service: &Service) -> impl Iterator<Item = FrontendAddress> {
    service.addresses.given().iter().flat_map(|address| at(service, *address))
}

/// The front ends that an address is.
pub fn at(service: &Service, address: IpAddr) -> impl Iterator<Item = FrontendAddress> {
    service.ports.iter().map(move |port| FrontendAddress::At(address, port.port, port.protocol))
}
