//! The one owner of the state: what the sources said, what the kernel holds, what is still to be done. Every method is
//! told the time, so tests need no clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use mesh_common::abi::BackendRow;
use tracing::{info, warn};

use super::addresses::AddressFile;
use crate::{
    dataplane::Dataplane,
    desired::{
        Tables, World, compile,
        plan::{Op, diff},
        vips::allocate,
    },
    model::{ConfigError, ConfigNote, LeftOut, ServiceName, Update},
};

/// How long rows that nothing points at any more are kept for lookups under way. A lookup takes microseconds, but it
/// can be preempted.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// State and the data plane it is written to.
pub(super) struct Owner<D> {
    pub(super) dataplane: D,
    pools: Vec<IpNet>,
    addresses: AddressFile,
    world: Arc<World>,
    update: Update,
    left_out: Arc<BTreeMap<ServiceName, LeftOut>>,
    /// What the kernel holds, as far as known.
    current: Arc<Tables>,
    /// What it should hold.
    desired: Tables,
    /// Whether `desired` is older than `world`.
    stale: bool,
    /// Whether any update got into `world`.
    accepted: bool,
    /// Held-back operations, and when each is due.
    held: HashMap<Op, Duration>,
    applied: Option<Applied>,
    problems: Problems,
}

/// The last set of tables that was applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    /// Counts from one in each run of the agent.
    pub(super) revision: u64,
    /// When.
    pub(super) at: Instant,
    /// How long compiling and writing took.
    pub(super) took: Duration,
}

/// What stands between the configuration and the kernel; each until it is mended.
#[derive(Clone, Default, Debug)]
struct Problems {
    compile: Option<String>,
    apply: Option<String>,
    resync: Option<String>,
    addresses: Option<String>,
}

/// What the owner publishes after each step.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the sources say.
    pub world: Arc<World>,
    /// What the kernel holds.
    pub tables: Arc<Tables>,
    /// What is wrong with the configuration.
    pub errors: Vec<ConfigError>,
    /// What was left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// Services that are left alone.
    pub left_out: Arc<BTreeMap<ServiceName, LeftOut>>,
    /// What is wrong with the data plane.
    pub problems: Vec<String>,
    /// The last set of tables that was applied.
    pub(super) applied: Option<Applied>,
}

impl<D: Dataplane> Owner<D> {
    /// Adopts what the data plane holds; until the first update nothing is changed.
    pub(super) fn new(dataplane: D, pools: Vec<IpNet>, state_dir: &Path) -> Result<Self, crate::dataplane::Error> {
        let current = dataplane.dump()?;
        let (addresses, problem) = AddressFile::open(state_dir);
        Ok(Self {
            dataplane,
            pools,
            addresses,
            world: Arc::default(),
            update: Update::default(),
            left_out: Arc::default(),
            desired: current.clone(),
            current: Arc::new(current),
            stale: false,
            accepted: false,
            held: HashMap::new(),
            applied: None,
            problems: Problems { addresses: problem, ..Problems::default() },
        })
    }

    /// Takes the name and the addresses of this node; true when they are others than before. Until the first update
    /// there is nothing to put into effect.
    pub(super) fn set_node(&mut self, name: &str, addresses: BTreeSet<IpAddr>) -> bool {
        if self.world.node_name == name && self.world.node_addresses == addresses {
            return false;
        }
        let world = Arc::make_mut(&mut self.world);
        (world.node_name, world.node_addresses) = (name.to_owned(), addresses);
        self.stale = self.accepted;
        self.accepted
    }

    /// Takes what the source now says; [`reconcile`](Self::reconcile) puts it into effect.
    pub(super) fn accept(&mut self, mut update: Update) {
        let services = std::mem::take(&mut update.services);
        self.left_out = Arc::new(std::mem::take(&mut update.left_out));
        match allocate(&services, &self.pools, self.addresses.remembered(), update.complete) {
            Ok(vips) => {
                if update.complete {
                    self.problems.addresses = self.addresses.remember(&vips);
                }
                let (node_name, node_addresses) = (self.world.node_name.clone(), self.world.node_addresses.clone());
                let complete = update.complete;
                self.world = Arc::new(World { services, vips, complete, node_name, node_addresses });
                self.accepted = true;
                self.stale = true;
                self.problems.compile = None;
            }
            Err(error) => self.problems.compile = Some(error.to_string()),
        }
        self.update = update;
    }

