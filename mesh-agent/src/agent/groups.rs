//! Tells the kernel which cgroups hold clients, as they come and go.

use tracing::warn;

use crate::dataplane::{clients, kernel::Kernel, pin::Cgroup};

/// Looks for them below the agent's cgroup. Where that fails, clients are what they were.
pub(super) fn tell(kernel: &Kernel, cgroup: &Cgroup) {
    let told = clients::groups(cgroup.path()).map_err(|error| error.to_string());
    if let Err(error) = told.and_then(|groups| {
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
