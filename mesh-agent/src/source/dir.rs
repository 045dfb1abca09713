//! Directories of files, and the last good version of each object in them.
//!
//! An object that is wrong, or that contradicts an older one, is served as it was when it was last good. So is everything
//! in a file that is half-written or cannot be read at all.

mod accept;
mod error_limit;
mod file_version;
mod lost_end;
mod parse;
mod tracked_file;

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use self::{
    accept::{Rejections, accept, note_uncertain},
    parse::parse,
    tracked_file::TrackedFile,
};
pub use self::{
    bound::{more_notes, refused as bound_refused},
    version::Version,
};
use super::{
    address_families,
    admission::admit,
    file::Contents,
    holders::Holders,
    join::{Slices, stray},
    memory::{Memory, Versions},
    merge::merge,
    nested_services, scan,
    scan::{Found, Scan},
};
use crate::{
    config::{Serve, ServiceDir, Source},
    model::{
        Admission, ConfigError, ConfigNote, Effect, Endpoint, Origin, Scope, Service, ServiceName, Services, Update,
        Wrong,
    },
};

/// Reads all directories once. There is no last good version then, so every problem shows.
pub fn read<D: Clone + Into<ServiceDir>>(directories: &[D]) -> Update {
    DirectoryReader::new(directories.iter().cloned(), false).read()
}

/// The same for directories, single files and, as `-`, standard input. Services keep the front ends that they hold. A
/// file without a word is an error: what was to write it may have failed.
pub fn read_paths(paths: &[ServiceDir], holders: FrontendOwners, admission: Admission) -> Update {
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().map(|given| given.path.clone()).partition(|path| path.is_dir());
    let mut scan = scan::scan(&directories);
    scan.files.extend(files.into_iter().map(|path| (path.clone(), scan::read_given(&path))));
    let empty: Vec<ConfigError> = scan.files.iter().filter_map(|(path, found)| given_empty(path, found)).collect();
    let mut reader = DirectoryReader::new(paths.iter().cloned(), false).keeping(|| holders).admitting(admission);
    let mut update = reader.read_scan(scan, Instant::now());
    update.errors_total += empty.len();
    update.errors.extend(empty);
    update.errors.sort_by(|a, b| a.origin.cmp(&b.origin));
    update
}

/// Reads directories again and again.
pub struct DirectoryReader {
    directories: Vec<PathBuf>,
    /// By directory.
    sources: HashMap<PathBuf, Source>,
    allow_empty: bool,
    serve: Serve,
    admission: Admission,
    /// Which service holds which front end outside of the cluster, and anywhere as long as it cannot be read.
    held: FrontendOwners,
    files: Files,
    /// What came of the last read, if it was one source and complete.
    merged: Option<Merged>,
    /// The services of the last read: their endpoints keep their addresses.
    before: Option<Services>,
    /// How often it has read.
    reads: u64,
    /// Says before the first choice between files which service holds what.
    holders: Option<AskHolders>,
    /// What an earlier agent had in force, and the next one will ask for.
    memory: Option<LastGoodStore>,
}

/// Finds out which service holds which front end; may wait for it.
type AskHolders = Box<dyn FnOnce() -> FrontendOwners + Send>;

/// Files by path.
type Files = BTreeMap<PathBuf, TrackedFile>;

/// What some versions of files said together.
struct Merged {
    versions: Versions,
    services: Services,
}

