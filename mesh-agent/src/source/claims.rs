//! Who owns what among all files: a service name and a frontend belong to one service.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
};

use super::file::Contents;
use crate::model::{Addresses, ConfigError, Origin, Protocol, Service, ServiceName};

/// Address, port and protocol that programs ask for.
type Frontend = (IpAddr, u16, Protocol);

/// Names and frontends that are taken.
#[derive(Default)]
pub struct Claims<'a> {
    names: HashMap<&'a ServiceName, &'a Origin>,
    frontends: HashMap<Frontend, &'a Service>,
}

impl<'a> Claims<'a> {
    /// Takes what a file asks for: all of it, or nothing and why not.
    pub fn claim(&mut self, contents: &'a Contents) -> Vec<ConfigError> {
        let (mut errors, mut names, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for service in services(contents) {
            match self.names.entry(&service.name) {
                Entry::Occupied(first) => errors.push(defined_twice(service, first.get())),
                Entry::Vacant(free) => {
                    free.insert(&service.origin);
                    names.push(&service.name);
                }
            }
            for frontend in frontends(service) {
                match self.frontends.entry(frontend) {
                    Entry::Occupied(first) => errors.extend(conflict(frontend, first.get(), service)),
                    Entry::Vacant(free) => {
                        free.insert(service);
                        taken.push(frontend);
                    }
                }
            }
        }
        if !errors.is_empty() {
            for name in names {
                self.names.remove(name);
            }
            for frontend in taken {
                self.frontends.remove(&frontend);
            }
        }
        errors
    }
}

fn defined_twice(service: &Service, first: &Origin) -> ConfigError {
    let reason = format!("service {} is defined twice: first in {first}, again here", service.name);
    ConfigError { origin: service.origin.clone(), field: String::new(), reason }
}

fn conflict(frontend: Frontend, first: &Service, service: &Service) -> Option<ConfigError> {
    // Of a service that is defined twice, everything is; saying so once is enough.
    if first.name == service.name {
        return None;
    }
    let (address, port, protocol) = frontend;
    let reason = format!(
        "services {} and {} both ask for {address} port {port}/{protocol}: first in {}, again here",
        first.name, service.name, first.origin
    );
    Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
}

fn services(contents: &Contents) -> impl Iterator<Item = &Service> {
    let declared = contents.manifests.services.iter().map(|declared| &declared.service);
    contents.services.iter().map(AsRef::as_ref).chain(declared)
}

/// Addresses from the pool are not here: whoever hands them out keeps them apart.
fn frontends(service: &Service) -> impl Iterator<Item = Frontend> {
    let addresses = match &service.addresses {
        Addresses::Fixed(addresses) => addresses.as_slice(),
        Addresses::Auto => &[],
    };
    addresses.iter().flat_map(|address| service.ports.iter().map(|port| (*address, port.port, port.protocol)))
}
