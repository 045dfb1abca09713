//! Runs the sources of configuration. Each is a task that sends whole snapshots. One that ends is
//! reported and started again; the agent and the services of the source stay as they are.

mod files;
mod kubernetes;

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{context::Life, event::Event, frontend_owners, inbox::Inbox, owner::Snapshot};
use crate::{
    config::Settings,
    source::{SourceUpdate, frontend_owners::FrontendOwners},
};

/// Pause before a source is started again for the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause. A source that ran for longer begins with the first pause again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What sources get: they see the configuration of the agent, not its state.
#[derive(Clone)]
pub(super) struct SourceContext {
    pub(super) settings: Arc<Settings>,
    pub(super) inbox: Inbox,
    pub(super) life: Life,
    /// The snapshots of the owner, once there is one.
    pub(super) owner: watch::Receiver<Option<watch::Receiver<Snapshot>>>,
}

/// Starts all sources; returns their names.
pub(super) fn start(context: &SourceContext) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    if !context.settings.services.is_empty() {
        names.push(context.run("files".into(), files::run));
    }
    for cluster in &context.settings.clusters {
        let source = cluster.to_string().into();
        let cluster = cluster.clone();
        let run = move |context, updates| kubernetes::run(context, cluster.clone(), updates);
        names.push(context.run(source, run));
    }
    names
}

impl SourceContext {
    /// Returns the frontend owners in the kernel, which decide between services in conflict. Waits
    /// until the kernel's maps are read. Blocks.
    fn owners(mut self) -> FrontendOwners {
        // Fails when the agent cannot start.
        let ready = self.owner.wait_for(Option::is_some);
        let Ok(snapshots) = Handle::current().block_on(ready) else {
            return FrontendOwners::default();
        };
        let tables = snapshots.as_ref().map(|it| it.borrow().tables.clone());
        tables.map_or_else(FrontendOwners::default, |tables| {
            frontend_owners::in_kernel(&tables)
        })
    }

    /// Runs a source until the agent stops; returns its name.
    fn run<F>(
        &self,
        source: Arc<str>,
        start: impl Fn(SourceContext, mpsc::Sender<SourceUpdate>) -> F + Send + Sync + 'static,
    ) -> Arc<str>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let context = self.clone();
        let start = move |updates| start(context.clone(), updates);
        let (inbox, stop) = (self.inbox.clone(), self.life.stop.clone());
        self.life
            .spawn(supervise(Arc::clone(&source), start, inbox, stop));
        source
    }
}

/// Runs a source, and starts it again after it ended, with longer and longer pauses.
async fn supervise<F>(
    source: Arc<str>,
    start: impl Fn(mpsc::Sender<SourceUpdate>) -> F + Send + Sync,
    inbox: Inbox,
    stop: CancellationToken,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let reason = follow(&source, &start, &inbox).await;
        let source = Arc::clone(&source);
        if stop.is_cancelled() || !inbox.send(Event::SourceEnded { source, reason }).await {
            return;
        }
        if started.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        if timeout(pause, stop.cancelled()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes on what a source sends; returns why it ended.
async fn follow<F>(
    source: &Arc<str>,
    start: &(impl Fn(mpsc::Sender<SourceUpdate>) -> F + Send + Sync),
    inbox: &Inbox,
) -> String
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (sender, mut updates) = mpsc::channel(1);
    let mut task = tokio::spawn(start(sender));
    let ended = loop {
        tokio::select! {
            biased;
            Some(update) = updates.recv() => {
                let update = SourceUpdate { source: Arc::clone(source), ..update };
                // Fails when the agent is stopping, and the source with it.
                _ = inbox.send(Event::Source(update)).await;
            }
            ended = &mut task => break ended,
        }
    };
    match ended {
        Ok(Ok(())) => "it returned".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
