//! Owns the state: the configuration, the kernel's rows, and the operations still to apply. The time
//! is an argument of every method, so tests need no clock.

mod address_conflicts;
mod commands;
mod grace_period;
mod handle;
mod health;
mod ids_in_use;
mod over_capacity;
mod removed_backends;
mod settings;
mod slow_start;
mod snapshot;
mod uncertain;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use mesh_common::abi::BackendRow;
use tracing::{debug, info, warn};

pub(super) use self::{commands::UnusedOverride, snapshot::Snapshot};
use super::{
    auto_addresses::AddressFile, event::RemovedBackends, frontend_owners, overrides::OverrideFile,
};
use crate::{
    dataplane::Dataplane,
    desired::{
        Allocatable, Base, Earlier, Quotas, Tables, Target, World, compile, next_change,
        plan::{Op, diff},
        refused_node_addresses, shadowed_node_ports,
    },
    health::Plan,
    model::{ConfigNote, LeftOut, Refused, Service, ServiceName, Update, Wrong},
    source::{SourceUpdate, bound_refused, merge::Holdings, nested_services},
    table::Table,
};

/// How long unreferenced rows are kept for lookups under way. A lookup takes microseconds, but it
/// can be preempted.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Most operations of one step that the debug log shows.
const MOST_LOGGED: usize = 1000;
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// State and the data plane it is written to.
pub(super) struct Owner<D> {
    pub(super) dataplane: D,
    pools: Vec<IpNet>,
    quotas: Quotas,
    addresses: AddressFile,
    overrides: OverrideFile,
    world: Arc<World>,
    /// Names of all sources.
    source_names: Vec<Arc<str>>,
    /// The last update of each source.
    sources: BTreeMap<Arc<str>, SourceUpdate>,
    /// What services hold, as of the last merge.
    holdings: Holdings,
    /// All sources, merged.
    update: Update,
    left_out: Arc<BTreeMap<ServiceName, LeftOut>>,
    wrong: Arc<Vec<Wrong>>,
    /// The rows in the kernel, as far as known.
    current: Arc<Tables>,
    /// The rows that the kernel should hold.
    desired: Tables,
    /// The world that `desired` was compiled from, and when, if the next compile can build on it.
    compiled: Option<(Arc<World>, Duration)>,
    /// Whether `desired` is older than `world`.
    needs_compile: bool,
    /// Addresses of the node at which a node port is not served, as of `desired`.
    shadowed: Vec<ConfigNote>,
    /// Services refused for claiming an address of the node, as of `desired`.
    refused: Refused,
    /// Services that do not fit into the maps, as of `desired`.
    over_capacity: Refused,
    /// Whether a service was cut to its quota of endpoints.
    is_cut: bool,
    /// When rows change without an event: the next step of a ramp, or an unhealthy endpoint that
    /// leaves the slots.
    next_change: Option<Duration>,
    /// Endpoints that were unhealthy for an earlier agent, and that no report has covered yet.
    inherited: BTreeSet<Target>,
    /// Whether `world` holds an update.
    accepted: bool,
    /// Services of an earlier agent that no update has confirmed yet.
    unconfirmed: BTreeSet<ServiceName>,
    checks: Arc<Plan>,
    /// Deferred operations, and when each is due.
    held: HashMap<Op, Duration>,
    applied: Option<Applied>,
    removed: RemovedBackends,
    replaces: Replaces,
    /// Whether the programs were to be attached.
    attached: bool,
    /// When the next step is due, by the monotonic clock.
    wake: Option<Duration>,
    problems: Problems,
}

/// Which maps of an earlier agent the programs use until these are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Replaces {
    /// Maps of another layout.
    pub(super) other: bool,
    /// Maps with more rows.
    pub(super) larger: bool,
}

/// The last set of tables that was applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    /// Counts from one in each run of the agent.
    pub(super) revision: u64,
    /// Time of the start.
    pub(super) at: Instant,
    /// How long compiling and writing took.
    pub(super) took: Duration,
}

