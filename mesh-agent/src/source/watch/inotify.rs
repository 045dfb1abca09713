//! Watches directories with inotify and sends their changes to a queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use mesh_core::source::scan::is_ours;
use mesh_files::{scan, timed_fs};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc::Sender;
use tracing::warn;

use super::debounce::Change;

/// The inotify watches.
pub struct Inotify {
    /// Absent if no inotify instance is left.
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of each watched path at the time the watch was added.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl Inotify {
    /// Creates a watcher without watches.
    pub fn new(changes: Sender<Change>) -> Self {
        let report = move |event: notify::Result<Event>| {
            for change in event.map_or_else(|_| vec![Change::Other], changes_of) {
                // If the queue is full, the reader wakes up anyway.
                let _ = changes.try_send(change);
            }
        };
        let watcher = notify::recommended_watcher(report)
            .inspect_err(|error| warn!("no inotify, so files are compared every 150 ms: {error}"))
            .ok();
        Self {
            watcher,
            watched: BTreeMap::new(),
        }
    }

    /// Watches these directories and no others. Returns false if changes of some will not be
    /// reported.
    pub fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let stamps = timed_fs::each(directories.iter().cloned().collect(), |path| {
            Ok(scan::stamp(path))
        });
        // A path that times out here would block the watcher as well.
        let answered = stamps
            .into_iter()
            .filter_map(|(path, stamp)| Some((path, stamp.ok()?)));
        let found: BTreeMap<_, _> = answered
            .map(|(path, stamp)| (path, stamp.map(|stamp| stamp.identity())))
            .collect();
        for gone in self
            .watched
            .iter()
            .filter(|(path, identity)| found.get(*path) != Some(identity))
        {
            // The watch may be gone together with its directory.
            let _ = watcher.unwatch(gone.0);
        }
        // Watches are added even where one exists: a recreated directory may have the same inode.
        let found_watched = found
            .keys()
            .map(|path| watch_one(watcher, path))
            .fold(true, |all, one| all & one);
        let all = found_watched && found.len() == directories.len();
        self.watched = found;
        all
    }
}

fn watch_one(watcher: &mut RecommendedWatcher, path: &Path) -> bool {
    match watcher.watch(path, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            warn!(
                "{}: changes are not reported, so files are compared every 150 ms: {error}",
                path.display()
            );
            false
        }
    }
}

/// Converts an event to changes. Reads are ignored; otherwise each read would cause the next.
fn changes_of(event: Event) -> Vec<Change> {
    let to = |change: fn(PathBuf) -> Change| {
        let one = |path: PathBuf| {
            if is_ours(&path) {
                change(path)
            } else {
                Change::Other
            }
        };
        event.paths.into_iter().map(one).collect()
    };
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => to(Change::Written),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => to(Change::Closed),
        EventKind::Access(_) => Vec::new(),
        _ => vec![Change::Other],
    }
}
