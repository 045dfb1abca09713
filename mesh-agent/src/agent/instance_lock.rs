//! Keeps a second agent off the same cgroup and directories.

use tracing::warn;

use super::state_lock::{self, StateLock};
use crate::{
    api,
    config::Settings,
    dataplane::{
        other_agents,
        pin::{Cgroup, PinDir},
    },
};

/// Locks the state directory and the pin directory. Fails, having changed nothing, when another
/// agent serves the cgroup or uses one of the directories. Continues without the state lock when
/// the state directory cannot be locked for another reason.
pub(super) fn lock(
    settings: &Settings,
    cgroup: &Cgroup,
) -> anyhow::Result<(Option<StateLock>, PinDir)> {
    if !settings.allow_second_agent {
        other_agents::check(cgroup, &settings.pin_dir)?;
    }
    let state = match StateLock::take(&settings.state_dir) {
        Err(error @ state_lock::Error::NotPrivate(_)) => return Err(error.into()),
        Err(error @ state_lock::Error::Taken { .. }) if !settings.allow_second_agent => {
            return Err(error.into());
        }
        Err(error) => {
            warn!("{error}");
            None
        }
        Ok(lock) => Some(lock),
    };
    // Checked before anything is pinned, because pins stay when the start fails.
    let unused = api::server::check_unused(&settings.socket).map_err(anyhow::Error::from);
    match unused.and_then(|()| Ok(PinDir::lock(&settings.pin_dir)?)) {
        Ok(pins) => Ok((state, pins)),
        Err(error) => {
            state.into_iter().for_each(StateLock::undo);
            Err(error)
        }
    }
}
