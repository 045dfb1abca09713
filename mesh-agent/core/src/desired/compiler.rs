//! Adds services to tables, one by one. What the kernel already holds keeps its place: a service
//! keeps its id and an endpoint its index (and with them their counters), and an unchanged set of
//! slots keeps its range. So the kernel's own rows are the memory of the agent, and a restarted agent
//! compiles the same tables.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, service_flags},
    addr::Addr,
};

use super::{
    Allocatable, Eligibility, Tables, World,
    alias_table::WeightedBackend,
    frontends::{Frontend, Reach, frontends},
    index_allocator::{IdAllocator, IndexAllocator},
    port_identity::port_identity,
    service_row::{client_limit, service_row},
    tiers::Tiers,
};
use crate::model::{
    AffinityClient, Condition, Endpoint, FrontendKind, Protocol, Service, ServicePort,
};

/// State of a [`Compiler`] that it can [return to](Compiler::return_to).
pub(super) struct Checkpoint<'a> {
    pub(super) tables: Tables,
    free_ids: IdAllocator<'a>,
    free_backends: IndexAllocator,
    free_slots: IndexAllocator,
}

/// Adds services to tables, one by one.
pub(super) struct Compiler<'a> {
    current: &'a Tables,
    now: Duration,
    generation: u32,
    known_ids: HashMap<&'a str, u32>,
    known_backends: HashMap<(u32, Addr, u16), u32>,
    free_ids: IdAllocator<'a>,
    free_backends: IndexAllocator,
    free_slots: IndexAllocator,
    pub(super) tables: Tables,
}

