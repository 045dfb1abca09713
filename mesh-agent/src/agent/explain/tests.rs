//! Explanations of a service whose load is given.

mod shares;

use std::collections::BTreeMap;

use mesh_common::{
    abi::{AffinityKey, AffinityRow, BackendLoad, ServiceLoad, Slot, backend_state, service_flags},
    agreement::{Agreement, Standing},
    ejection::{Health, State},
    occupancy::{CONNECTING, LIVE},
};

use super::*;
use crate::{
    api::types::{Candidate, Outcome},
    dataplane::{Evidence, memory::Memory},
    desired::{Override, Target, World, compile, fixture},
    model::{
        Affinity, AffinityClient, Balance, Drain, Effect, HashKey, InternalTraffic, Limits,
        Protocol, Ratio, Service, Wrong,
    },
};

const NOW: Duration = Duration::from_secs(100);
/// The client that asks, where nothing else is said.
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
    assert_eq!(
        (explanation.verdict.as_str(), explanation.replayed),
        ("answered", 1000)
    );
    assert_eq!(
        outcomes(&explanation),
        ["10.0.0.2:80 100"],
        "two draws always meet both"
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
fn an_ejected_backend_says_for_how_long_and_gets_nothing() {
    let mut scene = Scene::of(two());
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 108_200,
            streak: 0,
            ejections: 1,
        },
    );
    let explanation = scene.ask(VIP);
    let expected = [
        "10.0.0.1:80: ejected for 8.2 s more after 3 failures",
        "10.0.0.2:80: usable",
    ];
    assert_eq!(reasons(&explanation), expected);
    assert_eq!(
        (outcomes(&explanation), explanation.tiers[0].usable_percent),
        (vec!["10.0.0.2:80 100".into()], 50.0)
    );
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 99_000,
            streak: 0,
            ejections: 1,
        },
    );
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation)[0],
        "10.0.0.1:80: its ejection is over: one connect may try it"
    );
    let trials = explanation
        .counted
        .iter()
        .find(|it| it.counter == "trials")
        .unwrap();
    let went: Vec<(Option<&str>, f64, bool)> = explanation
        .outcomes
        .iter()
        .map(|it| (it.endpoint.as_deref(), it.percent, it.trial))
        .collect();
    let expected = [
        (Some("10.0.0.2:80"), 99.9, false),
        (Some("10.0.0.1:80"), 0.1, true),
    ];
    assert_eq!(
        (went.as_slice(), trials.percent),
        (expected.as_slice(), 0.1),
        "one connect is the trial, and no other"
    );
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 108_200,
            streak: 0,
            ejections: 3,
        },
    );
    assert_eq!(
        reasons(&scene.ask(VIP))[0],
        "10.0.0.1:80: ejected for 8.2 s more, 3 times in a row by now"
    );
    let on_probation = Health {
        state: State::Probation,
        until: 100_500,
        streak: 2,
        ejections: 0,
    };
    scene.load(1, LIVE + CONNECTING, on_probation);
    let expected = "10.0.0.1:80: on probation: 2 of 3 failures that eject it, and 1 connecting";
    assert_eq!(reasons(&scene.ask(VIP))[0], expected);
}

#[test]
fn what_clients_agree_on_is_told_apart_from_what_each_has_seen() {
    let mut scene = Scene::of(two());
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 108_200,
            streak: 0,
            ejections: 1,
        },
    );
    let anybody = scene.ask_as(VIP, &Client::default());
    assert_eq!(reasons(&anybody)[0], "10.0.0.1:80: usable");
    let note = "1 client ejected 10.0.0.1:80 for themselves: --from cgroup:PATH shows how the pod or unit there sees the service";
    assert_eq!(anybody.notes, [note]);
    let index = scene.index(1);
    let agreement = Agreement {
        standing: Standing::Ejected,
        until: 104_000,
        ejections: 1,
        voter: 0,
    };
    scene.counters.evidence.get_mut(&index).unwrap().agreement = agreement;
    let anybody = scene.ask_as(VIP, &Client::default());
    assert_eq!(
        reasons(&anybody)[0],
        "10.0.0.1:80: ejected for 4.0 s more: clients agree that it fails"
    );
    assert_eq!(outcomes(&anybody), ["10.0.0.2:80 100"]);
    assert_eq!(
        reasons(&scene.ask(VIP))[0],
        "10.0.0.1:80: ejected for 8.2 s more after 3 failures"
    );
}

