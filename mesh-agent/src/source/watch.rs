//! Watches the directories and sends an update after each burst of changes. Also compares the files
//! periodically, in case a change was not reported.

mod debounce;
mod inotify;
mod symlinks;

use std::{future::pending, time::Duration};

use mesh_files::{
    dir::DirectoryReader,
    scan::{self, Stamps},
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::{self, JoinHandle},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::{
    debounce::{Change, Debounce},
    inotify::Inotify,
};
use crate::{model::ConfigNote, private_files, source::SourceUpdate};

/// Period of comparing the files while the kernel reports changes.
const POLL: Duration = Duration::from_secs(2);

/// Period of comparing the files without inotify, when its instances or watches are used up.
const POLL_BLIND: Duration = Duration::from_millis(150);

/// Delay before files with new errors are read again: most often they were being written.
const SECOND_LOOK: Duration = Duration::from_millis(30);

/// Most repeated reads while the files keep changing.
const LOOKS: usize = 3;

/// Length of the queue of changes. When it is full, a further change may be dropped, because one
/// read handles them all.
const CHANGES: usize = 1024;

/// Most restarts of a read because links moved meanwhile.
const ATTEMPTS: usize = 3;

/// Files up to this size are stored before they are in force, because that is fast.
const SMALL: usize = 1 << 20;

/// Shortest time between storing larger files, which happens after they are in force.
const LARGE_EVERY: Duration = Duration::from_secs(1);

/// Sends the contents of the directories: at once, and again whenever they change. Ends when
/// cancelled or when the receiver is gone.
pub async fn watch(
    reader: DirectoryReader,
    updates: Sender<SourceUpdate>,
    cancel: CancellationToken,
) {
    cancel.run_until_cancelled(follow(reader, updates)).await;
}

async fn follow(reader: DirectoryReader, updates: Sender<SourceUpdate>) {
    let (changes, mut inbox) = mpsc::channel(CHANGES);
    let mut directories = Directories {
        reader,
        inotify: Inotify::new(changes),
        stamps: Stamps::new(),
        remembered: None,
        syncing: None,
    };
    let mut sent = None;
    loop {
        let (mut update, blind, note);
        (directories, (update, blind)) = look(directories, &mut inbox, sent.as_ref()).await;
        (directories, note) = blocking(directories, Directories::remember_small).await;
        update.notes.extend(note);
        if sent.as_ref() != Some(&update) {
            sent = Some(update.clone());
            if updates.send(update).await.is_err() {
                return;
            }
        }
        (directories, ()) = blocking(directories, Directories::remember_large).await;
        let poll = if blind { POLL_BLIND } else { POLL };
        directories = changed(directories, &mut inbox, poll, Instant::now()).await;
    }
}

/// Reads the directories, and reads them again before reporting a new error.
async fn look(
    mut directories: Directories,
    inbox: &mut Receiver<Change>,
    sent: Option<&SourceUpdate>,
) -> (Directories, (SourceUpdate, bool)) {
    let mut seen;
    (directories, seen) = blocking(directories, Directories::read).await;
    for _ in 0..LOOKS {
        let errors = &seen.0.errors;
        if errors.is_empty() || sent.is_some_and(|sent| sent.errors == *errors) {
            break;
        }
        let calm = calm(inbox).await;
        (directories, seen) = blocking(directories, Directories::read).await;
        if calm {
            break;
        }
    }
    (directories, seen)
}

/// Gives a writer time to finish. Returns true if nothing was written meanwhile.
async fn calm(inbox: &mut Receiver<Change>) -> bool {
    match timeout(SECOND_LOOK, inbox.recv()).await {
        Ok(Some(change)) => settled(change, inbox, Instant::now()).await,
        Ok(None) => tokio::time::sleep(SECOND_LOOK).await,
        Err(_) => return true,
    }
    false
}

/// Waits until the files may have changed since the last read.
async fn changed(
    mut directories: Directories,
    inbox: &mut Receiver<Change>,
    poll: Duration,
    looked: Instant,
) -> Directories {
    loop {
        match timeout(poll, inbox.recv()).await {
            Ok(Some(change)) => {
                settled(change, inbox, looked).await;
                return directories;
            }
            // Without inotify there is no sender.
            Ok(None) => tokio::time::sleep(poll).await,
            Err(_) => (directories, ()) = blocking(directories, Directories::remember_large).await,
        }
        let differ;
        (directories, differ) = blocking(directories, Directories::differ).await;
        if differ {
            return directories;
        }
    }
}

/// Waits until a burst of changes is over or has lasted long enough.
async fn settled(first: Change, inbox: &mut Receiver<Change>, looked: Instant) {
    let mut burst = Debounce::new(first, looked, Instant::now());
    while let Ok(Some(change)) = timeout_at(burst.due(), inbox.recv()).await {
        burst.add(change, Instant::now());
    }
}

/// Runs blocking file access outside the threads of the runtime.
async fn blocking<T: Send + 'static>(
    mut directories: Directories,
    work: fn(&mut Directories) -> T,
) -> (Directories, T) {
    let work = task::spawn_blocking(move || {
        let result = work(&mut directories);
        (directories, result)
    });
    match work.await {
        Ok(done) => done,
        // The agent ends, so the result is not needed.
        Err(error) if error.is_cancelled() => pending().await,
        Err(error) => panic!("reading files does not panic: {error}"),
    }
}

/// The directories, their last state, and the watcher of their changes.
struct Directories {
    reader: DirectoryReader,
    inotify: Inotify,
    /// State at the last read.
    stamps: Stamps,
    /// Time of the last store of large files, while some may be left.
    remembered: Option<Instant>,
    /// Task that syncs stored files to disk.
    syncing: Option<JoinHandle<()>>,
}

impl Directories {
    /// Reads all files, and returns whether some changes will not be reported.
    fn read(&mut self) -> (SourceUpdate, bool) {
        // The watches are set before anything is read, so that no change is missed.
        let mut links = symlinks::watched(self.reader.directories());
        for _ in 1..ATTEMPTS {
            let blind = !self.inotify.watch(&links);
            self.stamps = scan::stamps(self.reader.directories());
            let update = self.reader.update();
            let before =
                std::mem::replace(&mut links, symlinks::watched(self.reader.directories()));
            if links == before {
                return (update, blind);
            }
        }
        let blind = !self.inotify.watch(&links);
        (self.reader.update(), blind)
    }

    /// Stores small files. Returns the problem with the store, if any.
    fn remember_small(&mut self) -> Option<ConfigNote> {
        self.reader.remember(SMALL);
        self.reader.memory_note()
    }

    fn remember_large(&mut self) {
        if self
            .remembered
            .is_none_or(|last| last.elapsed() >= LARGE_EVERY)
            && !self.reader.remember(SMALL)
        {
            self.reader.remember(usize::MAX);
            self.remembered = Some(Instant::now());
        }
        self.sync();
    }

    /// Syncs stored files to disk in the background, so that they survive a power failure.
    fn sync(&mut self) {
        if self
            .syncing
            .as_ref()
            .is_some_and(|syncing| !syncing.is_finished())
        {
            return;
        }
        let entries = self.reader.take_unsynced();
        self.syncing = (!entries.is_empty()).then(|| {
            task::spawn_blocking(|| {
                if let Err(error) = private_files::sync(entries) {
                    warn!("cannot sync remembered files to disk, so a power failure may lose them: {error}");
                }
            })
        });
    }

    fn differ(&mut self) -> bool {
        scan::stamps(self.reader.directories()) != self.stamps
            || self.reader.is_due(std::time::Instant::now())
    }
}

#[cfg(test)]
mod tests;
