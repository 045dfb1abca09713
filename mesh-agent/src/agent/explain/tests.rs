//! Tests of explanations over given tables and load.

mod agent_reasons;
mod backend_status;
mod client_share;
mod clients;

use std::collections::BTreeMap;

use mesh_common::{
    abi::{AffinityKey, AffinityRow, BackendLoad, ServiceLoad, Slot, backend_state, service_flags},
    agreement::{Agreement, Standing},
    ejection::{Health, State},
    occupancy::{CONNECTING, LIVE},
};

use super::*;
use crate::{
    api::types::{Candidate, Destination},
    dataplane::{Evidence, memory::Memory},
    desired::{Override, Target, World, compile, fixture},
    model::{
        Affinity, AffinityClient, Balance, Drain, Effect, HashKey, InternalTraffic, Limits,
        Protocol, Ratio, Service, Wrong,
    },
};

const NOW: Duration = Duration::from_secs(100);
/// The client of a question that names none.
const OWN: u32 = 7;
const VIP: &str = "10.96.0.1:80";

/// Tables and counters of a node.
struct Scene {
    tables: Tables,
    counters: Counters,
}

impl Scene {
    fn of(service: Service) -> Self {
        let world = World {
            services: fixture::services([service]),
            complete: true,
            ..World::default()
        };
        let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
        Self {
            tables,
            counters: Counters::default(),
        }
    }

    /// Index of the backend `10.0.0.LAST`.
    fn index(&self, last: u8) -> u32 {
        let addr = std::net::IpAddr::from([10, 0, 0, last]).into();
        *self
            .tables
            .backends
            .iter()
            .find(|(_, row)| row.addr == addr)
            .unwrap()
            .0
    }

    fn load(&mut self, last: u8, live: u64, health: Health) {
        let index = self.index(last);
        self.counters.backends.insert(
            index,
            BackendLoad {
                live,
                ..BackendLoad::default()
            },
        );
        let agreement = Agreement {
            standing: Standing::Doubted,
            until: 1 << 38,
            ..Agreement::default()
        };
        let records = (health != Health::default()).then_some((OWN, health));
        let evidence = Evidence {
            agreement,
            records: records.into_iter().collect(),
        };
        self.counters.evidence.insert(index, evidence);
    }

    fn ask(&self, to: &str) -> Explanation {
        self.ask_as(
            to,
            &Client {
                id: Some(OWN),
                ..Client::default()
            },
        )
    }

    fn ask_as(&self, to: &str, client: &Client) -> Explanation {
        decide(&self.tables, &self.counters, NOW, &fixture::key(to), client)
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
    let inside = explanation
        .tiers
        .iter()
        .flat_map(|tier| &tier.backends)
        .chain(&explanation.others);
    inside
        .map(
            |Candidate {
                 endpoint, reason, ..
             }| format!("{endpoint}: {reason}"),
        )
        .collect()
}

/// `address percent`, or the reason of a refusal.
fn destinations(explanation: &Explanation) -> Vec<String> {
    let line = |it: &Destination| {
        let to = it.endpoint.as_ref().or(it.refused.as_ref()).unwrap();
        format!("{to} {:.0}", it.percent)
    };
    explanation.outcomes.iter().map(line).collect()
}

#[test]
fn replay_compares_load_and_leaves_it_unchanged() {
    let mut scene = Scene::of(two());
    scene.load(1, 50, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.replayed),
        ("answered", 1000)
    );
    assert_eq!(
        destinations(&explanation),
        ["10.0.0.2:80 100"],
        "two draws always compare both"
    );
    let one = &explanation.tiers[0].backends[0];
    assert_eq!(
        (one.connections, one.effective_weight, one.draws_percent),
        (50, 1, 50.0)
    );
    assert_eq!(
        (explanation.tiers[0].usable_percent, explanation.tiers.len()),
        (100.0, 1)
    );
    assert_eq!(explanation.identity().as_deref(), Some("test/cart:80/TCP"));
}

