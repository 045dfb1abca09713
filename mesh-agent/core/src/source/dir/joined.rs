//! Joins the files of each source, and keeps the result: only services of changed files are joined
//! again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::{
    model::{ServiceName, Services},
    source::{Definitions, Source, contents::Contents, file_version::Versions, join::join},
};

/// The services of each source from these versions of files.
pub struct Joined {
    versions: Versions,
    services: BTreeMap<Source, Services>,
}

impl Joined {
    /// Joins the files of each source. Services whose files did not change since `last` stay as they
    /// are.
    pub fn of(
        last: Option<&Self>,
        versions: Versions,
        contents: BTreeMap<Source, Vec<Arc<Contents>>>,
    ) -> (BTreeMap<Source, Definitions>, Self) {
        let touched = last.map(|last| touched(&last.versions, &versions));
        let mut joined = BTreeMap::new();
        for (source, files) in contents {
            let mut definitions = join(&files, &source, touched.as_ref());
            let before = last.and_then(|last| last.services.get(&source));
            if let (Some(touched), Some(before)) = (&touched, before) {
                definitions.services = replaced(before, touched, &definitions.services);
            }
            joined.insert(source, definitions);
        }
        let of_sources = joined
            .iter()
            .map(|(source, it)| (source.clone(), it.services.clone()));
        let services = of_sources.collect();
        (joined, Self { versions, services })
    }
}

/// Returns the services with the `touched` ones as they are in `joined`. A service that is the same
/// keeps its row, so that the tables share it.
fn replaced(before: &Services, touched: &HashSet<ServiceName>, joined: &Services) -> Services {
    let mut services = before.clone();
    for name in touched {
        match joined.get(name) {
            Some(new) if services.get(name) == Some(new) => {}
            Some(new) => _ = services.insert(name.clone(), Arc::clone(new)),
            None => _ = services.remove(name),
        }
    }
    services
}

/// Returns the services that are named in files that changed, and are not the same in both versions.
fn touched(before: &Versions, after: &Versions) -> HashSet<ServiceName> {
    let none = Contents::default();
    let names = differing(before, after, &none).chain(differing(after, before, &none));
    names.cloned().collect()
}

/// Returns the services in files of `these` that differ in `others`.
fn differing<'a>(
    these: &'a Versions,
    others: &'a Versions,
    none: &'a Contents,
) -> impl Iterator<Item = &'a ServiceName> {
    these.iter().flat_map(move |(path, version)| {
        let other = others.get(path);
        let differs = other.is_none_or(|other| !Arc::ptr_eq(version, other));
        let other = other.map_or(none, |other| &other.contents);
        let names = differs.then(|| version.contents.names_unlike(other));
        names.into_iter().flatten()
    })
}
