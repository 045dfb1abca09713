//! Joins the files of each source, and keeps the result: only services of changed files are joined
//! again.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    model::{ServiceName, Services},
    source::{
        Definitions, Source,
        contents::Contents,
        file_version::{Version, Versions},
        join::join,
    },
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
                let mut services = before.clone();
                touched.iter().for_each(|name| _ = services.remove(name));
                let changed = definitions.services.iter();
                services.extend(changed.map(|(name, it)| (name.clone(), Arc::clone(it))));
                definitions.services = services;
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
