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
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use mesh_common::{
        abi::capacity::FLOWS_PER_SOCKET,
        connect::{Verdict, connect},
        send::{asked_for, send},
    };

    use super::*;
    use crate::{
        desired::{World, compile, fixture, plan::diff},
        model::{Affinity, AffinityClient, Service},
    };

    const SECOND: u64 = 1_000_000_000;

    fn configure(memory: &mut Memory, services: impl IntoIterator<Item = Service>) {
        let world = World { services: fixture::services(services), complete: true, ..World::default() };
        let current = memory.dump().unwrap();
        // Another time in each call, so that an index that is used again is told apart.
        let now = Duration::from_secs(1 + current.names.len() as u64 + current.backends.len() as u64);
        memory.apply(&diff(&current, &compile(&world, now, &current, Memory::CAPACITY).unwrap())).unwrap();
    }

    fn dns(endpoints: &[(&str, u32)]) -> Service {
        fixture::with(fixture::fixed("dns", "10.96.0.1"), endpoints)
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
        let key = fixture::key(VIP);
        assert_eq!(answers(&memory, || connect(&memory, &key)).len(), 2);
        let first = answers(&memory, || send(&memory, &key));
        assert_eq!(first, ["10.0.0.1:53".to_owned()].into());
        configure(&mut memory, [dns(&[TWO[0], ("10.0.0.3:53", 9)])]);
        assert_eq!(answers(&memory, || send(&memory, &key)), first);
        configure(&mut memory, [dns(&[("10.0.0.3:53", 9)])]);
        assert_eq!(answers(&memory, || send(&memory, &key)), ["10.0.0.3:53".to_owned()].into());
        configure(&mut memory, [dns(&[])]);
        assert_eq!(answers(&memory, || send(&memory, &key)), ["Refused".to_owned()].into());
        assert_eq!(memory.counters().services[&0][..2], [6, 4], "one connect for each endpoint, one for each refusal");
    }

    #[test]
    fn a_flow_ends_when_its_address_becomes_another_services() {
        let mut memory = Memory::default();
        configure(&mut memory, [dns(&TWO[..1])]);
        let key = fixture::key(VIP);
        assert_eq!(text(send(&memory, &key)), "10.0.0.1:53");
        let moved = fixture::with(fixture::fixed("dns", "10.96.0.9"), &TWO[..1]);
        let heir = fixture::with(fixture::fixed("heir", "10.96.0.1"), &TWO[1..]);
        configure(&mut memory, [moved, heir]);
        assert_eq!(text(send(&memory, &key)), "10.0.0.2:53");
    }

    #[test]
    fn a_reply_comes_from_whom_the_socket_asked_last() {
        let mut memory = Memory::default();
        let twin = fixture::with(fixture::fixed("twin", "10.96.0.2"), &TWO[..1]);
        configure(&mut memory, [dns(&TWO[..1]), twin]);
        let endpoint = fixture::key(TWO[0].0);
        let seen = |memory: &Memory| {
            // SAFETY: the flows live as long as `memory`, and no other reference to them does.
            let flows = unsafe { &*memory.flows(false) };
            asked_for(flows, endpoint.addr, endpoint.port).map(|(addr, port)| format!("{addr}:{}", u16::from_be(port)))
        };
        for vip in [VIP, "10.96.0.2:80", VIP] {
            send(&memory, &fixture::key(vip));
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
            fixture::with(service, &TWO)
        });
        configure(&mut memory, many);
        for number in 0..=FLOWS_PER_SOCKET {
            let key = fixture::key(&format!("10.96.1.{number}:80"));
            assert_eq!(answers(&memory, || send(&memory, &key)).len(), 1, "service {number}");
        }
        // The last took the place of the first, which therefore asks anew.
        memory.set_random(u32::MAX);
        assert_eq!(text(send(&memory, &fixture::key("10.96.1.0:80"))), "10.0.0.2:53");
        assert_eq!(text(send(&memory, &fixture::key("10.96.1.2:80"))), "10.0.0.1:53");
    }

    fn sticky(endpoints: &[(&str, u32)]) -> Service {
        let affinity = Affinity { client: AffinityClient::NetworkNamespace, timeout: Duration::from_secs(10) };
        Service { affinity: Some(affinity), ..dns(endpoints) }
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
        assert_eq!(ask(&memory, 2, 100, u32::MAX), "10.0.0.2:53", "clients are told apart");
        assert_eq!(ask(&memory, 1, 109, u32::MAX), "10.0.0.1:53");
        assert_eq!(ask(&memory, 1, 118, u32::MAX), "10.0.0.1:53", "every use counts anew");
        assert_eq!(ask(&memory, 1, 129, u32::MAX), "10.0.0.2:53", "too late");
        configure(&mut memory, [sticky(&TWO[..1])]);
        assert_eq!(ask(&memory, 1, 130, u32::MAX), "10.0.0.1:53", "its endpoint left");
        configure(&mut memory, [sticky(&TWO)]);
        assert_eq!(ask(&memory, 1, 131, u32::MAX), "10.0.0.1:53");
    }
}
