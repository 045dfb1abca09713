//! Outcomes that concern all clients, or come at the same time as another event.

use super::*;
use crate::host::fixture::Change;

#[test]
fn of_two_connects_that_see_the_same_pause_end_one_becomes_the_trial() {
    let node = two();
    eject(&node, 1);
    node.wait(10_000);
    let row = ServiceRow {
        client: 1,
        ..service()
    };
    let became = [(); 2].map(|()| crate::evidence::start_trial(&node, &row, 0));
    assert_eq!(became, [true, false]);
}

#[test]
fn two_clients_that_eject_a_backend_agree_for_all() {
    let node = two();
    eject(&node, 1);
    assert_eq!(node.agreement(0).standing, Standing::Doubted);
    eject(&node, 2);
    assert_eq!(
        node.agreement(0),
        Agreement {
            standing: Standing::Ejected,
            until: NOW + 10_000,
            ejections: 1,
            voter: 0,
        }
    );
    node.set_client_id(3);
    assert_eq!(node.connect(9), Some(1), "a client without a record");
    assert_eq!(node.counted(Counter::Ejections), 3);
}

#[test]
fn one_client_that_ejects_a_backend_twice_has_one_vote() {
    let node = two();
    eject(&node, 1);
    node.wait(10_000);
    node.fail(4);
    assert_eq!(node.agreement(0).standing, Standing::Doubted);
}

#[test]
fn a_success_ends_the_agreement_only_where_the_node_itself_connects() {
    for in_node in [false, true] {
        let node = two();
        eject(&node, 1);
        eject(&node, 2);
        node.wait(10_000);
        node.set_client_id(3);
        assert_eq!(node.open(9), Some(0), "each client makes its own trial");
        established(&node, 9, 0, || in_node);
        let expected = if in_node {
            Standing::Doubted
        } else {
            Standing::Ejected
        };
        assert_eq!(node.agreement(0).standing, expected);
        assert_eq!(node.connect(10), Some(0));
    }
}

#[test]
fn a_connect_that_the_kernel_refuses_is_a_failure_without_a_vote() {
    let node = two();
    node.set_client_id(1);
    for socket in 1..=3 {
        assert_eq!(node.connect(socket), Some(0));
        released(&node, socket, || true);
    }
    assert_eq!(node.health(1, 0).state, State::Ejected);
    assert_eq!(node.agreement(0).voter, 0);
    assert_eq!(node.connect(4), Some(1));
}

#[test]
fn failures_that_belong_to_something_else_by_now_do_not_count() {
    let changes: [Change; 5] = [
        ("the backend was replaced", |node| {
            let row = node.backend(0).unwrap().row;
            let generation = row.generation + 1;
            node.assign_backend(0, crate::abi::BackendRow { generation, ..row });
        }),
        ("the backend is drained", |node| {
            node.set_state(0, backend_state::DRAINING);
        }),
        ("the service is gone", |node| node.rows.services.clear()),
        ("the address is another service's", |node| {
            for row in node.rows.services.values_mut() {
                row.id += 1;
            }
        }),
        ("the service no longer ejects", |node| {
            for row in node.rows.services.values_mut() {
                row.failures = 0;
            }
        }),
    ];
    for (what, change) in changes {
        let mut node = two();
        node.set_client_id(1);
        node.open(1);
        change(&mut node);
        closed(&node, 1, true);
        assert_eq!(node.health(1, 0), Health::default(), "{what}");
        assert_eq!(node.agreement(0), Agreement::default(), "{what}");
    }
}

#[test]
fn a_record_that_another_socket_changed_meanwhile_is_not_overwritten() {
    let mut node = two();
    node.set_health(1, 0, ejected(NOW, 1));
    let record = Record::of(&node, 1, 0, 100);
    let other = ejected(NOW + 1, 2);
    assert!(record.replace(&node, other));
    assert!(!record.replace(&node, Health::default()));
    assert_eq!(node.health(1, 0), other);
}

#[test]
fn of_two_first_failures_at_once_both_count() {
    let node = two();
    node.set_client_id(1);
    let first = Health {
        state: State::Probation,
        until: NOW + 1_000,
        streak: 1,
        ejections: 0,
    };
    node.set_rival_outcome(crate::abi::OutcomeRow {
        health: first.word(),
        generation: 100,
        client: 1,
        backend: 0,
        pad: 0,
    });
    node.fail(1);
    assert_eq!(node.health(1, 0).streak, 2);
}

/// The other failure happens on another CPU: its record is written, and the backend's word not yet.
#[test]
fn a_failure_counts_with_one_whose_doubt_is_not_written_yet() {
    let mut node = two();
    node.set_client_id(1);
    let twice = Health {
        state: State::Probation,
        until: NOW + 1_000,
        streak: 2,
        ejections: 0,
    };
    node.set_health(1, 0, twice);
    node.set_load(0, crate::abi::BackendLoad::default());
    node.fail(1);
    assert_eq!(node.health(1, 0), ejected(NOW + 10_000, 1));
}
