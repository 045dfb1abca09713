//! Collects removed backends, whose sockets may have to be closed.

use std::{collections::BTreeSet, mem};

use super::Owner;
use crate::{
    agent::event::RemovedBackends,
    dataplane::Dataplane,
    desired::plan::{Op, Write},
    stale::closes,
};

impl<D: Dataplane> Owner<D> {
    /// Returns the backends removed since the last call.
    pub(in crate::agent) fn take_removed_backends(&mut self) -> RemovedBackends {
        mem::take(&mut self.removed)
    }

    /// Records freed backends. Call it before the operations are applied, because freeing a row clears
    /// its socket counts.
    pub(super) fn note_freed(&mut self, ops: &[Op]) {
        let rows = ops.iter().filter_map(|op| {
            if let Op::Backend(index, Write::Free) = op {
                Some(*index)
            } else {
                None
            }
        });
        let freed = self.held(rows.collect());
        self.removed.freed.extend(freed);
    }

    /// Records removed backends. Call it with the operations that were applied.
    pub(super) fn note_removed(&mut self, ops: &[Op]) {
        let closed = ops.iter().filter_map(|op| match op {
            Op::Backend(index, Write::Put(row)) if closes(row) => Some(*index),
            _ => None,
        });
        let removed = self.held(closed.collect());
        self.removed.removed.extend(removed);
    }

    /// Returns those of the backends that sockets hold; all when that cannot be read.
    fn held(&self, backends: BTreeSet<u32>) -> BTreeSet<u32> {
        if backends.is_empty() {
            return backends;
        }
        self.dataplane.held(&backends).unwrap_or(backends)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_common::abi::BackendLoad;

    use super::*;
    use crate::{agent::owner::GRACE, dataplane::memory::Memory, desired::fixture, model::Update};

    const NOW: Duration = Duration::from_secs(100);

    /// Returns an owner of a service with two backends; sockets hold the one with index 0.
    fn owner(state: &tempfile::TempDir, drain_seconds: u64) -> Owner<Memory> {
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        configure(
            &mut owner,
            drain_seconds,
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
        );
        assert_eq!(owner.take_removed_backends(), RemovedBackends::default());
        owner.dataplane.set_load(
            0,
            BackendLoad {
                live: 1,
                ..BackendLoad::default()
            },
        );
        owner
    }

    fn configure(owner: &mut Owner<Memory>, drain_seconds: u64, endpoints: &[(&str, u32)]) {
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints);
        cart.close_stale_tcp = Some(Duration::from_secs(drain_seconds));
        owner.accept(Update {
            services: fixture::services([cart]),
            complete: true,
            ..Update::default()
        });
        owner.reconcile(NOW);
    }

    fn removed_backends(removed: &[u32], freed: &[u32]) -> RemovedBackends {
        RemovedBackends {
            removed: removed.iter().copied().collect(),
            freed: freed.iter().copied().collect(),
        }
    }

    #[test]
    fn backend_held_by_sockets_is_reported_when_removed_and_when_freed() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(&state, 0);
        configure(&mut owner, 0, &[]);
        assert_eq!(
            owner.take_removed_backends(),
            removed_backends(&[0], &[]),
            "no socket holds the other one"
        );
        owner.reconcile(NOW + GRACE / 2);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[]));
        owner.reconcile(NOW + GRACE);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[0]));
    }

    #[test]
    fn draining_backend_is_reported_when_the_drain_ends() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(&state, 5);
        configure(&mut owner, 5, &[]);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[]));
        owner.reconcile(NOW + Duration::from_secs(5));
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[0]));
    }
}
