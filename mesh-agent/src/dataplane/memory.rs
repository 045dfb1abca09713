//! Maps in memory, and the kernel's decisions over them: what golden cases, property tests and
//! simulations run on.

use std::{
    cell::{Cell, OnceCell, RefCell, UnsafeCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::MaybeUninit,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytemuck::Zeroable as _;
use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, Backend, BackendLoad, BackendRow, FrontendKey, LiveService,
        MoreFlows, Outcome, OutcomeKey, OutcomeRow, Resource, ServiceLoad, ServiceRow, ShareKey,
        Slot, SocketFlows, SocketRecord, SocketRow, capacity,
    },
    addr::Addr,
    connect::Connect,
    counter::Counter,
    datagram::Datagrams,
    evidence::Evidence,
    filter,
    flows::Find,
    kernel::{Caller, Kernel},
    latency::Measure,
    limits::Shares,
    occupancy,
    outcome::Outcomes,
    pick::{Choose, reserve},
    walk::Walk,
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

/// Where random numbers come from.
#[derive(Clone, Copy, Debug)]
enum Random {
    /// The same each time.
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
    /// As many rows as the kernel's maps have by default.
    pub const CAPACITY: Capacity = Capacity {
        services: capacity::SERVICES,
        slots: capacity::SLOTS,
        backends: capacity::BACKENDS,
        sockets: capacity::SOCKETS,
        sockets_per_client: capacity::SOCKETS / 4,
    };

    /// What [`Kernel::random`] returns from now on.
    pub fn set_random(&self, random: u32) {
        self.random.set(Random::Fixed(random));
    }

    /// [`Kernel::random`] returns a sequence from now on, the same for the same seed.
    pub fn set_seed(&self, seed: u64) {
        self.random.set(Random::Sequence(seed.max(1)));
    }

    /// What [`Kernel::now`] returns from now on, nanoseconds.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
    }

    /// How often [`Kernel::coarse_now`] steps from now on, nanoseconds; it is [`Kernel::now`] in
    /// the beginning.
    pub fn set_tick(&self, tick: u64) {
        self.tick.set(tick);
    }

    /// What [`Kernel::client`] returns from now on.
    pub fn set_client(&self, client: u64) {
        self.client.set(client);
    }

    /// What [`Caller::client_id`] returns from now on.
    pub fn set_client_id(&self, client: u32) {
        self.client_id.set(client);
    }

    /// So many connects from now on take the place that a connect has found before it does, one
    /// after the other.
    pub fn set_rivals(&self, rivals: u32) {
        self.rivals.set(rivals);
    }

    /// The address that the calling socket is bound to from now on.
    pub fn set_source(&self, source: Addr) {
        self.source.set(Some(source));
    }

    /// Which socket is calling from now on; zero in the beginning.
    pub fn set_socket(&self, socket: u64) {
        self.socket.set(socket);
    }

    /// Whether the calling socket is connected from now on; it is not in the beginning.
    pub fn set_connected(&self, connected: bool) {
        self.connected.set(connected);
    }

    /// Forgets a socket, without anything that its end brings about.
    pub fn close(&mut self, socket: u64) {
        self.sockets.get_mut().remove(&socket);
        self.flows.get_mut().remove(&socket);
        self.more_flows.get_mut().remove(&socket);
    }

    /// What was counted so far.
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

    /// Makes a backend's load what it was elsewhere, for instance in the kernel.
    pub fn set_load(&mut self, index: u32, load: BackendLoad) {
        if let Some(backend) = self.backends.get_mut(&index) {
            **backend = entry(backend.row, load);
        }
    }

    /// Makes what is known of a service as a whole what it was elsewhere.
    pub fn set_service_load(&mut self, id: u32, load: ServiceLoad) {
        self.services.insert(id, Box::new(live_service(load)));
    }

    /// Makes what a client has of a service's connections what it has elsewhere.
    pub fn set_share(&mut self, key: ShareKey, word: u64) {
        self.shares
            .get_mut()
            .insert(key, Box::new(AtomicU64::new(word)));
    }

    /// Makes what a client knows of a backend what it is elsewhere.
    pub fn set_outcome(&mut self, key: OutcomeKey, row: &OutcomeRow) {
        self.outcomes.get_mut().insert(key, Box::new(outcome(row)));
    }

    /// Binds a client as it is bound elsewhere.
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

impl Kernel for Memory {
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow> {
        let (word, bit) = filter::place(&key.addr);
        if self
            .tables
            .filter
            .get(&word)
            .is_none_or(|bits| bits & bit == 0)
        {
            return None;
        }
        self.tables.services.get(key).map(|row| &*into.write(*row))
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.tables.slots.get(&index).copied()
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
            .map(|word| std::ptr::from_ref(word.as_ref()));
        // SAFETY: words are boxed, and replaced only where there is no other reference to the map.
        word.map(|word| unsafe { &*word })
    }

    fn add_share(&self, key: &ShareKey) {
        self.shares.borrow_mut().entry(*key).or_default();
    }

    fn socket(&self, cookie: u64) -> *mut SocketRecord {
        self.sockets
            .borrow()
            .get(&cookie)
            .map_or(std::ptr::null_mut(), |record| record.get())
    }

    fn remember(&self, cookie: u64, row: &SocketRow) -> bool {
        let mut sockets = self.sockets.borrow_mut();
        let is_new = !sockets.contains_key(&cookie);
        sockets
            .entry(cookie)
            .or_insert_with(|| Box::new(UnsafeCell::new(record(row))));
        is_new
    }

    fn forget(&self, cookie: u64, _client: u32) {
        self.sockets.borrow_mut().remove(&cookie);
    }

    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        self.affinity.borrow().get(key).copied()
    }

    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        self.affinity.borrow_mut().entry(*key).or_insert(*row);
        true
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
            .map(|row| std::ptr::from_ref(row.as_ref()));
        // SAFETY: rows are boxed; one is freed only by `drop_outcome` and `put_outcome`, whose
        // callers have no reference.
        row.map(|row| unsafe { &*row })
    }

    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool {
        self.outcomes
            .borrow_mut()
            .insert(*key, Box::new(outcome(row)));
        true
    }

    fn drop_outcome(&self, key: &OutcomeKey) {
        self.outcomes.borrow_mut().remove(key);
    }

    fn latency(&self, row: u32) -> Option<&AtomicU64> {
        let rows = || {
            (0..capacity::LATENCIES)
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
        self.counters
            .borrow_mut()
            .services
            .entry(service)
            .or_default()[counter.index()] += 1;
    }
}

