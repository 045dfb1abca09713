//! Runs the kernel's decisions over compiled tables.

mod clients;
mod ramps;
mod reachable;
mod reservations;
mod tiers;
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

fn unhealthy(world: &mut World, endpoints: impl IntoIterator<Item = &'static str>) {
    fixture::fail(world, endpoints.into_iter().map(target));
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
