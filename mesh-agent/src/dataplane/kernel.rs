//! The real maps and programs. Only this directory names aya.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd as _,
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use aya::{
    Ebpf, EbpfLoader,
    programs::{CgroupSock, CgroupSockAddr, SockOps, SocketFilter},
};
use bytemuck::Zeroable as _;
use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, BackendLoad, BackendRow, ExcludedKey, FrontendKey, NameRow,
        OutcomeKey, OutcomeRow, ServiceLoad, ServiceRow, ShareKey, Slot, SocketRow, capacity, maps,
        service_flags,
    },
    limits::percent,
    occupancy::live,
};

#[cfg(feature = "kernel-log")]
use super::kernel_log::{Decision, KernelLog};
use super::{
    ApplyError, Counters, Dataplane, Error, Evidence, Meter, SharedMeter,
    backends::BackendMap,
    batch::{CounterMap, Map},
    clients::Clients,
    exclude,
    layout::{directory_name, has_more_rows, layout},
    links::{self, Held},
    others,
    pin::{Attached, Cgroup, PinDir},
    sockets::{self, Sockets},
    verify::verify,
};
use crate::{
    desired::{Capacity, Tables, contiguous_backends, plan::Op},
    table::Table,
};

/// The object with all programs and maps, built from `mesh-ebpf` by this crate's build script.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mesh"));

/// Hooks of addresses, in the order in which their programs are replaced: those that read socket
/// records before those that write them, because many replacements are not one step and new readers
/// understand old records.
pub(super) const ADDRESS_HOOKS: [&str; 8] = [
    "getpeername4",
    "getpeername6",
    "recvmsg4",
    "recvmsg6",
    "sendmsg4",
    "sendmsg6",
    "connect4",
    "connect6",
];
/// The hook of closed sockets; before the others, so that nothing is kept that it does not clean
/// up.
pub(super) const RELEASE_HOOK: &str = "sock_release";
/// The hook of TCP states; before those that connect, so that whatever they count is given back.
pub(super) const STATE_HOOK: &str = "sock_ops";
/// Name of the constant that says whether EXCLUDED has rows.
const EXCLUSIONS: &str = "EXCLUSIONS";
/// Name of the constant that says which network namespace is the node's.
const NODE_NETNS: &str = "NODE_NETNS";

/// Names of the constants that say how many rows one client may have.
const SOCKETS_PER_CLIENT: &str = "SOCKETS_PER_CLIENT";
const AFFINITY_PER_CLIENT: &str = "AFFINITY_PER_CLIENT";
const HAS_ALL: &str = "the object is built from this workspace and holds every program";

/// Maps that are filled, and programs that can be attached to decide from them.
pub struct Kernel {
    pins: PinDir,
    programs: Ebpf,
    maps: Arc<Maps>,
    capacity: Capacity,
    replaces_other: bool,
    replaces_larger: bool,
    links: Vec<Held>,
}

pub(super) struct Maps {
    services: Map<FrontendKey, ServiceRow>,
    slots: Map<u32, Slot>,
    pub(super) backends: BackendMap,
    names: Map<u32, NameRow>,
    pub(super) load: Map<u32, ServiceLoad>,
    counters: CounterMap,
    filter: Map<u32, u64>,
    pub(super) sockets: Map<u64, SocketRow>,
    pub(super) affinity: Map<AffinityKey, AffinityRow>,
    excluded: Map<ExcludedKey, u64>,
    pub(super) shares: Map<ShareKey, u64>,
    outcomes: Map<OutcomeKey, OutcomeRow>,
    clients: Clients,
}

impl Kernel {
    /// Opens or makes the maps, and has the verifier check the programs. Nothing is attached.
    /// `excludes` says whether [`exclude`](Self::exclude) will ever be called; if not, programs
    /// need not look.
    pub fn open(pins: PinDir, capacity: Capacity, excludes: bool) -> anyhow::Result<Self> {
        let replaces_other = pins.has_links() && !pins.has_maps(&directory_name(capacity));
        let is_larger = |name: &String| has_more_rows(name, capacity);
        let replaces_larger = replaces_other && pins.all_maps().iter().any(is_larger);
        let directory = pins.maps(&directory_name(capacity))?;
        let mut loader = EbpfLoader::new();
        for map in &layout(capacity) {
            let path = directory.join(map.name);
            map.check(&path)?;
            loader.map_pin_path(map.name, path);
            if map.rows > 0 {
                loader.map_max_entries(map.name, map.rows);
            }
        }
        let exclusions = u32::from(excludes);
        loader.override_global(EXCLUSIONS, &exclusions, true);
        let netns =
            exclude::own_netns().context("cannot read the cookie of this network namespace")?;
        loader.override_global(NODE_NETNS, &netns, true);
        let affinity = capacity.sockets_per_client.min(capacity::AFFINITY / 4);
        loader.override_global(SOCKETS_PER_CLIENT, &capacity.sockets_per_client, true);
        loader.override_global(AFFINITY_PER_CLIENT, &affinity, true);
        let mut programs = loader.load(OBJECT).context("cannot create the maps")?;
        verify(&mut programs)?;
        Ok(Self {
            pins,
            programs,
            maps: Arc::new(Maps::open(&directory)?),
            capacity,
            replaces_other,
            replaces_larger,
            links: Vec::new(),
        })
    }

