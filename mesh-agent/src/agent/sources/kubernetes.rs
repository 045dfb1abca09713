//! The source that watches the objects of one cluster.

use tokio::{sync::mpsc, task};

use super::SourceContext;
use crate::source::{
    SourceUpdate,
    kubernetes::{self, Cluster, State},
};

/// Sends the services of a cluster until the agent stops.
pub(super) async fn run(
    context: SourceContext,
    cluster: Cluster,
    updates: mpsc::Sender<SourceUpdate>,
) -> anyhow::Result<()> {
    let settings = &context.settings;
    let state = State::new(&settings.state_dir, &cluster);
    let (serve, stop) = (settings.serve, context.life.stop.clone());
    let owners = context.clone();
    let owners = task::spawn_blocking(move || owners.owners()).await?;
    kubernetes::run(cluster, serve, owners, state, updates, stop).await
}
