//! Tiers, failover and spill over the fake kernel: which tier takes a connect when backends are
//! down, full, ejected or busy.

use std::vec::Vec;

use super::*;
use crate::{
    abi::{BackendLoad, backend_state, policy, service_flags},
    ejection::{Health, State},
    host::fixture::{self, Node, START, draw, node, service},
    occupancy::{CONNECTING, LIVE},
    socket::released,
};

const CONNECTS: u64 = 1_000;

/// When the tests begin, milliseconds.
const NOW: u64 = START / 1_000_000;

/// Connects many sockets with different draws. Returns how many each backend took; the last number
/// are refusals.
fn spread(node: &mut Node, backends: usize) -> Vec<u64> {
    let mut took = std::vec![0; backends + 1];
    node.set_seed(7);
    for socket in 0..CONNECTS {
        let to = node.connect(socket).map_or(backends, |it| it as usize);
        took[to] += 1;
        released(node, socket, || false);
    }
    took
}

fn down(node: &mut Node, backends: core::ops::Range<u32>) {
    for index in backends {
        node.set_state(index, backend_state::DOWN);
    }
}

fn busy(node: &mut Node, index: u32, connections: u64) {
    let load = BackendLoad {
        live: connections * LIVE,
        ..BackendLoad::default()
    };
    node.set_load(index, load);
}

fn ejected(until: u64) -> Health {
    Health {
        state: State::Ejected,
        until,
        streak: 0,
        ejections: 1,
    }
}

#[test]
fn while_the_first_tier_is_usable_it_takes_every_connect() {
    let mut node = node(service(), &[1, 2, 3]);
    assert_eq!(spread(&mut node, 6), [CONNECTS, 0, 0, 0, 0, 0, 0]);
    assert_eq!(node.counted(Counter::Failovers), 0);
}

#[test]
fn a_tier_without_a_usable_backend_passes_every_connect_on_to_the_next() {
    let mut node = node(service(), &[2, 1, 1]);
    down(&mut node, 0..2);
    assert_eq!(spread(&mut node, 4), [0, 0, CONNECTS, 0, 0]);
    assert_eq!(node.counted(Counter::Failovers), CONNECTS);
    down(&mut node, 2..3);
    assert_eq!(spread(&mut node, 4), [0, 0, 0, CONNECTS, 0]);
    down(&mut node, 3..4);
    assert_eq!(spread(&mut node, 4), [0, 0, 0, 0, CONNECTS]);
}

#[test]
fn the_only_usable_backend_of_any_tier_takes_every_connect() {
    for left in 0..9 {
        let mut node = node(service(), &[2, 3, 4]);
        down(&mut node, 0..9);
        node.set_state(left, backend_state::ACTIVE);
        let mut expected = [0; 10];
        expected[left as usize] = CONNECTS;
        assert_eq!(spread(&mut node, 9), expected);
    }
}

#[test]
fn a_backend_beyond_the_sample_of_a_large_tier_is_found() {
    let mut node = node(service(), &[200]);
    down(&mut node, 0..200);
    node.set_state(150, backend_state::ACTIVE);
    assert_eq!(node.connect(1), Some(150));
}

#[test]
fn a_tier_with_less_than_its_share_usable_gives_the_missing_part_to_the_next() {
    // Half of the tier is usable, and 70 % would be enough: it keeps 50 / 70 of the connects.
    let mut node = node(service(), &[4, 4]);
    down(&mut node, 0..2);
    let took = spread(&mut node, 8);
    let near: u64 = took[2..4].iter().sum();
    assert!((684..=744).contains(&near), "{took:?}");
    assert_eq!(took.iter().sum::<u64>() - took[8], CONNECTS, "{took:?}");
}

#[test]
fn a_tier_with_its_share_usable_keeps_every_connect() {
    let mut node = node(service(), &[10, 4]);
    down(&mut node, 0..3);
    assert_eq!(spread(&mut node, 14)[..10].iter().sum::<u64>(), CONNECTS);
    assert_eq!(node.counted(Counter::Failovers), 0);
}

#[test]
fn connects_of_unusable_backends_are_spread_over_the_others() {
    let mut node = node(service(), &[4]);
    down(&mut node, 0..1);
    let took = spread(&mut node, 4);
    assert_eq!(took[0] + took[4], 0);
    assert!(
        took[1..4].iter().all(|it| (273..=393).contains(it)),
        "{took:?}"
    );
}

