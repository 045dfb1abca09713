//! Backends that left, for the search for their sockets.

use std::{collections::BTreeSet, mem};

use super::Owner;
use crate::{dataplane::Dataplane, desired::plan::Op, stale::closes};

/// Backends that left while sockets held them. No others are worth a look at all sockets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::agent) struct RemovedBackends {
    /// They take no more connects, and their sockets are to be closed.
    pub(in crate::agent) removed: BTreeSet<u32>,
    /// Their rows were freed: the time to drain is over, or a connect under way when they left has
    /// taken them.
    pub(in crate::agent) freed: BTreeSet<u32>,
}

impl<D: Dataplane> Owner<D> {
    /// Backends that left since the last call.
    pub(in crate::agent) fn take_removed_backends(&mut self) -> RemovedBackends {
        mem::take(&mut self.removed)
    }

    /// To be called before operations are carried out: freeing a row clears what is known of its
    /// sockets.
    pub(super) fn note_freed(&mut self, ops: &[Op]) {
        let freed = ops.iter().filter_map(|op| {
            if let Op::FreeBackend(index) = op {
                Some(*index)
            } else {
                None
            }
        });
        let freed = self.held(freed.collect());
        self.removed.freed.extend(freed);
    }

    /// To be called with operations that were carried out.
    pub(super) fn note_removed(&mut self, ops: &[Op]) {
        let removed = ops.iter().filter_map(|op| match op {
            Op::PutBackend(index, row) if closes(row) => Some(*index),
            _ => None,
        });
        let removed = self.held(removed.collect());
        self.removed.removed.extend(removed);
    }

    /// Of these backends those that sockets hold, as far as can be read.
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

    /// An owner of a service with two backends, of which sockets hold the one with the index 0.
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
    fn a_backend_that_sockets_hold_leaves_with_the_change_and_again_when_it_is_freed() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(&state, 0);
        configure(&mut owner, 0, &[]);
        assert_eq!(
            owner.take_removed_backends(),
            removed_backends(&[0], &[]),
            "nothing holds the other one"
        );
        owner.reconcile(NOW + GRACE / 2);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[]));
        owner.reconcile(NOW + GRACE);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[0]));
    }

    #[test]
    fn a_backend_with_time_to_drain_leaves_when_that_is_over() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(&state, 5);
        configure(&mut owner, 5, &[]);
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[]));
        owner.reconcile(NOW + Duration::from_secs(5));
        assert_eq!(owner.take_removed_backends(), removed_backends(&[], &[0]));
    }
}
