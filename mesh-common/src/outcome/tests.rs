//! Ejection over the fake kernel: what connects of sockets do to a backend's state, for the client
//! that made them and for all clients. The pure transitions are tested in `ejection` and
//! `agreement`.

mod shared;

use super::*;
use crate::{
    ejection::State,
    host::fixture::{self, Node, START, draw, service},
    socket::{closed, established, released, syn_sent},
};

/// When the tests begin, milliseconds.
const NOW: u64 = START / 1_000_000;

/// A service with two backends, of which the first is drawn.
fn two() -> Node {
    fixture::node(service(), &[2])
}

/// Lets three connects fail, which ejects the first backend for a client.
fn eject(node: &Node, client: u32) {
    node.set_client_id(client);
    for socket in 1..=3 {
        assert_eq!(node.fail(socket), Some(0));
    }
}

fn ejected(until: u64, ejections: u8) -> Health {
    Health {
        state: State::Ejected,
        until,
        streak: 0,
        ejections,
    }
}

#[test]
fn failures_in_a_row_eject_a_backend_for_their_client_alone() {
    let node = two();
    eject(&node, 1);
    assert_eq!(node.health(1, 0), ejected(NOW + 10_000, 1));
    assert_eq!(node.connect(4), Some(1), "the client goes elsewhere");
    node.set_client_id(2);
    assert_eq!(node.connect(5), Some(0), "another client does not");
    assert_eq!(
        [Counter::Failures, Counter::Ejections].map(|it| node.counted(it)),
        [3, 1]
    );
}

#[test]
fn a_success_between_failures_ends_probation() {
    let node = two();
    node.set_client_id(1);
    node.fail(1);
    node.fail(2);
    assert_eq!(node.health(1, 0).state, State::Probation);
    node.succeed(3);
    assert_eq!(node.health(1, 0), Health::default());
    node.fail(4);
    node.fail(5);
    assert_eq!(node.health(1, 0).streak, 2, "failures count anew");
    assert_eq!(node.counted(Counter::Ejections), 0);
}

#[test]
fn after_the_pause_one_connect_is_the_trial_and_others_go_elsewhere() {
    let node = two();
    eject(&node, 1);
    node.wait(9_999);
    assert_eq!(node.connect(4), Some(1));
    node.wait(1);
    assert_eq!(node.open(5), Some(0), "the trial");
    assert_eq!(node.health(1, 0).state, State::HalfOpen);
    assert_eq!(node.open(6), Some(1), "the trial is in progress");
    assert_eq!(node.counted(Counter::Trials), 1);
    established(&node, 5, 0, || false);
    assert_eq!(node.health(1, 0), Health::default());
    assert_eq!(node.connect(7), Some(0));
}

#[test]
fn each_trial_that_fails_doubles_the_pause_up_to_the_longest() {
    let node = two();
    eject(&node, 1);
    let mut pause = 10_000;
    for (seconds, ejections) in [(20, 2), (40, 3), (80, 4), (160, 5), (300, 6), (300, 7)] {
        node.wait(pause);
        assert_eq!(node.fail(u64::from(ejections)), Some(0), "the trial");
        pause = seconds * 1_000;
        let now = milliseconds(node.now());
        assert_eq!(node.health(1, 0), ejected(now + pause, ejections));
    }
    assert_eq!(node.counted(Counter::Ejections), 7);
}

#[test]
fn a_trial_without_an_outcome_is_followed_by_another() {
    let node = two();
    eject(&node, 1);
    node.wait(10_000);
    assert_eq!(node.open(4), Some(0));
    released(&node, 4, || false);
    assert_eq!(
        node.health(1, 0).state,
        State::HalfOpen,
        "the program closed the socket: that is no outcome"
    );
    assert_eq!(node.connect(5), Some(1));
    node.wait(10_000);
    assert_eq!(node.succeed(6), Some(0), "the next trial");
    assert_eq!(node.health(1, 0), Health::default());
}

#[test]
fn a_failure_of_a_connect_from_before_the_ejection_does_not_count() {
    let node = two();
    node.set_client_id(1);
    // Probation bounds what is in progress, so all of it begins before the first failure.
    for socket in 1..=5 {
        assert_eq!(node.open(socket), Some(0));
    }
    for socket in 1..=5 {
        closed(&node, socket, true);
    }
    assert_eq!(node.health(1, 0), ejected(NOW + 10_000, 1));
    assert_eq!(
        [Counter::Failures, Counter::Ejections].map(|it| node.counted(it)),
        [5, 1]
    );
}

#[test]
fn a_success_of_a_connect_from_before_the_ejection_does_not_end_it() {
    let node = two();
    node.set_client_id(1);
    for socket in 1..=4 {
        assert_eq!(node.open(socket), Some(0));
    }
    for socket in 1..=3 {
        closed(&node, socket, true);
    }
    established(&node, 4, 0, || false);
    assert_eq!(node.health(1, 0), ejected(NOW + 10_000, 1));
}

