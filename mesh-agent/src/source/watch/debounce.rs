//! How long to wait after a change: until the writer is done, but never for ever.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use tokio::time::Instant;

/// Without a change for this long, a burst is over. Covers a writer that truncates, then writes.
const QUIET: Duration = Duration::from_millis(25);

/// The same for a change that comes alone.
const QUIET_ALONE: Duration = Duration::from_millis(8);

/// A change comes alone when this long nothing was looked at.
const ALONE: Duration = Duration::from_millis(250);

/// A burst without end is looked at this often.
const LONGEST: Duration = Duration::from_millis(100);

/// A file that was written to and not closed is waited for this long.
const LONGEST_WRITE: Duration = Duration::from_millis(500);

/// What the kernel reports of a file.
#[derive(Debug)]
pub enum Change {
    /// It was written to; more may come.
    Written(PathBuf),
    /// Its writer closed it.
    Closed(PathBuf),
    /// Anything else.
    Other,
}

/// Changes that belong together.
pub struct Debounce {
    first: Instant,
    last: Instant,
    quiet: Duration,
    /// Files between their first write and the close.
    written: HashSet<PathBuf>,
}

impl Debounce {
    /// Starts with a change; `looked` is when the files were looked at last.
    pub fn new(change: Change, looked: Instant, now: Instant) -> Self {
        let quiet = if now.duration_since(looked) < ALONE { QUIET } else { QUIET_ALONE };
        let mut burst = Self { first: now, last: now, quiet, written: HashSet::new() };
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

    /// When to look if nothing more happens.
    pub fn due(&self) -> Instant {
        if self.written.is_empty() {
            (self.last + self.quiet).min(self.first + LONGEST)
        } else {
            self.first + LONGEST_WRITE
        }
    }
}
