//! Who owns what among all files: a service name and a frontend belong to one service.

use std::{collections::HashMap, net::IpAddr};

use super::file::Contents;
use crate::model::{Addresses, ConfigError, Origin, Protocol, Service, ServiceName};

/// Names and frontends that are taken.
#[derive(Default)]
pub struct Claims<'a> {
    names: HashMap<&'a ServiceName, &'a Origin>,
    frontends: HashMap<(IpAddr, u16, Protocol), &'a Service>,
}

impl<'a> Claims<'a> {
    /// Takes what a file asks for: all of it, or nothing and why not.
    pub fn claim(&mut self, contents: &'a Contents) -> Vec<ConfigError> {
        let (mut mine, mut errors) = (Claims::default(), Vec::new());
        for service in services(contents) {
            errors.extend(self.name_conflict(service).or_else(|| mine.name_conflict(service)));
            mine.names.entry(&service.name).or_insert(&service.origin);
            for frontend in frontends(service) {
                errors.extend(self.conflict(frontend, service).or_else(|| mine.conflict(frontend, service)));
                mine.frontends.entry(frontend).or_insert(service);
            }
        }
        if errors.is_empty() {
            self.names.extend(mine.names);
            self.frontends.extend(mine.frontends);
        }
        errors
    }

    fn name_conflict(&self, service: &Service) -> Option<ConfigError> {
        let first = self.names.get(&service.name)?;
        let reason = format!("service {} is defined twice: first in {first}, again here", service.name);
        Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
    }

    fn conflict(&self, frontend: (IpAddr, u16, Protocol), service: &Service) -> Option<ConfigError> {
        // Of a service that is defined twice, everything is; saying so once is enough.
        let first = self.frontends.get(&frontend).filter(|first| first.name != service.name)?;
        let (address, port, protocol) = frontend;
        let reason = format!(
            "services {} and {} both ask for {address} port {port}/{protocol}: first in {}, again here",
            first.name, service.name, first.origin
        );
        Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
    }
}

fn services(contents: &Contents) -> impl Iterator<Item = &Service> {
    let declared = contents.manifests.services.iter().map(|declared| &declared.service);
    contents.services.iter().map(AsRef::as_ref).chain(declared)
}

/// Addresses from the pool are not here: whoever hands them out keeps them apart.
fn frontends(service: &Service) -> impl Iterator<Item = (IpAddr, u16, Protocol)> {
    let addresses = match &service.addresses {
        Addresses::Fixed(addresses) => addresses.as_slice(),
        Addresses::Auto => &[],
    };
    addresses.iter().flat_map(|address| service.ports.iter().map(|port| (*address, port.port, port.protocol)))
}