    /// Whether programs are attached, by this agent or an earlier one.
    pub fn serves(&self) -> bool {
        self.pins.has_links()
    }

    /// Whether an earlier agent's programs serve from maps of another layout, which attaching would
    /// replace by these.
    pub fn replaces_other(&self) -> bool {
        self.replaces_other
    }

    /// Whether those maps have room for more than these.
    pub fn replaces_larger(&self) -> bool {
        self.replaces_larger
    }

    /// Attaches every program, or puts it into the link that an earlier agent left. Fails when
    /// another agent has attached its own to the cgroup, unless it `may_be_second`.
    pub fn attach(
        &mut self,
        cgroup: &Cgroup,
        may_be_second: bool,
    ) -> anyhow::Result<Vec<(&'static str, Attached)>> {
        if !may_be_second {
            others::check(cgroup, self.pins.path())?;
        }
        let release =
            self.pins
                .attach(RELEASE_HOOK, release_program(&mut self.programs), cgroup)?;
        if !may_be_second && let Err(other) = others::check_first(cgroup, self.pins.path()) {
            self.pins.detach(RELEASE_HOOK)?;
            return Err(other.into());
        }
        let states = self
            .pins
            .attach(STATE_HOOK, state_program(&mut self.programs), cgroup)?;
        self.links = vec![release, states];
        for hook in ADDRESS_HOOKS {
            self.links.push(self.pins.attach(
                hook,
                address_program(&mut self.programs, hook),
                cgroup,
            )?);
        }
        self.pins
            .remove_other_maps(&directory_name(self.capacity))?;
        Ok(self
            .links
            .iter()
            .map(|held| (held.hook, held.attached))
            .collect())
    }

    /// Pins again what another process unpinned; says what is wrong with the links of attached
    /// programs.
    pub fn look_after_links(&self, cgroup: &Cgroup) -> Vec<String> {
        links::look_after(&self.links, &self.pins, cgroup)
    }

    /// Open sockets that were answered with a backend, by their cookie; of all rows those that
    /// `wanted` picks.
    pub fn sockets(
        &self,
        wanted: impl Fn(&SocketRow) -> bool,
    ) -> Result<Vec<(u64, SocketRow)>, Error> {
        self.maps.sockets.select(|_, row| wanted(row))
    }

    /// The same rows and what they are counted in, beside whatever the data plane does.
    pub fn socket_rows(&self) -> anyhow::Result<Sockets> {
        let program: &SocketFilter = self
            .programs
            .program(sockets::PROGRAM)
            .and_then(|program| program.try_into().ok())
            .expect(HAS_ALL);
        let program = program.fd()?.as_fd().try_clone_to_owned()?;
        Ok(Sockets {
            maps: Arc::clone(&self.maps),
            program,
        })
    }

    /// From now on these are not served, and no others. Only for an agent that was opened with
    /// some.
    pub fn exclude(&self, excluded: &[ExcludedKey]) -> Result<(), Error> {
        self.maps.exclude(excluded)
    }

    /// From now on these cgroups are the ones that hold clients.
    pub fn set_groups(&self, groups: &BTreeSet<u64>) -> Result<(), Error> {
        self.maps.clients.set(groups)
    }

    /// Ends what clients agree on of these backends, by their indexes.
    pub fn lift(&self, backends: &[u32]) -> Result<(), Error> {
        self.maps.backends.lift(backends)
    }

    /// Takes the log of the programs. Each decision goes to `tell`.
    #[cfg(feature = "kernel-log")]
    pub fn take_log<F: Fn(Decision) + Send + Sync>(
        &mut self,
        tell: F,
    ) -> anyhow::Result<KernelLog<F>> {
        KernelLog::new(&mut self.programs, tell)
    }

    /// Reads the counters of these maps, beside whatever the data plane does.
    pub fn meter(&self) -> SharedMeter {
        Arc::clone(&self.maps) as SharedMeter
    }
}

fn address_program<'a>(programs: &'a mut Ebpf, hook: &str) -> &'a mut CgroupSockAddr {
    let program = programs
        .program_mut(hook)
        .and_then(|program| program.try_into().ok());
    program.expect(HAS_ALL)
}

