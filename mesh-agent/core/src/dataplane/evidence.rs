//! Records of the clients of this node about backends whose connects failed: by agreement, and of
//! each client alone.

use std::collections::BTreeMap;

use mesh_common::{
    abi::{BackendLoad, OutcomeKey, OutcomeRow},
    agreement::{Agreement, Standing},
    ejection::Health,
};

use crate::desired::Tables;

/// What clients recorded about one backend.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// Agreement of all clients.
    pub agreement: Agreement,
    /// Record of each client.
    pub records: BTreeMap<u32, Health>,
}

impl Evidence {
    /// Collects the records of backends that are not clear. Ignores rows of an earlier use of an
    /// index.
    pub fn gather(
        tables: &Tables,
        loads: &[(u32, BackendLoad)],
        rows: &[(OutcomeKey, OutcomeRow)],
    ) -> BTreeMap<u32, Self> {
        let of = |load: &BackendLoad| Self {
            agreement: Agreement::of(load.health),
            records: BTreeMap::new(),
        };
        let doubted = loads.iter().filter(|(_, load)| load.health != 0);
        let mut found: BTreeMap<u32, Self> =
            doubted.map(|(index, load)| (*index, of(load))).collect();
        for (key, row) in rows {
            let is_it = tables
                .backends
                .get(&row.backend)
                .is_some_and(|backend| backend.generation == row.generation);
            if let Some(evidence) = found.get_mut(&row.backend).filter(|_| is_it) {
                evidence.records.insert(key.client, Health::of(row.health));
            }
        }
        found
    }

    /// Returns the evidence if any of it is still valid at `now`, in milliseconds of the monotonic
    /// clock.
    pub fn at(&self, now: u64) -> Option<&Self> {
        (self.agreement.at(now).standing != Standing::Clear).then_some(self)
    }

    /// Iterates over the records of clients that ejected the backend for themselves.
    pub fn ejected(&self) -> impl Iterator<Item = Health> {
        self.records
            .values()
            .copied()
            .filter(|health| health.is_ejected())
    }
}
