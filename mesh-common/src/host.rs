//! The kernel on the host: what a [decision](crate::kernel) reads and writes, in memory. Tests,
//! golden cases, simulations and `meshctl explain` run decisions over it.
//!
//! ```text
//! AgentRows: SERVICES, ADDRESS_FILTER, SLOTS ──► FakeKernel ◄── clock, random numbers, calling socket
//! backends and loads, set by methods         ──►     └──► sockets, flows, bindings, counters
//! ```

#[cfg(test)]
pub(crate) mod fixture;
mod kernel;

use std::{
    boxed::Box,
    cell::{Cell, OnceCell, RefCell, UnsafeCell},
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    vec::Vec,
};

use crate::{
    abi::{
        AffinityKey, AffinityRow, Backend, BackendLoad, BackendRow, FrontendKey, LiveService,
        MoreFlows, Outcome, OutcomeKey, OutcomeRow, ServiceCounters, ServiceLoad, ServiceRow,
        ShareKey, Slot, SocketFlows, SocketRecord, SocketRow, capacity::Capacity,
    },
    addr::Addr,
};

/// Rows that the agent writes and decisions only read.
pub trait AgentRows {
    /// Returns a row of SERVICES.
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow>;
    /// Returns a word of ADDRESS_FILTER.
    fn filter(&self, word: u32) -> u64;
    /// Returns a row of SLOTS.
    fn slot(&self, index: u32) -> Option<Slot>;
}

/// Rows in memory, a clock and a calling socket.
#[derive(Debug, Default)]
pub struct FakeKernel<R> {
    /// Rows that the agent writes and decisions only read.
    pub rows: R,
    backends: BTreeMap<u32, Box<Backend>>,
    services: BTreeMap<u32, Box<LiveService>>,
    shares: RefCell<BTreeMap<ShareKey, Box<AtomicU64>>>,
    counters: RefCell<BTreeMap<u32, ServiceCounters>>,
    random: Cell<Random>,
    now: Cell<u64>,
    tick: Cell<u64>,
    client: Cell<u64>,
    client_id: Cell<u32>,
    rivals: Cell<u32>,
    rival_outcome: Cell<Option<OutcomeRow>>,
    source: Cell<Option<Addr>>,
    affinity: RefCell<HashMap<AffinityKey, AffinityRow>>,
    outcomes: RefCell<HashMap<OutcomeKey, Box<Outcome>>>,
    latencies: OnceCell<Box<[AtomicU64]>>,
    socket: Cell<u64>,
    connected: Cell<bool>,
    excluded: Cell<bool>,
    full: Cell<bool>,
    sockets: RefCell<HashMap<u64, Box<UnsafeCell<SocketRecord>>>>,
    flows: RefCell<HashMap<u64, Box<UnsafeCell<SocketFlows>>>>,
    more_flows: RefCell<HashMap<u64, Box<UnsafeCell<MoreFlows>>>>,
}

/// Source of random numbers.
#[derive(Clone, Copy, Debug)]
enum Random {
    /// Always the same number.
    Fixed(u32),
    /// A sequence (xorshift64*, Vigna 2016) from a seed.
    Sequence(u64),
}

impl Default for Random {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// What was counted so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Service id → counters.
    pub services: BTreeMap<u32, ServiceCounters>,
    /// Service id → open connections.
    pub loads: BTreeMap<u32, ServiceLoad>,
    /// Service and client → open connections.
    pub shares: BTreeMap<ShareKey, u64>,
    /// Backend index → load and health.
    pub backends: BTreeMap<u32, BackendLoad>,
}

impl<R> FakeKernel<R> {
    /// Default capacity of the kernel's maps.
    pub const CAPACITY: Capacity = Capacity::DEFAULT;

    /// Sets what `Kernel::random` returns.
    pub fn set_random(&self, random: u32) {
        self.random.set(Random::Fixed(random));
    }

    /// Lets `Kernel::random` return a sequence, the same for the same seed.
    pub fn set_seed(&self, seed: u64) {
        self.random.set(Random::Sequence(seed.max(1)));
    }

