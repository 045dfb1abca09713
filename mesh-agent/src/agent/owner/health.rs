//! What health checks mean for the owner.

use std::{collections::BTreeSet, sync::Arc};

use mesh_common::abi::{BackendRow, backend_state};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{Target, World, identified},
};

impl<D: Dataplane> Owner<D> {
    /// TCP endpoints that the data plane holds as down. Before the first update those are the ones that an earlier agent
    /// found not to work, or not ready.
    pub(in crate::agent) fn down(&self) -> BTreeSet<Target> {
        let tables = &self.current;
        let down = tables.backends.values().filter(|row| row.state == backend_state::DOWN);
        let target = |row: &BackendRow| {
            let identity = tables.names.get(&row.service).filter(|identity| identity.ends_with("/TCP"))?;
            let service = identified(identity)?;
            Some(Target { service, address: row.addr.into(), port: u16::from_be(row.port) })
        };
        down.filter_map(target).collect()
    }

    /// What the sources say.
    pub(in crate::agent) fn world(&self) -> &World {
        &self.world
    }

    /// Takes which endpoints do not work; true when they are others than before.
    pub(in crate::agent) fn set_unhealthy(&mut self, unhealthy: BTreeSet<Target>) -> bool {
        if self.world.unhealthy == unhealthy {
            return false;
        }
        Arc::make_mut(&mut self.world).unhealthy = unhealthy;
        self.stale = self.accepted;
        self.accepted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{dataplane::memory::Memory, desired::fixture, model::Update};

    #[test]
    fn a_change_of_what_works_is_put_into_effect() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let target = Target { service: fixture::name("cart"), address: [10, 0, 0, 1].into(), port: 80 };
        let cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:80", 1)]);
        let services = fixture::services([cart]);
        owner.accept(Update { services, complete: true, ..Update::default() });
        owner.reconcile(Duration::from_secs(100));
        assert!(owner.is_applied());
        assert!(!owner.set_unhealthy(BTreeSet::new()));
        assert!(owner.is_applied());
        assert!(owner.set_unhealthy(BTreeSet::from([target.clone()])));
        assert!(!owner.is_applied(), "there is something to compile");
        owner.reconcile(Duration::from_secs(101));
        assert!(owner.is_applied() && owner.snapshot().world.unhealthy.contains(&target));
        assert_eq!(owner.down(), BTreeSet::from([target.clone()]));
        assert!(!owner.set_unhealthy(BTreeSet::from([target.clone()])));
        let restarted = Owner::new(owner.dataplane, vec![], state.path()).unwrap();
        assert_eq!(restarted.down(), BTreeSet::from([target]), "the rows remember");
    }
}
