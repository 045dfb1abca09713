//! Tells the kernel which cgroups and network namespaces are excluded.

use super::owner::Owner;
use crate::{
    config::Settings,
    dataplane::{exclude, kernel::Kernel},
};

/// Writes the excluded cgroups and namespaces to the kernel, resolved anew: a restarted pod has
/// another cgroup. Returns whether the problems changed.
pub(super) fn apply(owner: &mut Owner<Kernel>, settings: &Settings) -> bool {
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
