//! Failures of clients eject an endpoint.

use mesh_common::{
    abi::BackendLoad,
    agreement::Agreement,
    counter::Counter,
    ejection::{Health, State},
};

use super::reachable::{CONNECTS, healthy, node, with_policy};
use super::*;

/// An endpoint beyond the first 64 slots of a tier counts as capacity, so a dead one of the third
/// tier can be ejected.
#[test]
fn a_dead_endpoint_of_any_tier_is_ejected() {
    for &balance in Balance::ALL {
        let mut world = world(with_policy(&[70, 70, 2, 1], balance));
        let down = [0, 1]
            .into_iter()
            .flat_map(|tier| (1..=70).map(move |it| target(&format!("10.0.{tier}.{it}:80"))));
        world.unhealthy = down.collect();
        let mut memory = node(&world, |_| None);
        let dead: SocketAddr = "10.0.2.1:80".parse().unwrap();
        for socket in 0..200 {
            memory.set_client(socket);
            if ask(&mut memory, socket, false) == Some(dead) {
                socket::closed(&memory, socket, true);
            } else {
                socket::released(&memory, socket, || false);
            }
        }
        assert_eq!(
            memory.counters().services[&0][Counter::Ejections.index()],
            1,
            "{balance:?}"
        );
    }
}

/// The other failure happens on another CPU: its record is written, and the backend's word not yet.
#[test]
fn two_concurrent_failures_both_count() {
    let twice = Health {
        state: State::Probation,
        until: 2_000,
        streak: 2,
        ejections: 0,
    };
    let mut memory = node(&world(with_policy(&[2], Balance::RoundRobin)), |_| {
        Some(healthy(twice))
    });
    for (&index, _) in memory.dump().unwrap().backends.iter() {
        memory.set_load(index, BackendLoad::default());
    }
    assert_ne!(ask(&mut memory, 1, false), None);
    socket::closed(&memory, 1, true);
    assert_eq!(
        memory.counters().services[&0][Counter::Ejections.index()],
        1
    );
}

/// A failure record expires.
#[test]
fn old_failures_expire() {
    let twice = Health {
        state: State::Probation,
        until: 2_000,
        streak: 2,
        ejections: 0,
    };
    let mut memory = node(&world(with_policy(&[2], Balance::RoundRobin)), |_| {
        Some(healthy(twice))
    });
    for (&index, _) in memory.dump().unwrap().backends.iter() {
        memory.set_load(index, BackendLoad::default());
    }
    memory.set_now(400 * 1_000_000_000);
    assert_ne!(ask(&mut memory, 1, false), None);
    socket::closed(&memory, 1, true);
    assert_eq!(
        memory.counters().services[&0][Counter::Ejections.index()],
        0
    );
}

/// The kernel refuses its connects after the hook, as without a route.
#[test]
fn an_endpoint_without_a_route_is_ejected_for_the_client_alone() {
    for &balance in Balance::ALL {
        let memory = node(&world(with_policy(&[1, 1], balance)), |_| None);
        let near: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let mut went = BTreeMap::new();
        for socket in 1..=CONNECTS {
            memory.set_socket(socket);
            let Verdict::Backend { addr, port } = connect(&memory, &fixture::key(VIP)) else {
                panic!("{balance:?}")
            };
            let to = SocketAddr::new(addr.into(), u16::from_be(port));
            if to != near {
                socket::syn_sent(&memory, socket);
            }
            socket::released(&memory, socket, || true);
            *went.entry(to).or_default() += 1;
        }
        assert_eq!(
            went,
            [(near, 3), ("10.0.1.1:80".parse().unwrap(), CONNECTS - 3)].into(),
            "{balance:?}"
        );
        let counters = memory.counters();
        let known: Vec<_> = counters
            .backends
            .values()
            .map(|load| Agreement::of(load.health))
            .collect();
        assert_eq!(
            known.iter().map(|known| known.voter).sum::<u32>(),
            0,
            "{balance:?}: no vote"
        );
        assert_eq!(
            counters.services[&0][Counter::Ejections.index()],
            1,
            "{balance:?}"
        );
    }
}
