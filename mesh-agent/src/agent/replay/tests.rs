//! Explanations of a service whose load is given.

use mesh_common::{
    abi::{BackendLoad, ServiceLoad, Slot, backend_state, service_flags},
    outlier::Health,
};

use super::*;
use crate::{
    api::types::{Candidate, Outcome},
    dataplane::memory::Memory,
    desired::{Override, Target, World, compile, fixture},
    model::{Balance, HashKey, Limits, Protocol, Service},
};

const NOW: Duration = Duration::from_secs(100);
const VIP: &str = "10.96.0.1:80";

/// Tables and counters of a node.
struct Scene {
    tables: Tables,
    counters: Counters,
}

impl Scene {
    fn of(service: Service) -> Self {
        let world = World { services: fixture::services([service]), complete: true, ..World::default() };
        let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
        Self { tables, counters: Counters::default() }
    }

    /// Index of the backend `10.0.0.LAST`.
    fn index(&self, last: u8) -> u32 {
        let addr = std::net::IpAddr::from([10, 0, 0, last]).into();
        *self.tables.backends.iter().find(|(_, row)| row.addr == addr).unwrap().0
    }

    fn load(&mut self, last: u8, live: u64, health: Health) {
        let load = BackendLoad { live, health: health.word(), ..BackendLoad::default() };
        self.counters.backends.insert(self.index(last), load);
    }

    fn ask(&self, to: &str) -> Explanation {
        self.ask_as(to, &Client::default())
    }

    fn ask_as(&self, to: &str, client: &Client) -> Explanation {
        replay(&self.tables, &self.counters, NOW, &fixture::key(to), client)
    }
}

fn cart(endpoints: &[(&str, u32)]) -> Service {
    fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints)
}

fn two() -> Service {
    cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)])
}

/// `address: reason` of all candidates.
fn reasons(explanation: &Explanation) -> Vec<String> {
    let inside = explanation.tiers.iter().flat_map(|tier| &tier.backends).chain(&explanation.others);
    inside.map(|Candidate { endpoint, reason, .. }| format!("{endpoint}: {reason}")).collect()
}

/// `address percent`, or the reason of a refusal.
fn outcomes(explanation: &Explanation) -> Vec<String> {
    let line = |it: &Outcome| {
        let to = it.endpoint.as_ref().or(it.refused.as_ref()).unwrap();
        format!("{to} {:.0}", it.percent)
    };
    explanation.outcomes.iter().map(line).collect()
}

#[test]
fn load_decides_and_stays_what_it_is() {
    let mut scene = Scene::of(two());
    scene.load(1, 50, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!((explanation.verdict.as_str(), explanation.replayed), ("answered", 1000));
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"], "two draws always meet both");
    let one = &explanation.tiers[0].backends[0];
    assert_eq!((one.connections, one.weight, one.draws_percent), (50, 1, 50.0));
    assert_eq!((explanation.tiers[0].usable_percent, explanation.tiers.len()), (100.0, 1));
    assert_eq!(explanation.service.as_deref(), Some("test/cart:80/TCP"));
}

#[test]
fn an_ejected_backend_says_for_how_long_and_gets_nothing() {
    let mut scene = Scene::of(two());
    scene.load(1, 0, Health { until: 108_200, streak: 0, ejections: 1 });
    let explanation = scene.ask(VIP);
    let expected = ["10.0.0.1:80: ejected for 8.2 s more after 3 failures", "10.0.0.2:80: usable"];
    assert_eq!(reasons(&explanation), expected);
    assert_eq!((outcomes(&explanation), explanation.tiers[0].usable_percent), (vec!["10.0.0.2:80 100".into()], 50.0));
    scene.load(1, 0, Health { until: 99_000, streak: 0, ejections: 1 });
    let explanation = scene.ask(VIP);
    assert_eq!(reasons(&explanation)[0], "10.0.0.1:80: its ejection is over: one connect may try it");
    let probes = explanation.counted.iter().find(|it| it.counter == "probes").unwrap();
    assert!((30.0..70.0).contains(&probes.percent), "each replayed connect could be the probe: {probes:?}");
    scene.load(1, 1 | 1 << 32, Health { until: 0, streak: 2, ejections: 0 });
    let expected = "10.0.0.1:80: on probation: 2 of 3 failures that eject it, and 1 connecting";
    assert_eq!(reasons(&scene.ask(VIP))[0], expected);
}

#[test]
fn a_full_backend_and_a_full_service_are_told() {
    let mut service = two();
    service.traffic.limits = Limits { connections: None, connections_per_endpoint: std::num::NonZeroU32::new(5) };
    let mut scene = Scene::of(service.clone());
    scene.load(1, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(reasons(&explanation)[0], "10.0.0.1:80: full: 5 of 5 connections");
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    assert!(explanation.counted.iter().any(|it| it.counter == "overflows"));
    scene.load(2, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("refused", "every backend that works is full")
    );
    assert_eq!(outcomes(&explanation), ["refused_limit 100"]);
    service.traffic.limits = Limits { connections: std::num::NonZeroU32::new(7), connections_per_endpoint: None };
    let mut scene = Scene::of(service);
    scene.counters.loads.insert(0, ServiceLoad { connections: 7, turn: 0 });
    assert_eq!(scene.ask(VIP).reason, "the service is full: 7 of 7 connections");
    scene.counters.loads.insert(0, ServiceLoad { connections: 6, turn: 0 });
    assert_eq!(scene.ask(VIP).verdict, "answered", "what is replayed is given back");
}

#[test]
fn what_is_down_is_not_answered() {
    let mut scene = Scene::of(two());
    let (one, two) = (scene.index(1), scene.index(2));
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(reasons(&explanation), ["10.0.0.1:80: not ready", "10.0.0.2:80: usable"]);
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    scene.tables.backends.get_mut(&two).unwrap().state = backend_state::DRAINING;
    let explanation = scene.ask(VIP);
    assert_eq!((explanation.verdict.as_str(), explanation.reason.as_str()), ("refused", "no backend is usable"));
    assert_eq!(Scene::of(cart(&[])).ask(VIP).reason, "no backend is usable");
}

#[test]
fn who_took_a_backend_out_is_told() {
    let mut scene = Scene::of(cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)]));
    for last in [1, 2] {
        let index = scene.index(last);
        scene.tables.backends.get_mut(&index).unwrap().state = backend_state::DRAINING;
    }
    let target = |last: u8| Target { service: fixture::name("cart"), address: [10, 0, 0, last].into(), port: 80 };
    let drained = Override { draining_since: Some(NOW), weight: None };
    let overrides = [(target(1), drained), (target(3), drained)].into();
    let world = World { overrides, unhealthy: [target(2)].into(), ..World::default() };
    let mut explanation = scene.ask(VIP);
    words::because(&world, &mut explanation);
    let expected = [
        "10.0.0.1:80: drains by an operator's order",
        "10.0.0.2:80: its health check fails",
        "10.0.0.3:80: usable; drains by an operator's order",
    ];
    assert_eq!(reasons(&explanation), expected);
}