    /// Brings the data plane one step closer to what is desired. Returns how long to wait before the next step; none
    /// when there is nothing left to do.
    pub(super) fn reconcile(&mut self, now: Duration) -> Option<Duration> {
        let start = Instant::now();
        let fresh = self.stale;
        if self.stale {
            self.compile(now);
        }
        let mut ops = diff(&self.current, &self.desired);
        let frees = ops.split_off(ops.iter().position(Op::held_back).unwrap_or(ops.len()));
        if !self.apply(&ops) {
            // What should be freed may still be in use: the switch away from it has not happened.
            return Some(RETRY);
        }
        if fresh && self.problems.compile.is_none() {
            let revision = self.applied.map_or(1, |applied| applied.revision + 1);
            let took = start.elapsed();
            info!(revision, writes = ops.len(), ?took, "applied");
            self.applied = Some(Applied { revision, at: start, took });
        }
        self.free(frees, now)
    }

    fn compile(&mut self, now: Duration) {
        match compile(&self.world, now, &self.current, self.dataplane.capacity()) {
            Ok(desired) => {
                self.desired = desired;
                self.stale = false;
                self.problems.compile = None;
            }
            Err(error) => self.problems.compile = Some(error.to_string()),
        }
    }

    /// Frees the rows whose grace period is over; returns the time until the next is due.
    fn free(&mut self, frees: Vec<Op>, now: Duration) -> Option<Duration> {
        let held = std::mem::take(&mut self.held);
        let drains = self.drains();
        let due = |op: &Op| held.get(op).copied().unwrap_or_else(|| now + self.grace(op, &drains));
        let (ready, waiting): (Vec<Op>, Vec<Op>) = frees.into_iter().partition(|op| due(op) <= now);
        self.held = waiting
            .into_iter()
            .map(|op| {
                let due = due(&op);
                (op, due)
            })
            .collect();
        if !self.apply(&ready) {
            return Some(RETRY);
        }
        self.held.values().min().map(|&due| due.saturating_sub(now))
    }

    /// How long what an operation frees is kept. Connections to an endpoint that left are closed when its row is freed,
    /// and the id of its service must not be another's before that.
    fn grace(&self, op: &Op, drains: &HashMap<u32, u16>) -> Duration {
        let seconds = match op {
            Op::FreeBackend(index) => self.current.backends.get(index).map(|row| row.drain_seconds),
            Op::FreeId(id) => drains.get(id).copied(),
            _ => None,
        };
        GRACE.max(Duration::from_secs(seconds.unwrap_or_default().into()))
    }

    /// The longest drain among the backends of each service that has one.
    fn drains(&self) -> HashMap<u32, u16> {
        let mut drains = HashMap::new();
        for row in self.current.backends.values().filter(|row| row.drain_seconds > 0) {
            let longest: &mut u16 = drains.entry(row.service).or_default();
            *longest = row.drain_seconds.max(*longest);
        }
        drains
    }

    /// Whether all operations took effect. Those that did are remembered either way.
    fn apply(&mut self, ops: &[Op]) -> bool {
        let result = if ops.is_empty() { Ok(()) } else { self.dataplane.apply(ops) };
        let done = result.as_ref().map_or_else(|error| error.done, |()| ops.len());
        if done > 0 {
            let current = Arc::make_mut(&mut self.current);
            ops[..done].iter().for_each(|op| current.apply(op));
        }
        self.problems.apply = result.err().map(|error| error.to_string());
        if let Some(problem) = &self.problems.apply {
            warn!(problem, "will be tried again");
        }
        self.problems.apply.is_none()
    }

    /// Reads the kernel's rows back; rows that were changed behind our back are put right by the next step.
    pub(super) fn resync(&mut self) {
        match self.dataplane.dump() {
            Ok(mut found) => {
                // Slots that nothing points at are not read back; those waiting to be freed are still ours.
                for (&index, &slot) in &self.current.slots {
                    found.slots.entry(index).or_insert(slot);
                }
                self.problems.resync = None;
                if found != *self.current {
                    warn!(rows = diff(&self.current, &found).len(), "rows were changed by somebody else; repairing");
                    self.current = Arc::new(found);
                }
            }
            Err(error) => self.problems.resync = Some(error.to_string()),
        }
    }

