//! Objects of one file.

use std::{iter, mem, sync::Arc};

use crate::{
    model::{LeftOut, Service, ServiceName, ServicePort},
    source::Source,
    source::kubernetes_objects::Manifests,
};

/// The objects of one file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// Native services, complete.
    pub services: Vec<Arc<Service>>,
    /// Native services that are left alone.
    pub left_out: Vec<(ServiceName, LeftOut)>,
    /// Kubernetes objects.
    pub manifests: Manifests,
}

impl Contents {
    /// Sets the source of native endpoints; endpoints of slices get theirs when they are joined.
    pub fn mark(&mut self, source: &Source) {
        if source.is_none() {
            return;
        }
        let ports = self
            .services
            .iter_mut()
            .flat_map(|service| &mut Arc::make_mut(service).ports);
        for endpoint in ports.flat_map(|port| &mut port.endpoints) {
            endpoint.source.clone_from(source);
        }
    }

    /// Shares the native services that an earlier version of the file has as well. A copy of each
    /// would take memory, and comparisons with it would take time. A service at another place is
    /// not found; in most cases it is on another line, and thus differs.
    pub fn share(&mut self, earlier: &Self) {
        for (service, earlier) in self.services.iter_mut().zip(&earlier.services) {
            if service == earlier {
                *service = Arc::clone(earlier);
            }
        }
    }

    /// Adds the objects of another part of the file.
    pub fn append(&mut self, other: Self) {
        let Self {
            mut services,
            mut left_out,
            mut manifests,
        } = other;
        self.services.append(&mut services);
        self.left_out.append(&mut left_out);
        self.manifests.services.append(&mut manifests.services);
        self.manifests.left_out.append(&mut manifests.left_out);
        self.manifests.slices.append(&mut manifests.slices);
        self.manifests.append_notes(mem::take(&mut manifests));
    }

    /// Returns the name of every service that is mentioned, without those that another version of
    /// the file [shares](Self::share).
    pub fn names_unlike<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a ServiceName> {
        let Manifests {
            services,
            slices,
            left_out,
            notes: _,
            more_notes: _,
        } = &self.manifests;
        let others = other.services.iter().map(Some).chain(iter::repeat(None));
        let native = self.services.iter().zip(others);
        let native = native
            .filter(|(service, other)| other.is_none_or(|other| !Arc::ptr_eq(service, other)))
            .map(|(service, _)| &service.name);
        let left_out = self.left_out.iter().chain(left_out).map(|(name, _)| name);
        let declared = services.iter().map(|declared| &declared.service.name);
        native
            .chain(left_out)
            .chain(declared)
            .chain(slices.iter().map(|slice| &slice.service))
    }

    /// Whether it has any service.
    pub fn serves(&self) -> bool {
        !self.services.is_empty() || !self.manifests.services.is_empty()
    }

    /// Whether this serves everything that `other` serves, possibly with fewer endpoints.
    pub fn keeps(&self, other: &Self) -> bool {
        let kept = |old: &Service| {
            self.services
                .iter()
                .any(|new| new.name == old.name && keeps_ports(new, old))
        };
        self.manifests == other.manifests && other.services.iter().all(|old| kept(old))
    }
}

fn keeps_ports(new: &Service, old: &Service) -> bool {
    let kept = |old: &ServicePort| {
        let same = |new: &&ServicePort| {
            (&new.name, new.port, new.protocol) == (&old.name, old.port, old.protocol)
        };
        new.ports
            .iter()
            .find(same)
            .is_some_and(|new| new.endpoints.is_empty() == old.endpoints.is_empty())
    };
    new.addresses == old.addresses && old.ports.iter().all(kept)
}