fn release_program(programs: &mut Ebpf) -> &mut CgroupSock {
    let program = programs
        .program_mut(RELEASE_HOOK)
        .and_then(|program| program.try_into().ok());
    program.expect(HAS_ALL)
}

fn state_program(programs: &mut Ebpf) -> &mut SockOps {
    let program = programs
        .program_mut(STATE_HOOK)
        .and_then(|program| program.try_into().ok());
    program.expect(HAS_ALL)
}

impl Maps {
    fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            services: Map::open(directory, maps::SERVICES)?,
            slots: Map::open(directory, maps::SLOTS)?,
            backends: BackendMap::open(directory)?,
            names: Map::open(directory, maps::NAMES)?,
            load: Map::open(directory, maps::LOAD)?,
            counters: CounterMap::open(directory, maps::COUNTERS)?,
            filter: Map::open(directory, maps::ADDRESS_FILTER)?,
            sockets: Map::open(directory, maps::SOCKETS)?,
            affinity: Map::open(directory, maps::AFFINITY)?,
            excluded: Map::open(directory, maps::EXCLUDED)?,
            shares: Map::open(directory, maps::SHARES)?,
            outcomes: Map::open(directory, maps::OUTCOMES)?,
            clients: Clients::open(directory)?,
        })
    }

    /// Makes EXCLUDED hold just these.
    fn exclude(&self, keys: &[ExcludedKey]) -> Result<(), Error> {
        let rows: Vec<(ExcludedKey, u64)> = keys.iter().map(|&key| (key, 1)).collect();
        self.excluded.update(&rows).map_err(|(_, error)| error)?;
        let mut old = self
            .excluded
            .scan()?
            .into_iter()
            .filter(|(key, _)| !keys.contains(key));
        old.try_for_each(|(key, _)| self.excluded.delete(&key))
    }

    /// Carries out operations of one kind; on an error says how many were done before it.
    fn apply_run(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        match &ops[0] {
            Op::TakeId { .. } => self.take_ids(ops),
            Op::TakeBackend(..) => self.backends.take(&backend_rows(ops)),
            Op::PutBackend(..) => self.backends.patch(&backend_rows(ops)),
            Op::PutSlot(..) => self.slots.update(&slot_rows(ops)),
            Op::PutFilter(..) => self.filter.update(&filter_rows(ops)),
            Op::PutService(..) => self.services.update(&service_rows(ops)),
            Op::DeleteService(_) | Op::FreeId(_) => self.delete_each(ops),
            // Nothing points at a free slot; what it holds does not matter.
            Op::FreeSlot(_) => Ok(()),
            Op::FreeBackend(_) => self.backends.take(&free_rows(ops)),
        }
    }

    /// Clears the counters before the names, so that a failure in between is made good by the next
    /// attempt.
    fn take_ids(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        let rows: Vec<(u32, NameRow)> = ops
            .iter()
            .filter_map(|op| match op {
                Op::TakeId { id, name } => Some((*id, name_row(name))),
                _ => None,
            })
            .collect();
        let ids: Vec<u32> = rows.iter().map(|(id, _)| *id).collect();
        self.counters.clear(&ids).map_err(|(_, error)| (0, error))?;
        self.names.update(&rows)
    }

    fn delete_each(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        for (done, op) in ops.iter().enumerate() {
            let deleted = match op {
                Op::DeleteService(key) => self.services.delete(key),
                Op::FreeId(id) => self.names.delete(id),
                _ => Ok(()),
            };
            deleted.map_err(|error| (done, error))?;
        }
        Ok(())
    }

    /// All tiers of a service, and the links between them. Another process may have written any
    /// range; only what the map has can be read.
    fn dump_slots(
        &self,
        row: &ServiceRow,
        capacity: Capacity,
        into: &mut Table<u32, Slot>,
    ) -> Result<(), Error> {
        let mut tier = (
            row.slot_base,
            row.slot_count,
            row.flags & service_flags::TIERS != 0,
        );
        loop {
            let (base, count, more) = tier;
            let count = count
                .saturating_add(more.into())
                .min(capacity.slots.saturating_sub(base));
            if count == 0 {
                return Ok(());
            }
            into.extend(self.slots.range(base, count as usize)?);
            let link = into.get(&(base.saturating_add(tier.1))).copied();
            match link.filter(|link| more && link.link != 0 && link.backend > base) {
                Some(link) => tier = (link.backend, link.alias, link.threshold != 0),
                None => return Ok(()),
            }
        }
    }

    /// Where no client has anything against a backend, records are not looked at.
    fn evidence_of(
        &self,
        tables: &Tables,
        loads: &[(u32, BackendLoad)],
    ) -> Result<BTreeMap<u32, Evidence>, Error> {
        let is_clear = loads.iter().all(|(_, load)| load.health == 0);
        let rows = if is_clear {
            Vec::new()
        } else {
            self.outcomes.scan()?
        };
        Ok(Evidence::gather(tables, loads, &rows))
    }

    /// Where no service bounds the share of a client, SHARES is not looked at.
    fn shares_of(&self, tables: &Tables) -> Result<BTreeMap<ShareKey, u64>, Error> {
        let is_bounded = tables.services.values().any(|row| percent(row) != 0);
        Ok(if is_bounded {
            self.shares.scan()?.into_iter().collect()
        } else {
            BTreeMap::new()
        })
    }

    fn dump(&self, capacity: Capacity) -> Result<Tables, Error> {
        let services = self.services.scan()?;
        let mut tables = Tables::default();
        for (_, row) in &services {
            if contiguous_backends(row).is_none() && !tables.slots.contains_key(&row.slot_base) {
                self.dump_slots(row, capacity, &mut tables.slots)?;
            }
        }
        tables.services = services.into_iter().collect();
        let filter = self.filter.range(0, capacity::ADDRESS_FILTER as usize)?;
        tables.filter = filter.into_iter().filter(|(_, bits)| *bits != 0).collect();
        tables.backends = self.backends.scan()?;
        let names = self
            .names
            .scan()?
            .into_iter()
            .filter(|(id, _)| *id < capacity.services);
        tables.names = names.map(|(id, name)| (id, name_text(&name))).collect();
        Ok(tables)
    }
}