impl<'a> Compiler<'a> {
    /// Creates a compiler that adds services to `tables`. `ids` selects the rows of `current` that
    /// belong to the services that will be added.
    pub(super) fn new(
        current: &'a Tables,
        now: Duration,
        allocatable: Allocatable<'a>,
        tables: Tables,
        ids: impl Fn(u32) -> bool,
    ) -> Self {
        let names = current.names.iter().filter(|(id, _)| ids(**id));
        let backends = current.backends.iter().filter(|(_, row)| ids(row.service));
        Self {
            current,
            now,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "only has to differ from the last use of an index"
            )]
            generation: now.as_millis() as u32,
            known_ids: names.map(|(&id, name)| (name.as_str(), id)).collect(),
            known_backends: backends
                .map(|(&i, row)| ((row.service, row.addr, row.port), i))
                .collect(),
            free_ids: IdAllocator::new(&current.names, allocatable),
            free_backends: IndexAllocator::new(&current.backends),
            free_slots: IndexAllocator::new(&current.slots),
            tables,
        }
    }

    /// Saves the present state.
    pub(super) fn checkpoint(&self) -> Checkpoint<'a> {
        Checkpoint {
            tables: self.tables.clone(),
            free_ids: self.free_ids.clone(),
            free_backends: self.free_backends.clone(),
            free_slots: self.free_slots.clone(),
        }
    }

    /// Drops everything that was added after the checkpoint.
    pub(super) fn return_to(&mut self, checkpoint: Checkpoint<'a>) {
        let Checkpoint {
            tables,
            free_ids,
            free_backends,
            free_slots,
        } = checkpoint;
        (
            self.tables,
            self.free_ids,
            self.free_backends,
            self.free_slots,
        ) = (tables, free_ids, free_backends, free_slots);
    }

    /// Returns the sort key by which services are added when not all fit: those that the kernel
    /// knows first, then those with the fewest new endpoints.
    pub(super) fn growth(&self, service: &Service) -> (bool, usize) {
        let is_known = |port: &ServicePort| {
            self.known_ids
                .contains_key(port_identity(&service.name, port).as_str())
        };
        let new = |port: &ServicePort| {
            let has = self.has(service, port);
            port.endpoints.iter().filter(|it| !has(it)).count()
        };
        (
            !service.ports.iter().any(is_known),
            service.ports.iter().map(new).sum(),
        )
    }

    /// Returns a test for whether the kernel has an endpoint of this port.
    fn has<'s>(
        &'s self,
        service: &Service,
        port: &ServicePort,
    ) -> impl Fn(&Endpoint) -> bool + use<'s, 'a> {
        let id = self
            .known_ids
            .get(port_identity(&service.name, port).as_str())
            .copied();
        move |it| {
            let key = |id| (id, Addr::from(it.address), it.port.to_be());
            id.is_some_and(|id| self.known_backends.contains_key(&key(id)))
        }
    }

    /// Returns the service without the endpoints that are new to the kernel, or nothing if no
    /// endpoint that may take connects is left.
    pub(super) fn without_growth(&self, service: &Service) -> Option<Service> {
        let mut rest = service.clone();
        for port in &mut rest.ports {
            let has = self.has(service, port);
            port.endpoints.retain(has);
        }
        let mut left = rest.ports.iter().flat_map(|port| &port.endpoints);
        left.any(|it| it.takes(Condition::Ready)).then_some(rest)
    }

    /// Adds a service.
    pub(super) fn add(&mut self, world: &World, service: &Service) {
        service
            .ports
            .iter()
            .for_each(|port| self.add_port(world, service, port));
    }

    fn add_port(&mut self, world: &World, service: &Service, port: &ServicePort) {
        let name = port_identity(&service.name, port);
        let id = self
            .known_ids
            .get(name.as_str())
            .copied()
            .unwrap_or_else(|| self.free_ids.take());
        self.tables.names.insert(id, name);
        let eligibility = Eligibility::of(world, self.now, service, port);
        let drain = drain_seconds(service, port);
        let positions = 0..port.endpoints.len();
        let indexes: Vec<u32> = positions
            .map(|at| self.add_backend(id, drain, port, &eligibility, at))
            .collect();
        let mut rest = frontends(world, service, port);
        while let Some(first) = rest.first().copied() {
            let alike = |other: &Frontend| leads_to(other) == leads_to(&first);
            let (group, others): (Vec<_>, _) = rest.into_iter().partition(alike);
            let tiers = tiers(
                world,
                service,
                port,
                &eligibility,
                leads_to(&first),
                &indexes,
            );
            self.add_frontends(id, service, port, &tiers, &group);
            rest = others;
        }
    }

    /// Adds frontends that lead to the same endpoints.
    fn add_frontends(
        &mut self,
        id: u32,
        service: &Service,
        port: &ServicePort,
        tiers: &Tiers,
        group: &[Frontend],
    ) {
        let keys: Vec<FrontendKey> = group.iter().map(|frontend| frontend.key(port)).collect();
        let (slot_base, shape) = match tiers.first_contiguous() {
            Some(first) => (first, service_flags::CONTIGUOUS),
            None => (
                self.add_slots(id, &keys, tiers),
                if tiers.has_more() {
                    service_flags::TIERS
                } else {
                    0
                },
            ),
        };
        let flags = flags(service, port, group[0].reach) | shape;
        let (slot_count, affinity_seconds) = (tiers.first(), affinity_seconds(service));
        let max_client_connections = client_limit(service.traffic.limits, || tiers.backends());
        for (frontend, key) in group.iter().zip(keys) {
            let row = ServiceRow {
                key,
                id,
                slot_base,
                slot_count,
                flags,
                affinity_seconds,
                max_client_connections,
                ..service_row(&service.traffic)
            };
            match frontend.kind {
                // A service that asks for this very address takes precedence.
                FrontendKind::NodePort if self.tables.services.contains_key(&key) => {}
                _ => _ = self.tables.services.insert(key, row),
            }
        }
    }

    fn add_backend(
        &mut self,
        service: u32,
        drain_seconds: u16,
        port: &ServicePort,
        eligibility: &Eligibility<'_>,
        position: usize,
    ) -> u32 {
        let endpoint = &port.endpoints[position];
        let (addr, port) = (Addr::from(endpoint.address), endpoint.port.to_be());
        let known = self.known_backends.get(&(service, addr, port)).copied();
        let index = known.unwrap_or_else(|| self.free_backends.take());
        let generation = known.map_or(self.generation, |index| {
            self.current.backends[&index].generation
        });
        let (state, weight) = (
            eligibility.state(position),
            eligibility.row_weight(position),
        );
        let row = BackendRow {
            addr,
            port,
            state,
            service,
            generation,
            weight,
            drain_seconds,
        };
        self.tables.backends.insert(index, row);
        index
    }

    /// Returns the first slot of these tiers. Tiers that the kernel already holds unchanged keep
    /// their range.
    fn add_slots(&mut self, id: u32, keys: &[FrontendKey], tiers: &Tiers) -> u32 {
        let rows = keys.iter().filter_map(|key| self.current.services.get(key));
        let has_slots = |row: &&ServiceRow| row.flags & service_flags::CONTIGUOUS == 0;
        let mut own = rows
            .filter(|row| row.id == id && row.slot_count == tiers.first())
            .filter(has_slots);
        let slot_base = match own.find(|row| self.holds(row.slot_base, tiers)) {
            Some(row) => row.slot_base,
            None if tiers.len() == 0 => 0,
            None => self.free_slots.take_range(tiers.len()),
        };
        self.tables.slots.extend(tiers.at(slot_base));
        slot_base
    }

    fn holds(&self, base: u32, tiers: &Tiers) -> bool {
        let fits = base.checked_add(tiers.len()).is_some();
        fits && tiers
            .at(base)
            .all(|(index, slot)| self.current.slots.get(&index) == Some(&slot))
    }
}