impl Caller for Memory {
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
        false
    }

    fn cookie(&self) -> u64 {
        self.socket.get()
    }

    fn is_connected(&self) -> bool {
        self.connected.get()
    }

    fn flows(&self, create: bool) -> *mut SocketFlows {
        let mut flows = self.flows.borrow_mut();
        if create {
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
            .map_or(std::ptr::null_mut(), |flows| flows.get())
    }

    fn more_flows(&self, create: bool) -> *mut MoreFlows {
        let mut more = self.more_flows.borrow_mut();
        if create {
            more.entry(self.socket.get())
                .or_insert_with(|| Box::new(UnsafeCell::new(MoreFlows::zeroed())));
        }
        more.get(&self.socket.get())
            .map_or(std::ptr::null_mut(), |more| more.get())
    }
}

impl Evidence for Memory {}
impl Measure for Memory {}
impl Shares for Memory {}
impl Walk for Memory {}
impl Outcomes for Memory {}
impl Choose for Memory {
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
impl Connect for Memory {}
impl Find for Memory {}
impl Datagrams for Memory {}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

    use mesh_common::{
        abi::capacity::{FLOWS_AT_FIRST, FLOWS_PER_SOCKET},
        connect::{Verdict, connect},
        datagram::{asked_for, send},
        occupancy::live,
        socket,
    };

    use super::*;
    use crate::{
        desired::{World, compile, fixture, plan::diff},
        model::{Affinity, AffinityClient, Service},
    };

    const SECOND: u64 = 1_000_000_000;

    fn configure(memory: &mut Memory, services: impl IntoIterator<Item = Service>) {
        let world = World {
            services: fixture::services(services),
            complete: true,
            ..World::default()
        };
        let current = memory.dump().unwrap();
        // Another time in each call, so that an index that is used again is told apart.
        let now =
            Duration::from_secs(1 + current.names.len() as u64 + current.backends.len() as u64);
        memory
            .apply(&diff(
                &current,
                &compile(&world, now, &current, Memory::CAPACITY).unwrap(),
            ))
            .unwrap();
    }

    fn dns(endpoints: &[(&str, u32)]) -> Service {
        fixture::with(fixture::udp(fixture::fixed("dns", "10.96.0.1")), endpoints)
    }

    const VIP: &str = "10.96.0.1:80";
    const TWO: [(&str, u32); 2] = [("10.0.0.1:53", 1), ("10.0.0.2:53", 1)];

