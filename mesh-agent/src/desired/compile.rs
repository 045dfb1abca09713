//! Services → tables. Whatever the kernel already holds keeps its place: a service its id, an endpoint its index (and
//! with them their counters), an unchanged set of slots its range. So the kernel's own rows are the memory of the
//! agent, and a restarted one compiles to the very same tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot, backend_state, service_flags},
    addr::Addr,
};

use super::{
    Tables,
    free::{FreeIndexes, FreeRanges},
    frontends::{Frontend, Reach, active, frontends, takers},
    slots::{Share, alias_table},
    traffic,
    vips::Vips,
};
use crate::{
    dataplane::Capacity,
    model::{
        Addresses, AffinityClient, Condition, Endpoint, FrontendKind, Locality, Protocol, Service, ServiceName,
        ServicePort,
    },
};

/// Everything that decides what the tables should be.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Services of all sources.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Addresses of the services that ask for `auto`.
    pub vips: Vips,
    /// False while services may be missing here that exist; then rows of unknown services stay.
    pub complete: bool,
    /// Name of this node, as endpoints have it.
    pub node_name: String,
    /// Addresses at which node ports are reached, loopback among them.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Where this node is.
    pub locality: Locality,
    /// Endpoints that health checks found not to work.
    pub unhealthy: BTreeSet<Target>,
    /// What operators said of endpoints.
    pub overrides: BTreeMap<Target, Override>,
    /// When endpoints became usable, by the monotonic clock; those that are not here are long past their slow start.
    pub usable_since: BTreeMap<Target, Duration>,
}

/// An endpoint of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// Service.
    pub service: ServiceName,
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// What an operator said of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Override {
    /// Since when it is to take no new connections, by the monotonic clock.
    pub draining_since: Option<Duration>,
    /// Its weight, instead of the configured one.
    pub weight: Option<u16>,
}

impl World {
    /// The addresses of a service inside the cluster.
    pub fn addresses<'a>(&'a self, service: &'a Service) -> &'a [IpAddr] {
        match &service.addresses {
            Addresses::Cluster(addresses) | Addresses::Fixed(addresses) => addresses,
            Addresses::Auto => self.vips.get(&service.name).map_or(&[], Vec::as_slice),
        }
    }
}

/// The configuration does not fit into the maps. Nothing of it is applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "map {map} has {capacity} rows but {needed} are needed (rows that are being replaced count until they are deleted); \
     configure fewer or raise the capacity in the agent's settings"
)]
pub struct CapacityError {
    /// Map name.
    pub map: &'static str,
    /// Rows it has.
    pub capacity: u32,
    /// Rows it would need.
    pub needed: u32,
}

/// What the tables should be, given what the kernel holds now. Pure; `now` is the monotonic clock.
pub fn compile(world: &World, now: Duration, current: &Tables, capacity: Capacity) -> Result<Tables, CapacityError> {
    let mut compiler = Compiler::new(current, now);
    for service in world.services.values() {
        for port in &service.ports {
            compiler.add_port(world, service, port);
        }
    }
    let mut tables = compiler.tables;
    if !world.complete {
        carry_over(current, &mut tables);
    }
    check_capacity(current, &tables, capacity)?;
    Ok(tables)
}

/// `namespace/name:port/PROTOCOL`, the name under which a service port keeps its id.
pub fn port_identity(service: &ServiceName, port: &ServicePort) -> String {
    format!("{service}:{}/{}", port.label(), port.protocol)
}

struct Compiler<'a> {
    current: &'a Tables,
    generation: u32,
    known_ids: HashMap<&'a str, u32>,
    known_backends: HashMap<(u32, Addr, u16), u32>,
    free_ids: FreeIndexes<'a, String>,
    free_backends: FreeIndexes<'a, BackendRow>,
    free_slots: FreeRanges,
    tables: Tables,
}