#[test]
fn the_last_endpoint_is_usable_after_as_many_failures_as_eject_others() {
    let mut scene = Scene::of(cart(&[("10.0.0.1:80", 1)]));
    scene.load(
        1,
        0,
        Health {
            state: State::Failing,
            until: 99_000,
            streak: 3,
            ejections: 0,
        },
    );
    let told = reasons(&scene.ask(VIP));
    assert_eq!(
        told,
        ["10.0.0.1:80: usable; failed 3 times in a row, not ejected because it is the last one"]
    );
}

#[test]
fn a_full_backend_and_a_full_service_are_told() {
    let mut service = two();
    service.traffic.limits = Limits {
        connections_per_endpoint: std::num::NonZeroU32::new(5),
        ..Limits::default()
    };
    let mut scene = Scene::of(service.clone());
    scene.load(1, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation)[0],
        "10.0.0.1:80: full: 5 of 5 connections"
    );
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    assert!(
        explanation
            .counted
            .iter()
            .any(|it| it.counter == "overflows")
    );
    scene.load(2, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("refused", "every endpoint that works is full")
    );
    assert_eq!(outcomes(&explanation), ["refused_limit 100"]);
    service.traffic.limits = Limits {
        connections: std::num::NonZeroU32::new(7),
        ..Limits::default()
    };
    let mut scene = Scene::of(service);
    scene.counters.loads.insert(
        0,
        ServiceLoad {
            connections: 7,
            turn: 0,
        },
    );
    assert_eq!(
        scene.ask(VIP).reason,
        "the service is full: 7 of 7 connections"
    );
    scene.counters.loads.insert(
        0,
        ServiceLoad {
            connections: 6,
            turn: 0,
        },
    );
    assert_eq!(
        scene.ask(VIP).verdict,
        "answered",
        "what is replayed is given back"
    );
}

#[test]
fn what_is_down_is_not_answered() {
    let mut scene = Scene::of(two());
    let (one, two) = (scene.index(1), scene.index(2));
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation),
        ["10.0.0.1:80: notReady", "10.0.0.2:80: usable"]
    );
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    scene.tables.backends.get_mut(&two).unwrap().state = backend_state::DRAINING;
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("refused", "no endpoint is usable")
    );
    assert_eq!(Scene::of(cart(&[])).ask(VIP).reason, "no endpoint");
}

#[test]
fn who_took_a_backend_out_is_told() {
    let mut scene = Scene::of(cart(&[
        ("10.0.0.1:80", 1),
        ("10.0.0.2:80", 1),
        ("10.0.0.3:80", 1),
    ]));
    for last in [1, 2] {
        let index = scene.index(last);
        scene.tables.backends.get_mut(&index).unwrap().state = backend_state::DRAINING;
    }
    let target = |last: u8| Target {
        service: fixture::name("cart"),
        address: [10, 0, 0, last].into(),
        port: 80,
    };
    let drained = Override {
        draining_since: Some(NOW),
        weight: None,
    };
    let overrides = [(target(1), drained), (target(3), drained)].into();
    let world = World {
        overrides,
        unhealthy: [target(2)].into(),
        ..World::default()
    };
    let mut explanation = scene.ask(VIP);
    reasons::because(&world, &mut explanation);
    let expected = [
        "10.0.0.1:80: drains by an operator's order",
        "10.0.0.2:80: its health check fails",
        "10.0.0.3:80: usable; drains by an operator's order",
    ];
    assert_eq!(reasons(&explanation), expected);
}

#[test]
fn endpoints_of_other_nodes_are_told_from_those_that_drain() {
    let mut service = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
    service.internal_traffic = InternalTraffic::Local;
    service.ports[0].endpoints[0].node = Some("n1".into());
    let world = World {
        services: fixture::services([service]),
        complete: true,
        node_name: "n1".into(),
        ..World::default()
    };
    let tables = compile(&world, NOW, &Tables::default(), Memory::CAPACITY).unwrap();
    let mut explanation = Scene {
        tables,
        counters: Counters::default(),
    }
    .ask(VIP);
    reasons::because(&world, &mut explanation);
    assert_eq!(
        reasons(&explanation),
        ["10.0.0.1:80: usable", "10.0.0.2:80: not on this node"]
    );
}

