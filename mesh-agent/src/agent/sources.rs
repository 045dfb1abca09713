//! Runs the sources of configuration. Each is a task that sends whole snapshots. One that ends is
//! reported and started again; the agent and the services of the source stay as they are.

mod files;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{context::Life, event::Event, inbox::Inbox, owner::Snapshot};
use crate::{config::Settings, source::SourceUpdate};

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
pub(super) fn start(context: &SourceContext) -> Vec<&'static str> {
    vec![context.run("files", files::run)]
}

impl SourceContext {
    /// Runs a source until the agent stops; returns its name.
    fn run<F>(
        &self,
        source: &'static str,
        start: fn(SourceContext, mpsc::Sender<SourceUpdate>) -> F,
    ) -> &'static str
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let context = self.clone();
        let start = move |updates| start(context.clone(), updates);
        let (inbox, stop) = (self.inbox.clone(), self.life.stop.clone());
        self.life.spawn(supervise(source, start, inbox, stop));
        source
    }
}

/// Runs a source, and starts it again after it ended, with longer and longer pauses.
async fn supervise<F>(
    source: &'static str,
    start: impl Fn(mpsc::Sender<SourceUpdate>) -> F,
    inbox: Inbox,
    stop: CancellationToken,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let reason = follow(source, &start, &inbox).await;
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
    source: &'static str,
    start: &impl Fn(mpsc::Sender<SourceUpdate>) -> F,
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
                let update = SourceUpdate { source, ..update };
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
