//! Directories of files, and the last good version of each.
//!
//! A file that is wrong, half-written or unreadable is served as it was when it was last good; a file that
//! contradicts another is, too, and the one that changed last is the one to blame.

mod accept;
mod tracked;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use self::tracked::Tracked;
use super::{
    crossings,
    file::{Contents, File},
    holders::Holders,
    merge::merge,
    scan,
    scan::{Found, Scan},
};
use crate::{
    config::{Serve, ServiceDir, Source},
    model::{ConfigError, ConfigNote, Origin, ServiceName, Services, Update},
};

/// Reads all directories once. There is no last good version then, so every problem shows.
pub fn read<D: Clone + Into<ServiceDir>>(directories: &[D]) -> Update {
    Reader::new(directories.iter().cloned(), false).read()
}

/// The same for directories, single files and, as `-`, standard input. Services keep the front ends that they hold.
pub fn read_paths(paths: &[ServiceDir], holders: Holders) -> Update {
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().map(|given| given.path.clone()).partition(|path| path.is_dir());
    let mut scan = scan::scan(&directories);
    scan.files.extend(files.into_iter().map(|path| (path.clone(), scan::read_given(&path))));
    Reader::new(paths.iter().cloned(), false).keeping(|| holders).read_scan(scan)
}

/// Reads directories again and again.
pub struct Reader {
    directories: Vec<PathBuf>,
    /// By directory.
    sources: HashMap<PathBuf, Source>,
    allow_empty: bool,
    serve: Serve,
    files: BTreeMap<PathBuf, Tracked>,
    /// What came of the last read, if it was one source and complete.
    merged: Option<Merged>,
    /// How often it has read.
    reads: u64,
    /// Says before the first choice between files which service holds what.
    holders: Option<AskHolders>,
}

/// Finds out which service holds which front end; may wait for it.
type AskHolders = Box<dyn FnOnce() -> Holders + Send>;

/// The version of each file that is served.
type Versions = BTreeMap<PathBuf, Arc<File>>;

/// What some versions of files said together.
struct Merged {
    versions: Versions,
    services: Services,
}

/// A file to parse.
type Unparsed = (PathBuf, Found);

