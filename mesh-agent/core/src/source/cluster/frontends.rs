//! Tracks which service has which frontend inside the cluster.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use crate::{
    model::{ConfigError, Service, ServiceName},
    source::{
        conflicts::{conflict, frontends},
        frontend_address::FrontendAddress,
        frontend_owners::FrontendOwners,
    },
};

/// The owner of each frontend.
pub struct Frontends {
    owners: HashMap<FrontendAddress, ServiceName>,
    /// Owners before the first list.
    holders: FrontendOwners,
    /// Whether a frontend was given up since the last question.
    freed: bool,
}

impl Frontends {
    /// Starts without services.
    pub fn new(holders: FrontendOwners) -> Self {
        Self {
            owners: HashMap::new(),
            holders,
            freed: false,
        }
    }

    /// Whether a service held all of its frontends before the first list.
    pub fn holds(&self, service: &Service) -> bool {
        frontends(service).all(|it| self.holders.of(it) == Some(&service.name))
    }

    /// Drops the earlier owners: all services are known.
    pub fn forget_holders(&mut self) {
        self.holders = FrontendOwners::default();
    }

    /// Returns an error for each frontend that another service has.
    pub fn conflicts<'a>(
        &self,
        service: &Service,
        find: impl Fn(&ServiceName) -> Option<&'a Service>,
    ) -> Vec<ConfigError> {
        let taken = frontends(service).filter_map(|frontend| {
            let owner = find(self.owners.get(&frontend)?)?;
            conflict(frontend, owner, service)
        });
        taken.collect()
    }

    /// Takes the frontends of the earlier version of a service away, and gives it those of the new
    /// one.
    pub fn replace(&mut self, before: Option<&Service>, after: Option<&Service>) {
        let kept: HashSet<FrontendAddress> = after.into_iter().flat_map(frontends).collect();
        for frontend in before.into_iter().flat_map(frontends) {
            if !kept.contains(&frontend) {
                self.freed |= self.owners.remove(&frontend).is_some();
            }
        }
        if let Some(after) = after {
            let owned = kept.into_iter().map(|it| (it, after.name.clone()));
            self.owners.extend(owned);
        }
    }

    /// Returns whether a frontend was given up since the last call.
    pub fn take_freed(&mut self) -> bool {
        mem::take(&mut self.freed)
    }
}