#[test]
fn full_backends_count_as_capacity_of_their_tier() {
    let row = ServiceRow {
        max_backend_connections: 9,
        ..service()
    };
    let mut node = node(row, &[2, 2]);
    busy(&mut node, 0, 9);
    assert_eq!(spread(&mut node, 4), [0, CONNECTS, 0, 0, 0]);
    busy(&mut node, 1, 9);
    assert_eq!(spread(&mut node, 4)[..2], [0, 0], "all of the tier is full");
    assert_eq!(node.counted(Counter::Failovers), CONNECTS);
    for index in 2..4 {
        busy(&mut node, index, 9);
    }
    assert_eq!(spread(&mut node, 4), [0, 0, 0, 0, CONNECTS]);
    assert_eq!(node.counted(Counter::RefusedLimit), CONNECTS);
}

#[test]
fn when_all_backends_have_their_bound_of_connects_the_bound_is_ignored() {
    let mut node = node(service(), &[2, 1]);
    node.set_client_id(1);
    let probation = Health {
        state: State::Probation,
        until: NOW + 1_000,
        streak: 2,
        ejections: 0,
    };
    for index in 0..3 {
        let load = BackendLoad {
            live: LIVE + CONNECTING,
            ..BackendLoad::default()
        };
        node.set_load(index, load);
        node.set_health(1, index, probation);
    }
    let took = spread(&mut node, 3);
    assert_eq!(took[..2].iter().sum::<u64>(), CONNECTS, "{took:?}");
}

#[test]
fn a_client_may_eject_the_last_of_a_tier_when_a_farther_tier_serves() {
    let mut node = node(service(), &[1, 1]);
    let row = node.rows.services[&service().key];
    assert_eq!(others(&node, &row, 0), (Others::Suffice, false));
    down(&mut node, 1..2);
    assert_eq!(others(&node, &row, 0), (Others::AreNone, false));
}

#[test]
fn what_the_others_permit_depends_on_how_much_may_be_ejected() {
    let rows = |max_ejected, max_agreed| ServiceRow {
        max_ejected,
        max_agreed,
        ..service()
    };
    for (max_ejected, max_agreed, expected) in [
        (25, 25, (Others::Suffice, true)),
        (25, 24, (Others::Suffice, false)),
        (24, 24, (Others::AreFew, false)),
    ] {
        let row = rows(max_ejected, max_agreed);
        let node = node(row, &[4]);
        let row = node.rows.services[&row.key];
        assert_eq!(others(&node, &row, 0), expected);
    }
}

#[test]
fn an_ejected_backend_of_a_farther_tier_gets_its_trial() {
    let mut node = node(service(), &[1, 2]);
    down(&mut node, 0..1);
    node.set_client_id(1);
    node.set_health(1, 1, ejected(NOW + 1_000));
    assert_eq!(node.connect(1), Some(2));
    node.wait(1_000);
    node.set_random(draw(0, 2));
    assert_eq!(node.connect(2), Some(1), "the trial");
    assert_eq!(node.connect(3), Some(2), "the trial is in progress");
    assert_eq!(node.counted(Counter::Trials), 1);
}

#[test]
fn the_last_resort_is_the_oldest_attempt_of_all_tiers() {
    for oldest in 0..4 {
        let mut node = node(service(), &[2, 2]);
        node.set_client_id(1);
        for index in 0..4 {
            let until = if index == oldest { 5_000 } else { 6_000 };
            node.set_health(1, index, ejected(NOW + until));
        }
        assert_eq!(node.connect(1), Some(oldest));
        assert_eq!(node.counted(Counter::Panics), 1);
    }
}

#[test]
fn panic_ejects_no_capacity_of_the_last_tier_below_its_threshold() {
    let row = ServiceRow {
        panic: 50,
        ..service()
    };
    for (ejections, panics) in [(2, false), (3, true)] {
        let mut node = node(row, &[4]);
        node.set_client_id(1);
        for index in 0..ejections {
            node.set_health(1, index, ejected(NOW + 5_000));
        }
        let took = spread(&mut node, 4);
        assert_eq!(took[..ejections as usize].iter().any(|it| *it > 0), panics);
        assert_eq!(node.counted(Counter::Panics) > 0, panics);
    }
}

