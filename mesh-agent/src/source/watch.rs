//! When to look: after every change of the files, once it is over, and every now and then in case one was missed.

mod debounce;
mod inotify;
mod symlinks;

use std::{future::pending, time::Duration};

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
use super::{
    dir::DirectoryReader,
    scan::{self, Stamps},
};
use crate::{
    model::{ConfigNote, Update},
    private,
};

/// How often to compare the files with what was read while the kernel reports changes.
const POLL: Duration = Duration::from_secs(2);

/// How often to compare them when it does not, because inotify instances or watches are used up.
const POLL_BLIND: Duration = Duration::from_millis(150);

/// What looks wrong is looked at again after this long: most often it was just being written.
const SECOND_LOOK: Duration = Duration::from_millis(30);

/// How often to look again while the files keep changing.
const LOOKS: usize = 3;

/// Changes that wait to be looked at. When it is full one more makes no difference, since all are looked at together.
const CHANGES: usize = 1024;

/// How often reading starts over because links moved under it.
const ATTEMPTS: usize = 3;

/// Files up to this size are written down before they are in force; that takes no time.
const SMALL: usize = 1 << 20;

/// How often larger files are written down at most, after they are in force.
const LARGE_EVERY: Duration = Duration::from_secs(1);

/// Sends what the directories say: at once, and again whenever it differs from what was sent last. Ends when it is
/// cancelled or the receiver is gone.
pub async fn watch(reader: DirectoryReader, updates: Sender<Update>, cancel: CancellationToken) {
    cancel.run_until_cancelled(follow(reader, updates)).await;
}

async fn follow(reader: DirectoryReader, updates: Sender<Update>) {
    let (changes, mut inbox) = mpsc::channel(CHANGES);
    let mut directories =
        Directories { reader, arms: Inotify::new(changes), stamps: Stamps::new(), remembered: None, syncing: None };
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

/// Reads, and looks again before it believes in an error that was not there before.
async fn look(
    mut directories: Directories,
    inbox: &mut Receiver<Change>,
    sent: Option<&Update>,
) -> (Directories, (Update, bool)) {
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

/// Gives a writer time to finish. True when nothing was written.
async fn calm(inbox: &mut Receiver<Change>) -> bool {
    match timeout(SECOND_LOOK, inbox.recv()).await {
        Ok(Some(change)) => settled(change, inbox, Instant::now()).await,
        Ok(None) => tokio::time::sleep(SECOND_LOOK).await,
        Err(_) => return true,
    }
    false
}

/// Returns when the files may have changed since they were looked at.
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
            // Without a kernel that reports changes there is no sender.
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

/// Returns when a burst of changes is over, or has gone on for long enough.
async fn settled(first: Change, inbox: &mut Receiver<Change>, looked: Instant) {
    let mut burst = Debounce::new(first, looked, Instant::now());
    while let Ok(Some(change)) = timeout_at(burst.due(), inbox.recv()).await {
        burst.add(change, Instant::now());
    }
}

/// Files are read by system calls that may take long, so never on a thread of the runtime.
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
        // The agent ends: what was read is not wanted any more.
        Err(error) if error.is_cancelled() => pending().await,
        Err(error) => panic!("reading files does not panic: {error}"),
    }
}

/// The directories, what is known of them, and what reports their changes.
struct Directories {
    reader: DirectoryReader,
    arms: Inotify,
    /// As of the last read.
    stamps: Stamps,
    /// When large files were written down last, while some may be left.
    remembered: Option<Instant>,
    /// Waits until what was written down is on the disk.
    syncing: Option<JoinHandle<()>>,
}

impl Directories {
    /// Reads everything, and says whether some changes will go unreported.
    fn read(&mut self) -> (Update, bool) {
        // Armed before anything is read, so that no change falls between.
        let mut links = symlinks::watched(self.reader.directories());
        for _ in 1..ATTEMPTS {
            let blind = !self.arms.arm(&links);
            self.stamps = scan::stamps(self.reader.directories());
            let update = self.reader.read();
            let before = std::mem::replace(&mut links, symlinks::watched(self.reader.directories()));
            if links == before {
                return (update, blind);
            }
        }
        let blind = !self.arms.arm(&links);
        (self.reader.read(), blind)
    }

    /// Returns what is wrong with the memory.
    fn remember_small(&mut self) -> Option<ConfigNote> {
        self.reader.remember(SMALL);
        self.reader.memory_note()
    }

    fn remember_large(&mut self) {
        if self.remembered.is_none_or(|last| last.elapsed() >= LARGE_EVERY) && !self.reader.remember(SMALL) {
            self.reader.remember(usize::MAX);
            self.remembered = Some(Instant::now());
        }
        self.sync();
    }

    /// Sees to it that what was written down survives a loss of power. No update waits for that.
    fn sync(&mut self) {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return;
        }
        let entries = self.reader.take_unsynced();
        self.syncing = (!entries.is_empty()).then(|| {
            task::spawn_blocking(|| {
                if let Err(error) = private::sync(entries) {
                    warn!("cannot see to it that remembered files survive a loss of power: {error}");
                }
            })
        });
    }

    fn differ(&mut self) -> bool {
        scan::stamps(self.reader.directories()) != self.stamps || self.reader.is_due(std::time::Instant::now())
    }
}