    fn text(verdict: Verdict) -> String {
        match verdict {
            Verdict::Backend { addr, port } => format!("{addr}:{}", u16::from_be(port)),
            other => format!("{other:?}"),
        }
    }

    /// Asks with random numbers that lead to both halves of the slots.
    fn answers(memory: &Memory, mut ask: impl FnMut() -> Verdict) -> BTreeSet<String> {
        let draws = [0, u32::MAX / 3, u32::MAX / 2 + 1, u32::MAX];
        draws
            .map(|random| {
                memory.set_random(random);
                text(ask())
            })
            .into()
    }

    #[test]
    fn datagrams_of_a_socket_stay_with_their_endpoint_while_it_serves() {
        let mut memory = Memory::default();
        configure(&mut memory, [dns(&TWO)]);
        let key = fixture::udp_key(VIP);
        assert_eq!(answers(&memory, || connect(&memory, &key)).len(), 2);
        let first = answers(&memory, || send(&memory, &key));
        assert_eq!(first, ["10.0.0.1:53".to_owned()].into());
        configure(&mut memory, [dns(&[TWO[0], ("10.0.0.3:53", 9)])]);
        assert_eq!(answers(&memory, || send(&memory, &key)), first);
        configure(&mut memory, [dns(&[("10.0.0.3:53", 9)])]);
        assert_eq!(
            answers(&memory, || send(&memory, &key)),
            ["10.0.0.3:53".to_owned()].into()
        );
        configure(&mut memory, [dns(&[])]);
        assert_eq!(
            answers(&memory, || send(&memory, &key)),
            ["Refused".to_owned()].into()
        );
        assert_eq!(
            memory.counters().services[&0][..2],
            [6, 4],
            "one connect for each endpoint, one for each refusal"
        );
    }

    #[test]
    fn a_flow_ends_when_its_address_becomes_another_services() {
        let mut memory = Memory::default();
        configure(&mut memory, [dns(&TWO[..1])]);
        let key = fixture::udp_key(VIP);
        assert_eq!(text(send(&memory, &key)), "10.0.0.1:53");
        let moved = fixture::with(fixture::fixed("dns", "10.96.0.9"), &TWO[..1]);
        let heir = fixture::with(fixture::udp(fixture::fixed("heir", "10.96.0.1")), &TWO[1..]);
        configure(&mut memory, [moved, heir]);
        assert_eq!(text(send(&memory, &key)), "10.0.0.2:53");
    }

    #[test]
    fn a_reply_comes_from_whom_the_socket_asked_last() {
        let mut memory = Memory::default();
        let twin = fixture::with(fixture::udp(fixture::fixed("twin", "10.96.0.2")), &TWO[..1]);
        configure(&mut memory, [dns(&TWO[..1]), twin]);
        let endpoint = fixture::udp_key(TWO[0].0);
        let seen = |memory: &Memory| {
            // SAFETY: the flows live as long as `memory`, and no other reference to them does.
            let flows = unsafe { &*memory.flows(false) };
            asked_for(memory, flows, &endpoint)
                .map(|(addr, port)| format!("{addr}:{}", u16::from_be(port)))
        };
        for vip in [VIP, "10.96.0.2:80", VIP] {
            send(&memory, &fixture::udp_key(vip));
            assert_eq!(seen(&memory).as_deref(), Some(vip));
        }
        assert_eq!(send(&memory, &endpoint), Verdict::Untouched);
        assert_eq!(seen(&memory), None);
    }

    #[test]
    fn a_socket_that_sends_to_too_many_services_keeps_the_latest() {
        let mut memory = Memory::default();
        let many = (0..=FLOWS_PER_SOCKET).map(|number| {
            let service = fixture::fixed(&format!("dns-{number:03}"), &format!("10.96.1.{number}"));
            fixture::with(fixture::udp(service), &TWO)
        });
        configure(&mut memory, many);
        for number in 0..=FLOWS_PER_SOCKET {
            let key = fixture::udp_key(&format!("10.96.1.{number}:80"));
            assert_eq!(
                answers(&memory, || send(&memory, &key)).len(),
                1,
                "service {number}"
            );
        }
        // The last took the place of the first in the second record, which therefore asks anew.
        memory.set_random(u32::MAX);
        let replaced = FLOWS_AT_FIRST;
        let ask = |number: usize| {
            text(send(
                &memory,
                &fixture::udp_key(&format!("10.96.1.{number}:80")),
            ))
        };
        assert_eq!(
            [replaced - 1, replaced + 2].map(ask),
            ["10.0.0.1:53", "10.0.0.1:53"]
        );
        assert_eq!(ask(replaced), "10.0.0.2:53");
    }

