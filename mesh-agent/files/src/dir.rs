//! Reads directories of services, once or repeatedly.

use std::{
    collections::BTreeSet,
    mem,
    path::{Path, PathBuf},
    time::Instant,
};

use mesh_core::{
    model::{Admission, ConfigError, ConfigNote, Update},
    source::{
        Serve, ServiceDir, SourceUpdate,
        dir::{ScanReader, given_empty},
        frontend_owners::FrontendOwners,
        scan::Scan,
    },
};

use crate::{last_good::LastGoodStore, scan};

/// Reads all directories once. There is no last good version, so every problem is reported.
pub fn read<D: Clone + Into<ServiceDir>>(directories: &[D]) -> Update {
    DirectoryReader::new(directories.iter().cloned(), false).read()
}

/// Reads directories, single files and, as `-`, standard input once. Services keep the frontends
/// that they hold. An empty file is an error, because the command that should have written it may
/// have failed.
pub fn read_paths(paths: &[ServiceDir], holders: FrontendOwners, admission: Admission) -> Update {
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) = paths
        .iter()
        .map(|given| given.path.clone())
        .partition(|path| path.is_dir());
    let mut scan = scan::scan(&directories);
    scan.files.extend(
        files
            .into_iter()
            .map(|path| (path.clone(), scan::read_given(&path))),
    );
    let empty: Vec<ConfigError> = scan
        .files
        .iter()
        .filter_map(|(path, found)| given_empty(path, found))
        .collect();
    let mut reader = ScanReader::new(paths.iter().cloned(), false)
        .keeping(|| holders)
        .admitting(admission);
    let mut update = reader.read(scan, Instant::now());
    update.errors_total += empty.len();
    update.errors.extend(empty);
    update.errors.sort_by(|a, b| a.origin.cmp(&b.origin));
    update
}

/// Reads directories repeatedly.
pub struct DirectoryReader {
    reader: ScanReader,
    /// Versions that an earlier agent had in force, stored for the next agent.
    memory: Option<LastGoodStore>,
    /// Whether the first read, which restores those versions, is over.
    has_read: bool,
}

impl DirectoryReader {
    /// Creates a reader. With `allow_empty`, directories without any file mean that there are no
    /// services.
    pub fn new<D: Into<ServiceDir>>(
        directories: impl IntoIterator<Item = D>,
        allow_empty: bool,
    ) -> Self {
        Self {
            reader: ScanReader::new(directories, allow_empty),
            memory: None,
            has_read: false,
        }
    }

    /// Stores the versions in force in the state directory.
    pub fn remembering(self, state_dir: &Path) -> Self {
        Self {
            memory: Some(LastGoodStore::new(state_dir)),
            ..self
        }
    }

    /// Lets services keep the frontends that they hold before the first read. `ask` is called
    /// once, after the first files are parsed.
    pub fn keeping(self, ask: impl FnOnce() -> FrontendOwners + Send + 'static) -> Self {
        Self {
            reader: self.reader.keeping(ask),
            ..self
        }
    }

    /// Sets which services are served.
    pub fn serving(self, serve: Serve) -> Self {
        Self {
            reader: self.reader.serving(serve),
            ..self
        }
    }

    /// Sets the bounds of addresses and node ports.
    pub fn admitting(self, admission: Admission) -> Self {
        Self {
            reader: self.reader.admitting(admission),
            ..self
        }
    }

    /// Returns the directories, as given.
    pub fn directories(&self) -> &[PathBuf] {
        self.reader.directories()
    }

    /// Reads the present files. Only files whose bytes changed are parsed.
    pub fn update(&mut self) -> SourceUpdate {
        let scan = self.scan();
        self.reader.update(scan, Instant::now())
    }

    /// Reads the present files, and merges them as the only source.
    pub fn read(&mut self) -> Update {
        let scan = self.scan();
        self.reader.read(scan, Instant::now())
    }

    fn scan(&mut self) -> Scan {
        if !mem::replace(&mut self.has_read, true) {
            self.recall();
        }
        scan::scan(self.directories())
    }

    /// Whether the waiting time of a possibly half-written file is over, so that a read is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.reader.is_due(now)
    }

    /// Restores the versions that an earlier agent had in force. Files of directories that are no
    /// longer read are dropped.
    fn recall(&mut self) {
        let Some(memory) = &mut self.memory else {
            return;
        };
        let others = self.reader.recall(memory.load(self.reader.serve()));
        memory.forget_others(others.into_iter());
        memory.know(self.reader.versions().into_iter());
    }

    /// Stores the versions in force, except of files larger than `most` bytes. Returns false if
    /// some are left to store.
    pub fn remember(&mut self, most: usize) -> bool {
        let Some(memory) = &mut self.memory else {
            return true;
        };
        memory.remember(&self.reader.versions_to_store(), most)
    }

    /// Returns the stored entries that were written since the last call and may not be on disk yet.
    pub fn take_unsynced(&mut self) -> BTreeSet<PathBuf> {
        self.memory
            .as_mut()
            .map(LastGoodStore::take_unsynced)
            .unwrap_or_default()
    }

    /// Returns the problem with the store, if any.
    pub fn memory_note(&self) -> Option<ConfigNote> {
        self.memory.as_ref()?.note()
    }
}