/// What keeps the configuration from being in effect, each until it is solved.
#[derive(Clone, Default, Debug)]
struct Problems {
    apply: Option<String>,
    resync: Option<String>,
    addresses: Option<String>,
    overrides: Option<String>,
    excluded: Vec<String>,
    links: Vec<String>,
    /// Sources that ended, until they send an update.
    sources: BTreeMap<Arc<str>, String>,
}

impl<D: Dataplane> Owner<D> {
    /// Adopts the rows of the data plane, and changes nothing until the first update.
    pub(super) fn new(
        dataplane: D,
        pools: Vec<IpNet>,
        state_dir: &Path,
    ) -> Result<Self, crate::dataplane::Error> {
        let current = dataplane.dump()?;
        let (addresses, addresses_problem) = AddressFile::open(state_dir);
        let (file, overrides, overrides_problem) = OverrideFile::open(state_dir);
        let mut owner = Self {
            dataplane,
            pools,
            quotas: Quotas::NONE,
            addresses,
            overrides: file,
            world: Arc::new(World {
                overrides,
                ..World::default()
            }),
            source_names: Vec::new(),
            sources: BTreeMap::new(),
            holdings: frontend_owners::in_kernel(&current).into(),
            update: Update::default(),
            left_out: Arc::default(),
            wrong: Arc::default(),
            unconfirmed: frontend_owners::services_in_kernel(&current),
            checks: Arc::default(),
            desired: current.clone(),
            current: Arc::new(current),
            compiled: None,
            needs_compile: false,
            shadowed: Vec::new(),
            refused: Refused::default(),
            over_capacity: Refused::default(),
            is_cut: false,
            next_change: None,
            inherited: BTreeSet::new(),
            accepted: false,
            held: HashMap::new(),
            applied: None,
            removed: RemovedBackends::default(),
            replaces: Replaces::default(),
            attached: false,
            wake: None,
            problems: Problems {
                addresses: addresses_problem,
                overrides: overrides_problem,
                ..Problems::default()
            },
        };
        owner.inherited = owner.down();
        Arc::make_mut(&mut owner.world).failing = health::unknown(&owner.inherited).collect();
        Ok(owner)
    }

    /// Takes the merged configuration; [`reconcile`](Self::reconcile) puts it into effect.
    pub(super) fn accept(&mut self, mut update: Update) {
        let mut services = std::mem::take(&mut update.services);
        let certain = uncertain::is_certain(&update);
        self.refuse_claims(&mut services, certain).tell(&mut update);
        self.left_out = Arc::new(std::mem::take(&mut update.left_out));
        let vips = self.allocate(&mut services, certain, &mut update);
        let kept = uncertain::addresses(&vips, self.addresses.remembered(), certain);
        self.problems.addresses = self.addresses.remember(&kept);
        if !vips.is_empty() {
            let of_pool = |service: &Service| vips.get(&service.name).cloned().unwrap_or_default();
            let all = nested_services::suspects(None, &services);
            nested_services::leave_out(&mut services, all, of_pool, |_, _| None).tell(&mut update);
        }
        let cut = self.quotas.cut(&mut services, self.dataplane.capacity());
        self.is_cut = !cut.errors.is_empty();
        cut.tell(&mut update);
        let mut world = World::clone(&self.world);
        world.uncertain =
            uncertain::uncertain(&self.unconfirmed, &update, &services, &self.left_out);
        self.unconfirmed.clone_from(&world.uncertain);
        (world.services, world.vips, world.complete) = (services, vips, update.complete);
        self.world = Arc::new(world);
        self.plan_checks();
        self.accepted = true;
        self.forget_inherited();
        self.needs_compile = true;
        self.wrong = Arc::new(std::mem::take(&mut update.wrong));
        self.update = update;
    }

