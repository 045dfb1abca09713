//! Session affinity over the fake kernel.

use super::*;
use crate::{
    abi::{BackendRow, backend_state},
    ejection::{Health, State},
    host::fixture::{self, ID, Node, START, draw, service},
    socket::established,
};

/// Returns a service whose clients stay with their backends for ten seconds.
fn sticky() -> ServiceRow {
    ServiceRow {
        affinity_seconds: 10,
        ..service()
    }
}

fn node() -> Node {
    fixture::node(sticky(), &[2])
}

/// Connects a socket of a client that would draw this slot.
fn ask(node: &Node, client: u64, slot: u32) -> Option<u32> {
    node.set_client(client);
    node.set_random(draw(slot, 2));
    node.connect(client)
}

/// Returns the backend index, and the time of the last use in milliseconds after the start.
fn bound(node: &Node) -> (u64, u64) {
    let [row] = node.bindings()[..] else {
        panic!("one client is bound");
    };
    (row.backend & 0xffff_ffff, (row.used_at - START) / 1_000_000)
}

#[test]
fn a_client_stays_with_its_backend_and_others_do_not() {
    let node = node();
    assert_eq!([0, 1].map(|slot| ask(&node, 1, slot)), [Some(0); 2]);
    assert_eq!([1, 0].map(|slot| ask(&node, 2, slot)), [Some(1); 2]);
}

#[test]
fn each_use_counts_anew_and_after_the_time_the_client_is_free() {
    let node = node();
    ask(&node, 1, 0);
    for _ in 0..3 {
        node.wait(9_999);
        assert_eq!(ask(&node, 1, 1), Some(0));
    }
    node.wait(10_000);
    assert_eq!(ask(&node, 1, 1), Some(1));
    assert_eq!(ask(&node, 1, 0), Some(1), "bound anew");
}

#[test]
fn a_burst_of_uses_is_written_once() {
    let node = node();
    ask(&node, 1, 0);
    for (milliseconds, written) in [(250, 0), (1, 251), (250, 251), (1, 502)] {
        node.wait(milliseconds);
        ask(&node, 1, 0);
        assert_eq!(bound(&node), (0, written));
    }
}

#[test]
fn a_client_leaves_a_backend_that_takes_no_new_connects() {
    for state in [
        backend_state::DOWN,
        backend_state::DRAINING,
        backend_state::RETIRED,
        backend_state::FREE,
    ] {
        let mut node = node();
        ask(&node, 1, 0);
        node.set_state(0, state);
        assert_eq!(ask(&node, 1, 1), Some(1), "state {state}");
        node.set_state(0, backend_state::ACTIVE);
        assert_eq!(ask(&node, 1, 0), Some(1), "state {state}: bound anew");
    }
}

#[test]
fn a_binding_to_another_use_of_the_index_does_not_count() {
    let changes: [fn(BackendRow) -> BackendRow; 2] = [
        |row| BackendRow {
            generation: row.generation + 1,
            ..row
        },
        |row| BackendRow {
            service: ID + 1,
            ..row
        },
    ];
    for change in changes {
        let mut node = node();
        ask(&node, 1, 0);
        let row = node.backend(0).unwrap().row;
        node.assign_backend(0, change(row));
        assert_eq!(ask(&node, 1, 1), Some(1));
    }
}

#[test]
fn an_ejected_backend_is_left_and_its_trial_is_for_its_client() {
    let mut node = node();
    node.set_client_id(5);
    ask(&node, 1, 0);
    let ejected = Health {
        state: State::Ejected,
        until: START / 1_000_000 + 5_000,
        streak: 0,
        ejections: 1,
    };
    node.set_health(5, 0, ejected);
    // The search that follows the unusable first choice binds nothing.
    assert_eq!(ask(&node, 1, 0), Some(1));
    assert_eq!(bound(&node).0, 0);
    node.wait(5_000);
    assert_eq!(ask(&node, 1, 1), Some(0), "the trial");
    assert_eq!(node.health(5, 0).state, State::HalfOpen);
    crate::socket::syn_sent(&node, 1);
    established(&node, 1, 0, || false);
    assert_eq!(ask(&node, 1, 1), Some(0));
}

#[test]
fn a_full_backend_passes_its_bound_clients_on_without_binding_them() {
    let row = ServiceRow {
        max_backend_connections: 1,
        ..sticky()
    };
    let node = fixture::node(row, &[2]);
    node.set_client(1);
    assert_eq!(node.open(1), Some(0));
    assert_eq!(node.open(2), Some(1));
    assert_eq!(bound(&node).0, 0);
}

#[test]
fn of_two_first_connects_at_once_the_later_takes_the_choice_of_the_earlier() {
    let node = node();
    let row = node.rows.services[&sticky().key];
    // Both connects found no binding before they chose.
    assert_eq!([0, 1].map(|choice| bind(&node, &row, 1, choice)), [0, 0]);
    assert_eq!(bound(&node).0, 0);
}

#[test]
fn a_binding_that_no_longer_holds_is_replaced_by_the_choice() {
    let mut node = node();
    let row = node.rows.services[&sticky().key];
    bind(&node, &row, 1, 0);
    node.set_state(0, backend_state::DOWN);
    assert_eq!(bind(&node, &row, 1, 1), 1);
    assert_eq!(bound(&node), (1, 0));
    node.wait(10_000);
    node.set_state(0, backend_state::ACTIVE);
    assert_eq!(bind(&node, &row, 1, 0), 0, "too late to count");
    assert_eq!(bound(&node), (0, 10_000));
}

#[test]
fn without_a_row_a_client_has_no_affinity() {
    let node = node();
    let row = node.rows.services[&sticky().key];
    node.set_full(true);
    assert_eq!([0, 1].map(|choice| bind(&node, &row, 1, choice)), [0, 1]);
    assert_eq!(node.bindings(), []);
}

#[test]
fn frontends_that_lead_to_other_backends_bind_separately() {
    let row = sticky();
    let local = ServiceRow {
        flags: service_flags::LOCAL,
        ..row
    };
    let six = ServiceRow {
        key: crate::abi::FrontendKey {
            addr: core::net::IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]).into(),
            ..row.key
        },
        ..row
    };
    let keys = [row, local, six].map(|it| affinity_key(&it, 1).variant);
    assert_eq!(keys, [1, 3, 0]);
}

#[test]
fn a_binding_counts_for_the_client_of_the_socket() {
    let mut node = node();
    let datagrams = ServiceRow {
        id: ID + 1,
        ..fixture::udp(sticky())
    };
    node.add(datagrams, 2, &[2]);
    node.set_client_id(7);
    ask(&node, 1, 0);
    node.send(2, &datagrams.key);
    let owners: std::vec::Vec<u32> = node.bindings().iter().map(|row| row.owner).collect();
    assert_eq!(owners, [7, 7]);
}