#[test]
fn next_tier_gets_connects_that_the_first_cannot_take() {
    let mut scene = Scene::of(two());
    let (one, two) = (scene.index(1), scene.index(2));
    let row = scene.tables.services.get_mut(&fixture::key(VIP)).unwrap();
    (row.slot_base, row.slot_count, row.flags) = (
        0,
        1,
        row.flags & !service_flags::CONTIGUOUS | service_flags::TIERS,
    );
    scene.tables.slots = [
        (0, Slot::full(one)),
        (1, Slot::next(2, 1, false)),
        (2, Slot::full(two)),
    ]
    .into();
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.tiers.len(), destinations(&explanation)),
        (2, vec!["10.0.0.1:80 100".into()])
    );
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(destinations(&explanation), ["10.0.0.2:80 100"]);
    assert_eq!(
        (
            explanation.counted[0].counter.as_str(),
            explanation.counted[0].percent
        ),
        ("failovers", 100.0)
    );
}

#[test]
fn udp_node_ports_and_ipv6_are_explained() {
    let mut service = fixture::with(fixture::fixed("dns", "fd00::1"), &[("[fd00::a:1]:53", 1)]);
    service.ports[0].protocol = Protocol::Udp;
    let mut scene = Scene::of(service);
    let key = FrontendKey {
        protocol: Protocol::Udp.number(),
        ..fixture::key("[fd00::1]:80")
    };
    let explanation = decide(
        &scene.tables,
        &scene.counters,
        NOW,
        &key,
        &Client::default(),
    );
    assert_eq!(
        (explanation.frontend.as_str(), destinations(&explanation)),
        ("[fd00::1]:80/UDP", vec!["[fd00::a:1]:53 100".into()])
    );
    let untouched = scene.ask("[fd00::1]:80");
    assert_eq!(
        untouched.reason,
        "that port is not served for this protocol; there is [fd00::1]:80/UDP"
    );
    let mut service = two();
    service.ports[0].node_port = Some(30080);
    let node_addresses = ["127.0.0.1".parse().unwrap()].into();
    let world = World {
        services: fixture::services([service]),
        complete: true,
        node_addresses,
        ..World::default()
    };
    scene.tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
    assert_eq!(scene.ask("127.0.0.1:30080").verdict, "answered");
}

#[test]
fn address_that_is_no_service_is_untouched_with_the_reason() {
    let scene = Scene::of(two());
    let reason = |to: &str| {
        let explanation = scene.ask(to);
        assert_eq!(
            (explanation.verdict.as_str(), explanation.replayed),
            ("untouched", 0)
        );
        explanation.reason
    };
    assert_eq!(reason("10.96.0.7:80"), "10.96.0.7 is not a service address");
    assert_eq!(
        reason("10.96.0.1:81"),
        "10.96.0.1 is a service address, but not on this port; there is 10.96.0.1:80/TCP"
    );
    let endpoint = "it is an endpoint of test/cart:80/TCP, not a service; it is reached directly";
    assert_eq!(reason("10.0.0.1:80"), endpoint);
    let client = Client {
        excluded: Some("left out".into()),
        ..Client::default()
    };
    assert_eq!(scene.ask_as(VIP, &client).reason, "left out");
}

#[test]
fn malformed_questions_are_refused() {
    let question = |to: &str, protocol: Option<&str>| {
        let question = Question {
            to: to.into(),
            protocol: protocol.map(str::to_owned),
            from: None,
        };
        key(&question)
            .map(|key| frontend(&key))
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        question("10.0.0.1:80", Some("UDP")),
        Ok("10.0.0.1:80/UDP".into())
    );
    assert_eq!(
        question("10.0.0.1:80", Some("sctp")),
        Err("`sctp` is not tcp or udp".into())
    );
    assert!(
        question("cart:80", None)
            .unwrap_err()
            .starts_with("`cart:80` is not ADDRESS:PORT")
    );
}
