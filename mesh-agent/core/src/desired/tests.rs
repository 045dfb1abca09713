//! Runs the kernel's decisions over compiled tables.

mod clients;
mod reservations;
mod reachable;
mod weights;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use mesh_common::{
    abi::{BackendRow, ServiceRow, backend_state, service_flags},
    connect::{Verdict, connect},
    socket,
};

use super::{
    Override, Tables, Target, World, compile, fixture, identified, next_change, plan::diff,
};
use crate::{
    dataplane::{Dataplane as _, memory::Memory},
    model::{
        Balance, Condition, Drain, HashKey, LocalityLevel, Ratio, Service, SlowStart, Words as _,
    },
};

const VIP: &str = "10.96.0.1:80";
const SECOND: Duration = Duration::from_secs(1);

/// A service with endpoints 10.0.<tier>.<number>; those of tier 0 are on this node.
fn near_and_far(sizes: &[u8]) -> Service {
    let names: Vec<String> = (0..)
        .zip(sizes)
        .flat_map(|(tier, &size)| (1..=size).map(move |it| format!("10.0.{tier}.{it}:80")))
        .collect();
    let endpoints: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut service = fixture::with(fixture::fixed("cart", "10.96.0.1"), &endpoints);
    service.traffic.locality.order = vec![LocalityLevel::Node, LocalityLevel::Zone];
    for endpoint in &mut service.ports[0].endpoints {
        match tier(SocketAddr::new(endpoint.address, 80)) {
            0 => endpoint.node = Some("n1".into()),
            1 => endpoint.locality.zone = Some("z1".into()),
            _ => {}
        }
    }
    service
}

fn tier(endpoint: SocketAddr) -> u8 {
    match endpoint {
        SocketAddr::V4(endpoint) => endpoint.ip().octets()[2],
        SocketAddr::V6(endpoint) => unreachable!("no endpoint is at {endpoint}"),
    }
}

fn world(service: Service) -> World {
    let mut world = World {
        services: fixture::services([service]),
        complete: true,
        node_name: "n1".into(),
        ..World::default()
    };
    world.locality.zone = Some("z1".into());
    world
}

fn target(endpoint: &str) -> Target {
    let endpoint: SocketAddr = endpoint.parse().unwrap();
    Target {
        service: fixture::name("cart"),
        address: endpoint.ip(),
        port: endpoint.port(),
    }
}

fn configure(memory: &mut Memory, world: &World, now: Duration) -> Tables {
    let current = memory.dump().unwrap();
    let desired = compile(world, now, &current, Memory::CAPACITY).unwrap();
    memory.apply(&diff(&current, &desired)).unwrap();
    desired
}

/// Returns the endpoint of a new socket's connect. With `close` the socket is closed at once.
fn ask(memory: &mut Memory, socket: u64, close: bool) -> Option<SocketAddr> {
    memory.set_socket(socket);
    let verdict = connect(memory, &fixture::key(VIP));
    socket::syn_sent(memory, socket);
    if close {
        socket::released(memory, socket, || false);
        memory.close(socket);
    }
    match verdict {
        Verdict::Backend { addr, port } => Some(SocketAddr::new(addr.into(), u16::from_be(port))),
        Verdict::Refused => None,
        Verdict::Untouched => unreachable!("it is a service"),
    }
}

/// Returns the share of short connects that go to each tier.
fn shares(memory: &mut Memory) -> BTreeMap<u8, f64> {
    const CONNECTS: u32 = 20_000;
    memory.set_seed(7);
    let mut counts = BTreeMap::new();
    for socket in 0..CONNECTS.into() {
        *counts
            .entry(tier(ask(memory, socket, true).unwrap()))
            .or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(tier, count): (u8, u32)| (tier, f64::from(count) / f64::from(CONNECTS)))
        .collect()
}

fn unhealthy(world: &mut World, endpoints: impl IntoIterator<Item = &'static str>) {
    fixture::fail(world, endpoints.into_iter().map(target));
}

#[test]
fn connects_go_to_the_nearest_healthy_tier() {
    for balance in [
        Balance::LeastConnections,
        Balance::Random,
        Balance::RoundRobin,
    ] {
        let mut service = near_and_far(&[2, 2, 3]);
        service.traffic.balance = balance;
        let (mut world, mut memory) = (world(service), Memory::default());
        let before = configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(0, 1.0)].into());
        unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
        let after = configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(1, 1.0)].into());
        assert_eq!(
            (before.slots, before.services),
            (after.slots, after.services),
            "only two rows are written"
        );
        unhealthy(
            &mut world,
            ["10.0.0.1:80", "10.0.0.2:80", "10.0.1.1:80", "10.0.1.2:80"],
        );
        configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(2, 1.0)].into());
    }
}

