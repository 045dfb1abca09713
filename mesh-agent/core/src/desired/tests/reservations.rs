//! A place that one connect reserves is not given to another, and is released when the connect no
//! longer needs it.

use std::num::NonZeroU32;

use mesh_common::{
    abi::BackendEntry,
    occupancy::{CONNECTING, LIVE, counts},
    settle::settle,
};

use super::*;
use crate::dataplane::{Counts, expired};

const MILLISECOND: u64 = 1_000_000;

/// A node with `endpoints` endpoints, each with a limit of connections.
fn node(endpoints: u8, limit: u32, balance: Balance) -> Memory {
    let mut service = near_and_far(&[endpoints]);
    service.traffic.balance = balance;
    service.traffic.limits.connections_per_endpoint = NonZeroU32::new(limit);
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    memory.set_seed(7);
    memory
}

/// Returns the verdict for a connect whose SYN the kernel never sends.
fn without_syn(memory: &Memory, socket: u64) -> Verdict {
    memory.set_socket(socket);
    connect(memory, &fixture::key(VIP))
}

fn words(memory: &Memory) -> Vec<u64> {
    memory
        .counters()
        .backends
        .values()
        .map(|load| counts(load.live))
        .collect()
}

#[test]
fn a_reserved_place_does_not_hide_a_free_one() {
    for &balance in Balance::ALL {
        for endpoints in [2, 3, 100] {
            let mut memory = node(endpoints, 1, balance);
            for socket in 1..u64::from(endpoints) {
                assert!(
                    matches!(without_syn(&memory, socket), Verdict::Backend { .. }),
                    "{balance:?} {endpoints}"
                );
            }
            let went: Vec<_> = (1_000..1_200)
                .map(|socket| ask(&mut memory, socket, true))
                .collect();
            assert_ne!(went[0], None, "{balance:?}, one of {endpoints} is free");
            assert_eq!(went, vec![went[0]; 200], "{balance:?} {endpoints}");
        }
    }
}

/// Reservations use a coarse clock; latency-aware services use the exact time.
#[test]
fn a_reservation_is_settled_at_any_time() {
    for &balance in Balance::ALL {
        let mut memory = node(1, 1, balance);
        memory.set_tick(4 * MILLISECOND);
        for microsecond in (0..600_000).step_by(250) {
            memory.set_now(1_000 * microsecond);
            let socket = microsecond + 1;
            assert_ne!(
                ask(&mut memory, socket, false),
                None,
                "{balance:?} at {microsecond} µs"
            );
            assert_eq!(
                words(&memory),
                [LIVE + CONNECTING],
                "{balance:?} at {microsecond} µs"
            );
            socket::released(&memory, socket, || false);
            assert_eq!(words(&memory), [0]);
            without_syn(&memory, socket);
            socket::released(&memory, socket, || false);
            assert_eq!(words(&memory), [0], "{balance:?} at {microsecond} µs");
        }
    }
}

#[test]
fn a_connect_that_the_kernel_refused_holds_its_place_only_briefly() {
    let mut memory = node(1, 1, Balance::Random);
    without_syn(&memory, 1);
    assert_eq!(ask(&mut memory, 2, true), None, "it may still send its SYN");
    for milliseconds in (135..400).chain((60_000..80_000).step_by(20)) {
        let mut memory = node(1, 1, Balance::Random);
        without_syn(&memory, 1);
        memory.set_now(milliseconds * MILLISECOND);
        assert_ne!(ask(&mut memory, 2, true), None, "after {milliseconds} ms");
    }
}

/// Has the kernel clear what has expired, as the agent does now and then.
fn sweep(memory: &Memory, now: u64) {
    let (tables, counters) = (memory.dump().unwrap(), memory.counters());
    let backends = tables.backends.iter().map(|(index, row)| BackendEntry {
        row: *row,
        load: counters.backends[index],
    });
    let counts = Counts {
        backends: backends.collect(),
        services: counters.loads.values().copied().collect(),
        ..Counts::default()
    };
    memory.set_now(now);
    expired(&counts, Duration::from_nanos(now))
        .into_iter()
        .for_each(|request| settle(memory, request));
}

