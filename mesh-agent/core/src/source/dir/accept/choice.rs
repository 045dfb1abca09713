//! The decision about one file: which version of each object comes into force.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    model::{ConfigError, Effect, Origin, Scope, Service, ServiceName, Wrong},
    source::{
        Source, conflicts,
        contents::Contents,
        dir::tracked_file::TrackedFile,
        file::File,
        file_version::Version,
        object::{Item, Key, Kind},
    },
};

/// Objects that are not in force as written.
#[derive(Default)]
pub struct Rejections {
    /// Conflicts between objects.
    pub errors: Vec<ConfigError>,
    /// Objects that are not in force as written, and what is in force instead.
    pub wrong: Vec<Wrong>,
    /// Services with an object that is left out, and the kind of that object.
    pub missing: Vec<(ServiceName, Kind)>,
}

/// Definitions of services in force, by source and name.
pub type Definitions<'a> = HashMap<(&'a Source, &'a ServiceName), &'a Origin>;

/// A file during the decision.
pub struct Choice<'a> {
    pub path: &'a PathBuf,
    pub tracked: &'a TrackedFile,
    /// Version whose objects are decided one by one; nothing if the whole file stays as it was.
    pub latest: Option<&'a Arc<File>>,
    /// Contents of that version.
    pub base: Option<&'a Contents>,
    /// The services of `base`.
    pub services: Vec<&'a Service>,
    /// Positions of services that lost a conflict.
    pub blamed: BTreeSet<usize>,
    /// Objects that stay in their last good version.
    pub kept: BTreeMap<Key, Retained<'a>>,
    /// Objects that cannot stay in their last good version, because others have their frontends
    /// now.
    pub dropped: HashSet<Key>,
}

impl<'a> Choice<'a> {
    /// Starts with everything of the latest readable version.
    pub fn new((path, tracked): (&'a PathBuf, &'a TrackedFile)) -> Self {
        let latest = tracked.fit();
        let served = || tracked.accepted.as_ref().map(|version| &*version.contents);
        let base = latest.map(|file| &*file.contents).or_else(served);
        let services = base
            .map(|base| conflicts::services(base).collect())
            .unwrap_or_default();
        let (blamed, kept, dropped) = Default::default();
        Self {
            path,
            tracked,
            latest,
            base,
            services,
            blamed,
            kept,
            dropped,
        }
    }

    /// Whether all of its objects are right in themselves.
    pub fn is_right(&self) -> bool {
        self.latest
            .is_none_or(|file| file.wrong.is_empty() && file.broken.is_empty())
    }

    /// Whether this version is in force already.
    pub fn is_old(&self) -> bool {
        let plain = |file: &Arc<File>| {
            let same = |version: &&Arc<Version>| Arc::ptr_eq(&version.contents, &file.contents);
            self.tracked.accepted.as_ref().filter(same).is_some()
        };
        self.is_right() && self.latest.is_none_or(plain)
    }

    /// Returns the objects that are right and lost no conflict.
    pub fn good(&self) -> impl Iterator<Item = Key> {
        let blamed: HashSet<*const Service> = self
            .blamed
            .iter()
            .map(|at| &raw const *self.services[*at])
            .collect();
        let objects = self.base.into_iter().flat_map(Contents::objects);
        objects
            .filter(move |(_, item)| {
                item.service()
                    .is_none_or(|it| !blamed.contains(&(&raw const *it)))
            })
            .map(|(key, _)| key)
    }

    /// Returns the services of this file that will be in force.
    pub fn definitions(&self) -> impl Iterator<Item = ((&Source, &ServiceName), &Origin)> {
        let in_force = self
            .services
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.blamed.contains(at));
        in_force.map(|(_, service)| ((&self.tracked.source, &service.name), &service.origin))
    }

    /// Returns the version that comes into force.
    pub fn version(&self) -> Option<Arc<Version>> {
        let accepted = self.tracked.accepted.as_ref();
        if self.latest.is_none() && self.blamed.is_empty() {
            return accepted.cloned();
        }
        let file = self.latest.or(accepted.map(|version| &version.file))?;
        let version = if self.blamed.is_empty() && self.kept.is_empty() {
            Version::plain(file)
        } else {
            Version {
                file: Arc::clone(file),
                contents: Arc::new(self.contents()),
                kept: texts(&self.kept),
                blamed: self.blamed.clone(),
            }
        };
        // Returning the same version shows that nothing changed.
        let same =
            accepted.filter(|accepted| Arc::ptr_eq(&accepted.file, file) && ***accepted == version);
        Some(same.cloned().unwrap_or_else(|| Arc::new(version)))
    }

    fn contents(&self) -> Contents {
        let mut contents = self.base.cloned().unwrap_or_default();
        contents.leave_out(&self.blamed);
        for Retained { items, newer, .. } in self.kept.values() {
            items
                .iter()
                .for_each(|item| contents.add(item, newer.as_ref()));
        }
        contents
    }

    /// Reports the services that lost a conflict and what is in force instead.
    pub fn blame(&self, others: &Definitions<'_>, outcome: &mut Rejections) {
        for service in self.blamed.iter().map(|at| self.services[*at]) {
            let key = Key::Service(service.name.clone());
            let effect = match others.get(&(&self.tracked.source, &service.name)) {
                _ if self.kept.contains_key(&key) => Effect::Kept,
                Some(other) => Effect::Other((*other).clone()),
                None => Effect::LeftOut,
            };
            let (origin, name) = (service.origin.clone(), key.to_string());
            outcome.wrong.push(Wrong {
                origin,
                name,
                scope: Scope::Object,
                effect,
            });
        }
    }
}

/// An object that stays in its last good version.
pub struct Retained<'a> {
    /// Its parts.
    pub items: Vec<Item<'a>>,
    /// Origin of the newer, wrong version, if known.
    pub newer: Option<Origin>,
    /// Version of the file that it comes from.
    pub from: &'a Arc<Version>,
}

/// Returns the texts of retained objects.
fn texts(kept: &BTreeMap<Key, Retained<'_>>) -> BTreeMap<Key, Arc<str>> {
    let mut wanted: HashMap<*const Version, (&Version, HashSet<Key>)> = HashMap::new();
    for (key, Retained { from, .. }) in kept {
        let (_, keys) = wanted
            .entry(Arc::as_ptr(from))
            .or_insert_with(|| (&***from, HashSet::new()));
        keys.insert(key.clone());
    }
    wanted
        .into_values()
        .flat_map(|(version, keys)| version.texts(keys))
        .collect()
}