#[test]
fn a_tier_keeps_connects_in_proportion_to_its_usable_capacity() {
    let policies = [
        Balance::LeastConnections,
        Balance::Random,
        Balance::RoundRobin,
    ];
    for balance in policies
        .into_iter()
        .chain([Balance::ConsistentHash(HashKey::NetworkNamespace)])
    {
        let mut service = near_and_far(&[4, 4]);
        service.traffic.balance = balance;
        let (mut world, mut memory) = (world(service), Memory::default());
        unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
        configure(&mut memory, &world, SECOND);
        let kept = kept(&mut memory);
        assert!((kept - 0.5 / 0.7).abs() < 0.02, "{balance:?} keeps {kept}");
        unhealthy(&mut world, ["10.0.0.1:80"]);
        configure(&mut memory, &world, SECOND);
        // The search samples a lookup table, and a sample may hold too few usable endpoints.
        assert!(shares(&mut memory)[&0] > 0.98, "three of four are enough");
    }
}

/// Returns the share of many clients that go to tier 0.
fn kept(memory: &mut Memory) -> f64 {
    memory.set_seed(7);
    let stays = |client: u64| {
        memory.set_client(client);
        tier(ask(memory, client, true).unwrap()) == 0
    };
    (0..20_000).map(stays).filter(|stays| *stays).count() as f64 / 20_000.0
}

#[test]
fn unready_and_drained_endpoints_are_missing_capacity() {
    let mut service = near_and_far(&[4, 4]);
    service.ports[0].endpoints[0].condition = Condition::NotReady;
    let mut world = world(service);
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: Some(SECOND),
            weight: None,
        },
    );
    let mut memory = Memory::default();
    let tables = configure(&mut memory, &world, SECOND);
    let states: Vec<u16> = tables
        .backends
        .values()
        .take(3)
        .map(|row| row.state)
        .collect();
    assert_eq!(
        states,
        [
            backend_state::DOWN,
            backend_state::DRAINING,
            backend_state::ACTIVE
        ]
    );
    let kept = kept(&mut memory);
    assert!((kept - 0.5 / 0.7).abs() < 0.02, "{kept}");
}

#[test]
fn a_tier_that_is_much_busier_spills() {
    let mut service = near_and_far(&[2, 2]);
    service.traffic.locality.spill = Some(300);
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    memory.set_seed(7);
    let mut counts = [0; 2];
    for socket in 0..4000 {
        counts[usize::from(tier(ask(&mut memory, socket, false).unwrap()))] += 1;
    }
    let ratio = f64::from(counts[0]) / f64::from(counts[1]);
    assert!((2.7..3.3).contains(&ratio), "{counts:?}");
}

#[test]
fn only_clients_of_a_removed_endpoint_move() {
    let names: Vec<String> = (1..=10).map(|it| format!("10.0.0.{it}:80")).collect();
    let endpoints: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let service = |endpoints: &[(&str, u32)]| {
        let mut service = fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints);
        service.traffic.balance = Balance::ConsistentHash(HashKey::NetworkNamespace);
        world(service)
    };
    let where_to = |memory: &mut Memory| -> Vec<SocketAddr> {
        let ask = |client: u64| {
            memory.set_client(client);
            ask(memory, client, true).unwrap()
        };
        (0..2000).map(ask).collect()
    };
    let mut memory = Memory::default();
    memory.set_seed(7);
    configure(&mut memory, &service(&endpoints), SECOND);
    let before = where_to(&mut memory);
    assert_eq!(where_to(&mut memory), before);
    configure(&mut memory, &service(&endpoints[..9]), SECOND);
    let gone: SocketAddr = names[9].parse().unwrap();
    let moved = before
        .iter()
        .zip(where_to(&mut memory))
        .filter(|(before, after)| **before != gone && *before != after);
    let moved = moved.count();
    assert!(moved < 100, "{moved} of 2,000 clients of others moved");
    assert!(before.iter().filter(|it| **it == gone).count() > 150);
}

#[test]
fn all_tiers_of_an_uncertain_service_are_retained() {
    let current = configure(
        &mut Memory::default(),
        &world(near_and_far(&[2, 1, 3])),
        SECOND,
    );
    assert_eq!(current.slots.len(), 2 + 1 + 1 + 1 + 3);
    let row: &ServiceRow = &current.services[&fixture::key(VIP)];
    assert_eq!(
        (row.slot_count, row.flags & service_flags::TIERS),
        (2, service_flags::TIERS)
    );
    let uncertain = current
        .names
        .values()
        .filter_map(|name| identified(name))
        .collect();
    let lost = World {
        uncertain,
        ..World::default()
    };
    assert_eq!(
        compile(&lost, SECOND, &current, Memory::CAPACITY).unwrap(),
        current
    );
}