    fn sticky(endpoints: &[(&str, u32)]) -> Service {
        let affinity = Affinity {
            client: AffinityClient::NetworkNamespace,
            timeout: Duration::from_secs(10),
        };
        Service {
            affinity: Some(affinity),
            ..cart(endpoints)
        }
    }

    #[test]
    fn a_client_stays_with_its_endpoint_as_long_as_it_comes_back_in_time() {
        let mut memory = Memory::default();
        configure(&mut memory, [sticky(&TWO)]);
        let key = fixture::key(VIP);
        let ask = |memory: &Memory, client: u64, now: u64, random: u32| {
            memory.set_client(client);
            memory.set_now(now * SECOND);
            memory.set_random(random);
            text(connect(memory, &key))
        };
        assert_eq!(ask(&memory, 1, 100, 0), "10.0.0.1:53");
        assert_eq!(
            ask(&memory, 2, 100, u32::MAX),
            "10.0.0.2:53",
            "clients are told apart"
        );
        assert_eq!(ask(&memory, 1, 109, u32::MAX), "10.0.0.1:53");
        assert_eq!(
            ask(&memory, 1, 118, u32::MAX),
            "10.0.0.1:53",
            "every use counts anew"
        );
        assert_eq!(ask(&memory, 1, 129, u32::MAX), "10.0.0.2:53", "too late");
        configure(&mut memory, [sticky(&TWO[..1])]);
        assert_eq!(
            ask(&memory, 1, 130, u32::MAX),
            "10.0.0.1:53",
            "its endpoint left"
        );
        configure(&mut memory, [sticky(&TWO)]);
        assert_eq!(ask(&memory, 1, 131, u32::MAX), "10.0.0.1:53");
    }

    #[test]
    fn a_binding_counts_for_the_client_of_the_socket() {
        let mut memory = Memory::default();
        configure(
            &mut memory,
            [
                sticky(&TWO),
                Service {
                    affinity: sticky(&[]).affinity,
                    ..dns(&TWO)
                },
            ],
        );
        memory.set_client_id(7);
        connect(&memory, &fixture::key(VIP));
        send(&memory, &fixture::udp_key(VIP));
        let owners: Vec<u32> = memory
            .affinity
            .borrow()
            .values()
            .map(|row| row.owner)
            .collect();
        assert_eq!(owners, [7, 7]);
    }

    fn cart(endpoints: &[(&str, u32)]) -> Service {
        fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints)
    }

    /// The service with a limit of connections.
    fn limited(connections: u32, mut service: Service) -> Service {
        service.traffic.limits.connections = NonZeroU32::new(connections);
        service
    }

    fn connections(memory: &Memory) -> Vec<u64> {
        memory
            .counters()
            .loads
            .values()
            .map(|load| live(load.connections))
            .collect()
    }

    #[test]
    fn a_socket_that_sends_on_to_another_endpoint_counts_once() {
        let mut memory = Memory::default();
        configure(&mut memory, [limited(1, dns(&TWO[..1]))]);
        let key = fixture::udp_key(VIP);
        for endpoint in [TWO[0], TWO[1], TWO[0]] {
            configure(&mut memory, [limited(1, dns(&[endpoint]))]);
            assert_eq!(text(send(&memory, &key)), endpoint.0);
            assert_eq!(connections(&memory), [1]);
        }
        // SAFETY: the flows live as long as `memory`, and no other reference to them does.
        mesh_common::datagram::released(&memory, unsafe { &*memory.flows(false) }, None);
        assert_eq!(connections(&memory), [0]);
    }

    #[test]
    fn a_socket_that_connects_again_is_not_in_its_own_way() {
        let mut memory = Memory::default();
        configure(&mut memory, [limited(1, cart(&TWO))]);
        let key = fixture::key(VIP);
        for _ in 0..3 {
            assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
            socket::syn_sent(&memory, 0);
            assert_eq!(connections(&memory), [1]);
        }
        socket::released(&memory, 0, || false);
        assert_eq!(connections(&memory), [0]);
    }

    #[test]
    fn who_gets_the_id_of_a_limited_service_is_not_refused_for_ever() {
        let mut memory = Memory::default();
        configure(&mut memory, [limited(1, cart(&TWO))]);
        let key = fixture::key(VIP);
        assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
        socket::syn_sent(&memory, 0);
        configure(&mut memory, []);
        configure(&mut memory, [limited(2, cart(&TWO))]);
        socket::released(&memory, 0, || false);
        assert_eq!(connections(&memory), [0]);
        assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
    }
}