    /// Backends as the data plane holds them.
    pub(super) fn backends(&self) -> &BTreeMap<u32, BackendRow> {
        &self.current.backends
    }

    /// Whether the data plane holds what the last update says, whole.
    pub(super) fn is_applied(&self) -> bool {
        self.applied.is_some() && !self.stale && self.problems.apply.is_none()
    }

    /// Whether the last update said everything there is.
    pub(super) fn is_complete(&self) -> bool {
        self.world.complete
    }

    /// What others may know.
    pub(super) fn snapshot(&self) -> Snapshot {
        let Problems { compile, apply, resync, addresses } = self.problems.clone();
        Snapshot {
            world: Arc::clone(&self.world),
            tables: Arc::clone(&self.current),
            errors: self.update.errors.clone(),
            notes: self.update.notes.clone(),
            left_out: Arc::clone(&self.left_out),
            problems: [compile, apply, resync, addresses].into_iter().flatten().collect(),
            applied: self.applied,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mesh_common::connect::{Verdict, connect};

    use super::*;
    use crate::{
        dataplane::{ApplyError, Capacity, Error, memory::Memory},
        desired::fixture,
        model::{InternalTraffic, Service},
    };

    /// A data plane that fails when told to: it takes so many more operations.
    #[derive(Default)]
    struct Faulty {
        memory: Memory,
        operations_left: Option<usize>,
        /// Refuses to switch.
        stuck: bool,
        capacity: Option<Capacity>,
    }

    impl Dataplane for Faulty {
        fn dump(&self) -> Result<Tables, Error> {
            self.memory.dump()
        }

        fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
            let switch = ops.iter().position(|op| self.stuck && matches!(op, Op::PutService(..)));
            let done = switch.or(self.operations_left).unwrap_or(ops.len()).min(ops.len());
            self.memory.apply(&ops[..done])?;
            if let Some(left) = &mut self.operations_left {
                *left -= done;
            }
            if done == ops.len() {
                return Ok(());
            }
            let source = io::Error::from_raw_os_error(libc::E2BIG);
            let error = Error { map: "SLOTS", action: "write 1 rows".into(), source };
            Err(ApplyError { done, all: ops.len(), error })
        }

        fn capacity(&self) -> Capacity {
            self.capacity.unwrap_or(Memory::CAPACITY)
        }
    }

    /// An owner on a clock of its own.
    struct Scene {
        owner: Owner<Faulty>,
        now: Duration,
        _state: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let owner = Owner::new(Faulty::default(), vec![], state.path()).unwrap();
            Self { owner, now: Duration::from_secs(100), _state: state }
        }

        fn configure(&mut self, services: impl IntoIterator<Item = Service>) -> Option<Duration> {
            self.configure_as(true, services)
        }

        fn configure_as(&mut self, complete: bool, services: impl IntoIterator<Item = Service>) -> Option<Duration> {
            let services = fixture::services(services);
            self.owner.accept(Update { services, complete, ..Update::default() });
            self.owner.reconcile(self.now)
        }

        /// Lets the time go by that was asked for, until nothing is left to do.
        fn settle(&mut self, mut wait: Option<Duration>) {
            for _ in 0..20 {
                let Some(time) = wait else { return };
                self.now += time;
                wait = self.owner.reconcile(self.now);
            }
            panic!("still not settled: {:?}", self.owner.problems);
        }

        fn connect(&self, address: &str) -> Option<String> {
            match connect(&self.owner.dataplane.memory, &fixture::key(address)) {
                Verdict::Backend { addr, port } => Some(format!("{addr}:{}", u16::from_be(port))),
                Verdict::Refused => Some("refused".into()),
                Verdict::Untouched => None,
            }
        }
    }