#[test]
fn an_unchanged_range_of_tiers_stays_and_a_changed_one_moves_as_a_whole() {
    let mut memory = Memory::default();
    let first = configure(&mut memory, &world(near_and_far(&[2, 2])), SECOND);
    assert_eq!(
        configure(&mut memory, &world(near_and_far(&[2, 2])), SECOND),
        first
    );
    let mut changed = near_and_far(&[2, 2]);
    changed.ports[0].endpoints[3].weight = 9;
    let second = configure(&mut memory, &world(changed), SECOND);
    assert_eq!(
        second.services[&fixture::key(VIP)].slot_base,
        5,
        "the far tier changed, the near one follows"
    );
}

/// A service with two endpoints, of which the first became usable at second 1.
fn ramping() -> World {
    let mut service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 10), ("10.0.0.2:80", 10)],
    );
    service.traffic.slow_start = Some(SlowStart {
        alpha: Ratio(500_000),
        tick: SECOND,
    });
    service.traffic.drain = Some(Drain {
        beta: Ratio(500_000),
        tick: SECOND,
    });
    let mut world = world(service);
    world.usable_since.insert(target("10.0.0.1:80"), SECOND);
    world
}

fn rows(world: &World, now: Duration) -> Vec<BackendRow> {
    compile(world, now, &Tables::default(), Memory::CAPACITY)
        .unwrap()
        .backends
        .values()
        .copied()
        .collect()
}

#[test]
fn a_new_endpoint_begins_slowly() {
    let world = ramping();
    let weights = |now: u32| {
        rows(&world, SECOND * now)
            .iter()
            .map(|row| row.weight)
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(1), [5 << 8, 10 << 8]);
    assert_eq!(weights(2), [(75 << 8) / 10, 10 << 8]);
    assert_eq!(weights(60), [10 << 8, 10 << 8]);
    assert_eq!(next_change(&world, SECOND * 5 / 2), Some(SECOND * 3));
    assert_eq!(next_change(&world, SECOND * 60), None);
}

#[test]
fn a_drained_endpoint_ends_slowly_and_leaves_the_slots() {
    let mut world = ramping();
    world.usable_since.clear();
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: Some(SECOND),
            weight: Some(20),
        },
    );
    let row = |now| rows(&world, SECOND * now)[1];
    assert_eq!(
        (row(1).weight, row(1).state),
        (20 << 8, backend_state::ACTIVE)
    );
    assert_eq!(
        (row(3).weight, row(3).state),
        (5 << 8, backend_state::ACTIVE)
    );
    assert_eq!(
        row(8).state,
        backend_state::DRAINING,
        "0.8 % of the target count as zero"
    );
    assert_eq!(
        (
            next_change(&world, SECOND * 7),
            next_change(&world, SECOND * 8)
        ),
        (Some(SECOND * 8), None)
    );
    let tables = |now| compile(&world, SECOND * now, &Tables::default(), Memory::CAPACITY).unwrap();
    let slots = |now| tables(now).services[&fixture::key(VIP)].slot_count;
    assert_eq!((slots(7), slots(8)), (2, 1));
}

#[test]
fn without_ramps_weights_are_as_configured() {
    let service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 3), ("10.0.0.2:80", 65_535)],
    );
    let mut world = world(service);
    let weights = |world: &World| {
        rows(world, SECOND)
            .iter()
            .map(|row| row.weight)
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&world), [3, 65_535]);
    assert_eq!(next_change(&world, SECOND), None);
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: None,
            weight: Some(0),
        },
    );
    assert_eq!(weights(&world), [3, 0], "no fraction bits are left");
    assert_eq!(rows(&world, SECOND)[1].state, backend_state::DRAINING);
}

#[test]
fn a_service_whose_endpoints_are_all_down_refuses() {
    let service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
    );
    let (mut world, mut memory) = (world(service), Memory::default());
    let before = configure(&mut memory, &world, SECOND);
    unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(configure(&mut memory, &world, SECOND).slots, before.slots);
    assert_eq!(ask(&mut memory, 1, true), None);
    unhealthy(&mut world, ["10.0.0.1:80"]);
    configure(&mut memory, &world, SECOND);
    assert_eq!(
        ask(&mut memory, 2, true),
        Some("10.0.0.2:80".parse().unwrap())
    );
}