impl Reader {
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
            files: BTreeMap::new(),
            merged: None,
            reads: 0,
            holders: None,
        }
    }

    /// The same, but a service keeps the front ends that it holds before anything is read. `ask` is called once, after
    /// the first files were parsed.
    pub fn keeping(self, ask: impl FnOnce() -> Holders + Send + 'static) -> Self {
        Self { holders: Some(Box::new(ask)), ..self }
    }

    /// The same, but for which services it takes.
    pub fn serving(self, serve: Serve) -> Self {
        Self { serve, ..self }
    }

    /// The directories, as given.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Reads what is there now. Only files with other bytes than last time are parsed.
    pub fn read(&mut self) -> Update {
        let scan = scan::scan(&self.directories);
        self.read_scan(scan)
    }

    fn read_scan(&mut self, scan: Scan) -> Update {
        self.reads += 1;
        let mut update = Update { complete: true, ..Update::default() };
        self.forget_removed(&scan, &mut update);
        self.report_unreadable(&scan, &mut update);
        self.take(scan.files);
        // Later, what is served says which service holds what.
        let holders = self.holders.take().map_or_else(Holders::default, |ask| ask());
        update.errors.extend(accept::accept(&mut self.files, &holders));
        update.errors.extend(self.files.values().flat_map(Tracked::errors));
        update.complete &= self.files.values().all(Tracked::is_complete);
        self.merge(&mut update);
        let crossings = crossings::leave_out(&mut update.services, |service| service.addresses.given().to_vec());
        update.errors.extend(crossings);
        update.errors.sort_unstable();
        update
    }

    /// Puts together what the files say. Where there is only one source, services of which no file says anything else
    /// than last time stay what they were.
    fn merge(&mut self, update: &mut Update) {
        let contents = self.contents();
        let is_plain = contents.len() == 1 && update.complete;
        let versions: Versions =
            self.files.iter().filter_map(|(path, it)| Some((path.clone(), it.accepted.clone()?))).collect();
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

    /// Drops files that are gone, unless all are: that is rather a volume that is not mounted.
    fn forget_removed(&mut self, scan: &Scan, update: &mut Update) {
        let serves = self.files.values().any(Tracked::serves);
        if !scan.files.is_empty() || self.allow_empty {
            let unknown = |path: &Path| path.parent().is_some_and(|parent| scan.unreadable.contains_key(parent));
            self.files.retain(|path, _| scan.files.contains_key(path) || unknown(path));
        } else if scan.unreadable.len() == self.directories.len() {
            // Not being able to look says nothing about files.
        } else if serves {
            update.errors.extend(self.directories.first().map(|directory| all_gone(directory)));
        } else {
            self.files.clear();
            update.complete = false;
            update.notes.extend(self.directories.iter().map(|directory| empty(directory)));
        }
    }

    /// A directory that cannot be read keeps its files as they were.
    fn report_unreadable(&self, scan: &Scan, update: &mut Update) {
        for (directory, error) in &scan.unreadable {
            let reason = format!("directory cannot be read, its services stay as they were: {error}");
            update.errors.push(ConfigError { origin: origin(directory), field: String::new(), reason });
            update.complete &= self.files.keys().any(|path| path.parent() == Some(directory));
        }
    }

    /// Notes what was found, and parses what is new.
    fn take(&mut self, files: BTreeMap<PathBuf, std::io::Result<Found>>) {
        let mut changed = Vec::new();
        for (path, found) in files {
            let within = || path.parent().and_then(|directory| self.sources.get(directory));
            let source = self.sources.get(&path).or_else(within);
            let new = || Tracked::new(&path, source.cloned().flatten(), self.reads == 1);
            let tracked = self.files.entry(path.clone()).or_insert_with(new);
            match found {
                Ok(found) if !tracked.is(&found) => changed.push((path, found)),
                Ok(_) => tracked.unreadable = None,
                Err(error) => tracked.unreadable = Some(error.to_string()),
            }
        }
        for (path, file) in parse(changed, self.serve) {
            if let Some(tracked) = self.files.get_mut(&path) {
                tracked.set_latest(file, self.reads);
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
        |from: &Versions, path: &PathBuf, file: &Arc<File>| !from.get(path).is_some_and(|it| Arc::ptr_eq(it, file));
    let gone = before.iter().filter(|(path, file)| other(after, path, file));
    let new = after.iter().filter(|(path, file)| other(before, path, file));
    gone.chain(new).flat_map(|(_, file)| file.contents.names()).cloned().collect()
}

/// Parses files on all processors.
fn parse(files: Vec<Unparsed>, serve: Serve) -> Vec<(PathBuf, File)> {
    let parse_one = |(path, found): Unparsed| {
        let file = File::parse(&Arc::new(path.clone()), found.identity, found.bytes, serve);
        (path, file)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    if workers < 2 {
        return files.into_iter().map(parse_one).collect();
    }
    let queue = Mutex::new(files);
    let next = || queue.lock().expect("nobody panics with the lock").pop();
    let work = || std::iter::from_fn(next).map(parse_one).collect::<Vec<_>>();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("parsing does not panic")).collect()
    })
}

fn all_gone(directory: &Path) -> ConfigError {
    let reason = "no file is left in any directory, so the services stay as they were; \
                  to have none, leave a file that says `services: []`"
        .to_owned();
    ConfigError { origin: origin(directory), field: String::new(), reason }
}

fn empty(directory: &Path) -> ConfigNote {
    let message = "no .yaml, .yml or .json file here; to have no services, leave a file that says `services: []`";
    ConfigNote { origin: origin(directory), message: message.to_owned() }
}

fn origin(directory: &Path) -> Origin {
    Origin { file: Arc::new(directory.to_owned()), line: 1 }
}

#[cfg(test)]
mod tests;