    /// Brings the data plane one step closer to the desired rows. Returns how long to wait before
    /// the next step; nothing when no step is left.
    pub(super) fn reconcile(&mut self, now: Duration) -> Option<Duration> {
        let start = Instant::now();
        let fresh = self.needs_compile;
        if self.needs_compile || self.next_change.is_some_and(|due| due <= now) {
            self.note_usable(now);
            self.compile(now);
        }
        let mut ops = diff(&self.current, &self.desired);
        let frees = ops.split_off(ops.iter().position(Op::held_back).unwrap_or(ops.len()));
        let writing = Instant::now();
        if !self.apply(&ops) {
            self.compiled = None;
            // Frees nothing: the rows may still be in use, because the switch away from them failed.
            return Some(RETRY);
        }
        if frees.is_empty() {
            // They are equal now; a clone shares the rows.
            self.current = Arc::new(self.desired.clone());
        }
        if fresh {
            let revision = self.applied.map_or(1, |applied| applied.revision + 1);
            let (took, wrote) = (start.elapsed(), writing.elapsed());
            info!(revision, writes = ops.len(), ?took, ?wrote, "applied");
            self.applied = Some(Applied {
                revision,
                at: start,
                took,
            });
        }
        let ramp = self.next_change.map(|due| due.saturating_sub(now));
        self.free(frees, now).into_iter().chain(ramp).min()
    }

    fn compile(&mut self, now: Duration) {
        let busy = self.ids_in_use();
        let room = Allocatable {
            capacity: self.dataplane.capacity(),
            busy: &busy,
            quotas: self.quotas,
        };
        let earlier = self.compiled.as_ref().map(|(world, at)| Earlier {
            world,
            at: *at,
            tables: &self.desired,
        });
        let base = Base {
            current: &self.current,
            earlier,
        };
        let (desired, over_capacity) = match compile(&self.world, now, base, room) {
            Ok(tables) => (tables, Vec::new()),
            Err(partial) => (partial.tables, partial.over_limit),
        };
        self.desired = desired;
        if self.needs_compile {
            self.shadowed = shadowed_node_ports(&self.world);
            self.refused = refused_node_addresses(&self.world);
            bound_refused(&mut self.refused);
        }
        // A full compile comes next when a service did not fit, because it may fit then.
        self.compiled = over_capacity
            .is_empty()
            .then(|| (Arc::clone(&self.world), now));
        self.over_capacity = self.refuse_over_capacity(&over_capacity);
        self.needs_compile = false;
        self.next_change = next_change(&self.world, now);
    }

    /// Applies operations, and records those that took effect. Returns whether all did.
    fn apply(&mut self, ops: &[Op]) -> bool {
        self.note_freed(ops);
        let result = if ops.is_empty() {
            Ok(())
        } else {
            self.dataplane.apply(ops)
        };
        let done = result
            .as_ref()
            .map_or_else(|error| error.done, |()| ops.len());
        ops[..done]
            .iter()
            .take(MOST_LOGGED)
            .for_each(|op| debug!("kernel: {op}"));
        if done > 0 {
            let current = Arc::make_mut(&mut self.current);
            ops[..done].iter().for_each(|op| current.apply(op));
        }
        self.note_removed(&ops[..done]);
        self.problems.apply = result.err().map(|error| error.to_string());
        if let Some(problem) = &self.problems.apply {
            warn!(problem, "cannot apply; retrying");
        }
        self.problems.apply.is_none()
    }

    /// Reads the kernel's rows back. The next step repairs rows that another process changed.
    pub(super) fn resync(&mut self) {
        self.rewrite_overrides();
        match self.dataplane.dump() {
            Ok(mut found) => {
                // The dump omits unreferenced slots; those that wait to be freed are kept.
                for (&index, &slot) in self.current.slots.iter() {
                    if !found.slots.contains_key(&index) {
                        found.slots.insert(index, slot);
                    }
                }
                self.problems.resync = None;
                if found != *self.current {
                    warn!(
                        rows = diff(&self.current, &found).len(),
                        "rows were changed by another process; repairing"
                    );
                    self.current = Arc::new(found);
                    self.compiled = None;
                }
            }
            Err(error) => self.problems.resync = Some(error.to_string()),
        }
    }

    /// Returns the backends in the data plane.
    pub(super) fn backends(&self) -> &Table<u32, BackendRow> {
        &self.current.backends
    }

    /// Returns whether the data plane holds all of the last update.
    pub(super) fn is_applied(&self) -> bool {
        self.applied.is_some() && !self.needs_compile && self.problems.apply.is_none()
    }

    /// Returns whether the last update was complete and certain.
    pub(super) fn is_complete(&self) -> bool {
        uncertain::is_certain(&self.update)
    }
}

#[cfg(test)]
mod tests;
