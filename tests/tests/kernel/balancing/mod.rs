//! Balancing by the state in the kernel: live load, failures, limits, policies.

mod blackholes;
mod connect_kinds;
mod count_repair;
mod ejection;
mod ejection_trials;
mod limits;
mod open_sockets;
mod policies;
mod reachable;
mod reservations;
mod round_robin_and_hashing;
mod soak;
mod socket_lifetime;
mod udp;
mod unroutable;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use bytemuck::cast;
use mesh_common::{
    abi::{BackendEntry, OutcomeRow, ServiceCounters, ServiceLoad, maps},
    agreement::{Agreement, Standing},
    counter::Counter,
    ejection::Health,
    occupancy,
};
use mesh_tests::{
    Node, Server,
    node::{PATIENCE, SETTLE},
    pinned, wait,
};

const VIP: &str = "10.96.0.10:80";
const REFUSED: &str = "connect ECONNREFUSED";

// Rows as bytes, because aya's `Pod` is implemented for them only in the agent.
type BackendBytes = [u8; size_of::<BackendEntry>()];
type LoadBytes = [u8; size_of::<ServiceLoad>()];
type OutcomeBytes = [u8; size_of::<OutcomeRow>()];
type CounterBytes = [u8; size_of::<ServiceCounters>()];

/// The kernel's state of a service, which exists without an agent.
pub(crate) struct KernelState {
    backends: Array<MapData, BackendBytes>,
    load: Array<MapData, LoadBytes>,
    counters: PerCpuArray<MapData, CounterBytes>,
    pins: PathBuf,
    /// Backend indexes of the endpoints that take connects.
    indices: Vec<u32>,
    service: u32,
}

impl KernelState {
    /// Opens the state of the only port of `shop/cart`, with its present endpoints.
    pub(crate) fn of(node: &Node) -> Self {
        Self::of_port(node, &node.port("shop/cart"))
    }

    /// Opens the state when this number of endpoints takes connects.
    pub(crate) fn when(node: &Node, endpoints: usize) -> Self {
        wait::until_equal("endpoints", SETTLE, &Some(endpoints), || {
            let ports = node.find_service("shop/cart")?.ports;
            Some(
                ports
                    .first()?
                    .endpoints
                    .iter()
                    .filter(|endpoint| endpoint.active)
                    .count(),
            )
        });
        Self::of(node)
    }

    fn of_port(node: &Node, port: &mesh_core::api::types::ServicePort) -> Self {
        let map = |name| pinned::map(&node.directories().pins, name);
        let backends: Array<_, BackendBytes> = Map::Array(map(maps::BACKENDS.name))
            .try_into()
            .expect("BACKENDS is an array of this size");
        let indices: Vec<_> = port
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.index)
            .collect();
        let first: BackendEntry = cast(backends.get(&indices[0], 0).expect("the row exists"));
        Self {
            backends,
            load: Map::Array(map(maps::LOAD.name))
                .try_into()
                .expect("LOAD is an array of this size"),
            pins: node.directories().pins.clone(),
            counters: Map::PerCpuArray(map(maps::COUNTERS.name))
                .try_into()
                .expect("COUNTERS is an array of this size"),
            indices,
            service: first.row.service,
        }
    }

    fn entries(&self) -> Vec<BackendEntry> {
        let row = |index| self.backends.get(index, 0).expect("the row exists");
        self.indices.iter().map(|index| cast(row(index))).collect()
    }

    /// Returns the row of the endpoint at this address.
    fn at(&self, address: SocketAddr) -> BackendEntry {
        let text =
            |entry: &BackendEntry| format!("{}:{}", entry.row.addr, u16::from_be(entry.row.port));
        let mut entries = self.entries().into_iter();
        entries
            .find(|entry| text(entry) == address.to_string())
            .unwrap_or_else(|| panic!("no endpoint {address}"))
    }

    fn live_of(&self, server: &Server) -> u64 {
        occupancy::live(self.at(server.address()).load.live)
    }

    /// How long connections to a server are open, microseconds.
    pub(crate) fn duration_of(&self, server: &Server) -> u32 {
        self.at(server.address()).load.duration
    }

    /// Sockets that hold a backend, and those of them that are connecting.
    pub(crate) fn live(&self) -> (u64, u64) {
        self.entries()
            .iter()
            .fold((0, 0), |(live, connecting), entry| {
                let word = entry.load.live;
                (
                    live + occupancy::live(word),
                    connecting + occupancy::connecting(word),
                )
            })
    }

    fn connects(&self) -> u64 {
        self.entries().iter().map(|entry| entry.load.connects).sum()
    }

    /// Returns the health records of all clients, by backend.
    fn records(&self) -> Vec<(u32, Health)> {
        let map = Map::LruHashMap(pinned::map(&self.pins, maps::OUTCOMES.name));
        let outcomes: HashMap<_, u64, OutcomeBytes> =
            map.try_into().expect("OUTCOMES has rows of this size");
        let rows = outcomes.iter().map(|row| row.expect("it can be read"));
        let rows = rows.map(|(_, row)| cast::<_, OutcomeRow>(row));
        let ours = rows.filter(|row| self.indices.contains(&row.backend));
        ours.map(|row| (row.backend, Health::of(row.health)))
            .collect()
    }

    /// Returns the clients' health records of the endpoint at this address.
    pub(crate) fn records_of(&self, address: SocketAddr) -> Vec<Health> {
        let index = self
            .indices
            .iter()
            .zip(self.entries())
            .find(|(_, entry)| entry.row == self.at(address).row);
        let index = *index.expect("the service has this endpoint").0;
        self.records()
            .into_iter()
            .filter(|(backend, _)| *backend == index)
            .map(|(_, health)| health)
            .collect()
    }

    /// Returns the number of endpoints that any client has ejected for itself.
    pub(crate) fn ejected(&self) -> usize {
        let ejected = self
            .records()
            .into_iter()
            .filter(|(_, health)| health.is_ejected());
        ejected
            .map(|(backend, _)| backend)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Returns the number of endpoints that clients have ejected by agreement.
    pub(crate) fn agreed(&self) -> usize {
        let standings = self
            .entries()
            .into_iter()
            .map(|entry| Agreement::of(entry.load.health).standing);
        standings
            .filter(|standing| *standing == Standing::Ejected)
            .count()
    }

    /// Returns the number of sockets that count for the service.
    fn connections(&self) -> u64 {
        let load: ServiceLoad = cast(self.load.get(&self.service, 0).expect("the row exists"));
        occupancy::live(load.connections)
    }

    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        let rows = self.counters.get(&self.service, 0).expect("the row exists");
        rows.iter()
            .map(|row| cast::<_, ServiceCounters>(*row)[counter.index()])
            .sum()
    }

    /// Waits until no socket holds anything, after this total number of connects.
    fn expect_rest(&self, connects: u64) {
        wait::until_equal("no socket to hold anything", PATIENCE, &(0, 0), || {
            self.live()
        });
        assert_eq!(
            (self.connects(), self.counter(Counter::Connects)),
            (connects, connects)
        );
        assert_eq!(
            (self.connections(), self.counter(Counter::Unrecorded)),
            (0, 0)
        );
        for entry in self.entries() {
            assert_eq!(
                occupancy::counts(entry.load.live),
                0,
                "the counts add up to zero but are not zero, or a reservation is left: {entry:?}"
            );
        }
    }
}
