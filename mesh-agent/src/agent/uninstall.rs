//! Removes an agent from the node: programs and maps from the kernel, then its files and its socket.

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;

use super::{state_files, state_lock::StateLock};
use crate::{
    api::server,
    config::Settings,
    dataplane::{
        other_agents,
        pin::{self, Cgroup, Removed},
    },
};

/// Removes everything of the agent with these settings; returns one line for each kind of thing
/// removed. Removes nothing while the agent runs, or when another agent's programs show that its
/// pins are elsewhere.
pub fn uninstall(settings: &Settings) -> anyhow::Result<Vec<String>> {
    if !geteuid().is_root() {
        bail!("only root can take programs out of the kernel: run `mesh-agent uninstall` as root");
    }
    let state = StateLock::of_existing(&settings.state_dir)?;
    if !pin::has_links(&settings.pin_dir) {
        check_cgroup(settings)?;
    }
    let Removed { programs, maps } = pin::uninstall(&settings.pin_dir)?;
    let (pin_dir, state_dir) = (settings.pin_dir.display(), settings.state_dir.display());
    let files = state_files::remove(&settings.state_dir, state.as_ref())
        .with_context(|| format!("cannot remove the agent's files in {state_dir}"))?;
    let mut lines = Vec::new();
    if programs + maps > 0 {
        lines.push(format!(
            "removed {programs} programs and {maps} maps, pinned in {pin_dir}"
        ));
    }
    if !files.is_empty() {
        lines.push(format!("removed from {state_dir}: {}", files.join(", ")));
    }
    if remove_socket(settings) {
        lines.push(format!("removed {}", settings.socket.display()));
    }
    if lines.is_empty() {
        lines.push(format!(
            "nothing to remove: no agent left pins in {pin_dir} or files in {state_dir}"
        ));
    }
    Ok(lines)
}

/// Fails when an agent with another pin directory serves the cgroup.
fn check_cgroup(settings: &Settings) -> anyhow::Result<()> {
    let Ok(cgroup) = Cgroup::open(&settings.cgroup) else {
        return Ok(());
    };
    let Err(other) = other_agents::check(&cgroup, &settings.pin_dir) else {
        return Ok(());
    };
    let advice = match other.pins() {
        Some(pins) => Settings {
            pin_dir: pins.to_owned(),
            ..settings.clone()
        }
        .uninstall_command(),
        None => "mesh-agent uninstall --pin-dir DIR".to_owned(),
    };
    bail!(
        "nothing was removed: no agent left programs in {}, and {}; run `{advice}` with that agent's --state-dir and --socket",
        settings.pin_dir.display(),
        other.serves()
    )
}

/// Removes the socket that a stopped agent left. Keeps it when an agent answers on it, or when it
/// may belong to an agent with another pin directory.
fn remove_socket(settings: &Settings) -> bool {
    let is_ours = settings.socket.exists() && !settings.socket_may_be_anothers();
    is_ours && server::unbind(&settings.socket).is_ok()
}