/// Returns the slots of frontends that lead to the same endpoints. An unhealthy endpoint keeps its
/// slots, so a health verdict costs one write to its row.
fn tiers(
    world: &World,
    service: &Service,
    port: &ServicePort,
    eligibility: &Eligibility<'_>,
    (is_v4, reach): (bool, Reach<'_>),
    indexes: &[u32],
) -> Tiers {
    let share = |&at: &usize| WeightedBackend {
        backend: indexes[at],
        weight: eligibility.share(at),
        address: SocketAddr::new(port.endpoints[at].address, port.endpoints[at].port),
    };
    let tiers = eligibility.tiers_of(world, service, is_v4, reach);
    Tiers::new(
        service.traffic.balance,
        tiers.iter().map(|tier| tier.iter().map(share).collect()),
    )
}

/// Frontends with the same key share their slots. The kernel translates within one address family
/// only.
fn leads_to<'a>(frontend: &Frontend<'a>) -> (bool, Reach<'a>) {
    (frontend.address.is_ipv4(), frontend.reach)
}

/// UDP sockets do not drain: the endpoint is gone, and a request to it would get no answer.
fn drain_seconds(service: &Service, port: &ServicePort) -> u16 {
    let drain = service
        .close_stale_tcp
        .filter(|_| port.protocol == Protocol::Tcp)
        .unwrap_or_default();
    u16::try_from(drain.as_secs()).unwrap_or(u16::MAX)
}

fn flags(service: &Service, port: &ServicePort, reach: Reach<'_>) -> u32 {
    let track = port.protocol == Protocol::Udp || service.close_stale_tcp.is_some();
    let by_cgroup = service
        .affinity
        .is_some_and(|affinity| affinity.client == AffinityClient::Cgroup);
    let local = reach != Reach::Everywhere;
    let flags = [
        (track, service_flags::TRACK),
        (by_cgroup, service_flags::AFFINITY_BY_CGROUP),
        (local, service_flags::LOCAL),
    ];
    flags
        .into_iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |flags, (_, flag)| flags | flag)
}

fn affinity_seconds(service: &Service) -> u32 {
    service.affinity.map_or(0, |affinity| {
        u32::try_from(affinity.timeout.as_secs()).unwrap_or(u32::MAX)
    })
}
