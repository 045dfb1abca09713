//! Several sources to one: what they say of the same service is put together.
//!
//! The local source comes first, then the others by name. The first that has a service says its addresses, ports and
//! settings, or that it is left alone; all of them say its endpoints.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    conflicts::Claims,
    file::Contents,
    join::{Joined, join},
};
use crate::{
    config::Source,
    model::{ConfigNote, Effect, Scope, Service, ServiceName, ServicePort, Update, Wrong},
};

/// What the files of all sources say, added to an update. Where `only` is given, no other services than these are added.
pub fn merge(sources: &BTreeMap<Source, Vec<&Contents>>, only: Option<&HashSet<ServiceName>>, update: &mut Update) {
    let joined: Vec<Joined> = sources.iter().map(|(source, files)| join(files, source, only)).collect();
    // One source does not contradict itself.
    let claims = (sources.len() > 1).then(Claims::default);
    let mut merge = Merge { update, claims, closed: HashSet::new() };
    for joined in &joined {
        merge.add(joined);
    }
}

/// Sources put together so far.
struct Merge<'a, 'b> {
    update: &'b mut Update,
    /// What preferred sources ask for; nothing when there are none.
    claims: Option<Claims<'a>>,
    /// Services that preferred sources keep from being served.
    closed: HashSet<&'a ServiceName>,
}

impl<'a> Merge<'a, '_> {
    /// Adds the next source.
    fn add(&mut self, source: &'a Joined) {
        let Joined { services, bare, left_out, notes } = source;
        let decided = |name: &ServiceName| self.closed.contains(name) || self.update.services.contains_key(name);
        let left_out: BTreeMap<_, _> = left_out.iter().filter(|(name, _)| !decided(name)).collect();
        let closed: Vec<_> = left_out.keys().copied().collect();
        for service in services {
            self.add_service(service);
        }
        self.closed.extend(closed.into_iter().filter(|name| !self.update.services.contains_key(*name)));
        self.update.left_out.extend(left_out.into_iter().map(|(name, it)| (name.clone(), it.clone())));
        self.update.notes.extend(notes.iter().cloned());
        if !self.update.complete {
            // Their slices may be in what could not be read.
            self.update.uncertain.extend(bare.iter().cloned());
        }
    }

    /// Two files of one source that contradict each other never come here; of two sources the preferred one is right.
    fn add_service(&mut self, service: &'a Arc<Service>) {
        if self.closed.contains(&service.name) {
            return;
        }
        if let Some(first) = self.update.services.get_mut(&service.name) {
            return self.update.notes.extend(combine(Arc::make_mut(first), service));
        }
        let conflicts = self.claims.as_mut().map_or_else(Vec::new, |claims| claims.claim_service(service));
        if conflicts.is_empty() {
            self.update.services.insert(service.name.clone(), Arc::clone(service));
        } else {
            self.update.errors.extend(conflicts);
            let (origin, name) = (service.origin.clone(), format!("service {}", service.name));
            self.update.wrong.push(Wrong { origin, name, scope: Scope::Object, effect: Effect::LeftOut });
            self.closed.insert(&service.name);
        }
    }
}

/// Gives a service the endpoints that it has in another source, and notes ports that it has nowhere else.
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

/// By name, or by number where one of them has none.
fn is_same(ours: &ServicePort, other: &ServicePort) -> bool {
    let unnamed = ours.name.is_empty() || other.name.is_empty();
    let same = if unnamed { ours.port == other.port } else { ours.name == other.name };
    same && ours.protocol == other.protocol
}

/// One that is there already stays as the preferred source has it.
fn add_endpoints(ours: &mut ServicePort, other: &ServicePort) {
    let known: HashSet<(IpAddr, u16)> = ours.endpoints.iter().map(|it| (it.address, it.port)).collect();
    let new = other.endpoints.iter().filter(|it| !known.contains(&(it.address, it.port)));
    ours.endpoints.extend(new.cloned());
}

fn unmatched(first: &Service, other: &Service, port: &ServicePort) -> ConfigNote {
    let (name, label, protocol) = (&other.name, port.label(), port.protocol);
    let message = format!(
        "port {label}/{protocol} of service {name} is no port of it in {}, which counts, so its endpoints are not used",
        first.origin
    );
    ConfigNote { origin: other.origin.clone(), message }
}
