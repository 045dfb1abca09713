//! How long to wait after a change: until the writer is done, but never for ever.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use tokio::time::Instant;

/// Without a change for this long, a burst is over. Covers a writer that truncates, then writes.
const QUIET: Duration = Duration::from_millis(25);

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
pub struct Burst {
    first: Instant,
    last: Instant,
    /// Files between their first write and the close.
    written: HashSet<PathBuf>,
}

impl Burst {
    /// Starts with a change.
    pub fn new(change: Change, now: Instant) -> Self {
        let mut burst = Self { first: now, last: now, written: HashSet::new() };
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
        if self.written.is_empty() { (self.last + QUIET).min(self.first + LONGEST) } else { self.first + LONGEST_WRITE }
    }
}
