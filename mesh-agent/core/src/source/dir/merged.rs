//! Keeps the services of the last read, so that only those of changed files are merged again.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    model::{ServiceName, Services, Update},
    source::{
        Source,
        contents::Contents,
        file_version::{Version, Versions},
        merge::merge,
    },
};

/// Merged result of these versions of files.
pub struct Merged {
    versions: Versions,
    services: Services,
}

impl Merged {
    /// Merges the contents of all sources into `update`. With one source, services whose files did
    /// not change since `last` stay as they are. Returns the result if the next read can use it.
    pub fn of(
        last: Option<&Self>,
        versions: Versions,
        contents: &BTreeMap<Source, Vec<&Contents>>,
        update: &mut Update,
    ) -> Option<Self> {
        let is_plain = contents.len() == 1 && update.complete;
        match last.filter(|_| is_plain) {
            Some(last) => {
                let touched = touched(&last.versions, &versions);
                merge(contents, Some(&touched), update);
                let changed = mem::replace(&mut update.services, last.services.clone());
                touched
                    .iter()
                    .for_each(|name| _ = update.services.remove(name));
                update.services.extend(
                    changed
                        .iter()
                        .map(|(name, service)| (name.clone(), Arc::clone(service))),
                );
            }
            None => merge(contents, None, update),
        }
        is_plain.then(|| Self {
            versions,
            services: update.services.clone(),
        })
    }
}

/// Returns the services that are named in files that changed.
fn touched(before: &Versions, after: &Versions) -> HashSet<ServiceName> {
    let other = |from: &Versions, path: &PathBuf, file: &Arc<Version>| {
        !from.get(path).is_some_and(|it| Arc::ptr_eq(it, file))
    };
    let gone = before
        .iter()
        .filter(|(path, file)| other(after, path, file));
    let new = after
        .iter()
        .filter(|(path, file)| other(before, path, file));
    gone.chain(new)
        .flat_map(|(_, file)| file.contents.names())
        .cloned()
        .collect()
}
