//! Debounces file changes: decides how long to wait for further changes before the files are read.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use tokio::time::Instant;

/// A burst is over after this time without a change. Covers a writer that truncates, then writes.
const QUIET: Duration = Duration::from_millis(25);

/// The same for an isolated change.
const QUIET_ALONE: Duration = Duration::from_millis(8);

/// A change is isolated if the last read was this long ago.
const ALONE: Duration = Duration::from_millis(250);

/// Files are read at least this often during a long burst.
const LONGEST: Duration = Duration::from_millis(100);

/// Longest wait for a file that was written to and not closed.
const LONGEST_WRITE: Duration = Duration::from_millis(500);

/// A change of a file that the kernel reports.
#[derive(Debug)]
pub enum Change {
    /// The file was written to; more writes may follow.
    Written(PathBuf),
    /// The writer closed the file.
    Closed(PathBuf),
    /// Any other change.
    Other,
}

/// A burst of changes.
pub struct Debounce {
    first: Instant,
    last: Instant,
    quiet: Duration,
    /// Files that were written to and not closed yet.
    written: HashSet<PathBuf>,
}

impl Debounce {
    /// Starts a burst with its first change; `looked` is the time of the last read.
    pub fn new(change: Change, looked: Instant, now: Instant) -> Self {
        let quiet = if now.duration_since(looked) < ALONE {
            QUIET
        } else {
            QUIET_ALONE
        };
        let mut burst = Self {
            first: now,
            last: now,
            quiet,
            written: HashSet::new(),
        };
        burst.add(change, now);
        burst
    }

    /// Adds another change.
    pub fn add(&mut self, change: Change, now: Instant) {
        self.last = now;
        match change {
            Change::Written(path) => drop(self.written.insert(path)),
            Change::Closed(path) => drop(self.written.remove(&path)),
            Change::Other => {}
        }
    }

    /// Returns when to read the files if nothing else changes.
    pub fn due(&self) -> Instant {
        if self.written.is_empty() {
            (self.last + self.quiet).min(self.first + LONGEST)
        } else {
            self.first + LONGEST_WRITE
        }
    }
}
