//! The traits of the decisions, over rows in memory.

use std::{
    boxed::Box,
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytemuck::Zeroable as _;

use super::{AgentRows, FakeKernel, Random, outcome, record};
use crate::{
    abi::{
        AffinityKey, AffinityRow, Backend, FrontendKey, LiveService, MoreFlows, Outcome,
        OutcomeKey, OutcomeRow, Resource, ServiceRow, ShareKey, Slot, SocketFlows, SocketRecord,
        SocketRow, maps,
    },
    addr::Addr,
    connect::Connect,
    counter::Counter,
    datagram::{Datagrams, Releases},
    evidence::Evidence,
    filter,
    flows::Find,
    kernel::{Caller, Kernel},
    latency::Measure,
    limits::Shares,
    occupancy,
    outcome::Outcomes,
    pick::{Choose, reserve},
    sum::Sum,
    walk::Walk,
};

impl<R: AgentRows> Kernel for FakeKernel<R> {
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow> {
        let (word, bit) = filter::place(&key.addr);
        if self.rows.filter(word) & bit == 0 {
            return None;
        }
        let row = self.rows.service(key)?;
        Some(into.write(row))
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.rows.slot(index)
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        self.backends.get(&index).map(Box::as_ref)
    }

    fn live_service(&self, id: u32) -> Option<&LiveService> {
        self.services.get(&id).map(Box::as_ref)
    }

    fn share(&self, key: &ShareKey) -> Option<&AtomicU64> {
        let word = self
            .shares
            .borrow()
            .get(key)
            .map(|word| ptr::from_ref(word.as_ref()));
        // SAFETY: words are boxed, and replaced only where there is no other reference to the map.
        word.map(|word| unsafe { &*word })
    }

    fn add_share(&self, key: &ShareKey) {
        if !self.full.get() {
            self.shares.borrow_mut().entry(*key).or_default();
        }
    }

    fn socket(&self, cookie: u64) -> *mut SocketRecord {
        self.sockets
            .borrow()
            .get(&cookie)
            .map_or(ptr::null_mut(), |record| record.get())
    }

    fn remember(&self, cookie: u64, row: &SocketRow) -> bool {
        let mut sockets = self.sockets.borrow_mut();
        if self.full.get() || sockets.contains_key(&cookie) {
            return false;
        }
        sockets.insert(cookie, Box::new(UnsafeCell::new(record(row))));
        true
    }

    fn forget(&self, cookie: u64, _client: u32) {
        self.sockets.borrow_mut().remove(&cookie);
    }

    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        self.affinity.borrow().get(key).copied()
    }

    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        let mut affinity = self.affinity.borrow_mut();
        if !self.full.get() {
            affinity.entry(*key).or_insert(*row);
        }
        affinity.contains_key(key)
    }

    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow) {
        if let Some(current) = self
            .affinity
            .borrow_mut()
            .get_mut(key)
            .filter(|current| current.backend == old)
        {
            *current = *row;
        }
    }

    fn outcome(&self, key: &OutcomeKey) -> Option<&Outcome> {
        let row = self
            .outcomes
            .borrow()
            .get(key)
            .map(|row| ptr::from_ref(row.as_ref()));
        // SAFETY: rows are boxed; one is freed only by `drop_outcome` and `put_outcome`, whose
        // callers have no reference.
        row.map(|row| unsafe { &*row })
    }

    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool {
        let rival = self.rival_outcome.take();
        let is_first = rival.is_none();
        let row = rival.unwrap_or(*row);
        self.outcomes
            .borrow_mut()
            .insert(*key, Box::new(outcome(&row)));
        is_first
    }

    fn drop_outcome(&self, key: &OutcomeKey) {
        self.outcomes.borrow_mut().remove(key);
    }

    fn latency(&self, row: u32) -> Option<&AtomicU64> {
        let rows = || {
            (0..maps::LATENCIES.capacity())
                .map(|_| AtomicU64::default())
                .collect()
        };
        self.latencies.get_or_init(rows).get(row as usize)
    }

    fn random(&self) -> u32 {
        match self.random.get() {
            Random::Fixed(random) => random,
            Random::Sequence(mut word) => {
                word ^= word >> 12;
                word ^= word << 25;
                word ^= word >> 27;
                self.random.set(Random::Sequence(word));
                (word.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
            }
        }
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn coarse_now(&self) -> u64 {
        self.now.get() - self.now.get() % self.tick.get().max(1)
    }

    fn give_back(&self, _client: u32, _resource: Resource, _rows: u32) {}

    fn count(&self, service: u32, counter: Counter) {
        self.counters.borrow_mut().entry(service).or_default()[counter.index()] += 1;
    }

    // Maps in memory have no earlier agent.
    fn add_to(&self, _sum: Sum, _row: u32, _by: u64) {}
}

impl<R: AgentRows> Caller for FakeKernel<R> {
    fn client(&self, _by_cgroup: bool) -> u64 {
        self.client.get()
    }

    fn client_id(&self) -> u32 {
        self.client_id.get()
    }

    fn source(&self) -> Addr {
        self.source.get().unwrap_or(Addr::UNSPECIFIED)
    }

    fn excluded(&self) -> bool {
        self.excluded.get()
    }

    fn cookie(&self) -> u64 {
        self.socket.get()
    }

    fn is_connected(&self) -> bool {
        self.connected.get()
    }

    fn flows(&self, create: bool) -> *mut SocketFlows {
        let mut flows = self.flows.borrow_mut();
        if create && !self.full.get() {
            let new = SocketFlows {
                client: self.client_id.get(),
                ..SocketFlows::zeroed()
            };
            flows
                .entry(self.socket.get())
                .or_insert_with(|| Box::new(UnsafeCell::new(new)));
        }
        flows
            .get(&self.socket.get())
            .map_or(ptr::null_mut(), |flows| flows.get())
    }

    fn more_flows(&self, create: bool) -> *mut MoreFlows {
        let mut more = self.more_flows.borrow_mut();
        if create && !self.full.get() {
            more.entry(self.socket.get())
                .or_insert_with(|| Box::new(UnsafeCell::new(MoreFlows::zeroed())));
        }
        more.get(&self.socket.get())
            .map_or(ptr::null_mut(), |more| more.get())
    }
}

impl<R: AgentRows> Evidence for FakeKernel<R> {}
impl<R: AgentRows> Measure for FakeKernel<R> {}
impl<R: AgentRows> Shares for FakeKernel<R> {}
impl<R: AgentRows> Walk for FakeKernel<R> {}
impl<R: AgentRows> Outcomes for FakeKernel<R> {}
impl<R: AgentRows> Choose for FakeKernel<R> {
    fn reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        if let Some(left) = self.rivals.get().checked_sub(1) {
            self.rivals.set(left);
            self.backends[&index]
                .live
                .fetch_add(occupancy::LIVE, Relaxed);
        }
        reserve(self, service, index, is_bounded)
    }
}
impl<R: AgentRows> Connect for FakeKernel<R> {}
impl<R: AgentRows> Find for FakeKernel<R> {}
impl<R: AgentRows> Datagrams for FakeKernel<R> {}
impl<R: AgentRows> Releases for FakeKernel<R> {}
