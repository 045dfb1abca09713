//! The source that reads files of services.

use mesh_files::dir::DirectoryReader;
use tokio::sync::mpsc;

use super::SourceContext;
use crate::source::{SourceUpdate, watch::watch};

/// Sends the services of all directories until the agent stops.
pub(super) async fn run(
    context: SourceContext,
    updates: mpsc::Sender<SourceUpdate>,
) -> anyhow::Result<()> {
    let settings = &context.settings;
    let owners = context.clone();
    let reader = DirectoryReader::new(settings.services.clone(), settings.allow_empty)
        .serving(settings.serve)
        .admitting(settings.admission.clone())
        .remembering(&settings.state_dir)
        // The files are parsed meanwhile.
        .keeping(move || owners.owners());
    watch(reader, updates, context.life.stop).await;
    Ok(())
}
