//! Maps in memory, over which the kernel's decisions run on the host. Used by golden cases,
//! property tests and simulations.

mod kernel;

use std::{
    cell::{Cell, OnceCell, RefCell, UnsafeCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, Backend, BackendLoad, BackendRow, LiveService, MoreFlows,
        Outcome, OutcomeKey, OutcomeRow, ServiceLoad, ShareKey, SocketFlows, SocketRecord,
        SocketRow, capacity,
    },
    addr::Addr,
    occupancy,
};

use super::{ApplyError, Counters, Dataplane, Error};
use crate::desired::{Capacity, Tables, plan::Op};

/// Tables without a kernel.
#[derive(Debug, Default)]
pub struct Memory {
    tables: Tables,
    backends: BTreeMap<u32, Box<Backend>>,
    services: BTreeMap<u32, Box<LiveService>>,
    shares: RefCell<BTreeMap<ShareKey, Box<AtomicU64>>>,
    counters: RefCell<Counters>,
    random: Cell<Random>,
    now: Cell<u64>,
    tick: Cell<u64>,
    client: Cell<u64>,
    client_id: Cell<u32>,
    rivals: Cell<u32>,
    source: Cell<Option<Addr>>,
    affinity: RefCell<HashMap<AffinityKey, AffinityRow>>,
    outcomes: RefCell<HashMap<OutcomeKey, Box<Outcome>>>,
    latencies: OnceCell<Box<[AtomicU64]>>,
    socket: Cell<u64>,
    connected: Cell<bool>,
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

impl Memory {
    /// Default capacity of the kernel's maps.
    pub const CAPACITY: Capacity = Capacity {
        services: capacity::SERVICES,
        slots: capacity::SLOTS,
        backends: capacity::BACKENDS,
        sockets: capacity::SOCKETS,
        sockets_per_client: capacity::SOCKETS / 4,
    };

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

    /// Forgets a socket without the effects of its end.
    pub fn close(&mut self, socket: u64) {
        self.sockets.get_mut().remove(&socket);
        self.flows.get_mut().remove(&socket);
        self.more_flows.get_mut().remove(&socket);
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> Counters {
        let load = |backend: &Backend| {
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
        };
        let live = |service: &LiveService| ServiceLoad {
            connections: service.connections.load(Relaxed),
            turn: service.turn.load(Relaxed),
        };
        Counters {
            evidence: BTreeMap::new(),
            services: self.counters.borrow().services.clone(),
            loads: self
                .services
                .iter()
                .map(|(&id, service)| (id, live(service)))
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
                .map(|(&index, backend)| (index, load(backend)))
                .collect(),
        }
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

    fn apply_one(&mut self, op: &Op) {
        match op {
            Op::TakeId { id, name: _ } => {
                self.counters.get_mut().services.remove(id);
                self.services
                    .entry(*id)
                    .or_insert_with(|| Box::new(live_service(ServiceLoad::default())));
            }
            Op::TakeBackend(index, row) => {
                self.backends
                    .insert(*index, Box::new(entry(*row, BackendLoad::default())));
            }
            Op::PutBackend(index, row) => {
                if let Some(backend) = self.backends.get_mut(index) {
                    backend.row = *row;
                }
            }
            Op::FreeBackend(index) => _ = self.backends.remove(index),
            _ => {}
        }
        self.tables.apply(op);
    }
}

fn live_service(load: ServiceLoad) -> LiveService {
    LiveService {
        connections: AtomicU64::new(load.connections),
        turn: AtomicU64::new(load.turn),
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

impl Dataplane for Memory {
    fn dump(&self) -> Result<Tables, Error> {
        Ok(self.tables.clone())
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        ops.iter().for_each(|op| self.apply_one(op));
        Ok(())
    }

    fn busy(&self) -> Result<BTreeSet<u32>, Error> {
        let busy = self
            .services
            .iter()
            .filter(|(_, service)| occupancy::live(service.connections.load(Relaxed)) != 0);
        Ok(busy.map(|(&id, _)| id).collect())
    }

    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        let is_held = |index: &&u32| {
            self.backends
                .get(index)
                .is_some_and(|backend| occupancy::live(backend.live.load(Relaxed)) != 0)
        };
        Ok(backends.iter().filter(is_held).copied().collect())
    }

    fn capacity(&self) -> Capacity {
        Self::CAPACITY
    }
}

#[cfg(test)]
mod tests;
