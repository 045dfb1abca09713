//! Turns the files of directories, scanned repeatedly, into services, and keeps the last good
//! version of each object.
//!
//! An object that is wrong or conflicts with an older one stays in force in its last good version.
//! So do all objects of a file that is half-written or cannot be read.

mod accept;
mod alone;
mod lost_end;
mod joined;
mod parse;
mod paths;
mod tracked_file;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

pub use self::paths::given_empty;
use self::{
    accept::{Rejections, accept},
    joined::Joined,
    parse::parse,
    paths::{forget_removed, report_unreadable},
    tracked_file::{Files, TrackedFile},
};
pub use super::file_version::{Version, Versions};
use super::{
    contents::Contents,
    frontend_owners::FrontendOwners,
    merge::Holdings,
    scan::{Found, Scan},
};
use crate::{
    model::{Admission, ServiceName},
    source::{Definitions, Serve, ServiceDir, Source, SourceUpdate},
};

/// Reads scans of directories.
pub struct ScanReader {
    directories: Vec<PathBuf>,
    /// Source of each directory.
    sources: HashMap<PathBuf, Source>,
    allow_empty: bool,
    serve: Serve,
    admission: Admission,
    /// Owners of frontends before the first read; later those of services that cannot be read.
    held: FrontendOwners,
    files: Files,
    /// Result of the last read, if it was complete.
    joined: Option<Joined>,
    /// What services hold, where this is the only source.
    holdings: Holdings,
    /// Number of reads.
    reads: u64,
    /// Asked once, before the first choice between files, for the owners of frontends.
    holders: Option<AskHolders>,
}

/// Returns the owners of frontends; may block.
type AskHolders = Box<dyn FnOnce() -> FrontendOwners + Send>;

impl ScanReader {
    /// Creates a reader. With `allow_empty`, directories without any file mean that there are no
    /// services.
    pub fn new<D: Into<ServiceDir>>(
        directories: impl IntoIterator<Item = D>,
        allow_empty: bool,
    ) -> Self {
        let given = directories
            .into_iter()
            .map(Into::into)
            .map(|ServiceDir { name, path }| (path, name));
        let (directories, sources) = given
            .map(|(path, name)| (path.clone(), (path, name)))
            .unzip();
        Self {
            directories,
            sources,
            allow_empty,
            serve: Serve::All,
            admission: Admission::default(),
            held: FrontendOwners::default(),
            files: Files::new(),
            joined: None,
            holdings: Holdings::default(),
            reads: 0,
            holders: None,
        }
    }

    /// Lets services keep the frontends that they hold before the first read. `ask` is called
    /// once, after the first files are parsed.
    pub fn keeping(self, ask: impl FnOnce() -> FrontendOwners + Send + 'static) -> Self {
        Self {
            holders: Some(Box::new(ask)),
            ..self
        }
    }

    /// Sets which services are served.
    pub fn serving(self, serve: Serve) -> Self {
        Self { serve, ..self }
    }

    /// Sets the bounds of addresses and node ports.
    pub fn admitting(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// Returns the directories, as given.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Whether the waiting time of a possibly half-written file is over, so that a read is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.files.values().any(|file| file.is_due(now))
    }

    /// Returns which services are served.
    pub fn serve(&self) -> Serve {
        self.serve
    }

