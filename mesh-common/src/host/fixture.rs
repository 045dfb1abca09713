//! A service with backends, for tests of decisions.

use std::{collections::BTreeMap, vec::Vec};

use bytemuck::Zeroable as _;

use super::{AgentRows, FakeKernel};
use crate::{
    abi::{
        BackendRow, FrontendKey, OutcomeKey, OutcomeRow, ServiceRow, Slot, backend_state, policy,
        protocol, service_flags,
    },
    agreement::{Agreement, Standing},
    atomic,
    connect::{Verdict, connect},
    counter::Counter,
    datagram::send,
    ejection::Health,
    kernel::Kernel as _,
    occupancy::{connecting, live},
    socket,
};

/// Nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// When a test begins: nanoseconds of the monotonic clock.
pub(crate) const START: u64 = 1_000 * SECOND;
/// The only service of most tests.
pub(crate) const ID: u32 = 7;

/// Rows in plain maps, and a filter that every address passes.
#[derive(Debug, Default)]
pub(crate) struct PlainRows {
    pub services: BTreeMap<FrontendKey, ServiceRow>,
    pub slots: BTreeMap<u32, Slot>,
}

impl AgentRows for PlainRows {
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow> {
        self.services.get(key).copied()
    }

    fn filter(&self, _word: u32) -> u64 {
        u64::MAX
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.slots.get(&index).copied()
    }
}

/// A node with the services of a test.
pub(crate) type Node = FakeKernel<PlainRows>;

