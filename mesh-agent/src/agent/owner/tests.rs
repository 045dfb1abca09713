//! Tests of the owner over a data plane with injected failures, on a simulated clock.

mod conflicts;
mod events;
mod grace_period;
mod over_capacity;
mod uncertain;

use std::{io, net::IpAddr};

use mesh_common::connect::{Verdict, connect};

use super::*;
use crate::{
    dataplane::{ApplyError, Error, memory::Memory},
    desired::{Capacity, fixture, plan::Write},
    model::{InternalTraffic, Service},
};

/// A data plane with injected failures. It applies `operations_left` more operations.
#[derive(Default)]
struct Faulty {
    memory: Memory,
    operations_left: Option<usize>,
    /// Fails all writes of service rows.
    stuck: bool,
    capacity: Option<Capacity>,
}

impl Dataplane for Faulty {
    fn dump(&self) -> Result<Tables, Error> {
        self.memory.dump()
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        let switch = ops
            .iter()
            .position(|op| self.stuck && matches!(op, Op::Service(_, Write::Put(_))));
        let done = switch
            .or(self.operations_left)
            .unwrap_or(ops.len())
            .min(ops.len());
        self.memory.apply(&ops[..done])?;
        if let Some(left) = &mut self.operations_left {
            *left -= done;
        }
        if done == ops.len() {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(libc::E2BIG);
        let error = Error {
            map: "SLOTS",
            action: "write 1 rows".into(),
            source,
        };
        Err(ApplyError {
            done,
            all: ops.len(),
            error,
        })
    }

    fn busy(&self) -> Result<BTreeSet<u32>, Error> {
        self.memory.busy()
    }

    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        self.memory.held(backends)
    }

    fn capacity(&self) -> Capacity {
        self.capacity.unwrap_or(Memory::CAPACITY)
    }
}

/// An owner on a simulated clock.
struct Scene {
    owner: Owner<Faulty>,
    now: Duration,
    _state: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let owner = Owner::new(Faulty::default(), vec![], state.path()).unwrap();
        Self {
            owner,
            now: Duration::from_secs(100),
            _state: state,
        }
    }

    fn configure(&mut self, services: impl IntoIterator<Item = Service>) -> Option<Duration> {
        self.configure_as(true, services)
    }

    fn configure_as(
        &mut self,
        complete: bool,
        services: impl IntoIterator<Item = Service>,
    ) -> Option<Duration> {
        let services = fixture::services(services);
        self.owner.accept(Update {
            services,
            complete,
            ..Update::default()
        });
        self.owner.reconcile(self.now)
    }

    /// Replaces the owner by a new one over the same data plane.
    fn restart(&mut self) {
        let dataplane = std::mem::take(&mut self.owner.dataplane);
        self.owner = Owner::new(dataplane, vec![], self._state.path()).unwrap();
    }

    /// Advances the clock as the owner asks, until no step is left.
    fn settle(&mut self, mut wait: Option<Duration>) {
        for _ in 0..20 {
            let Some(time) = wait else { return };
            self.now += time;
            wait = self.owner.reconcile(self.now);
        }
        panic!("still not settled: {:?}", self.owner.problems);
    }

    /// Returns the published errors.
    fn errors(&self) -> Vec<String> {
        let errors = self.owner.snapshot().errors;
        errors.iter().map(ToString::to_string).collect()
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
    assert!(
        !scene.owner.set_node("n1", address("192.0.2.1")),
        "nothing to put into effect yet"
    );
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
    scene
        .owner
        .set_node("n1", BTreeSet::from(["127.0.0.1".parse().unwrap()]));
    let mut service = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
    service.ports[0].node_port = Some(30080);
    service.ports[0].endpoints[1].node = Some("n1".into());
    scene.configure([service.clone()]);
    let before = scene.owner.dataplane.dump().unwrap();
    let local = Service {
        internal_traffic: InternalTraffic::Local,
        ..service.clone()
    };
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
    let slots = after.services[&fixture::key("10.96.0.1:80")].slot_count;
    assert_eq!((after.backends, slots), (before.backends, 2));
}

#[test]
fn failed_write_is_reported_and_retried() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    scene.owner.dataplane.operations_left = Some(1);
    let wait = scene.configure([cart(&[("10.0.0.2:80", 1)])]);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    let problem = &scene.owner.snapshot().problems;
    assert_eq!(problem.len(), 1);
    assert!(
        problem[0].starts_with("map SLOTS: cannot write 1 rows"),
        "{problem:?}"
    );
    scene.owner.dataplane.operations_left = None;
    scene.settle(wait);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
    assert_eq!(scene.owner.snapshot().problems, [""; 0]);
}

#[test]
fn new_owner_adopts_ids_indexes_and_counters() {
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
fn rows_changed_by_another_process_are_repaired() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    let good = scene.owner.dataplane.dump().unwrap();
    scene
        .owner
        .dataplane
        .memory
        .apply(&[Op::Service(fixture::key("10.96.0.1:80"), Write::Delete)])
        .unwrap();
    assert_eq!(scene.connect("10.96.0.1:80"), None);
    scene.owner.resync();
    let wait = scene.owner.reconcile(scene.now);
    scene.settle(wait);
    assert_eq!(scene.owner.dataplane.dump().unwrap(), good);
}

#[test]
fn change_of_one_endpoint_among_many_needs_few_writes() {
    let services = |changed: &str| -> Vec<Service> {
        let service = |number: u8| {
            let endpoint = if number == 50 {
                changed.to_owned()
            } else {
                format!("10.0.{number}.3:80")
            };
            let others = [
                format!("10.0.{number}.1:80"),
                format!("10.0.{number}.2:80"),
                endpoint,
            ];
            let endpoints: Vec<(&str, u32)> =
                others.iter().map(|address| (address.as_str(), 1)).collect();
            fixture::with(
                fixture::fixed(&format!("s{number}"), &format!("10.96.0.{number}")),
                &endpoints,
            )
        };
        (0..100).map(service).collect()
    };
    let mut scene = Scene::new();
    let wait = scene.configure(services("10.0.50.3:80"));
    scene.settle(wait);
    let left = |scene: &Scene| scene.owner.dataplane.operations_left.unwrap();
    scene.owner.dataplane.operations_left = Some(1_000);
    let wait = scene.configure(services("10.0.50.4:80"));
    // The new backend, three slots, the frontend that switches to them, and the state of the old
    // backend.
    assert_eq!(1_000 - left(&scene), 6);
    scene.settle(wait);
    // Later the old backend is freed. The old backends were contiguous, so there are no old slots.
    assert_eq!(1_000 - left(&scene), 7);
}