    /// Reads what a scan found at `now`. Only files whose bytes changed are parsed.
    pub fn update(&mut self, scan: Scan, now: Instant) -> SourceUpdate {
        self.reads += 1;
        let mut update = SourceUpdate {
            complete: true,
            ..SourceUpdate::default()
        };
        let directories = (&*self.directories, self.allow_empty);
        let gone = forget_removed(&mut self.files, &scan, directories, &mut update);
        report_unreadable(&self.files, &scan, &mut update);
        self.take(scan.files, now);
        if let Some(ask) = self.holders.take() {
            self.held = ask();
            self.holdings = self.held.clone().into();
        }
        let Rejections {
            errors,
            wrong,
            missing,
        } = accept(&mut self.files, &gone, &self.held, update.complete);
        let files = || self.files.values();
        update.errors.extend(errors);
        update.errors.extend(files().flat_map(TrackedFile::errors));
        update.more_errors = files().filter_map(TrackedFile::more).collect();
        update.wrong.extend(wrong);
        update.wrong.extend(files().filter_map(TrackedFile::wrong));
        update.complete &= files().all(TrackedFile::is_complete);
        update.missing = missing;
        update.services = self.join(update.complete);
        self.keep_absent(&update);
        update
    }

    /// Removes the earlier owners of frontends whose services are known by now.
    fn keep_absent(&mut self, update: &SourceUpdate) {
        let certain = update.complete && update.missing.is_empty();
        let has = |name: &ServiceName| {
            let mut parts = update.services.values();
            parts.any(|it| it.services.contains_key(name))
        };
        self.held = self.held.of_others(|name| certain || has(name));
    }

    /// Restores the versions that an earlier agent had in force. Returns the files of directories
    /// that are no longer read.
    pub fn recall(&mut self, stored: BTreeMap<PathBuf, Version>) -> Vec<PathBuf> {
        let mut others = Vec::new();
        for (path, version) in stored {
            let source = path.parent().and_then(|it| self.sources.get(it)).cloned();
            match source {
                Some(source) => {
                    let tracked = TrackedFile::remembered(&path, source, version);
                    self.files.insert(path, tracked);
                }
                None => others.push(path),
            }
        }
        others
    }

    /// Returns the versions to store for the next agent. A file that was never read whole is not
    /// stored, because the next agent would take the part for all of it.
    pub fn versions_to_store(&self) -> Versions {
        let mut versions = self.versions();
        versions.retain(|path, _| self.files[path].is_complete());
        versions
    }

    /// Returns the version of each file that is in force.
    pub fn versions(&self) -> Versions {
        self.files
            .iter()
            .filter_map(|(path, it)| Some((path.clone(), it.accepted.clone()?)))
            .collect()
    }

    /// Joins the files of each source.
    fn join(&mut self, complete: bool) -> BTreeMap<Source, Definitions> {
        let (joined, last) = Joined::of(self.joined.as_ref(), self.versions(), self.contents());
        // All services without endpoints are named while some may be missing.
        self.joined = complete.then_some(last);
        joined
    }

    /// Takes the files that were found, and parses new ones.
    fn take(&mut self, files: BTreeMap<PathBuf, std::io::Result<Found>>, now: Instant) {
        let mut changed = Vec::new();
        for (path, found) in files {
            let within = || {
                path.parent()
                    .and_then(|directory| self.sources.get(directory))
            };
            let source = self.sources.get(&path).or_else(within);
            let new = || TrackedFile::new(&path, source.cloned().flatten(), self.reads == 1);
            let tracked = self.files.entry(path.clone()).or_insert_with(new);
            match found {
                Ok(found) if !tracked.is(&found) => changed.push((path, found)),
                Ok(_) => tracked.set_unchanged(now),
                Err(error) => tracked.unreadable = Some(error.to_string()),
            }
        }
        for (path, file) in parse(changed, self.serve) {
            if let Some(tracked) = self.files.get_mut(&path) {
                tracked.set_latest(file, self.reads, now);
            }
        }
    }

    /// Returns the contents in force, by source.
    fn contents(&self) -> BTreeMap<Source, Vec<Arc<Contents>>> {
        let mut contents: BTreeMap<Source, Vec<Arc<Contents>>> = BTreeMap::new();
        for file in self.files.values() {
            if let Some(accepted) = &file.accepted {
                let of_source = contents.entry(file.source.clone()).or_default();
                of_source.push(Arc::clone(&accepted.contents));
            }
        }
        contents
    }
}

#[cfg(test)]
mod tests;