impl<'a> Compiler<'a> {
    fn new(current: &'a Tables, now: Duration) -> Self {
        Self {
            current,
            #[expect(clippy::cast_possible_truncation, reason = "only has to differ from the last use of an index")]
            generation: now.as_millis() as u32,
            known_ids: current.names.iter().map(|(&id, name)| (name.as_str(), id)).collect(),
            known_backends: current.backends.iter().map(|(&i, row)| ((row.service, row.addr, row.port), i)).collect(),
            free_ids: FreeIndexes::new(&current.names),
            free_backends: FreeIndexes::new(&current.backends),
            free_slots: FreeRanges::new(&current.slots),
            tables: Tables::default(),
        }
    }

    fn add_port(&mut self, world: &World, service: &Service, port: &ServicePort) {
        let name = port_identity(&service.name, port);
        let id = self.known_ids.get(name.as_str()).copied().unwrap_or_else(|| self.free_ids.take());
        self.tables.names.insert(id, name);
        let endpoints = port.endpoints.iter().zip(active(world, service, port));
        let drain = drain_seconds(service, port);
        let indexes: Vec<u32> =
            endpoints.map(|(endpoint, active)| self.add_backend(id, drain, active, endpoint)).collect();
        let mut rest = frontends(world, service, port);
        while let Some(first) = rest.first().copied() {
            let alike = |other: &Frontend| leads_to(other) == leads_to(&first);
            let (group, others): (Vec<_>, _) = rest.into_iter().partition(alike);
            self.add_frontends(id, service, port, &indexes, &group);
            rest = others;
        }
    }

    /// Adds front ends that all lead to the same endpoints.
    fn add_frontends(&mut self, id: u32, service: &Service, port: &ServicePort, indexes: &[u32], group: &[Frontend]) {
        let (is_v4, reach) = leads_to(&group[0]);
        let share = |at: usize| Share { backend: indexes[at], weight: port.endpoints[at].weight };
        let shares: Vec<Share> = takers(port, is_v4, reach).map(share).collect();
        let keys: Vec<FrontendKey> = group.iter().map(|frontend| frontend.key(port)).collect();
        let (slot_base, slot_count) = self.add_slots(id, &keys, &shares);
        let (flags, affinity_seconds) = (flags(service, port, reach), affinity_seconds(service));
        for (frontend, key) in group.iter().zip(keys) {
            let row = ServiceRow {
                key,
                id,
                slot_base,
                slot_count,
                flags,
                affinity_seconds,
                ..traffic::row(&service.traffic)
            };
            match frontend.kind {
                // Nobody asked for this very address: whoever does, has it.
                FrontendKind::NodePort => _ = self.tables.services.entry(key).or_insert(row),
                _ => _ = self.tables.services.insert(key, row),
            }
        }
    }

    fn add_backend(&mut self, service: u32, drain_seconds: u16, active: bool, endpoint: &Endpoint) -> u32 {
        let (addr, port) = (Addr::from(endpoint.address), endpoint.port.to_be());
        let known = self.known_backends.get(&(service, addr, port)).copied();
        let index = known.unwrap_or_else(|| self.free_backends.take());
        let generation = known.map_or(self.generation, |index| self.current.backends[&index].generation);
        let state = state(active, endpoint);
        let weight = u16::try_from(endpoint.weight).expect("sources take no larger weight");
        let row = BackendRow { addr, port, state, service, generation, weight, drain_seconds };
        self.tables.backends.insert(index, row);
        index
    }

    /// First slot and number of slots for these shares.
    fn add_slots(&mut self, id: u32, keys: &[FrontendKey], shares: &[Share]) -> (u32, u32) {
        let slots = alias_table(shares);
        let slot_count = u32::try_from(slots.len()).expect("endpoints of one port fit into memory, hence into 32 bits");
        let kept = keys
            .iter()
            .filter_map(|key| self.current.services.get(key))
            .find(|row| row.id == id && row.slot_count == slot_count && self.holds(row.slot_base, &slots));
        let slot_base = match kept {
            Some(row) => row.slot_base,
            None if slots.is_empty() => 0,
            None => self.free_slots.take(slot_count),
        };
        self.tables.slots.extend((slot_base..).zip(slots));
        (slot_base, slot_count)
    }