#[test]
fn panic_is_for_the_last_tier_alone() {
    let row = ServiceRow {
        panic: 100,
        ..service()
    };
    let mut node = node(row, &[1, 1]);
    node.set_client_id(1);
    node.set_health(1, 0, ejected(NOW + 5_000));
    assert_eq!(spread(&mut node, 2), [0, CONNECTS, 0]);
    // The tier keeps its connects, although less is usable than panic asks for.
    let mut large = fixture::node(row, &[4, 1]);
    large.set_client_id(1);
    large.set_health(1, 0, ejected(NOW + 5_000));
    assert_eq!(spread(&mut large, 5)[0], 0);
    assert_eq!(
        [&node, &large].map(|it| it.counted(Counter::Panics)),
        [0, 0]
    );
}

/// A service that compares loads, and leaves a tier that is twice as busy as the next.
fn spilling() -> ServiceRow {
    ServiceRow {
        policy: policy::LEAST_CONNECTIONS,
        spill: 200,
        ..service()
    }
}

#[test]
fn a_much_busier_tier_spills_into_the_next() {
    let mut node = node(spilling(), &[1, 1]);
    busy(&mut node, 1, 10);
    for (connections, to) in [(10, 0), (15, 0), (40, 1)] {
        busy(&mut node, 0, connections);
        assert_eq!(node.connect(1), Some(to), "{connections} connections");
        node.close(1);
    }
    assert_eq!(node.counted(Counter::Failovers), 1);
}

#[test]
fn a_busy_tier_keeps_its_connects_where_the_next_cannot_take_them() {
    let changes: [fn(&mut Node); 3] = [
        |node| node.set_state(1, backend_state::DOWN),
        |node| node.set_health(0, 1, ejected(NOW + 5_000)),
        |node| {
            let row = node.rows.services.values_mut().next().unwrap();
            row.spill = 0;
        },
    ];
    for change in changes {
        let mut node = node(spilling(), &[1, 1]);
        busy(&mut node, 0, 100);
        change(&mut node);
        assert_eq!(node.connect(1), Some(0));
    }
}

#[test]
fn policies_that_do_not_compare_never_spill() {
    for policy in [policy::RANDOM, policy::ROUND_ROBIN, policy::CONSISTENT_HASH] {
        let row = ServiceRow {
            policy,
            ..spilling()
        };
        let mut node = node(row, &[1, 1]);
        busy(&mut node, 0, 100);
        assert_eq!(node.connect(1), Some(0), "policy {policy}");
    }
}

#[test]
fn a_spilled_connect_may_become_the_trial_of_a_farther_backend() {
    let mut node = node(spilling(), &[1, 1]);
    busy(&mut node, 0, 100);
    node.set_client_id(1);
    node.set_health(1, 1, ejected(NOW));
    assert_eq!(node.connect(1), Some(1));
    assert_eq!(node.health(1, 1).state, State::HalfOpen);
    assert_eq!(node.connect(2), Some(0), "the trial is in progress");
}

#[test]
fn a_contiguous_service_needs_no_slots() {
    let mut node = node(service(), &[3]);
    node.rows.slots.clear();
    for row in node.rows.services.values_mut() {
        row.flags |= service_flags::CONTIGUOUS;
    }
    for index in 0..3 {
        node.set_random(draw(index, 3));
        assert_eq!(node.connect(index.into()), Some(index));
    }
    down(&mut node, 0..2);
    assert_eq!(spread(&mut node, 3), [0, 0, CONNECTS, 0]);
}

/// What others permit is known for backends beyond the sample of a tier, too.
#[test]
fn a_dead_backend_behind_large_tiers_that_are_down_is_ejected() {
    let mut node = node(service(), &[70, 70, 2, 1]);
    down(&mut node, 0..140);
    node.set_client_id(1);
    node.set_seed(7);
    for socket in 0..200 {
        if node.open(socket) == Some(140) {
            crate::socket::closed(&node, socket, true);
        } else {
            released(&node, socket, || false);
        }
    }
    assert_eq!(node.counted(Counter::Ejections), 1);
    assert_eq!(node.health(1, 140).state, State::Ejected);
}
