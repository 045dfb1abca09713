//! Turns the files of directories, scanned repeatedly, into services, and keeps the last good
//! version of each object.
//!
//! An object that is wrong or conflicts with an older one stays in force in its last good version.
//! So do all objects of a file that is half-written or cannot be read.

mod accept;
mod lost_end;
mod merged;
mod parse;
mod paths;
mod tracked_file;

use std::{
    cell::LazyCell,
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Instant,
};

pub use self::paths::given_empty;
use self::{
    accept::{Rejections, accept, note_uncertain},
    merged::Merged,
    parse::parse,
    paths::{forget_removed, report_unreadable},
    tracked_file::{Files, TrackedFile},
};
use super::{
    address_families,
    admission::admit,
    contents::Contents,
    error_limit,
    frontend_owners::FrontendOwners,
    join::{Slices, stray},
    nested_services,
    scan::{Found, Scan},
};
pub use super::{
    error_limit::refused as bound_refused,
    file_version::{Version, Versions},
};
use crate::{
    model::{Admission, Effect, Endpoint, Origin, Service, Services, Update},
    source::{Serve, ServiceDir, Source},
};

/// Reads scans of directories.
pub struct ScanReader {
    directories: Vec<PathBuf>,
    /// Source of each directory.
    sources: HashMap<PathBuf, Source>,
    allow_empty: bool,
    serve: Serve,
    admission: Admission,
    /// Owners of front ends outside the cluster, and of all front ends of services that cannot be
    /// read at present.
    held: FrontendOwners,
    files: Files,
    /// Result of the last read, if it was complete and of one source.
    merged: Option<Merged>,
    /// Services of the last read, whose endpoints keep their addresses.
    before: Option<Services>,
    /// Number of reads.
    reads: u64,
    /// Asked once, before the first choice between files, for the owners of front ends.
    holders: Option<AskHolders>,
}

/// Returns the owners of front ends; may block.
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
            merged: None,
            before: None,
            reads: 0,
            holders: None,
        }
    }

    /// Lets services keep the front ends that they hold before the first read. `ask` is called
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
    pub fn read(&mut self, scan: Scan, now: Instant) -> Update {
        self.reads += 1;
        let mut update = Update {
            complete: true,
            ..Update::default()
        };
        let directories = (&*self.directories, self.allow_empty);
        let gone = forget_removed(&mut self.files, &scan, directories, &mut update);
        report_unreadable(&self.files, &scan, &mut update);
        self.take(scan.files, now);
        // Later reads derive the owners from what is served.
        if let Some(ask) = self.holders.take() {
            self.held = ask();
        }
        let at_start = self.before.is_none().then(|| self.held.clone());
        let Rejections {
            errors,
            wrong,
            missing,
        } = accept(&mut self.files, &gone, &self.held, update.complete);
        update.errors.extend(errors);
        update
            .errors
            .extend(self.files.values().flat_map(TrackedFile::errors));
        update.wrong.extend(wrong);
        update
            .wrong
            .extend(self.files.values().filter_map(TrackedFile::wrong));
        update.complete &= self.files.values().all(TrackedFile::is_complete);
        self.merge(&mut update);
        tell_left_out(&mut update);
        note_uncertain(missing, &mut update);
        self.admit(&mut update);
        // At the start, the kernel's rows tell what was in force.
        let before = match self.before.take() {
            None => at_start,
            Some(last) => nested_services::claim_anew(&last, &update.services)
                .then(|| FrontendOwners::of_services(&last)),
        };
        let before = before.unwrap_or_default();
        nested_services::refuse_newcomers(&mut update.services, &before, &self.admission)
            .tell(&mut update);
        let contents: Vec<&Contents> = self.contents().into_values().flatten().collect();
        let slices = LazyCell::new(|| Slices::of(&contents));
        let addresses = |service: &Service| service.addresses.given().to_vec();
        let slice = |service: &Service, endpoint: &Endpoint| {
            slices.listing(&service.name, endpoint).cloned()
        };
        nested_services::leave_out(&mut update.services, addresses, slice).tell(&mut update);
        update
            .notes
            .extend(address_families::notes(&update.services));
        self.before = Some(update.services.clone());
        let more = self.files.values().filter_map(TrackedFile::more);
        error_limit::bound(&mut update, &more.collect());
        update
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

    /// Merges the files.
    fn merge(&mut self, update: &mut Update) {
        let merged = Merged::of(
            self.merged.as_ref(),
            self.versions(),
            &self.contents(),
            update,
        );
        self.merged = merged;
    }

    /// Removes claims that are not admitted.
    fn admit(&mut self, update: &mut Update) {
        let source = |origin: &Origin| {
            self.sources
                .get(&*origin.file)
                .or_else(|| self.sources.get(origin.file.parent()?))
                .cloned()
                .flatten()
        };
        let certain = update.complete && update.uncertain.is_empty();
        let refused = admit(
            &mut update.services,
            &self.admission,
            &mut self.held,
            certain,
            source,
        );
        refused.tell(update);
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
    fn contents(&self) -> BTreeMap<Source, Vec<&Contents>> {
        let mut contents: BTreeMap<Source, Vec<&Contents>> = BTreeMap::new();
        for file in self.files.values() {
            if let Some(accepted) = &file.accepted {
                contents
                    .entry(file.source.clone())
                    .or_default()
                    .push(&accepted.contents);
            }
        }
        contents
    }
}

/// Adds to notes about unused slices where their service is wrong.
fn tell_left_out(update: &mut Update) {
    let left_out = update
        .wrong
        .iter()
        .filter(|wrong| wrong.effect == Effect::LeftOut);
    let left_out: HashMap<String, &Origin> = left_out
        .filter_map(|wrong| Some((stray(&wrong.service_name()?), &wrong.origin)))
        .collect();
    for note in &mut update.notes {
        if let Some(origin) = left_out.get(&note.message) {
            note.message = note.message.replace(
                "which is not configured",
                &format!("which is left out because of {origin}"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