    fn holds(&self, base: u32, slots: &[Slot]) -> bool {
        (base..).zip(slots).all(|(index, slot)| self.current.slots.get(&index) == Some(slot))
    }
}

/// The kernel translates within one family only.
fn leads_to<'a>(frontend: &Frontend<'a>) -> (bool, Reach<'a>) {
    (frontend.address.is_ipv4(), frontend.reach)
}

fn state(active: bool, endpoint: &Endpoint) -> u16 {
    match endpoint.condition {
        _ if active => backend_state::ACTIVE,
        Condition::Ready | Condition::Terminating => backend_state::DRAINING,
        Condition::NotReady => backend_state::DOWN,
    }
}

/// UDP sockets do not drain: a program that asks a question wants an answer.
fn drain_seconds(service: &Service, port: &ServicePort) -> u16 {
    let drain = service.close_stale_tcp.filter(|_| port.protocol == Protocol::Tcp).unwrap_or_default();
    u16::try_from(drain.as_secs()).unwrap_or(u16::MAX)
}

fn flags(service: &Service, port: &ServicePort, reach: Reach<'_>) -> u32 {
    let track = port.protocol == Protocol::Udp || service.close_stale_tcp.is_some();
    let by_cgroup = service.affinity.is_some_and(|affinity| affinity.client == AffinityClient::Cgroup);
    let local = reach != Reach::Everywhere;
    let flags =
        [(track, service_flags::TRACK), (by_cgroup, service_flags::AFFINITY_BY_CGROUP), (local, service_flags::LOCAL)];
    flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag)
}

fn affinity_seconds(service: &Service) -> u32 {
    service.affinity.map_or(0, |affinity| u32::try_from(affinity.timeout.as_secs()).unwrap_or(u32::MAX))
}

/// Adds the rows of every service the kernel knows and `tables` does not.
fn carry_over(current: &Tables, tables: &mut Tables) {
    let unknown: BTreeMap<u32, String> = current
        .names
        .iter()
        .filter(|(id, _)| !tables.names.contains_key(id))
        .map(|(&id, name)| (id, name.clone()))
        .collect();
    for (key, row) in current.services.iter().filter(|(_, row)| unknown.contains_key(&row.id)) {
        if !tables.services.contains_key(key) {
            tables.services.insert(*key, *row);
            let range = row.slot_base..row.slot_base.saturating_add(row.slot_count);
            tables.slots.extend(current.slots.range(range).map(|(&index, &slot)| (index, slot)));
        }
    }
    let backends = current.backends.iter().filter(|(_, row)| unknown.contains_key(&row.service));
    tables.backends.extend(backends.map(|(&index, &row)| (index, row)));
    tables.names.extend(unknown);
}

/// New frontends are written before old ones are deleted, so both must fit. Indexes are handed out around the rows in
/// use, so the highest one tells.
fn check_capacity(current: &Tables, tables: &Tables, capacity: Capacity) -> Result<(), CapacityError> {
    let needed = |last: Option<u32>| last.map_or(0, |index| index + 1);
    let leaving = current.services.keys().filter(|key| !tables.services.contains_key(key)).count();
    let frontends = u32::try_from(tables.services.len() + leaving).expect("frontends fit into 32 bits");
    let rows = [
        ("SERVICES", capacity.services, frontends),
        ("NAMES", capacity.services, needed(tables.names.keys().next_back().copied())),
        ("SLOTS", capacity.slots, needed(tables.slots.keys().next_back().copied())),
        ("BACKENDS", capacity.backends, needed(tables.backends.keys().next_back().copied())),
    ];
    match rows.into_iter().find(|(_, capacity, needed)| needed > capacity) {
        Some((map, capacity, needed)) => Err(CapacityError { map, capacity, needed }),
        None => Ok(()),
    }
}