/// A change of the node between two events, and its name.
pub(crate) type Change = (&'static str, fn(&mut Node));

/// Returns the frontend 10.96.0.`host`:80.
pub(crate) fn frontend(host: u8, protocol: u8) -> FrontendKey {
    FrontendKey {
        addr: core::net::IpAddr::from([10, 96, 0, host]).into(),
        port: 80_u16.to_be(),
        protocol,
        pad: 0,
    }
}

/// Returns a TCP service that ejects a backend after three failures, for 10 s at first.
pub(crate) fn service() -> ServiceRow {
    ServiceRow {
        key: frontend(1, protocol::TCP),
        id: ID,
        failures: 3,
        base_ejection: 10_000,
        max_ejection: 300_000,
        connect_timeout: 1_000,
        max_ejected: 50,
        max_agreed: 50,
        failover: 70,
        policy: policy::RANDOM,
        ..ServiceRow::zeroed()
    }
}

/// Returns the same service for UDP.
pub(crate) fn udp(service: ServiceRow) -> ServiceRow {
    let key = FrontendKey {
        protocol: protocol::UDP,
        ..service.key
    };
    ServiceRow { key, ..service }
}

/// Returns the service with this percentage of its connections for each client.
pub(crate) fn shared(percent: u32, service: ServiceRow) -> ServiceRow {
    ServiceRow {
        max_client_connections: (service.max_connections * percent).div_ceil(100),
        ..service
    }
}

/// Returns a node with one service whose tiers have these numbers of backends of weight one,
/// numbered from zero on.
pub(crate) fn node(service: ServiceRow, tiers: &[u32]) -> Node {
    let mut node = Node::default();
    node.set_now(START);
    node.add(service, 0, tiers);
    node
}

impl Node {
    /// Adds a service, or replaces it. Its backends and slots begin at index `base`.
    pub(crate) fn add(&mut self, service: ServiceRow, base: u32, tiers: &[u32]) {
        let (mut slot, mut backend) = (base, base);
        for (number, &count) in tiers.iter().enumerate() {
            for index in backend..backend + count {
                self.assign_backend(index, backend_row(service.id, index));
                self.rows
                    .slots
                    .insert(slot + index - backend, Slot::full(index));
            }
            (slot, backend) = (slot + count, backend + count);
            if let Some(&next) = tiers.get(number + 1) {
                let more = number + 2 < tiers.len();
                self.rows
                    .slots
                    .insert(slot, Slot::next(slot + 1, next, more));
                slot += 1;
            }
        }
        let tiered = if tiers.len() > 1 {
            service_flags::TIERS
        } else {
            0
        };
        let row = ServiceRow {
            slot_base: base,
            slot_count: tiers.first().copied().unwrap_or_default(),
            flags: service.flags | tiered,
            ..service
        };
        self.rows.services.insert(service.key, row);
        self.assign_id(service.id);
    }

    /// Connects a socket to the first service. Returns the backend, or nothing if it is refused.
    pub(crate) fn connect(&self, socket: u64) -> Option<u32> {
        self.set_socket(socket);
        backend_of(connect(self, &frontend(1, protocol::TCP)))
    }

    /// Connects a socket and sends its SYN.
    pub(crate) fn open(&self, socket: u64) -> Option<u32> {
        let backend = self.connect(socket);
        socket::syn_sent(self, socket);
        backend
    }

    /// Connects a socket, and the connection is established.
    pub(crate) fn succeed(&self, socket: u64) -> Option<u32> {
        let backend = self.open(socket);
        socket::established(self, socket, 0, || false);
        backend
    }

    /// Connects a socket, and its SYN is refused.
    pub(crate) fn fail(&self, socket: u64) -> Option<u32> {
        let backend = self.open(socket);
        socket::closed(self, socket, true);
        backend
    }

    /// Sends a datagram of a socket to a frontend.
    pub(crate) fn send(&self, socket: u64, to: &FrontendKey) -> Option<u32> {
        self.set_socket(socket);
        backend_of(send(self, to))
    }

    /// Changes the state of a backend, as the agent does.
    pub(crate) fn set_state(&mut self, index: u32, state: u16) {
        let row = self.backend(index).expect("a backend of the test").row;
        self.change_backend(index, BackendRow { state, ..row });
    }

    /// Gives a client a record of a backend.
    pub(crate) fn set_health(&mut self, client: u32, index: u32, health: Health) {
        let doubted = Agreement {
            standing: Standing::Doubted,
            until: u64::MAX >> 26,
            ..Agreement::default()
        };
        let backend = self.backend(index).expect("a backend of the test");
        backend
            .health
            .store(doubted.word(), core::sync::atomic::Ordering::Relaxed);
        let row = OutcomeRow {
            health: health.word(),
            generation: backend.row.generation,
            client,
            backend: index,
            pad: 0,
        };
        self.set_outcome(OutcomeKey::new(client, index), &row);
    }

    /// Returns a client's record of a backend.
    pub(crate) fn health(&self, client: u32, index: u32) -> Health {
        let key = OutcomeKey::new(client, index);
        Health::of(
            self.outcome(&key)
                .map_or(0, |row| atomic::read(&row.health)),
        )
    }

    /// Returns what all clients agree on about a backend.
    pub(crate) fn agreement(&self, index: u32) -> Agreement {
        Agreement::of(self.counters().backends[&index].health)
    }

    /// Returns how many sockets hold each backend, and how many of them are connecting.
    pub(crate) fn held(&self) -> Vec<(u64, u64)> {
        let backends = self.counters().backends.into_values();
        backends
            .map(|it| (live(it.live), connecting(it.live)))
            .collect()
    }

    /// Returns how many sockets count for the first service.
    pub(crate) fn connections(&self) -> u64 {
        live(self.counters().loads[&ID].connections)
    }

    /// Returns a counter of the first service.
    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        let services = self.counters().services;
        services.get(&ID).map_or(0, |row| row[counter.index()])
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, milliseconds: u64) {
        self.set_now(self.now() + milliseconds * 1_000_000);
    }
}

/// Returns the row of backend `index`, whose port says its index.
pub(crate) fn backend_row(service: u32, index: u32) -> BackendRow {
    BackendRow {
        addr: core::net::IpAddr::from([10, 0, 0, 1]).into(),
        port: (1_000 + u16::try_from(index).expect("few backends")).to_be(),
        state: backend_state::ACTIVE,
        service,
        generation: 100 + index,
        weight: 1,
        drain_seconds: 0,
    }
}

/// Returns the index of the backend that a verdict leads to, or nothing if it is refused.
pub(crate) fn backend_of(verdict: Verdict) -> Option<u32> {
    match verdict {
        Verdict::Backend { port, .. } => Some(u32::from(u16::from_be(port)) - 1_000),
        Verdict::Refused => None,
        Verdict::Untouched => panic!("the destination is a service"),
    }
}

/// All policies.
pub(crate) const POLICIES: [u8; 5] = [
    policy::RANDOM,
    policy::LEAST_CONNECTIONS,
    policy::LATENCY_AWARE,
    policy::ROUND_ROBIN,
    policy::CONSISTENT_HASH,
];

/// Returns a random number that draws slot `slot` of `slots`.
pub(crate) fn draw(slot: u32, slots: u32) -> u32 {
    u32::try_from(((u64::from(slot) * 2 + 1) << 31) / u64::from(slots)).expect("below one")
}
