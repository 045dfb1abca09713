//! Puts the changes of a cluster in force, in batches.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    task,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use super::{
    Cluster, State,
    client::client,
    pace::Pace,
    watch::{Change, watch},
};
use crate::source::{
    Kind, Serve, SourceUpdate,
    cluster::{ClusterReader, KINDS},
    frontend_owners::FrontendOwners,
};

/// Length of the queue of changes. When it is full, the watches wait.
const CHANGES: usize = 4096;
/// Least time between two writes of the state file.
const STORE: Duration = Duration::from_secs(30);

/// Sends the services of a cluster until `stop`. Fails if its configuration cannot be used.
pub async fn run(
    cluster: Cluster,
    serve: Serve,
    owners: FrontendOwners,
    state: State,
    updates: mpsc::Sender<SourceUpdate>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut reader = ClusterReader::new(cluster.name.clone(), serve, owners);
    let restored = restore(&mut reader, &state);
    let (sender, changes) = mpsc::channel(CHANGES);
    let mut follower = Follower {
        cluster: cluster.to_string(),
        reader,
        state,
        changes,
        updates,
        pace: Pace::default(),
        failures: BTreeMap::new(),
        has_news: restored,
        is_known: restored,
        stored: None,
    };
    if restored {
        follower.send().await;
    }
    let mut watches = Vec::new();
    for kind in KINDS {
        let answers = sender.clone();
        // Where the queue is full, what fills it shows that the API server answers.
        let answered = move || _ = answers.try_send(Change::Answered(kind));
        let client = client(&cluster, answered).await?;
        let watch = tokio::spawn(watch(client, kind, sender.clone()));
        watches.push(AbortOnDropHandle::new(watch));
    }
    stop.run_until_cancelled(follower.follow()).await;
    drop(watches);
    follower.store().await;
    Ok(())
}

/// Sets the objects that an earlier agent stored; returns whether there were any.
fn restore(reader: &mut ClusterReader, state: &State) -> bool {
    let objects = state.read().unwrap_or_else(|error| {
        let path = state.path().display();
        warn!(%path, "the stored objects cannot be read, so they come from the API server alone: {error}");
        Vec::new()
    });
    let count = objects.len();
    for (key, json) in objects {
        reader.set(key, json);
    }
    if count > 0 {
        info!(objects = count, "objects of an earlier agent restored");
    }
    count > 0
}

/// The present state of a cluster.
struct Follower {
    cluster: String,
    reader: ClusterReader,
    state: State,
    changes: mpsc::Receiver<Change>,
    updates: mpsc::Sender<SourceUpdate>,
    pace: Pace,
    /// Why a kind cannot be watched at present.
    failures: BTreeMap<Kind, String>,
    /// Whether something changed since the last update.
    has_news: bool,
    /// Whether the services are known, so that an update names them.
    is_known: bool,
    /// When the state file was written, and whether it is up to date.
    stored: Option<(Instant, bool)>,
}

impl Follower {
    /// Puts changes in force until the owner is gone.
    async fn follow(&mut self) {
        loop {
            let (send, store) = (self.send_at(), self.store_at());
            tokio::select! {
                change = self.changes.recv() => {
                    let Some(change) = change else { return };
                    self.take(change);
                    while let Ok(change) = self.changes.try_recv() {
                        self.take(change);
                    }
                }
                () = until(send) => {
                    if !self.send().await {
                        return;
                    }
                }
                () = until(store) => self.store().await,
            }
        }
    }

    /// Sends an update; returns whether the owner is still there.
    async fn send(&mut self) -> bool {
        let update = self.update();
        let is_taken = self.updates.send(update).await.is_ok();
        self.pace.sent(Instant::now());
        is_taken
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::ListBegins(kind) => self.reader.begin_list(kind),
            Change::ListEnds(kind) => {
                self.reader.end_list(kind);
                self.is_known |= self.reader.is_complete();
                self.has_news = true;
            }
            Change::Set(key, json) => {
                self.reader.set(key, json);
                self.has_news = true;
            }
            Change::Gone(key) => {
                self.reader.remove(key);
                self.has_news = true;
            }
            Change::Answered(kind) => self.recover(kind),
            Change::Failed(kind, reason) => {
                if self.failures.insert(kind, reason.clone()).is_none() {
                    warn!(
                        source = self.cluster,
                        "the API server cannot be asked: {reason}"
                    );
                }
                self.has_news = true;
            }
        }
    }

    fn recover(&mut self, kind: Kind) {
        if self.failures.remove(&kind).is_some() {
            info!(source = self.cluster, "the API server answers again");
            self.has_news = true;
        }
    }

    fn send_at(&self) -> Option<Instant> {
        // A part of the first list would be services without their endpoints.
        let can_tell = self.is_known || !self.failures.is_empty();
        (self.has_news && can_tell).then(|| self.pace.due(Instant::now()))
    }

    /// Returns all services, or only what is wrong while they are not known.
    fn update(&mut self) -> SourceUpdate {
        self.has_news = false;
        let update = if self.is_known {
            if let Some((_, is_stored)) = &mut self.stored {
                *is_stored = false;
            }
            self.reader.update()
        } else {
            SourceUpdate::default()
        };
        let problem = self.failures.values().next().map(|reason| {
            format!("the API server cannot be asked, so services stay as they were: {reason}")
        });
        SourceUpdate { problem, ..update }
    }

    fn store_at(&self) -> Option<Instant> {
        let is_complete = self.reader.is_complete() && !self.has_news;
        match self.stored {
            _ if !is_complete => None,
            None => Some(Instant::now()),
            Some((_, true)) => None,
            Some((at, false)) => Some(at + STORE),
        }
    }

    /// Writes the state file, unless it is up to date or not everything is known.
    async fn store(&mut self) {
        let is_stored = self.stored.is_some_and(|(_, is_stored)| is_stored);
        if is_stored || !self.reader.is_complete() {
            return;
        }
        let (state, text) = (self.state.clone(), State::text(&self.reader));
        let written = task::spawn_blocking(move || state.write(&text)).await;
        let error = match written {
            Ok(written) => written.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            let path = self.state.path().display();
            warn!(%path, "the objects of the cluster cannot be stored for the next agent: {error}");
        }
        self.stored = Some((Instant::now(), true));
    }
}

/// Waits until a time, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
