//! Tables in memory, over which the kernel's decisions run on the host. Used by golden cases,
//! property tests and simulations.

use std::collections::{BTreeMap, BTreeSet};

use mesh_common::{
    abi::{FrontendKey, ServiceRow, Slot},
    atomic::read,
    host::{AgentRows, Counted, FakeKernel},
    kernel::Kernel as _,
    occupancy::live,
};

use super::{ApplyError, Counters, Dataplane, Error};
use crate::desired::{
    Capacity, Tables,
    plan::{Op, Write},
};

/// Tables without a kernel.
pub type Memory = FakeKernel<Tables>;

impl AgentRows for Tables {
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow> {
        self.services.get(key).copied()
    }

    fn filter(&self, word: u32) -> u64 {
        self.filter.get(&word).copied().unwrap_or_default()
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.slots.get(&index).copied()
    }
}

impl Dataplane for Memory {
    fn dump(&self) -> Result<Tables, Error> {
        Ok(self.rows.clone())
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        for op in ops {
            match op {
                Op::Name(id, Write::Take(_)) => self.assign_id(*id),
                Op::Backend(index, Write::Take(row)) => self.assign_backend(*index, *row),
                Op::Backend(index, Write::Put(row)) => self.change_backend(*index, *row),
                Op::Backend(index, Write::Free) => self.free_backend(*index),
                _ => {}
            }
            self.rows.apply(op);
        }
        Ok(())
    }

    fn busy(&self) -> Result<BTreeSet<u32>, Error> {
        let loads = self.counters().loads.into_iter();
        Ok(loads
            .filter(|(_, load)| live(load.connections) != 0)
            .map(|(id, _)| id)
            .collect())
    }

    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        let is_held = |index: &&u32| {
            self.backend(**index)
                .is_some_and(|backend| live(read(&backend.live)) != 0)
        };
        Ok(backends.iter().filter(is_held).copied().collect())
    }

    fn capacity(&self) -> Capacity {
        Self::CAPACITY
    }
}

impl From<Counted> for Counters {
    /// There is no evidence: it is gathered from rows that `meshctl` shows.
    fn from(counted: Counted) -> Self {
        let Counted {
            services,
            loads,
            shares,
            backends,
        } = counted;
        Self {
            services,
            loads,
            shares,
            backends,
            evidence: BTreeMap::new(),
        }
    }
}
