//! Merges sources: joins their definitions of the same service.
//!
//! The local source is preferred, then the others by name. The preferred source of a service
//! determines its addresses, ports and settings, or that it is left alone; all sources contribute
//! endpoints.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    conflicts::Claims,
    contents::Contents,
    join::{Joined, join},
};
use crate::{
    model::{ConfigNote, Effect, Scope, Service, ServiceName, ServicePort, Update, Wrong},
    source::Source,
};

/// Adds the services of all sources to an update. With `only`, all other services are skipped.
pub fn merge(
    sources: &BTreeMap<Source, Vec<&Contents>>,
    only: Option<&HashSet<ServiceName>>,
    update: &mut Update,
) {
    let joined: Vec<Joined> = sources
        .iter()
        .map(|(source, files)| join(files, source, only))
        .collect();
    // The files of one source do not conflict.
    let claims = (sources.len() > 1).then(Claims::default);
    let mut merge = Merge {
        update,
        claims,
        closed: HashSet::new(),
    };
    for joined in &joined {
        merge.add(joined);
    }
}

/// The sources merged so far.
struct Merge<'a, 'b> {
    update: &'b mut Update,
    /// Claims of preferred sources; nothing if there is one source.
    claims: Option<Claims<'a>>,
    /// Services that preferred sources leave alone.
    closed: HashSet<&'a ServiceName>,
}

impl<'a> Merge<'a, '_> {
    /// Adds the next source.
    fn add(&mut self, source: &'a Joined) {
        let Joined {
            services,
            bare,
            left_out,
            notes,
        } = source;
        let decided = |name: &ServiceName| {
            self.closed.contains(name) || self.update.services.contains_key(name)
        };
        let left_out: BTreeMap<_, _> = left_out.iter().filter(|(name, _)| !decided(name)).collect();
        let closed: Vec<_> = left_out.keys().copied().collect();
        for service in services {
            self.add_service(service);
        }
        self.closed.extend(
            closed
                .into_iter()
                .filter(|name| !self.update.services.contains_key(*name)),
        );
        self.update.left_out.extend(
            left_out
                .into_iter()
                .map(|(name, it)| (name.clone(), it.clone())),
        );
        self.update.notes.extend(notes.iter().cloned());
        if !self.update.complete {
            // Their slices may be in an unreadable part.
            self.update.uncertain.extend(bare.iter().cloned());
        }
    }

    /// Adds a service. In a conflict of two sources the preferred one wins; files of one source do
    /// not conflict here.
    fn add_service(&mut self, service: &'a Arc<Service>) {
        if self.closed.contains(&service.name) {
            return;
        }
        if let Some(first) = self.update.services.get_mut(&service.name) {
            return self
                .update
                .notes
                .extend(combine(Arc::make_mut(first), service));
        }
        let conflicts = self
            .claims
            .as_mut()
            .map_or_else(Vec::new, |claims| claims.claim_service(service));
        if conflicts.is_empty() {
            self.update
                .services
                .insert(service.name.clone(), Arc::clone(service));
        } else {
            self.update.errors.extend(conflicts);
            let (origin, name) = (service.origin.clone(), format!("service {}", service.name));
            self.update.wrong.push(Wrong {
                origin,
                name,
                scope: Scope::Object,
                effect: Effect::LeftOut,
            });
            self.closed.insert(&service.name);
        }
    }
}

/// Adds the endpoints of a service from another source, and notes ports that only the other source
/// has.
fn combine(first: &mut Service, other: &Service) -> Vec<ConfigNote> {
    let mut notes = Vec::new();
    for port in &other.ports {
        match first.ports.iter_mut().find(|ours| is_same(ours, port)) {
            Some(ours) => add_endpoints(ours, port),
            None => notes.push(unmatched(first, other, port)),
        }
    }
    notes
}

/// Compares by name, or by number if one has no name.
fn is_same(ours: &ServicePort, other: &ServicePort) -> bool {
    let unnamed = ours.name.is_empty() || other.name.is_empty();
    let same = if unnamed {
        ours.port == other.port
    } else {
        ours.name == other.name
    };
    same && ours.protocol == other.protocol
}

/// Adds endpoints. One that exists already stays as in the preferred source.
fn add_endpoints(ours: &mut ServicePort, other: &ServicePort) {
    let known: HashSet<(IpAddr, u16)> = ours
        .endpoints
        .iter()
        .map(|it| (it.address, it.port))
        .collect();
    let new = other
        .endpoints
        .iter()
        .filter(|it| !known.contains(&(it.address, it.port)));
    ours.endpoints.extend(new.cloned());
}

fn unmatched(first: &Service, other: &Service, port: &ServicePort) -> ConfigNote {
    let (name, label, protocol) = (&other.name, port.label(), port.protocol);
    let message = format!(
        "port {label}/{protocol} of service {name} is no port of it in {}, which counts, so its endpoints are not used",
        first.origin
    );
    ConfigNote {
        origin: other.origin.clone(),
        message,
    }
}
