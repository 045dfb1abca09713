//! Cgroups and network namespaces that are left alone.

use super::owner::Owner;
use crate::{
    config::Settings,
    dataplane::{exclude, kernel::Kernel},
};

/// Has the kernel leave out what the settings name, as it is now: a pod that starts again has
/// another cgroup. Whether something else cannot be found than before.
pub(super) fn leave_out(owner: &mut Owner<Kernel>, settings: &Settings) -> bool {
    let (excluded, missing) = exclude::keys(&settings.excluded_cgroups, &settings.excluded_netns);
    let mut problems: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if !excluded.is_empty() || !problems.is_empty() {
        problems.extend(
            owner
                .dataplane
                .exclude(&excluded)
                .err()
                .map(|error| error.to_string()),
        );
    }
    owner.set_excluded(problems)
}
