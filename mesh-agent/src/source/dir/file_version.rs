//! What of a file is in force: the objects of a text that are right, and the last good version of those that are not.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    config::{Serve, Source},
    source::{
        conflicts,
        file::{Contents, File, Identity},
        object::{Item, Key},
    },
};

/// What of a file is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The text that it comes from.
    pub file: Arc<File>,
    /// All objects that are in force.
    pub contents: Arc<Contents>,
    /// The objects that come from earlier texts, each as a text of its own.
    pub kept: BTreeMap<Key, Arc<str>>,
    /// Positions of services of the text that are not in force, because others have what they ask for.
    pub blamed: BTreeSet<usize>,
}

impl Version {
    /// A file in which everything is right.
    pub fn plain(file: &Arc<File>) -> Self {
        Self {
            file: Arc::clone(file),
            contents: Arc::clone(&file.contents),
            kept: BTreeMap::new(),
            blamed: BTreeSet::new(),
        }
    }

    /// The version of which only the texts are known, and the services, by name and line, that are not in force.
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
        let services = conflicts::services(&file.contents).map(|it| (it.name.to_string(), it.origin.line));
        let blamed = services.enumerate().filter(|(_, it)| left_out.contains(it)).map(|(at, _)| at);
        let mut version = Self { blamed: blamed.collect(), ..Self::plain(&file) };
        if !version.blamed.is_empty() {
            Arc::make_mut(&mut version.contents).leave_out(&version.blamed);
        }
        for text in kept {
            let file = File::parse(path, identity, text.clone().into_bytes(), serve);
            let items: Vec<(Key, Item<'_>)> = file.contents.objects().collect();
            let contents = Arc::make_mut(&mut version.contents);
            items.iter().for_each(|(_, item)| contents.add(item, None));
            let text: Arc<str> = text.into();
            version.kept.extend(items.into_iter().map(|(key, _)| (key, Arc::clone(&text))));
        }
        version
    }

    /// Notes the source of native endpoints.
    pub fn mark(&mut self, source: &Source) {
        if source.is_none() {
            return;
        }
        Arc::make_mut(&mut self.contents).mark(source);
        let file = Arc::make_mut(&mut self.file);
        Arc::make_mut(&mut file.contents).mark(source);
    }

    /// The texts of some of its objects.
    pub fn texts(&self, mut wanted: HashSet<Key>) -> BTreeMap<Key, Arc<str>> {
        let kept = self.kept.iter().filter(|(key, _)| wanted.contains(*key));
        let mut texts: BTreeMap<Key, Arc<str>> = kept.map(|(key, text)| (key.clone(), Arc::clone(text))).collect();
        wanted.retain(|key| !texts.contains_key(key));
        if !wanted.is_empty() {
            texts.extend(self.file.pick(wanted));
        }
        texts
    }
}
