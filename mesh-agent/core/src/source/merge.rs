//! Merges the last updates of all sources. Pure.
//!
//! The local cluster is preferred, then the others by name. The preferred definition of a service
//! determines its addresses, ports and settings, or that it is left alone; all definitions
//! contribute endpoints. Then addresses are assigned: see [`admission`](super::admission) and
//! [`nested_services`].

use std::{
    cell::LazyCell,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Definitions, Source, SourceUpdate, address_families,
    admission::admit,
    conflicts::Claims,
    error_limit,
    frontend_owners::FrontendOwners,
    join::{Slices, stray},
    nested_services,
    source_update::ByFile,
    uncertain::note_uncertain,
};
use crate::model::{
    Admission, ConfigNote, Effect, Endpoint, Origin, Scope, Service, ServiceName, ServicePort,
    Services, Update, Wrong,
};

/// What services hold, from one merge to the next.
#[derive(Clone, Default)]
pub struct Holdings {
    /// Owners of frontends outside the cluster, and of all frontends of services that cannot be
    /// read at present. At the start, all that the kernel's rows tell.
    held: FrontendOwners,
    /// Services of the last merge, whose endpoints keep their addresses.
    before: Option<Services>,
}

impl From<FrontendOwners> for Holdings {
    /// Before the first merge.
    fn from(held: FrontendOwners) -> Self {
        Self { held, before: None }
    }
}

/// Merges the last update of each source. Services keep the frontends that they hold.
pub fn merge(
    updates: &[&SourceUpdate],
    admission: &Admission,
    holdings: &Holdings,
) -> (Update, Holdings) {
    let mut update = Update {
        complete: updates.iter().all(|it| it.complete),
        errors: updates.iter().flat_map(|it| &it.errors).cloned().collect(),
        wrong: updates.iter().flat_map(|it| &it.wrong).cloned().collect(),
        notes: updates.iter().flat_map(|it| &it.notes).cloned().collect(),
        ..Update::default()
    };
    let parts = parts(updates);
    add_all(&parts, &mut update);
    tell_left_out(&mut update);
    for it in updates {
        note_uncertain(&it.missing, &mut update);
    }
    let mut held = holdings.held.clone();
    let certain = update.complete && update.uncertain.is_empty();
    let source = |service: &Service| source_of(&parts, &service.name);
    admit(&mut update.services, admission, &mut held, certain, source).tell(&mut update);
    assign_addresses(&mut update, &parts, admission, holdings);
    update
        .notes
        .extend(address_families::notes(&update.services));
    let before = Some(update.services.clone());
    error_limit::bound(&mut update, &more_errors(updates));
    (update, Holdings { held, before })
}

/// The services of one cluster from one source.
struct Part<'a> {
    source: &'a Source,
    definitions: &'a Definitions,
    /// Whether the source sent all of its services.
    complete: bool,
}

/// Returns the parts of all updates, the preferred ones first.
fn parts<'a>(updates: &[&'a SourceUpdate]) -> Vec<Part<'a>> {
    let of = |update: &'a SourceUpdate| {
        let parts = update.services.iter();
        parts.map(|(source, definitions)| Part {
            source,
            definitions,
            complete: update.complete,
        })
    };
    let mut parts: Vec<Part<'a>> = updates.iter().copied().flat_map(of).collect();
    parts.sort_by_key(|part| part.source);
    parts
}

/// Returns the cluster whose definition of a service counts.
fn source_of(parts: &[Part<'_>], name: &ServiceName) -> Source {
    let has = |part: &&Part<'_>| part.definitions.services.contains_key(name);
    parts.iter().find(has).and_then(|part| part.source.clone())
}

fn more_errors(updates: &[&SourceUpdate]) -> ByFile {
    let mut more = ByFile::new();
    for (file, count) in updates.iter().flat_map(|it| &it.more_errors) {
        *more.entry(Arc::clone(file)).or_default() += count;
    }
    more
}

/// Refuses addresses where another service has an endpoint, and endpoints at service addresses.
fn assign_addresses(
    update: &mut Update,
    parts: &[Part<'_>],
    admission: &Admission,
    holdings: &Holdings,
) {
    // At the start, the kernel's rows tell what was in force.
    let before = match &holdings.before {
        None => holdings.held.clone(),
        Some(last) if nested_services::claim_anew(last, &update.services) => {
            FrontendOwners::of_services(last)
        }
        Some(_) => FrontendOwners::default(),
    };
    nested_services::refuse_newcomers(&mut update.services, &before, admission).tell(update);
    let files = || parts.iter().flat_map(|part| &part.definitions.files);
    let slices = LazyCell::new(|| Slices::of(files()));
    let addresses = |service: &Service| service.addresses.given().to_vec();
    let slice =
        |service: &Service, endpoint: &Endpoint| slices.listing(&service.name, endpoint).cloned();
    let suspects = nested_services::suspects(holdings.before.as_ref(), &update.services);
    nested_services::leave_out(&mut update.services, suspects, addresses, slice).tell(update);
}

/// Adds the services of all parts to an update.
fn add_all(parts: &[Part<'_>], update: &mut Update) {
    // The services of one part do not conflict.
    let claims = (parts.len() > 1).then(Claims::default);
    let mut merge = Merge {
        update,
        claims,
        closed: HashSet::new(),
    };
    for part in parts {
        merge.add(part);
    }
}

/// The parts merged so far.
struct Merge<'a, 'b> {
    update: &'b mut Update,
    /// Claims of preferred parts; nothing if there is one part.
    claims: Option<Claims<'a>>,
    /// Services that preferred parts leave alone.
    closed: HashSet<&'a ServiceName>,
}

impl<'a> Merge<'a, '_> {
    /// Adds the next part.
    fn add(&mut self, part: &Part<'a>) {
        let Definitions {
            services,
            bare,
            left_out,
            notes,
            files: _,
        } = part.definitions;
        let decided = |name: &ServiceName| {
            self.closed.contains(name) || self.update.services.contains_key(name)
        };
        let left_out: BTreeMap<_, _> = left_out.iter().filter(|(name, _)| !decided(name)).collect();
        if self.claims.is_none() {
            self.update.services = services.clone();
        } else {
            services
                .values()
                .for_each(|service| self.add_service(service));
        }
        let names = left_out.keys().copied();
        let closed = names.filter(|name| !self.update.services.contains_key(*name));
        self.closed.extend(closed);
        self.update.left_out.extend(
            left_out
                .into_iter()
                .map(|(name, it)| (name.clone(), it.clone())),
        );
        self.update.notes.extend(notes.iter().cloned());
        if !part.complete {
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

/// Adds to notes about unused slices where their service is wrong.
fn tell_left_out(update: &mut Update) {
    let found = update
        .wrong
        .iter()
        .filter(|wrong| wrong.effect == Effect::LeftOut);
    let left_out: HashMap<String, &Origin> = found
        .filter_map(|wrong| Some((stray(&wrong.service_name()?), &wrong.origin)))
        .collect();
    for note in &mut update.notes {
        if let Some(origin) = left_out.get(&note.message) {
            note.message = note.message.replace(
                "which is not configured",
                &format!("which is left out because of {origin}"),
            );
        }
    }
}
