//! The source that reads files of services.

use mesh_files::dir::DirectoryReader;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::SourceContext;
use crate::{
    agent::{frontend_owners, owner::Snapshot},
    source::{SourceUpdate, frontend_owners::FrontendOwners, watch::watch},
};

/// Sends the services of all directories until the agent stops.
pub(super) async fn run(
    context: SourceContext,
    updates: mpsc::Sender<SourceUpdate>,
) -> anyhow::Result<()> {
    let settings = &context.settings;
    let owner = context.owner.clone();
    let reader = DirectoryReader::new(settings.services.clone(), settings.allow_empty)
        .serving(settings.serve)
        .admitting(settings.admission.clone())
        .remembering(&settings.state_dir)
        .keeping(move || owners(owner));
    watch(reader, updates, context.life.stop).await;
    Ok(())
}

/// Returns the frontend owners in the kernel, which decide between conflicting files. Waits until
/// the kernel's maps are read; meanwhile the files are parsed.
fn owners(mut owner: watch::Receiver<Option<watch::Receiver<Snapshot>>>) -> FrontendOwners {
    // Fails when the agent cannot start.
    let Ok(snapshots) = Handle::current().block_on(owner.wait_for(Option::is_some)) else {
        return FrontendOwners::default();
    };
    let tables = snapshots.as_ref().map(|it| it.borrow().tables.clone());
    tables.map_or_else(FrontendOwners::default, |tables| {
        frontend_owners::in_kernel(&tables)
    })
}