fn backend_rows(ops: &[Op]) -> Vec<(u32, BackendRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::TakeBackend(index, row) | Op::PutBackend(index, row) => Some((*index, *row)),
            _ => None,
        })
        .collect()
}

fn slot_rows(ops: &[Op]) -> Vec<(u32, Slot)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutSlot(index, slot) => Some((*index, *slot)),
            _ => None,
        })
        .collect()
}

fn filter_rows(ops: &[Op]) -> Vec<(u32, u64)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutFilter(word, bits) => Some((*word, *bits)),
            _ => None,
        })
        .collect()
}

fn service_rows(ops: &[Op]) -> Vec<(FrontendKey, ServiceRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutService(key, row) => Some((*key, *row)),
            _ => None,
        })
        .collect()
}

fn free_rows(ops: &[Op]) -> Vec<(u32, BackendRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::FreeBackend(index) => Some((*index, BackendRow::zeroed())),
            _ => None,
        })
        .collect()
}

fn name_row(name: &str) -> NameRow {
    let mut row = [0; size_of::<NameRow>()];
    row[..name.len()].copy_from_slice(name.as_bytes());
    row
}

fn name_text(row: &NameRow) -> String {
    let end = row.iter().position(|&byte| byte == 0).unwrap_or(row.len());
    String::from_utf8_lossy(&row[..end]).into_owned()
}

impl Dataplane for Kernel {
    fn dump(&self) -> Result<Tables, Error> {
        self.maps.dump(self.capacity)
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        let mut done = 0;
        for run in ops.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)) {
            self.maps
                .apply_run(run)
                .map_err(|(more, error)| ApplyError {
                    done: done + more,
                    all: ops.len(),
                    error,
                })?;
            done += run.len();
        }
        Ok(())
    }

    fn busy(&self) -> Result<BTreeSet<u32>, Error> {
        let loads = self.maps.load.range(0, self.capacity.services as usize)?;
        Ok(loads
            .into_iter()
            .filter(|(_, load)| live(load.connections) != 0)
            .map(|(id, _)| id)
            .collect())
    }

    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        self.maps.backends.held(backends)
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }
}

impl Meter for Maps {
    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, Error> {
        self.affinity.scan()
    }

    fn evidence(&self, tables: &Tables) -> Result<BTreeMap<u32, Evidence>, Error> {
        let indexes = tables
            .backends
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        self.evidence_of(
            tables,
            &self
                .backends
                .loads_where(indexes, |load| load.health != 0)?,
        )
    }

    fn read(&self, tables: &Tables) -> Result<Counters, Error> {
        let ids = tables
            .names
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        let indexes = tables
            .backends
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        let services = (0..).zip(self.counters.range(0, ids)?);
        let loads = self.load.range(0, ids)?;
        let backends: Vec<(u32, BackendLoad)> = self.backends.loads(indexes)?;
        let evidence = self.evidence_of(tables, &backends)?;
        Ok(Counters {
            evidence,
            services: services
                .filter(|(id, _)| tables.names.contains_key(id))
                .collect(),
            loads: loads
                .into_iter()
                .filter(|(id, _)| tables.names.contains_key(id))
                .collect(),
            shares: self.shares_of(tables)?,
            backends: backends
                .into_iter()
                .filter(|(index, _)| tables.backends.contains_key(index))
                .collect(),
        })
    }
}
