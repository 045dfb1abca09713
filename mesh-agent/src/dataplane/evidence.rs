//! What the clients of this node know of backends whose connects fail: by agreement, and each for
//! itself.

use std::collections::BTreeMap;

use mesh_common::{
    abi::{BackendLoad, OutcomeKey, OutcomeRow},
    agreement::{Agreement, Standing},
    ejection::Health,
};

use crate::desired::Tables;

/// What is known of one backend.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// By all clients together.
    pub agreement: Agreement,
    /// By client.
    pub records: BTreeMap<u32, Health>,
}

impl Evidence {
    /// The records of backends that are not clear. Rows of another use of an index do not count.
    pub(super) fn gather(
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
                .get(&key.backend)
                .is_some_and(|backend| backend.generation == row.generation);
            if let Some(evidence) = found.get_mut(&key.backend).filter(|_| is_it) {
                evidence.records.insert(key.client, Health::of(row.health));
            }
        }
        found
    }

    /// What counts now, milliseconds of the monotonic clock; nothing when all of it is forgotten.
    pub fn at(&self, now: u64) -> Option<&Self> {
        (self.agreement.at(now).standing != Standing::Clear).then_some(self)
    }

    /// The records of clients that have ejected the backend for themselves.
    pub fn ejected(&self) -> impl Iterator<Item = Health> {
        self.records
            .values()
            .copied()
            .filter(|health| health.is_ejected())
    }
}