#[test]
fn a_reservation_that_has_expired_does_not_come_back_when_epochs_come_round() {
    const ROUND: u64 = 1 << 40;
    let mut service = near_and_far(&[1]);
    service.traffic.limits.connections_per_endpoint = NonZeroU32::new(1);
    service.traffic.limits.connections = NonZeroU32::new(1);
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    assert!(matches!(without_syn(&memory, 1), Verdict::Backend { .. }));
    sweep(&memory, 60 * MILLISECOND);
    assert_eq!(ask(&mut memory, 2, true), None, "it still counts");
    sweep(&memory, 60_000 * MILLISECOND);
    memory.set_now(ROUND);
    assert_ne!(ask(&mut memory, 3, true), None);
}

/// Others take the place that was found, and there are many more.
#[test]
fn a_connect_that_loses_many_races_is_not_refused_while_places_are_free() {
    for &balance in Balance::ALL {
        let mut memory = node(100, 1, balance);
        memory.set_rivals(40);
        assert_ne!(ask(&mut memory, 1, true), None, "{balance:?}");
        assert_eq!(
            words(&memory).iter().filter(|word| **word != 0).count(),
            40,
            "{balance:?}"
        );
    }
}

#[test]
fn many_connects_that_the_kernel_refuses_leave_the_other_counts_alone() {
    let mut memory = node(1, 50_000, Balance::Random);
    ask(&mut memory, 1, false);
    for socket in 2..10_000 {
        without_syn(&memory, socket);
    }
    assert_ne!(ask(&mut memory, 10_000, true), None);
    memory.set_now(1_000 * MILLISECOND);
    assert_ne!(ask(&mut memory, 10_001, true), None);
    assert_eq!(words(&memory), [LIVE + CONNECTING]);
}

/// The kernel keeps the peer of a UDP socket whose next connect is refused.
#[test]
fn a_connected_udp_socket_holds_its_endpoint_until_a_connect_succeeds() {
    const EMPTY: &str = "10.96.0.2:80";
    let mut service = fixture::with(
        fixture::udp(fixture::fixed("cart", "10.96.0.1")),
        &[("10.0.0.1:80", 1)],
    );
    service.traffic.limits.connections = NonZeroU32::new(1);
    let mut world = world(service.clone());
    let empty = fixture::udp(fixture::fixed("empty", "10.96.0.2"));
    world.services = fixture::services([service, empty]);
    let mut memory = Memory::default();
    configure(&mut memory, &world, SECOND);
    let held = |memory: &Memory| {
        let counters = memory.counters();
        let backends: Vec<u64> = counters.backends.values().map(|load| load.live).collect();
        (
            backends,
            counters
                .loads
                .values()
                .map(|load| load.connections)
                .sum::<u64>(),
        )
    };
    let ask = |vip| connect(&memory, &fixture::udp_key(vip));
    let granted = ask(VIP);
    assert!(matches!(granted, Verdict::Backend { .. }));
    memory.set_connected(true);
    assert_eq!(ask(EMPTY), Verdict::Refused);
    assert_eq!(held(&memory), (vec![LIVE], LIVE));
    let record = socket::record(&memory, 0).expect("the socket is still connected");
    assert_eq!(
        (record.frontend, record.frontend_port),
        (fixture::udp_key(VIP).addr, fixture::udp_key(VIP).port)
    );
    assert_eq!(ask(VIP), granted, "its own place does not count against it");
    assert_eq!(held(&memory), (vec![LIVE], LIVE));
    // The socket was disconnected without a hook and holds nothing any more.
    memory.set_connected(false);
    assert_eq!(ask(EMPTY), Verdict::Refused);
    assert_eq!(held(&memory), (vec![0], 0));
    assert!(socket::record(&memory, 0).is_none());
}
