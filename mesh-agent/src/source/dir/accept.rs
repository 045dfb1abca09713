//! Decides which objects of each file are in force, so that no two conflict. An object that is
//! wrong, or that claims what another one has, stays in its last good version or is left out. All
//! others come into force.

mod ownership;
mod retained;
mod uncertain;
mod unreadable;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

pub use self::uncertain::note_uncertain;
use self::{
    ownership::{Claimant, Conflict},
    retained::{Retained, Served},
    unreadable::Unreadable,
};
use super::{Files, file_version::Version, tracked_file::TrackedFile};
use crate::{
    model::{ConfigError, Effect, Origin, Scope, Service, ServiceName, Wrong},
    source::{
        Source, conflicts,
        contents::Contents,
        file::File,
        frontend_owners::FrontendOwners,
        object::{Key, Kind},
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
type Definitions<'a> = HashMap<(&'a Source, &'a ServiceName), &'a Origin>;

/// A file during the decision.
struct Choice<'a> {
    path: &'a PathBuf,
    tracked: &'a TrackedFile,
    /// Version whose objects are decided one by one; nothing if the whole file stays as it was.
    latest: Option<&'a Arc<File>>,
    /// Contents of that version.
    base: Option<&'a Contents>,
    /// The services of `base`.
    services: Vec<&'a Service>,
    /// Positions of services that lost a conflict.
    blamed: BTreeSet<usize>,
    /// Objects that stay in their last good version.
    kept: BTreeMap<Key, Retained<'a>>,
    /// Objects that cannot stay in their last good version, because others have their front ends
    /// now.
    dropped: HashSet<Key>,
}

impl<'a> Choice<'a> {
    fn new((path, tracked): (&'a PathBuf, &'a TrackedFile)) -> Self {
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
    fn is_right(&self) -> bool {
        self.latest
            .is_none_or(|file| file.wrong.is_empty() && file.broken.is_empty())
    }

    /// Whether this version is in force already.
    fn is_old(&self) -> bool {
        let plain = |file: &Arc<File>| {
            let same = |version: &&Arc<Version>| Arc::ptr_eq(&version.contents, &file.contents);
            self.tracked.accepted.as_ref().filter(same).is_some()
        };
        self.is_right() && self.latest.is_none_or(plain)
    }

    /// Returns the objects that are right and lost no conflict.
    fn good(&self) -> impl Iterator<Item = Key> {
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
    fn definitions(&self) -> impl Iterator<Item = ((&Source, &ServiceName), &Origin)> {
        let in_force = self
            .services
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.blamed.contains(at));
        in_force.map(|(_, service)| ((&self.tracked.source, &service.name), &service.origin))
    }

    /// Returns the version that comes into force.
    fn version(&self) -> Option<Arc<Version>> {
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
                kept: retained::texts(&self.kept),
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
    fn blame(&self, others: &Definitions<'_>, outcome: &mut Rejections) {
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

/// Puts every object in force that is right in itself and does not conflict with another. Objects
/// of files that are `gone` since the last read may have moved to other files. A service keeps the
/// front ends that it holds, even if it cannot be read at present. `complete` tells whether all
/// directories could be read.
pub fn accept(
    files: &mut Files,
    gone: &Files,
    holders: &FrontendOwners,
    complete: bool,
) -> Rejections {
    let mut outcome = Rejections::default();
    let versions = choose(files, gone, (holders, complete), &mut outcome);
    for (path, version) in versions {
        if let Some(file) = files.get_mut(&path) {
            file.accept(version);
        }
    }
    outcome
}

/// An object that stays in its last good version keeps its front ends, which may conflict with
/// others; so each pass starts over until none finds a conflict.
fn choose(
    files: &Files,
    gone: &Files,
    (holders, complete): (&FrontendOwners, bool),
    outcome: &mut Rejections,
) -> Vec<(PathBuf, Option<Arc<Version>>)> {
    let mut choices: Vec<Choice<'_>> = files.iter().map(Choice::new).collect();
    if choices.iter().all(Choice::is_old) {
        return choices
            .iter()
            .map(|choice| (choice.path.clone(), choice.tracked.accepted.clone()))
            .collect();
    }
    let is_right = choices.iter().all(Choice::is_right);
    let absent = Unreadable::new(holders, complete);
    if !(is_right && absent.is_none(&choices) && ownership::agree(&choices)) {
        let served = Served::of(files.iter().chain(gone));
        loop {
            retained::keep(&mut choices, &served);
            let conflicts = ownership::conflicts(&choices, &served, holders, &absent);
            if conflicts.is_empty() {
                break;
            }
            for Conflict {
                choice,
                claimant,
                errors,
            } in conflicts
            {
                outcome.errors.extend(errors);
                match claimant {
                    Claimant::Own(position) => _ = choices[choice].blamed.insert(position),
                    Claimant::Kept(key) => _ = choices[choice].dropped.insert(key),
                }
            }
        }
        retained::tell(&choices, outcome);
        let others = choices.iter().flat_map(Choice::definitions).collect();
        choices
            .iter()
            .for_each(|choice| choice.blame(&others, outcome));
    }
    choices
        .iter()
        .map(|choice| (choice.path.clone(), choice.version()))
        .collect()
}