#[test]
fn the_next_tier_gets_what_the_first_cannot_take() {
    let mut scene = Scene::of(two());
    let (one, two) = (scene.index(1), scene.index(2));
    let row = scene.tables.services.get_mut(&fixture::key(VIP)).unwrap();
    (row.slot_base, row.slot_count, row.flags) = (0, 1, row.flags | service_flags::TIERS);
    let only = |backend| Slot { backend, alias: backend, threshold: u32::MAX, link: 0 };
    scene.tables.slots = [(0, only(one)), (1, Slot::next(2, 1, false)), (2, only(two))].into();
    let explanation = scene.ask(VIP);
    assert_eq!((explanation.tiers.len(), outcomes(&explanation)), (2, vec!["10.0.0.1:80 100".into()]));
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    assert_eq!((explanation.counted[0].counter.as_str(), explanation.counted[0].percent), ("failovers", 100.0));
}

#[test]
fn datagrams_node_ports_and_ipv6_are_explained_too() {
    let mut service = fixture::with(fixture::fixed("dns", "fd00::1"), &[("[fd00::a:1]:53", 1)]);
    service.ports[0].protocol = Protocol::Udp;
    let mut scene = Scene::of(service);
    let key = FrontendKey { protocol: protocol::UDP, ..fixture::key("[fd00::1]:80") };
    let explanation = replay(&scene.tables, &scene.counters, NOW, &key, &Client::default());
    assert_eq!(
        (explanation.frontend.as_str(), outcomes(&explanation)),
        ("[fd00::1]:80/UDP", vec!["[fd00::a:1]:53 100".into()])
    );
    let untouched = scene.ask("[fd00::1]:80");
    assert_eq!(untouched.reason, "that port is not served for this protocol; there is [fd00::1]:80/UDP");
    let mut service = two();
    service.ports[0].node_port = Some(30080);
    let node_addresses = ["127.0.0.1".parse().unwrap()].into();
    let world = World { services: fixture::services([service]), complete: true, node_addresses, ..World::default() };
    scene.tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
    assert_eq!(scene.ask("127.0.0.1:30080").verdict, "answered");
}

#[test]
fn what_is_no_service_is_left_alone_and_says_why() {
    let scene = Scene::of(two());
    let reason = |to: &str| {
        let explanation = scene.ask(to);
        assert_eq!((explanation.verdict.as_str(), explanation.replayed), ("untouched", 0));
        explanation.reason
    };
    assert_eq!(reason("10.96.0.7:80"), "10.96.0.7 is not a service address");
    assert_eq!(
        reason("10.96.0.1:81"),
        "10.96.0.1 is a service address, but not on this port; there is 10.96.0.1:80/TCP"
    );
    let endpoint = "it is an endpoint of test/cart:80/TCP, and no service: it is reached directly";
    assert_eq!(reason("10.0.0.1:80"), endpoint);
    let client = Client { excluded: Some("left out".into()), ..Client::default() };
    assert_eq!(scene.ask_as(VIP, &client).reason, "left out");
}

#[test]
fn a_client_that_is_known_always_hashes_to_the_same_backend() {
    let mut service = two();
    service.traffic.balance = Balance::ConsistentHash(HashKey::NetworkNamespace);
    let scene = Scene::of(service);
    let anybody = scene.ask(VIP);
    assert_eq!((outcomes(&anybody).len(), anybody.notes.len()), (2, 1));
    assert!(anybody.notes[0].contains("--from netns:PATH"), "{anybody:?}");
    let known = scene.ask_as(VIP, &Client { netns: Some(42), ..Client::default() });
    assert_eq!((outcomes(&known).len(), known.notes.len()), (1, 0));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let question = |to: &str, protocol: Option<&str>| {
        let question = Question { to: to.into(), protocol: protocol.map(str::to_owned), from: None };
        key(&question).map(|key| frontend(&key)).map_err(|error| error.to_string())
    };
    assert_eq!(question("10.0.0.1:80", Some("UDP")), Ok("10.0.0.1:80/UDP".into()));
    assert_eq!(question("10.0.0.1:80", Some("sctp")), Err("`sctp` is not tcp or udp".into()));
    assert!(question("cart:80", None).unwrap_err().starts_with("`cart:80` is not ADDRESS:PORT"));
}
