//! The version of a file that is in force: the right objects of a text, and the last good versions
//! of the wrong ones.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
};

use crate::source::{
    Serve, Source, conflicts,
    contents::Contents,
    file::{File, Identity},
    object::{Item, Key},
};

/// Versions in force, by file.
pub type Versions = BTreeMap<PathBuf, Arc<Version>>;

/// The version of a file that is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Text of the version.
    pub file: Arc<File>,
    /// All objects that are in force.
    pub contents: Arc<Contents>,
    /// Objects from earlier texts, each as a separate text.
    pub kept: BTreeMap<Key, Arc<str>>,
    /// Positions of services of the text that are not in force because they lost a conflict.
    pub blamed: BTreeSet<usize>,
}

impl Version {
    /// Creates the version of a file without problems.
    pub fn plain(file: &Arc<File>) -> Self {
        Self {
            file: Arc::clone(file),
            contents: Arc::clone(&file.contents),
            kept: BTreeMap::new(),
            blamed: BTreeSet::new(),
        }
    }

    /// Parses a version from its stored texts. The services with these names and lines are not in
    /// force.
    pub fn parse(
        path: &Arc<PathBuf>,
        identity: Identity,
        bytes: Vec<u8>,
        left_out: Vec<(String, u32)>,
        kept: impl IntoIterator<Item = String>,
        serve: Serve,
    ) -> Self {
        let file = Arc::new(File::parse(path, identity, bytes, serve));
        let left_out: HashSet<(String, u32)> = left_out.into_iter().collect();
        let services =
            conflicts::services(&file.contents).map(|it| (it.name.to_string(), it.origin.line()));
        let blamed = services
            .enumerate()
            .filter(|(_, it)| left_out.contains(it))
            .map(|(at, _)| at);
        let mut version = Self {
            blamed: blamed.collect(),
            ..Self::plain(&file)
        };
        if !version.blamed.is_empty() {
            Arc::make_mut(&mut version.contents).leave_out(&version.blamed);
        }
        for text in kept {
            let file = File::parse(path, identity, text.clone().into_bytes(), serve);
            let items: Vec<(Key, Item<'_>)> = file.contents.objects().collect();
            let contents = Arc::make_mut(&mut version.contents);
            items.iter().for_each(|(_, item)| contents.add(item, None));
            let text: Arc<str> = text.into();
            version
                .kept
                .extend(items.into_iter().map(|(key, _)| (key, Arc::clone(&text))));
        }
        version
    }

    /// Sets the source of native endpoints.
    pub fn mark(&mut self, source: &Source) {
        if source.is_none() {
            return;
        }
        Arc::make_mut(&mut self.contents).mark(source);
        let file = Arc::make_mut(&mut self.file);
        Arc::make_mut(&mut file.contents).mark(source);
    }

    /// Returns the texts of these objects.
    pub fn texts(&self, mut wanted: HashSet<Key>) -> BTreeMap<Key, Arc<str>> {
        let kept = self.kept.iter().filter(|(key, _)| wanted.contains(*key));
        let mut texts: BTreeMap<Key, Arc<str>> = kept
            .map(|(key, text)| (key.clone(), Arc::clone(text)))
            .collect();
        wanted.retain(|key| !texts.contains_key(key));
        if !wanted.is_empty() {
            texts.extend(self.file.pick(wanted));
        }
        texts
    }
}
