//! The kernel's reports about directories.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc::Sender;
use tracing::warn;

use super::debounce::Change;
use crate::source::{scan, timed_fs};

/// Directories whose changes are reported.
pub struct Inotify {
    /// Missing when the kernel has no inotify instance left.
    watcher: Option<RecommendedWatcher>,
    /// By path, device and inode as they were armed.
    armed: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl Inotify {
    /// Nothing is armed yet.
    pub fn new(changes: Sender<Change>) -> Self {
        let report = move |event: notify::Result<Event>| {
            for change in event.map_or_else(|_| vec![Change::Other], changes_of) {
                // A full queue wakes the reader just as well.
                let _ = changes.try_send(change);
            }
        };
        let watcher = notify::recommended_watcher(report)
            .inspect_err(|error| warn!("no inotify, so files are compared every 150 ms: {error}"))
            .ok();
        Self { watcher, armed: BTreeMap::new() }
    }

    /// Arms these directories and no others. False when changes of some will not be reported.
    pub fn arm(&mut self, directories: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let stamps = timed_fs::each(directories.iter().cloned().collect(), |path| Ok(scan::stamp(path)));
        // What gives no answer now would give none to the watcher either.
        let answered = stamps.into_iter().filter_map(|(path, stamp)| Some((path, stamp.ok()?)));
        let found: BTreeMap<_, _> = answered.map(|(path, stamp)| (path, stamp.map(|stamp| stamp.identity()))).collect();
        for gone in self.armed.iter().filter(|(path, identity)| found.get(*path) != Some(identity)) {
            // It may be gone already together with its directory.
            let _ = watcher.unwatch(gone.0);
        }
        // Again even where it is armed: a directory made anew may have the inode of the one before it.
        let all = found.keys().map(|path| arm_one(watcher, path)).fold(true, |all, one| all & one);
        let all = all && found.len() == directories.len();
        self.armed = found;
        all
    }
}

fn arm_one(watcher: &mut RecommendedWatcher, path: &Path) -> bool {
    match watcher.watch(path, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            warn!("{}: changes are not reported, so files are compared every 150 ms: {error}", path.display());
            false
        }
    }
}

/// Reading is no change; otherwise every look would bring about the next.
fn changes_of(event: Event) -> Vec<Change> {
    let to = |change: fn(PathBuf) -> Change| {
        let one = |path: PathBuf| if scan::is_ours(&path) { change(path) } else { Change::Other };
        event.paths.into_iter().map(one).collect()
    };
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => to(Change::Written),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => to(Change::Closed),
        EventKind::Access(_) => Vec::new(),
        _ => vec![Change::Other],
    }
}
