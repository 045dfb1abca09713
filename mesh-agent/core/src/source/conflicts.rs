//! Finds conflicts among all files of a source: two services with the same name, or with the same
//! frontend inside the cluster. Claims outside the cluster are checked later, see
//! [`admission`](super::admission).

use std::collections::{HashMap, HashSet};

use super::{
    contents::Contents,
    frontend_address::{FrontendAddress, at},
    frontend_owners::FrontendOwners,
};
use crate::model::{ConfigError, Origin, Service, ServiceName};

/// Service names and frontends that are claimed so far.
#[derive(Default)]
pub struct Claims<'a> {
    names: HashMap<&'a ServiceName, &'a Origin>,
    frontends: HashMap<FrontendAddress, &'a Service>,
    /// Definitions of services that hold all their frontends, whether claimed yet or not.
    reserved_names: HashMap<&'a ServiceName, &'a Origin>,
    /// Frontends that a service holds, whether claimed yet or not.
    reserved: HashMap<FrontendAddress, &'a Service>,
    /// Frontends of services that cannot be read at present.
    absent: FrontendOwners,
}

/// Service names and frontends alone, which show at a low cost that nothing conflicts.
#[derive(Default)]
pub struct Taken<'a> {
    names: HashSet<&'a ServiceName>,
    frontends: HashSet<FrontendAddress>,
}

impl<'a> Taken<'a> {
    /// Takes what a service asks for. Returns false if some of it is taken.
    pub fn take(&mut self, service: &'a Service) -> bool {
        self.names.insert(&service.name)
            && frontends(service).all(|frontend| self.frontends.insert(frontend))
    }

    /// Whether nothing that a service asks for is taken.
    pub fn leaves(&self, service: &Service) -> bool {
        !self.names.contains(&service.name)
            && !frontends(service).any(|frontend| self.frontends.contains(&frontend))
    }
}

impl<'a> Claims<'a> {
    /// Creates an empty set of claims in which the frontends of `absent` services cannot be
    /// claimed.
    pub fn withholding(absent: FrontendOwners) -> Self {
        Self {
            absent,
            ..Self::default()
        }
    }

    /// Reserves the frontends that a service holds already. Must be called for all services before
    /// the first claim.
    pub fn reserve(&mut self, holders: &FrontendOwners, service: &'a Service) {
        if holders.is_empty() {
            return;
        }
        let holds = |frontend: &FrontendAddress| holders.of(*frontend) == Some(&service.name);
        for frontend in frontends(service).filter(holds) {
            self.reserved.entry(frontend).or_insert(service);
        }
        if frontends(service).next().is_some()
            && frontends(service).all(|frontend| holds(&frontend))
        {
            self.reserved_names
                .entry(&service.name)
                .or_insert(&service.origin);
        }
    }

    /// Claims everything that a service asks for, or returns the conflicts and claims nothing.
    pub fn claim_service(&mut self, service: &'a Service) -> Vec<ConfigError> {
        let reserved = self
            .reserved_names
            .get(&service.name)
            .filter(|first| ***first != service.origin);
        let twice = self
            .names
            .get(&service.name)
            .or(reserved)
            .map(|first| defined_twice(service, first));
        let taken = frontends(service).filter_map(|frontend| {
            let first = self
                .frontends
                .get(&frontend)
                .or_else(|| self.reserved.get(&frontend))?;
            conflict(frontend, first, service)
        });
        let withheld = frontends(service).filter_map(|frontend| {
            let reason = self.absent.refusal(frontend, &service.name)?;
            Some(ConfigError {
                origin: service.origin.clone(),
                field: String::new(),
                reason,
            })
        });
        let errors: Vec<ConfigError> = twice.into_iter().chain(taken).chain(withheld).collect();
        if errors.is_empty() {
            self.names.insert(&service.name, &service.origin);
            self.frontends
                .extend(frontends(service).map(|frontend| (frontend, service)));
        }
        errors
    }
}

fn defined_twice(service: &Service, first: &Origin) -> ConfigError {
    let reason = format!(
        "service {} is defined twice: first in {first}, again here",
        service.name
    );
    ConfigError {
        origin: service.origin.clone(),
        field: String::new(),
        reason,
    }
}

/// Returns the error of a service that asks for a frontend of another one.
pub fn conflict(
    frontend: FrontendAddress,
    first: &Service,
    service: &Service,
) -> Option<ConfigError> {
    // A service that is defined twice conflicts in every frontend; one error is enough.
    if first.name == service.name {
        return None;
    }
    let reason = format!(
        "service {} asks for {frontend}, which belongs to service {} (in {}): give one of them another address or port",
        service.name, first.name, first.origin
    );
    Some(ConfigError {
        origin: service.origin.clone(),
        field: String::new(),
        reason,
    })
}

/// Returns all services of a file, native ones first.
pub fn services(contents: &Contents) -> impl Iterator<Item = &Service> {
    let declared = contents
        .manifests
        .services
        .iter()
        .map(|declared| &declared.service);
    contents.services.iter().map(AsRef::as_ref).chain(declared)
}

/// Whether a service claims no more frontends than its `held` version.
pub fn asks_no_more(service: &Service, held: &Service) -> bool {
    let held: HashSet<FrontendAddress> = frontends(held).collect();
    frontends(service).all(|frontend| held.contains(&frontend))
}

/// Returns the frontends that a service claims inside the cluster. A conflict over one makes the
/// service wrong. Addresses from the pool are checked where they are allocated.
pub fn frontends(service: &Service) -> impl Iterator<Item = FrontendAddress> {
    service
        .addresses
        .given()
        .iter()
        .flat_map(|address| at(service, *address))
}