#[test]
fn services_that_are_left_out_are_named_where_none_is_found() {
    let (bad, good) = (
        fixture::fixed("bad", "10.96.0.9"),
        fixture::fixed("good", "10.96.0.8"),
    );
    let wrong = [
        Wrong::service(&bad, Effect::LeftOut),
        Wrong::service(&good, Effect::Kept),
    ];
    let scene = Scene::of(two());
    let mut explanation = scene.ask("10.96.0.9:80");
    reasons::tell_left_out(&wrong, &mut explanation);
    assert_eq!(
        explanation.notes,
        [format!(
            "left out because of errors: service test/bad ({})",
            bad.origin
        )]
    );
    let mut explanation = scene.ask(VIP);
    reasons::tell_left_out(&wrong, &mut explanation);
    assert_eq!(explanation.notes, [""; 0]);
}

#[test]
fn weights_are_those_of_operators_while_there_are_ramps() {
    let mut service = cart(&[("10.0.0.1:80", 3), ("10.0.0.2:80", 1)]);
    service.traffic.drain = Some(Drain {
        beta: Ratio(500_000),
        tick: Duration::from_secs(1),
    });
    let target = Target {
        service: fixture::name("cart"),
        address: [10, 0, 0, 2].into(),
        port: 80,
    };
    let drained = Override {
        draining_since: Some(NOW - Duration::from_secs(2)),
        weight: None,
    };
    let services = fixture::services([service]);
    let world = World {
        services,
        complete: true,
        overrides: [(target, drained)].into(),
        ..World::default()
    };
    let tables = compile(&world, NOW, &Tables::default(), Memory::CAPACITY).unwrap();
    let mut explanation = Scene {
        tables,
        counters: Counters::default(),
    }
    .ask(VIP);
    let weights = |explanation: &Explanation| -> Vec<(u32, Option<u32>)> {
        let backends = explanation.tiers.iter().flat_map(|tier| &tier.backends);
        backends
            .map(|it| (it.effective_weight, it.weight))
            .collect()
    };
    assert_eq!(
        weights(&explanation),
        [(768, None), (64, None)],
        "the kernel has 8 bits below one"
    );
    reasons::weigh(&world, NOW, &mut explanation);
    assert_eq!(
        weights(&explanation),
        [(3, Some(3)), (0, Some(1))],
        "a quarter is below one"
    );
}

#[test]
fn the_next_tier_gets_what_the_first_cannot_take() {
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
        (explanation.tiers.len(), outcomes(&explanation)),
        (2, vec!["10.0.0.1:80 100".into()])
    );
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(outcomes(&explanation), ["10.0.0.2:80 100"]);
    assert_eq!(
        (
            explanation.counted[0].counter.as_str(),
            explanation.counted[0].percent
        ),
        ("failovers", 100.0)
    );
}

