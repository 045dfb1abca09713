//! Tells the kernel which cgroups and network namespaces are excluded.

use crate::{
    config::Settings,
    dataplane::{exclude, kernel::Kernel},
    namespaces::Namespaces,
};

/// Writes the excluded cgroups and namespaces to the kernel, resolved anew: a restarted pod has
/// another cgroup. Returns the problems.
pub(super) fn apply(kernel: &Kernel, settings: &Settings, namespaces: &Namespaces) -> Vec<String> {
    let (excluded, missing) = exclude::keys(
        &settings.excluded_cgroups,
        &settings.excluded_netns,
        |path| namespaces.cookie(path),
    );
    let mut problems: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if !excluded.is_empty() || !problems.is_empty() {
        problems.extend(
            kernel
                .exclude(&excluded)
                .err()
                .map(|error| error.to_string()),
        );
    }
    problems
}