impl DirectoryReader {
    /// Nothing is read yet. `allow_empty` says that directories without any file mean what they seem to mean: no
    /// services.
    pub fn new<D: Into<ServiceDir>>(directories: impl IntoIterator<Item = D>, allow_empty: bool) -> Self {
        let given = directories.into_iter().map(Into::into).map(|ServiceDir { name, path }| (path, name));
        let (directories, sources) = given.map(|(path, name)| (path.clone(), (path, name))).unzip();
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
            memory: None,
        }
    }

    /// The same, but with a memory in the state directory.
    pub fn remembering(self, state_dir: &Path) -> Self {
        Self { memory: Some(LastGoodStore::new(state_dir)), ..self }
    }

    /// The same, but a service keeps the front ends that it holds before anything is read. `ask` is called once, after
    /// the first files were parsed.
    pub fn keeping(self, ask: impl FnOnce() -> FrontendOwners + Send + 'static) -> Self {
        Self { holders: Some(Box::new(ask)), ..self }
    }

    /// The same, but for which services it takes.
    pub fn serving(self, serve: Serve) -> Self {
        Self { serve, ..self }
    }

    /// The same, but services have only what these bounds allow.
    pub fn admitting(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The directories, as given.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Reads what is there now. Only files with other bytes than last time are parsed.
    pub fn read(&mut self) -> Update {
        self.read_at(Instant::now())
    }

    /// The same at a point in time.
    pub fn read_at(&mut self, now: Instant) -> Update {
        if self.reads == 0 {
            self.recall();
        }
        let scan = scan::scan(&self.directories);
        self.read_scan(scan, now)
    }

    /// Whether a file that had to be waited for counts as it is now, so that it is time to read.
    pub fn is_due(&self, now: Instant) -> bool {
        self.files.values().any(|file| file.is_due(now))
    }

    fn read_scan(&mut self, scan: Scan, now: Instant) -> Update {
        self.reads += 1;
        let mut update = Update { complete: true, ..Update::default() };
        let gone = self.forget_removed(&scan, &mut update);
        self.report_unreadable(&scan, &mut update);
        self.take(scan.files, now);
        // Later, what is served says which service holds what.
        if let Some(ask) = self.holders.take() {
            self.held = ask();
        }
        let at_start = self.before.is_none().then(|| self.held.clone());
        let Rejections { errors, wrong, missing } = accept(&mut self.files, &gone, &self.held, update.complete);
        update.errors.extend(errors);
        update.errors.extend(self.files.values().flat_map(TrackedFile::errors));
        update.wrong.extend(wrong);
        update.wrong.extend(self.files.values().filter_map(TrackedFile::wrong));
        update.complete &= self.files.values().all(TrackedFile::is_complete);
        self.merge(&mut update);
        tell_left_out(&mut update);
        note_uncertain(missing, &mut update);
        self.admit(&mut update);
        // At the start the kernel's rows say what was in force.
        let before = match self.before.take() {
            None => at_start,
            Some(last) => {
                nested_services::claim_anew(&last, &update.services).then(|| FrontendOwners::of_services(&last))
            }
        };
        let before = before.unwrap_or_default();
        crossings::refuse_newcomers(&mut update.services, &before, &self.admission).tell(&mut update);
        let contents: Vec<&Contents> = self.contents().into_values().flatten().collect();
        let slices = LazyCell::new(|| Slices::of(&contents));
        let addresses = |service: &Service| service.addresses.given().to_vec();
        let slice = |service: &Service, endpoint: &Endpoint| slices.listing(&service.name, endpoint).cloned();
        crossings::leave_out(&mut update.services, addresses, slice).tell(&mut update);
        update.notes.extend(families::notes(&update.services));
        self.before = Some(update.services.clone());
        let more = self.files.values().filter_map(Tracked::more);
        bound::bound(&mut update, &more.collect());
        update
    }

    /// Starts with what an earlier agent had in force. Files of directories that are not read any more are forgotten.
    fn recall(&mut self) {
        let Some(memory) = &mut self.memory else { return };
        let source = |path: &Path| self.sources.get(path.parent()?).cloned();
        let (known, others): (Vec<_>, Vec<_>) =
            memory.load(self.serve).into_iter().partition(|(path, _)| source(path).is_some());
        memory.forget_others(others.into_iter().map(|(path, _)| path));
        let remembered = known.into_iter().map(|(path, version)| {
            let tracked = TrackedFile::remembered(&path, source(&path).flatten(), version);
            (path, tracked)
        });
        self.files = remembered.collect();
        memory.know(self.files.iter().filter_map(|(path, it)| Some((path.clone(), it.accepted.clone()?))));
    }

    /// Writes down what is in force, but for files of more bytes than these. False when some are left. Of a file that was
    /// never read whole, the next agent must not believe that this is all.
    pub fn remember(&mut self, most: usize) -> bool {
        let mut versions = self.versions();
        versions.retain(|path, _| self.files[path].is_complete());
        self.memory.as_mut().is_none_or(|memory| memory.remember(&versions, most))
    }

    /// Entries of the memory that were written since the last call, and may not be on the disk yet.
    pub fn take_unsynced(&mut self) -> BTreeSet<PathBuf> {
        self.memory.as_mut().map(LastGoodStore::take_unsynced).unwrap_or_default()
    }

    /// What is wrong with the memory.
    pub fn memory_note(&self) -> Option<ConfigNote> {
        self.memory.as_ref()?.note()
    }

    /// What is in force of each file.
    fn versions(&self) -> Versions {
        self.files.iter().filter_map(|(path, it)| Some((path.clone(), it.accepted.clone()?))).collect()
    }

    /// Puts together what the files say. Where there is only one source, services of which no file says anything else
    /// than last time stay what they were.
    fn merge(&mut self, update: &mut Update) {
        let contents = self.contents();
        let is_plain = contents.len() == 1 && update.complete;
        let versions = self.versions();
        match self.merged.as_ref().filter(|_| is_plain) {
            Some(last) => {
                let touched = touched(&last.versions, &versions);
                merge(&contents, Some(&touched), update);
                let changed = std::mem::replace(&mut update.services, last.services.clone());
                touched.iter().for_each(|name| _ = update.services.remove(name));
                update.services.extend(changed.iter().map(|(name, service)| (name.clone(), Arc::clone(service))));
            }
            None => merge(&contents, None, update),
        }
        self.merged = is_plain.then(|| Merged { versions, services: update.services.clone() });
    }

    /// Takes out what services may not have.
    fn admit(&mut self, update: &mut Update) {
        let source = |origin: &Origin| {
            self.sources.get(&*origin.file).or_else(|| self.sources.get(origin.file.parent()?)).cloned().flatten()
        };
        let certain = update.complete && update.uncertain.is_empty();
        let refused = admit(&mut update.services, &self.admission, &mut self.held, certain, source);
        refused.tell(update);
    }

    /// Drops files that are gone, and returns them, unless all are: that is rather a volume that is not mounted.
    fn forget_removed(&mut self, scan: &Scan, update: &mut Update) -> Files {
        let mut gone = Files::new();
        let serves = self.files.values().any(TrackedFile::serves);
        if !scan.files.is_empty() || self.allow_empty {
            let unknown = |path: &Path| path.parent().is_some_and(|parent| scan.unreadable.contains_key(parent));
            gone = self.files.extract_if(.., |path, _| !scan.files.contains_key(path) && !unknown(path)).collect();
        } else if scan.unreadable.len() == self.directories.len() {
            // Not being able to look says nothing about files.
        } else if serves {
            update.errors.extend(self.directories.first().map(|directory| all_gone(directory)));
            update.wrong.extend(self.directories.iter().map(|directory| wrong(directory, Effect::Kept)));
        } else {
            self.files.clear();
            update.complete = false;
            update.notes.extend(self.directories.iter().map(|directory| empty(directory)));
        }
        gone
    }

    /// A directory that cannot be read keeps its files as they were.
    fn report_unreadable(&self, scan: &Scan, update: &mut Update) {
        for (directory, error) in &scan.unreadable {
            let reason = format!("directory cannot be read, its services stay as they were: {error}");
            update.errors.push(ConfigError { origin: origin(directory), field: String::new(), reason });
            let is_known = self.files.keys().any(|path| path.parent() == Some(directory));
            update.wrong.push(wrong(directory, if is_known { Effect::Kept } else { Effect::LeftOut }));
            update.complete &= is_known;
        }
    }

    /// Notes what was found, and parses what is new.
    fn take(&mut self, files: BTreeMap<PathBuf, std::io::Result<Found>>, now: Instant) {
        let mut changed = Vec::new();
        for (path, found) in files {
            let within = || path.parent().and_then(|directory| self.sources.get(directory));
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

    /// What is served, by source.
    fn contents(&self) -> BTreeMap<Source, Vec<&Contents>> {
        let mut contents: BTreeMap<Source, Vec<&Contents>> = BTreeMap::new();
        for file in self.files.values() {
            if let Some(accepted) = &file.accepted {
                contents.entry(file.source.clone()).or_default().push(&accepted.contents);
            }
        }
        contents
    }
}

/// Services of which files speak that are others than before.
fn touched(before: &Versions, after: &Versions) -> HashSet<ServiceName> {
    let other =
        |from: &Versions, path: &PathBuf, file: &Arc<Version>| !from.get(path).is_some_and(|it| Arc::ptr_eq(it, file));
    let gone = before.iter().filter(|(path, file)| other(after, path, file));
    let new = after.iter().filter(|(path, file)| other(before, path, file));
    gone.chain(new).flat_map(|(_, file)| file.contents.names()).cloned().collect()
}

/// Says of slices whose service is left out where it is wrong.
fn tell_left_out(update: &mut Update) {
    let left_out = update.wrong.iter().filter(|wrong| wrong.effect == Effect::LeftOut);
    let left_out: HashMap<String, &Origin> =
        left_out.filter_map(|wrong| Some((stray(&wrong.service_name()?), &wrong.origin))).collect();
    for note in &mut update.notes {
        if let Some(origin) = left_out.get(&note.message) {
            note.message =
                note.message.replace("which is not configured", &format!("which is left out because of {origin}"));
        }
    }
}

fn given_empty(path: &Path, found: &std::io::Result<Found>) -> Option<ConfigError> {
    let is_empty = found.as_ref().is_ok_and(|found| found.bytes.trim_ascii().is_empty());
    let reason =
        "empty: did the command that wrote it fail? To have no services, write `services: []` into it".to_owned();
    is_empty.then(|| ConfigError { origin: origin(path), field: String::new(), reason })
}

fn all_gone(directory: &Path) -> ConfigError {
    let reason = "no file is left in any directory, so the services stay as they were; \
                  to have none, leave a file that says `services: []`"
        .to_owned();
    ConfigError { origin: origin(directory), field: String::new(), reason }
}

fn wrong(directory: &Path, effect: Effect) -> Wrong {
    Wrong { origin: origin(directory), name: "the directory".to_owned(), scope: Scope::Directory, effect }
}

fn empty(directory: &Path) -> ConfigNote {
    let message = "no .yaml, .yml or .json file here; to have no services, leave a file that says `services: []`";
    ConfigNote { origin: origin(directory), message: message.to_owned() }
}

fn origin(path: &Path) -> Origin {
    Origin { file: Arc::new(path.to_owned()), line: 1 }
}

#[cfg(test)]
mod tests;
