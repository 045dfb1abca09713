//! Stores what is in force for the next agent: for each file a copy of its last good text with a
//! digest, and the objects that come from older texts. So the next agent notices a file that was
//! truncated, or an object that became wrong, while no agent ran. Without the store, files count as
//! they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mesh_core::{
    model::{ConfigNote, Origin},
    source::{
        Serve,
        digest::Digest,
        dir::{Version, Versions},
        last_good::Entry,
    },
};

use crate::private_files::{removed, replace_unsynced};

pub const DIRECTORY: &str = "files";
const SUFFIX: &str = "last";

/// A directory with one entry for each file.
pub struct LastGoodStore {
    directory: PathBuf,
    /// Versions that the directory holds.
    written: Versions,
    /// Entries that may not be on the disk yet.
    unsynced: BTreeSet<PathBuf>,
    /// The last problem.
    problem: Option<String>,
}

impl LastGoodStore {
    /// Creates the store in the state directory; reads nothing yet.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            directory: state_dir.join(DIRECTORY),
            written: Versions::new(),
            unsynced: BTreeSet::new(),
            problem: None,
        }
    }

    /// Reads all entries.
    pub fn load(&mut self, serve: Serve) -> BTreeMap<PathBuf, Version> {
        let loaded = self.entries().unwrap_or_else(|error| {
            self.problem = Some(format!("cannot read what was in force before: {error}"));
            Vec::new()
        });
        let mut versions = BTreeMap::new();
        for entry in loaded {
            match fs::read(&entry).and_then(|bytes| Entry::parse(bytes)?.version(serve)) {
                Ok((path, version)) => _ = versions.insert(path, version),
                Err(error) => {
                    let reason = format!(
                        "cannot read {}, so its file has no last good version: {error}",
                        entry.display()
                    );
                    self.problem = Some(reason);
                }
            }
        }
        versions
    }

    /// Sets the versions that the entries hold.
    pub fn know(&mut self, written: impl Iterator<Item = (PathBuf, Arc<Version>)>) {
        self.written = written.collect();
    }

    /// Writes changed versions, except texts larger than `most` bytes, and removes entries of files
    /// that are gone. Returns false if a larger text is left to be written.
    pub fn remember(&mut self, versions: &Versions, most: usize) -> bool {
        let is_written = |path: &PathBuf, version| {
            self.written
                .get(path)
                .is_some_and(|it| Arc::ptr_eq(it, version))
        };
        let new: Vec<_> = versions
            .iter()
            .filter(|(path, version)| !is_written(path, version))
            .collect();
        let gone: Vec<PathBuf> = self
            .written
            .keys()
            .filter(|path| !versions.contains_key(*path))
            .cloned()
            .collect();
        let (small, large): (Vec<_>, Vec<_>) = new
            .into_iter()
            .partition(|(_, it)| it.file.text.bytes().len() <= most);
        if !small.is_empty() || !gone.is_empty() {
            self.problem = self.write(small, gone).err().map(|error| {
                let directory = self.directory.display();
                format!(
                    "cannot write {directory}, so a file that becomes invalid while no agent runs has no last good version: {error}"
                )
            });
        }
        large.is_empty()
    }

    /// Returns entries that were written since the last call and may not be on disk yet. Waiting
    /// for the disk takes as long as many updates.
    pub fn take_unsynced(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.unsynced)
    }

    /// Returns the problem with the store, if any.
    pub fn note(&self) -> Option<ConfigNote> {
        let origin = Origin::State(Arc::new(self.directory.clone()));
        self.problem
            .clone()
            .map(|message| ConfigNote { origin, message })
    }

    /// Removes the entries of all other files; they were read by [`load`](Self::load).
    pub fn forget_others(&mut self, loaded: impl Iterator<Item = PathBuf>) {
        loaded.for_each(|path| _ = fs::remove_file(self.entry(&path)));
    }

    fn write(&mut self, new: Vec<(&PathBuf, &Arc<Version>)>, gone: Vec<PathBuf>) -> io::Result<()> {
        for path in gone {
            match fs::remove_file(self.entry(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => _ = self.written.remove(&path),
            }
        }
        for (path, version) in new {
            if let Some(entry) = Entry::of(path, version) {
                replace_unsynced(&self.entry(path), &entry.text())?;
                self.unsynced.insert(self.entry(path));
            }
            self.written.insert(path.clone(), Arc::clone(version));
        }
        Ok(())
    }

    fn entry(&self, path: &Path) -> PathBuf {
        let name = Digest::of(path.as_os_str().as_encoded_bytes()).to_string();
        self.directory.join(&name[..32]).with_extension(SUFFIX)
    }

    fn entries(&self) -> io::Result<Vec<PathBuf>> {
        let found = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            found => found?,
        };
        let paths: Vec<PathBuf> = found
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?;
        Ok(paths
            .into_iter()
            .filter(|path| path.extension().is_some_and(|it| it == SUFFIX))
            .collect())
    }
}

/// Removes all entries; returns whether there were any.
pub fn forget(state_dir: &Path) -> io::Result<bool> {
    removed(fs::remove_dir_all(state_dir.join(DIRECTORY)))
}