    fn cart(endpoints: &[(&str, u32)]) -> Service {
        fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints)
    }

    #[test]
    fn node_ports_follow_the_addresses_of_the_node() {
        let mut scene = Scene::new();
        let address = |text: &str| BTreeSet::from([text.parse::<IpAddr>().unwrap()]);
        assert!(!scene.owner.set_node("n1", address("192.0.2.1")), "nothing to put into effect yet");
        let mut service = cart(&[("10.0.0.1:80", 1)]);
        service.ports[0].node_port = Some(30080);
        scene.configure([service.clone()]);
        assert_eq!(scene.connect("192.0.2.1:30080").unwrap(), "10.0.0.1:80");
        assert!(!scene.owner.set_node("n1", address("192.0.2.1")));
        assert!(scene.owner.set_node("n1", address("192.0.2.2")));
        scene.owner.reconcile(scene.now);
        assert_eq!(scene.connect("192.0.2.1:30080"), None);
        assert_eq!(scene.connect("192.0.2.2:30080").unwrap(), "10.0.0.1:80");
        service.ports[0].node_port = None;
        scene.configure([service]);
        assert_eq!(scene.connect("192.0.2.2:30080"), None);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    }

    #[test]
    fn internal_traffic_policy_comes_and_goes_and_endpoints_keep_their_indexes() {
        let mut scene = Scene::new();
        scene.owner.set_node("n1", BTreeSet::from(["127.0.0.1".parse().unwrap()]));
        let mut service = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
        service.ports[0].node_port = Some(30080);
        service.ports[0].endpoints[1].node = Some("n1".into());
        scene.configure([service.clone()]);
        let before = scene.owner.dataplane.dump().unwrap();
        let local = Service { internal_traffic: InternalTraffic::Local, ..service.clone() };
        let wait = scene.configure([local]);
        scene.settle(wait);
        let tables = scene.owner.dataplane.dump().unwrap();
        assert_eq!(tables.backends, before.backends);
        let slots = |address: &str| tables.services[&fixture::key(address)].slot_count;
        assert_eq!((slots("10.96.0.1:80"), slots("127.0.0.1:30080")), (1, 2));
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
        let wait = scene.configure([service]);
        scene.settle(wait);
        let after = scene.owner.dataplane.dump().unwrap();
        assert_eq!((after.backends, after.slots.len()), (before.backends, 2));
    }

    #[test]
    fn rows_are_freed_after_the_grace_period_and_not_before() {
        let mut scene = Scene::new();
        let wait = scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        assert_eq!(wait, None);
        let wait = scene.configure([cart(&[("10.0.0.2:80", 1)])]);
        assert_eq!(wait, Some(GRACE));
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
        let tables = scene.owner.dataplane.dump().unwrap();
        assert_eq!((tables.slots.len(), tables.backends.len()), (2, 2));
        scene.now += GRACE / 2;
        assert_eq!(scene.owner.reconcile(scene.now), Some(GRACE / 2));
        scene.settle(Some(GRACE / 2));
        let tables = scene.owner.dataplane.dump().unwrap();
        assert_eq!((tables.slots.len(), tables.backends.len()), (1, 1));
    }

    #[test]
    fn a_draining_backend_is_freed_after_its_deadline() {
        let mut scene = Scene::new();
        let drained = |mut service: Service| {
            service.close_stale_tcp = Some(Duration::from_secs(30));
            service
        };
        scene.configure([drained(cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]))]);
        let mut wait = scene.configure([drained(cart(&[("10.0.0.2:80", 1)]))]);
        let left = scene.now;
        while let Some(time) = wait {
            assert_eq!(scene.owner.backends().len(), 2);
            scene.now += time;
            wait = scene.owner.reconcile(scene.now);
        }
        assert_eq!((scene.now - left, scene.owner.backends().len()), (Duration::from_secs(30), 1));
    }

    #[test]
    fn a_failed_write_is_reported_and_tried_again() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        scene.owner.dataplane.operations_left = Some(1);
        let wait = scene.configure([cart(&[("10.0.0.2:80", 1)])]);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
        let problem = &scene.owner.snapshot().problems;
        assert_eq!(problem.len(), 1);
        assert!(problem[0].starts_with("map SLOTS: cannot write 1 rows"), "{problem:?}");
        scene.owner.dataplane.operations_left = None;
        scene.settle(wait);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
        assert_eq!(scene.owner.snapshot().problems, [""; 0]);
    }

    #[test]
    fn nothing_is_freed_while_the_switch_away_from_it_fails() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        scene.owner.dataplane.stuck = true;
        let mut wait = scene.configure([cart(&[("10.0.0.2:80", 1)])]);
        for _ in 0..5 {
            scene.now += wait.expect("there is still something to do");
            wait = scene.owner.reconcile(scene.now);
            assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
            assert_eq!(scene.owner.snapshot().problems.len(), 1);
        }
        scene.owner.dataplane.stuck = false;
        wait = scene.owner.reconcile(scene.now);
        assert_eq!(wait, Some(GRACE), "the grace period starts with the switch");
        scene.settle(wait);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
    }

    #[test]
    fn frontends_that_are_being_replaced_need_room_too() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        scene.owner.dataplane.capacity = Some(Capacity { services: 1, ..Memory::CAPACITY });
        scene.configure([fixture::with(fixture::fixed("cart", "10.96.0.9"), &[("10.0.0.1:80", 1)])]);
        let problems = scene.owner.snapshot().problems;
        assert!(problems[0].starts_with("map SERVICES has 1 rows but 2 are needed"), "{problems:?}");
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    }

    #[test]
    fn what_does_not_fit_is_refused_whole_and_fits_later() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        scene.owner.dataplane.capacity = Some(Capacity { backends: 2, ..Memory::CAPACITY });
        let three = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];
        scene.configure([cart(&three)]);
        let problems = scene.owner.snapshot().problems;
        assert!(problems[0].starts_with("map BACKENDS has 2 rows but 3 are needed"), "{problems:?}");
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
        let wait = scene.configure([cart(&three[..2])]);
        scene.settle(wait);
        assert_eq!(scene.owner.snapshot().problems, [""; 0]);
        assert_eq!(scene.owner.dataplane.dump().unwrap().backends.len(), 2);
    }

    #[test]
    fn an_incomplete_update_removes_nothing() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        let other = fixture::with(fixture::fixed("pay", "10.96.0.2"), &[("10.0.0.9:80", 1)]);
        let wait = scene.configure_as(false, [other.clone()]);
        scene.settle(wait);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
        assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.0.9:80");
        let wait = scene.configure([other]);
        scene.settle(wait);
        assert_eq!(scene.connect("10.96.0.1:80"), None);
    }

    #[test]
    fn a_new_owner_adopts_ids_indexes_and_counters() {
        let mut scene = Scene::new();
        let services = [cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 2)])];
        scene.configure(services.clone());
        scene.connect("10.96.0.1:80");
        let before = scene.owner.dataplane.dump().unwrap();
        let dataplane = std::mem::take(&mut scene.owner.dataplane);
        scene.owner = Owner::new(dataplane, vec![], scene._state.path()).unwrap();
        assert_eq!(scene.configure(services), None);
        assert_eq!(scene.owner.dataplane.dump().unwrap(), before);
        assert_eq!(scene.owner.dataplane.memory.counters().services[&0][0], 1);
    }

    #[test]
    fn rows_changed_by_somebody_else_are_repaired() {
        let mut scene = Scene::new();
        scene.configure([cart(&[("10.0.0.1:80", 1)])]);
        let good = scene.owner.dataplane.dump().unwrap();
        scene.owner.dataplane.memory.apply(&[Op::DeleteService(fixture::key("10.96.0.1:80"))]).unwrap();
        assert_eq!(scene.connect("10.96.0.1:80"), None);
        scene.owner.resync();
        let wait = scene.owner.reconcile(scene.now);
        scene.settle(wait);
        assert_eq!(scene.owner.dataplane.dump().unwrap(), good);
    }

    #[test]
    fn an_endpoint_that_returns_within_the_grace_period_keeps_its_index() {
        let mut scene = Scene::new();
        let both = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1)];
        scene.configure([cart(&both)]);
        let before = scene.owner.dataplane.dump().unwrap().backends;
        scene.configure([cart(&both[..1])]);
        let wait = scene.configure([cart(&both)]);
        scene.settle(wait);
        assert_eq!(scene.owner.dataplane.dump().unwrap().backends, before);
    }
}
