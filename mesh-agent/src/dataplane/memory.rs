//! Maps in memory, and the kernel's decisions over them: what golden cases and property tests run on.

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::HashMap,
};

use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, BackendRow, FrontendKey, ServiceRow, Slot, SocketFlows, SocketRecord, TrackedSocket,
        capacity,
    },
    counter::Counter,
    kernel::Kernel,
};

use super::{ApplyError, Capacity, Counters, Dataplane, Error};
use crate::desired::{Tables, plan::Op};

/// Tables without a kernel.
#[derive(Debug)]
pub struct Memory {
    tables: Tables,
    counters: RefCell<Counters>,
    random: Cell<u32>,
    now: Cell<u64>,
    client: Cell<u64>,
    affinity: RefCell<HashMap<AffinityKey, AffinityRow>>,
    /// Of the one socket there is.
    flows: Box<UnsafeCell<SocketFlows>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            counters: RefCell::default(),
            random: Cell::default(),
            now: Cell::default(),
            client: Cell::default(),
            affinity: RefCell::default(),
            flows: Box::new(UnsafeCell::new(bytemuck::Zeroable::zeroed())),
        }
    }
}

impl Memory {
    /// As many rows as the kernel's maps have by default.
    pub const CAPACITY: Capacity =
        Capacity { services: capacity::SERVICES, slots: capacity::SLOTS, backends: capacity::BACKENDS };

    /// What [`Kernel::random`] returns from now on.
    pub fn set_random(&self, random: u32) {
        self.random.set(random);
    }

    /// What [`Kernel::now`] returns from now on, nanoseconds.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
    }

    /// What [`Kernel::client`] returns from now on.
    pub fn set_client(&self, client: u64) {
        self.client.set(client);
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

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn client(&self, _by_cgroup: bool) -> u64 {
        self.client.get()
    }

    fn excluded(&self) -> bool {
        false
    }

    fn record(&self, _record: &SocketRecord) -> bool {
        true
    }

    fn recorded(&self) -> Option<&SocketRecord> {
        None
    }

    fn forget(&self) {}

    fn track(&self, _socket: &TrackedSocket) -> bool {
        true
    }

    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        self.affinity.borrow().get(key).copied()
    }

    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        self.affinity.borrow_mut().entry(*key).or_insert(*row);
        true
    }

    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow) {
        if let Some(current) = self.affinity.borrow_mut().get_mut(key).filter(|current| current.backend == old) {
            *current = *row;
        }
    }

    fn flows(&self, _create: bool) -> *mut SocketFlows {
        self.flows.get()
    }

    fn compare_exchange(&self, cell: *mut u64, old: u64, new: u64) -> bool {
        // SAFETY: the cell lies in `flows`, as the trait demands, and nobody else touches it: this type is not `Sync`.
        let cell = unsafe { &mut *cell };
        let same = *cell == old;
        if same {
            *cell = new;
        }
        same
    }
}
