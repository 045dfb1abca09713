//! Reads what changes on the node, and keeps the kernel up to date with it: addresses, cgroups and
//! program links.

use tracing::warn;

use super::{client_cgroups, event::NodeState, exclusions, node_addresses};
use crate::{
    config::Settings,
    dataplane::{kernel::Kernel, pin::Cgroup},
    namespaces::Namespaces,
};

/// Brings the kernel up to date with the node; returns the state that the owner depends on.
pub(super) fn look(
    kernel: &Kernel,
    settings: &Settings,
    namespaces: &Namespaces,
    cgroup: &Cgroup,
) -> NodeState {
    let excluded = exclusions::apply(kernel, settings, namespaces);
    client_cgroups::update(kernel, cgroup);
    let addresses = node_addresses::read();
    if let Err(error) = &addresses {
        warn!(
            "cannot read the addresses of this node, so node ports keep the earlier ones: {error}"
        );
    }
    NodeState {
        addresses: addresses.ok(),
        excluded,
        links: kernel.repair_links(cgroup),
    }
}
