//! Settings of the owner before its first update, and the addresses of the node.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Owner, Replaces};
use crate::{
    dataplane::Dataplane,
    desired::Quotas,
    model::{Admission, Locality},
};

impl<D: Dataplane> Owner<D> {
    /// Sets the locality of this node. Call it once, before the first update.
    pub(in crate::agent) fn set_locality(&mut self, locality: Locality) {
        Arc::make_mut(&mut self.world).locality = locality;
    }

    /// Sets which addresses and node ports services may have. Call it once, before the first update.
    pub(in crate::agent) fn set_admission(&mut self, admission: Admission) {
        Arc::make_mut(&mut self.world).admission = Arc::new(admission);
    }

    /// Sets the names of all sources. Until each has sent an update, services may be missing. Call it
    /// once, before the first update.
    pub(in crate::agent) fn set_sources(&mut self, names: Vec<Arc<str>>) {
        self.source_names = names;
    }

    /// Sets the quotas of the maps. Call it once, before the first update.
    pub(in crate::agent) fn set_quotas(&mut self, quotas: Quotas) {
        self.quotas = quotas;
    }

    /// Sets which maps of an earlier agent are replaced. Call it once, before the first update.
    pub(in crate::agent) fn set_replaces(&mut self, replaces: Replaces) {
        self.replaces = replaces;
    }

    /// Sets the name and the addresses of this node; returns whether that needs a compile, which is
    /// never before the first update.
    pub(in crate::agent) fn set_node(&mut self, name: &str, addresses: BTreeSet<IpAddr>) -> bool {
        if self.world.node_name == name && self.world.node_addresses == addresses {
            return false;
        }
        let world = Arc::make_mut(&mut self.world);
        (world.node_name, world.node_addresses) = (name.to_owned(), addresses);
        self.plan_checks();
        self.needs_compile = self.accepted;
        self.accepted
    }
}