#[test]
fn datagrams_node_ports_and_ipv6_are_explained_too() {
    let mut service = fixture::with(fixture::fixed("dns", "fd00::1"), &[("[fd00::a:1]:53", 1)]);
    service.ports[0].protocol = Protocol::Udp;
    let mut scene = Scene::of(service);
    let key = FrontendKey {
        protocol: protocol::UDP,
        ..fixture::key("[fd00::1]:80")
    };
    let explanation = replay(
        &scene.tables,
        &scene.counters,
        NOW,
        &key,
        &Client::default(),
    );
    assert_eq!(
        (explanation.frontend.as_str(), outcomes(&explanation)),
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
fn what_is_no_service_is_left_alone_and_says_why() {
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
    let endpoint = "it is an endpoint of test/cart:80/TCP, and no service: it is reached directly";
    assert_eq!(reason("10.0.0.1:80"), endpoint);
    let client = Client {
        excluded: Some("left out".into()),
        ..Client::default()
    };
    assert_eq!(scene.ask_as(VIP, &client).reason, "left out");
}

#[test]
fn a_client_that_is_known_always_hashes_to_the_same_backend() {
    let mut service = two();
    service.traffic.balance = Balance::ConsistentHash(HashKey::NetworkNamespace);
    let scene = Scene::of(service);
    let anybody = scene.ask(VIP);
    assert_eq!((outcomes(&anybody).len(), anybody.notes.len()), (2, 1));
    assert!(
        anybody.notes[0].contains("--from netns:PATH is needed"),
        "{anybody:?}"
    );
    let known = scene.ask_as(
        VIP,
        &Client {
            netns: Some(42),
            ..Client::default()
        },
    );
    assert_eq!((outcomes(&known).len(), known.notes.len()), (1, 0));
}

#[test]
fn a_hash_of_the_source_address_needs_one() {
    let mut service = two();
    service.traffic.balance = Balance::ConsistentHash(HashKey::SourceAddress);
    let scene = Scene::of(service);
    let note = "where a client goes depends on the address that its socket is bound to: --from ADDRESS is needed to see \
                it. Without that each connect here is another client's";
    assert_eq!(scene.ask(VIP).notes, [note]);
    let by_cgroup = Client {
        cgroup: Some(7),
        ..Client::default()
    };
    assert_eq!(
        scene.ask_as(VIP, &by_cgroup).notes,
        [note],
        "that does not help"
    );
    let known = scene.ask_as(
        VIP,
        &Client {
            source: Some([10, 0, 3, 7].into()),
            ..Client::default()
        },
    );
    assert_eq!((outcomes(&known).len(), known.notes.len()), (1, 0));
}

#[test]
fn a_client_that_is_bound_goes_where_it_went() {
    let mut service = two();
    let timeout = Duration::from_secs(60);
    service.affinity = Some(Affinity {
        client: AffinityClient::NetworkNamespace,
        timeout,
    });
    let mut scene = Scene::of(service);
    let key = AffinityKey {
        client: 42,
        service: 0,
        variant: 1,
    };
    let (index, now) = (scene.index(1), NOW - Duration::from_secs(7));
    let generation = scene.tables.backends[&index].generation;
    let backend = u64::from(index) | u64::from(generation) << 32;
    let used_at = u64::try_from(now.as_nanos()).unwrap();
    let row = scene.tables.services[&fixture::key(VIP)];
    let ask = |scene: &Scene, client: Client| {
        let bound = affinity::bound(
            &Rows(vec![(
                key,
                AffinityRow {
                    backend,
                    used_at,
                    owner: 0,
                    pad: 0,
                },
            )]),
            &row,
            &client,
            NOW,
        )
        .unwrap();
        let explanation = scene.ask_as(VIP, &Client { bound, ..client });
        (outcomes(&explanation), explanation.notes.concat())
    };
    let other = ask(
        &scene,
        Client {
            netns: Some(7),
            ..Client::default()
        },
    );
    assert_eq!(other.0.len(), 2);
    assert!(other.1.contains("this client is not bound"), "{other:?}");
    let anybody = ask(&scene, Client::default());
    assert!(
        anybody.1.contains("a network namespace that it remembers")
            && anybody.1.contains("--from netns:PATH")
    );
    let known = || Client {
        netns: Some(42),
        ..Client::default()
    };
    let note = "session affinity binds this client to 10.0.0.1:80, last used 7 s ago".to_owned();
    assert_eq!(
        ask(&scene, known()),
        (vec!["10.0.0.1:80 100".to_owned()], note)
    );
    scene.tables.backends.get_mut(&index).unwrap().state = backend_state::DOWN;
    assert_eq!(
        ask(&scene, known()).0,
        ["10.0.0.2:80 100"],
        "it takes nothing now"
    );
}

/// What is in AFFINITY.
struct Rows(Vec<(AffinityKey, AffinityRow)>);

impl Meter for Rows {
    fn read(&self, _: &Tables) -> Result<Counters, crate::dataplane::Error> {
        Ok(Counters::default())
    }

    fn evidence(&self, _: &Tables) -> Result<BTreeMap<u32, Evidence>, crate::dataplane::Error> {
        Ok(BTreeMap::new())
    }

    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, crate::dataplane::Error> {
        Ok(self.0.clone())
    }
}

#[test]
fn questions_that_make_no_sense_are_refused() {
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
