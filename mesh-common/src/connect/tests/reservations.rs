//! A place that one connect reserves is not given to another, and is released when the connect no
//! longer needs it.

use std::vec::Vec;

use super::*;
use crate::{
    host::fixture::POLICIES,
    occupancy::{CONNECTING, LIVE, counts},
};

const MILLISECOND: u64 = 1_000_000;

/// A node with this limit of connections for each backend.
fn place(backends: u32, limit: u32, policy: u8) -> Node {
    let service = ServiceRow {
        policy,
        ..limited_backends(limit)
    };
    let node = node(service, &[backends]);
    node.set_seed(7);
    node
}

fn words(node: &Node) -> Vec<u64> {
    let backends = node.counters().backends.into_values();
    backends.map(|load| counts(load.live)).collect()
}

/// Connects a socket, sends its SYN, and closes it.
fn ask(node: &Node, socket: u64) -> Option<u32> {
    let backend = node.open(socket);
    released(node, socket, || false);
    backend
}

#[test]
fn a_reserved_place_does_not_hide_a_free_one() {
    for policy in POLICIES {
        for backends in [2, 3, 100] {
            let node = place(backends, 1, policy);
            for socket in 1..u64::from(backends) {
                assert!(node.connect(socket).is_some(), "{policy} {backends}");
            }
            let went: Vec<_> = (1_000..1_200).map(|socket| ask(&node, socket)).collect();
            assert_ne!(went[0], None, "{policy}, one of {backends} is free");
            assert_eq!(went, [went[0]; 200], "{policy} {backends}");
        }
    }
}

/// Reservations use a coarse clock; latency-aware services use the exact time.
#[test]
fn a_reservation_is_settled_at_any_time() {
    for policy in POLICIES {
        let node = place(1, 1, policy);
        node.set_tick(4 * MILLISECOND);
        for microsecond in (0..600_000).step_by(250) {
            node.set_now(1_000 * microsecond);
            let socket = microsecond + 1;
            assert_eq!(node.open(socket), Some(0), "{policy} at {microsecond} µs");
            assert_eq!(words(&node), [LIVE + CONNECTING]);
            released(&node, socket, || false);
            assert_eq!(words(&node), [0]);
            node.connect(socket);
            released(&node, socket, || false);
            assert_eq!(words(&node), [0], "{policy} at {microsecond} µs");
        }
    }
}

#[test]
fn a_connect_that_the_kernel_refused_holds_its_place_only_briefly() {
    let node = place(1, 1, policy::RANDOM);
    node.connect(1);
    assert_eq!(ask(&node, 2), None, "it may still send its SYN");
    for milliseconds in (135..400).chain((60_000..80_000).step_by(20)) {
        let node = place(1, 1, policy::RANDOM);
        node.connect(1);
        node.wait(milliseconds);
        assert_eq!(ask(&node, 2), Some(0), "after {milliseconds} ms");
    }
}

/// Others take the place that was found, and there are many more.
#[test]
fn a_connect_that_loses_many_races_is_not_refused_while_places_are_free() {
    for policy in POLICIES {
        let node = place(100, 1, policy);
        node.set_rivals(40);
        assert_ne!(ask(&node, 1), None, "{policy}");
        let taken = words(&node).into_iter().filter(|word| *word != 0).count();
        assert_eq!(taken, 40, "{policy}");
    }
}

#[test]
fn many_connects_that_the_kernel_refuses_leave_the_other_counts_alone() {
    let node = place(1, 50_000, policy::RANDOM);
    node.open(1);
    for socket in 2..10_000 {
        node.connect(socket);
    }
    assert_eq!(ask(&node, 10_000), Some(0));
    node.wait(1_000);
    assert_eq!(ask(&node, 10_001), Some(0));
    assert_eq!(words(&node), [LIVE + CONNECTING]);
}
