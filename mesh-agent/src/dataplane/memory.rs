//! Maps in memory, and the kernel's decisions over them: what golden cases and property tests run on.

use std::cell::{Cell, RefCell};

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot, SocketRecord, capacity},
    connect::Kernel,
    counter::Counter,
};

use super::{ApplyError, Capacity, Counters, Dataplane, Error};
use crate::desired::{Tables, plan::Op};

/// Tables without a kernel.
#[derive(Debug, Default)]
pub struct Memory {
    tables: Tables,
    counters: RefCell<Counters>,
    random: Cell<u32>,
}

impl Memory {
    /// As many rows as the kernel's maps have by default.
    pub const CAPACITY: Capacity =
        Capacity { services: capacity::SERVICES, slots: capacity::SLOTS, backends: capacity::BACKENDS };

    /// What [`Kernel::random`] returns from now on.
    pub fn set_random(&self, random: u32) {
        self.random.set(random);
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters.borrow().clone()
    }

    fn apply_one(&mut self, op: &Op) {
        let counters = self.counters.get_mut();
        match op {
            Op::TakeId { id, name: _ } => _ = counters.services.remove(id),
            Op::TakeBackend(index, _) => _ = counters.backends.remove(index),
            _ => {}
        }
        self.tables.apply(op);
    }
}

impl Dataplane for Memory {
    fn dump(&self) -> Result<Tables, Error> {
        Ok(self.tables.clone())
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        ops.iter().for_each(|op| self.apply_one(op));
        Ok(())
    }

    fn capacity(&self) -> Capacity {
        Self::CAPACITY
    }
}

impl Kernel for Memory {
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow> {
        self.tables.services.get(key).copied()
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.tables.slots.get(&index).copied()
    }

    fn backend(&self, index: u32) -> Option<&BackendRow> {
        self.tables.backends.get(&index)
    }

    fn random(&self) -> u32 {
        self.random.get()
    }

    fn count(&self, service: u32, counter: Counter) {
        self.counters.borrow_mut().services.entry(service).or_default()[counter.index()] += 1;
    }

    fn count_backend(&self, index: u32) {
        self.counters.borrow_mut().backends.entry(index).or_default().connects += 1;
    }

    fn record(&self, _record: &SocketRecord) -> bool {
        true
    }

    fn forget(&self) {}
}
