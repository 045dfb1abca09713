//! Tells the kernel which cgroups hold clients.

use tracing::warn;

use crate::dataplane::{clients, kernel::Kernel, pin::Cgroup};

/// Looks for them below the agent's cgroup. On failure the kernel keeps the earlier ones.
pub(super) fn update(kernel: &Kernel, cgroup: &Cgroup) {
    let groups = clients::groups(cgroup.path()).map_err(|error| error.to_string());
    if let Err(error) = groups.and_then(|groups| {
        kernel
            .set_groups(&groups)
            .map_err(|error| error.to_string())
    }) {
        warn!(
            "cannot look for the cgroups of clients below {}: {error}",
            cgroup.path().display()
        );
    }
}