#[test]
fn on_probation_no_more_connects_are_in_progress_than_eject() {
    let node = two();
    node.set_client_id(1);
    node.fail(1);
    assert_eq!([2, 3, 4].map(|it| node.open(it)), [0, 0, 1].map(Some));
    established(&node, 2, 0, || false);
    assert_eq!(node.open(5), Some(0), "a success ends probation");
}

#[test]
fn probation_ends_after_the_time_that_a_connect_may_take() {
    let node = two();
    node.set_client_id(1);
    node.fail(1);
    assert_eq!([2, 3, 4].map(|it| node.open(it)), [0, 0, 1].map(Some));
    node.wait(1_000);
    assert_eq!(node.open(5), Some(0));
}

#[test]
fn the_last_backend_is_not_ejected() {
    let node = fixture::node(service(), &[1]);
    node.set_client_id(1);
    for socket in 1..=5 {
        assert_eq!(node.fail(socket), Some(0));
    }
    assert_eq!(
        node.health(1, 0),
        Health {
            state: State::Failing,
            until: NOW + 10_000,
            streak: 3,
            ejections: 0,
        }
    );
    assert_eq!(
        [Counter::Ejections, Counter::Panics].map(|it| node.counted(it)),
        [0, 0]
    );
}

#[test]
fn no_more_is_ejected_than_a_client_may_eject() {
    let node = fixture::node(
        ServiceRow {
            max_ejected: 49,
            ..service()
        },
        &[2],
    );
    eject(&node, 1);
    assert_eq!(
        node.health(1, 0),
        Health {
            state: State::Probation,
            until: NOW + 1_000,
            streak: 3,
            ejections: 0,
        }
    );
    assert_eq!(node.connect(4), Some(0), "no bound: it is not ejected");
}

#[test]
fn below_the_panic_threshold_ejections_are_ignored() {
    let node = fixture::node(
        ServiceRow {
            panic: 51,
            ..service()
        },
        &[2],
    );
    eject(&node, 1);
    assert_eq!(node.open(4), Some(0), "half of the capacity is too little");
    assert_eq!(node.counted(Counter::Panics), 1);
    established(&node, 4, 0, || false);
    assert_eq!(
        node.health(1, 0),
        Health::default(),
        "its success brings the backend back"
    );
}

#[test]
fn when_all_are_ejected_the_oldest_attempt_takes_the_connect() {
    let mut node = two();
    node.set_client_id(1);
    node.set_health(1, 0, ejected(NOW + 10_000, 1));
    node.set_health(1, 1, ejected(NOW + 9_000, 1));
    assert_eq!(node.fail(1), Some(1));
    assert_eq!(
        node.health(1, 1),
        ejected(NOW + 10_000, 1),
        "the pause is not doubled"
    );
    node.wait(500);
    assert_eq!(node.fail(2), Some(0));
    assert_eq!(node.succeed(3), Some(1));
    assert_eq!(node.health(1, 1), Health::default());
    assert_eq!(node.counted(Counter::Panics), 3);
}

#[test]
fn an_answer_that_is_late_still_ends_the_ejection_it_caused() {
    let node = fixture::node(
        ServiceRow {
            failures: 1,
            ..service()
        },
        &[2],
    );
    node.set_client_id(1);
    node.open(1);
    node.wait(2_000);
    crate::socket::unanswered(&node, 1);
    assert_eq!(node.health(1, 0).state, State::Ejected);
    node.wait(10_000);
    assert_eq!(node.open(2), Some(0), "the trial");
    established(&node, 2, 0, || false);
    assert_eq!(node.health(1, 0), Health::default());
    established(&node, 1, 0, || false);
    assert_eq!(node.health(1, 0), Health::default());
    assert_eq!(node.held()[0], (2, 0), "both sockets are connected");
}

#[test]
fn a_record_is_forgotten_five_minutes_after_its_pause() {
    let node = two();
    eject(&node, 1);
    node.wait(10_000 + crate::ejection::MEMORY);
    assert_eq!(node.fail(4), Some(0), "an ordinary connect");
    assert_eq!(node.health(1, 0).streak, 1);
    assert_eq!(node.health(1, 0).ejections, 0);
}

#[test]
fn an_unanswered_connect_fails_after_the_connect_timeout_and_once() {
    let node = two();
    node.set_client_id(1);
    node.set_random(draw(1, 2));
    assert_eq!(node.connect(1), Some(1));
    syn_sent(&node, 1);
    node.wait(900);
    crate::socket::unanswered(&node, 1);
    assert_eq!(node.health(1, 1), Health::default());
    node.wait(100);
    for _ in 0..2 {
        crate::socket::unanswered(&node, 1);
        assert_eq!(node.health(1, 1).streak, 1);
        assert_eq!(node.held()[1], (1, 0), "held, no longer connecting");
    }
    closed(&node, 1, true);
    assert_eq!(node.counted(Counter::Failures), 1, "counted before");
}
