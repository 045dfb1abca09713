//! The less loaded of two draws over the fake kernel, and what a client learns of latencies.

use super::*;
use crate::{
    abi::{BackendLoad, backend_state},
    host::fixture::{Node, draw, node, service},
    kernel::Kernel as _,
    occupancy::LIVE,
    socket::{closed, established},
};

fn comparing(policy: u8) -> ServiceRow {
    ServiceRow {
        policy,
        ..service()
    }
}

fn busy(node: &mut Node, index: u32, connections: u64) {
    let load = BackendLoad {
        live: connections * LIVE,
        ..BackendLoad::default()
    };
    node.set_load(index, load);
}

#[test]
fn the_less_loaded_of_two_draws_is_taken_where_the_policy_compares() {
    for (policy, expected) in [
        (policy::RANDOM, 0),
        (policy::ROUND_ROBIN, 0),
        (policy::LEAST_CONNECTIONS, 1),
    ] {
        let mut node = node(comparing(policy), &[2]);
        busy(&mut node, 0, 3);
        busy(&mut node, 1, 2);
        assert_eq!(node.connect(1), Some(expected), "policy {policy}");
    }
}

#[test]
fn of_two_equally_loaded_draws_the_first_is_taken() {
    for (slot, connections) in [(0, 0), (1, 0), (0, 5), (1, 5)] {
        let mut node = node(comparing(policy::LEAST_CONNECTIONS), &[2]);
        busy(&mut node, 0, connections);
        busy(&mut node, 1, connections);
        node.set_random(draw(slot, 2));
        assert_eq!(node.connect(1), Some(slot));
    }
}

#[test]
fn a_less_loaded_draw_that_is_not_usable_is_not_taken() {
    let mut node = node(comparing(policy::LEAST_CONNECTIONS), &[2]);
    busy(&mut node, 0, 3);
    node.set_state(1, backend_state::DOWN);
    assert_eq!(node.connect(1), Some(0));
}

const ATTACKER: u32 = 1;
const VICTIM: u32 = 2;

/// A connection that takes as many microseconds to connect, and is open for as long, as `took` says
/// of its backend. Returns the backend.
fn connect(node: &Node, socket: u64, client: u32, took: impl Fn(u32) -> u64) -> u32 {
    node.set_client_id(client);
    let backend = node.open(socket).expect("all backends are usable");
    let later = || node.set_now(node.now() + took(backend) * 1_000);
    later();
    established(node, socket, 1, || true);
    later();
    closed(node, socket, false);
    backend
}

/// Connections of the victim in per mille by backend, each after a hundred of the attacker's.
fn victims_shares(attackers: impl Fn(u32) -> u64, victims: impl Fn(u32) -> u64) -> [u64; 3] {
    const CONNECTS: u64 = 3_000;
    let node = node(comparing(policy::LATENCY_AWARE), &[3]);
    node.set_seed(7);
    let mut counts = [0; 3];
    for round in 0..CONNECTS {
        for attack in 1..=100 {
            connect(&node, round * 1_000 + attack, ATTACKER, &attackers);
        }
        counts[connect(&node, round * 1_000, VICTIM, &victims) as usize] += 1;
    }
    counts.map(|count| count * 1_000 / CONNECTS)
}

/// The attacker connects a hundred times as often, and leaves connections to one backend open.
#[test]
fn durations_of_one_client_decide_nothing_for_another() {
    let attackers = |index| if index == 0 { 1_000_000 } else { 0 };
    let shares = victims_shares(attackers, |_| 5_000);
    assert!(
        shares.iter().all(|share| share.abs_diff(333) < 50),
        "{shares:?}"
    );
}

#[test]
fn a_client_still_learns_which_backend_is_slow_while_another_attacks() {
    let attackers = |index| if index == 2 { 1_000_000 } else { 0 };
    let shares = victims_shares(attackers, |index| if index == 0 { 50_000 } else { 5_000 });
    assert!(
        shares[0] < 50 && shares[1] > 400 && shares[2] > 400,
        "{shares:?}"
    );
}