    /// Sets what `Kernel::now` returns, in nanoseconds.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
    }

    /// Sets the step of `Kernel::coarse_now`, in nanoseconds. Without it, `Kernel::coarse_now`
    /// equals `Kernel::now`.
    pub fn set_tick(&self, tick: u64) {
        self.tick.set(tick);
    }

    /// Sets what `Caller::client` returns.
    pub fn set_client(&self, client: u64) {
        self.client.set(client);
    }

    /// Sets what `Caller::client_id` returns.
    pub fn set_client_id(&self, client: u32) {
        self.client_id.set(client);
    }

    /// Simulates concurrent connects: before each of the next `rivals` reservations, another
    /// connect takes a place on the same backend.
    pub fn set_rivals(&self, rivals: u32) {
        self.rivals.set(rivals);
    }

    /// Simulates a concurrent connect of the same client: before the next row of OUTCOMES is added,
    /// this one is.
    pub fn set_rival_outcome(&self, row: OutcomeRow) {
        self.rival_outcome.set(Some(row));
    }

    /// Sets the address that the calling socket is bound to.
    pub fn set_source(&self, source: Addr) {
        self.source.set(Some(source));
    }

    /// Sets the cookie of the calling socket; zero by default.
    pub fn set_socket(&self, socket: u64) {
        self.socket.set(socket);
    }

    /// Sets whether the calling socket is connected; false by default.
    pub fn set_connected(&self, connected: bool) {
        self.connected.set(connected);
    }

    /// Sets whether the caller is excluded; false by default.
    pub fn set_excluded(&self, excluded: bool) {
        self.excluded.set(excluded);
    }

    /// Sets whether the maps of sockets, flows, shares and session affinity are full, so that no row
    /// can be added; false by default.
    pub fn set_full(&self, full: bool) {
        self.full.set(full);
    }

    /// Forgets a socket without the effects of its end.
    pub fn close(&mut self, socket: u64) {
        self.sockets.get_mut().remove(&socket);
        self.flows.get_mut().remove(&socket);
        self.more_flows.get_mut().remove(&socket);
    }

    /// Clears the counters of a service id, and makes its row of LOAD if it has none.
    pub fn assign_id(&mut self, id: u32) {
        self.counters.get_mut().remove(&id);
        self.services
            .entry(id)
            .or_insert_with(|| Box::new(live_service(ServiceLoad::default())));
    }

    /// Writes a row of BACKENDS and clears its load.
    pub fn assign_backend(&mut self, index: u32, row: BackendRow) {
        self.backends
            .insert(index, Box::new(entry(row, BackendLoad::default())));
    }

    /// Changes the row of a backend; its load stays.
    pub fn change_backend(&mut self, index: u32, row: BackendRow) {
        if let Some(backend) = self.backends.get_mut(&index) {
            backend.row = row;
        }
    }

    /// Removes a backend.
    pub fn free_backend(&mut self, index: u32) {
        self.backends.remove(&index);
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> Counted {
        Counted {
            services: self.counters.borrow().clone(),
            loads: self
                .services
                .iter()
                .map(|(&id, service)| (id, service_load(service)))
                .collect(),
            shares: self
                .shares
                .borrow()
                .iter()
                .map(|(&key, word)| (key, word.load(Relaxed)))
                .collect(),
            backends: self
                .backends
                .iter()
                .map(|(&index, backend)| (index, backend_load(backend)))
                .collect(),
        }
    }

    /// Returns the rows of AFFINITY, in no order.
    pub fn bindings(&self) -> Vec<AffinityRow> {
        self.affinity.borrow().values().copied().collect()
    }

    /// Sets the load of a backend, for instance as it is in the kernel.
    pub fn set_load(&mut self, index: u32, load: BackendLoad) {
        if let Some(backend) = self.backends.get_mut(&index) {
            **backend = entry(backend.row, load);
        }
    }

    /// Sets the load of a service.
    pub fn set_service_load(&mut self, id: u32, load: ServiceLoad) {
        self.services.insert(id, Box::new(live_service(load)));
    }

    /// Sets the share of a client in a service's connections.
    pub fn set_share(&mut self, key: ShareKey, word: u64) {
        self.shares
            .get_mut()
            .insert(key, Box::new(AtomicU64::new(word)));
    }

    /// Sets the record of a client about a backend.
    pub fn set_outcome(&mut self, key: OutcomeKey, row: &OutcomeRow) {
        self.outcomes.get_mut().insert(key, Box::new(outcome(row)));
    }

    /// Sets the session affinity of a client.
    pub fn set_affinity(&mut self, key: AffinityKey, row: AffinityRow) {
        self.affinity.get_mut().insert(key, row);
    }
}

fn live_service(load: ServiceLoad) -> LiveService {
    LiveService {
        connections: AtomicU64::new(load.connections),
        turn: AtomicU64::new(load.turn),
    }
}

fn service_load(service: &LiveService) -> ServiceLoad {
    ServiceLoad {
        connections: service.connections.load(Relaxed),
        turn: service.turn.load(Relaxed),
    }
}

fn outcome(row: &OutcomeRow) -> Outcome {
    Outcome {
        health: AtomicU64::new(row.health),
        generation: row.generation,
        client: row.client,
        backend: row.backend,
        pad: row.pad,
    }
}

fn record(row: &SocketRow) -> SocketRecord {
    SocketRecord {
        frontend: row.frontend,
        backend: row.backend,
        frontend_port: row.frontend_port,
        backend_port: row.backend_port,
        service: row.service,
        backend_index: row.backend_index,
        generation: row.generation,
        client: row.client,
        netns: row.netns,
        state: AtomicU64::new(row.state),
        started: row.started,
    }
}

fn entry(row: BackendRow, load: BackendLoad) -> Backend {
    Backend {
        row,
        live: AtomicU64::new(load.live),
        connects: AtomicU64::new(load.connects),
        health: AtomicU64::new(load.health),
        latency: AtomicU64::new(u64::from(load.handshake) | u64::from(load.duration) << 32),
    }
}

fn backend_load(backend: &Backend) -> BackendLoad {
    let latency = backend.latency.load(Relaxed);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the word"
    )]
    BackendLoad {
        live: backend.live.load(Relaxed),
        connects: backend.connects.load(Relaxed),
        health: backend.health.load(Relaxed),
        handshake: latency as u32,
        duration: (latency >> 32) as u32,
    }
}
