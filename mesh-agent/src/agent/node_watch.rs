//! Follows what changes on the node: its addresses, cgroups and program links.

use tracing::{info, warn};

use super::{client_cgroups, exclusions, node_addresses, owner::Owner};
use crate::{
    config::Settings,
    dataplane::{kernel::Kernel, pin::Cgroup},
};

/// Brings the owner up to date with the node; returns whether anything changed.
pub(super) fn check(owner: &mut Owner<Kernel>, settings: &Settings, cgroup: &Cgroup) -> bool {
    let excluded = exclusions::apply(owner, settings);
    client_cgroups::update(&owner.dataplane, cgroup);
    let addresses = check_addresses(owner, settings);
    let problems = owner.dataplane.repair_links(cgroup);
    excluded | addresses | owner.set_links(problems)
}

fn check_addresses(owner: &mut Owner<Kernel>, settings: &Settings) -> bool {
    match node_addresses::read() {
        Ok(addresses) => {
            let count = addresses.len();
            let changed = owner.set_node(&settings.node_name, addresses);
            if changed {
                info!(
                    addresses = count,
                    "addresses of this node changed; node ports follow"
                );
            }
            changed
        }
        Err(error) => {
            warn!(
                "cannot read the addresses of this node, so node ports keep the earlier ones: {error}"
            );
            false
        }
    }
}
