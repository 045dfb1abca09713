//! The life of a socket over the fake kernel: each way to end in each state.

use super::*;
use crate::{
    abi::{ServiceRow, policy, protocol},
    counter::Counter,
    datagram,
    host::fixture::{self, ID, Node, SECOND, draw, frontend, service},
};

const SOCKET: u64 = 9;

/// How far a socket has come.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Reached {
    /// The connect hook has answered.
    Pending,
    /// The SYN is sent.
    Connecting,
    /// The SYN was not answered within the connect timeout.
    Unanswered,
    /// The connection is established.
    Established,
    /// A UDP socket is connected.
    Datagrams,
}

const ALL: [Reached; 5] = [
    Reached::Pending,
    Reached::Connecting,
    Reached::Unanswered,
    Reached::Established,
    Reached::Datagrams,
];

/// Returns a service that limits the connections of itself, its backends and its clients, so that
/// a socket takes a place everywhere.
fn limited() -> ServiceRow {
    let service = ServiceRow {
        max_connections: 10,
        max_backend_connections: 10,
        ..service()
    };
    fixture::shared(50, service)
}

/// Returns a node whose socket has come so far with one of two backends.
fn reached(service: ServiceRow, state: Reached) -> Node {
    let mut node = fixture::node(service, &[2]);
    node.add(fixture::udp(service), 0, &[2]);
    node.set_socket(SOCKET);
    if state == Reached::Datagrams {
        let to = frontend(1, protocol::UDP);
        crate::connect::connect(&node, &to);
        node.set_connected(true);
        return node;
    }
    node.connect(SOCKET);
    if state != Reached::Pending {
        syn_sent(&node, SOCKET);
    }
    if state == Reached::Unanswered {
        node.wait(2_000);
        unanswered(&node, SOCKET);
    }
    if state == Reached::Established {
        established(&node, SOCKET, 0, || false);
    }
    node
}

/// Returns the sockets that hold the first backend and of them the connecting ones, those that
/// count for the service, and those that count for the client. All include reservations.
fn counts(node: &Node) -> [u64; 4] {
    let counters = node.counters();
    let epoch = occupancy::epoch(node.now());
    let all = |word| occupancy::live(word) + occupancy::reserved(word, epoch);
    [
        all(counters.backends[&0].live),
        occupancy::connecting(counters.backends[&0].live),
        all(counters.loads[&ID].connections),
        counters.shares.values().map(|&word| all(word)).sum(),
    ]
}

fn has_row(node: &Node) -> bool {
    record(node, SOCKET).is_some()
}

#[test]
fn each_state_counts_where_the_service_has_limits() {
    assert_eq!(
        ALL.map(|state| counts(&reached(limited(), state))),
        [
            [1, 0, 1, 1],
            [1, 1, 1, 1],
            [1, 0, 1, 1],
            [1, 0, 1, 1],
            [1, 0, 1, 1],
        ]
    );
}

#[test]
fn each_state_has_its_bits() {
    use socket_state::{CONNECTING, FAILED, HELD, LIMITED, PENDING, RESERVED, SHARED};
    const LIMITS: u64 = LIMITED | SHARED;
    let bits = |state| {
        let node = reached(limited(), state);
        let word = atomic::read(&record(&node, SOCKET).unwrap().state);
        word & ((1 << socket_state::BITS) - 1)
    };
    assert_eq!(
        ALL.map(bits),
        [
            PENDING | RESERVED | LIMITS,
            HELD | CONNECTING | LIMITS,
            HELD | FAILED | LIMITS,
            HELD | LIMITS,
            HELD | LIMITS,
        ]
    );
}

#[test]
fn without_limits_a_socket_counts_from_its_syn_on() {
    assert_eq!(
        ALL.map(|state| counts(&reached(service(), state))),
        [
            [0, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 0, 0, 0],
            [1, 0, 0, 0],
            [1, 0, 0, 0],
        ]
    );
}

/// A way to end: its name, what happens, and in which of [`ALL`] it counts as a failure.
type End = (&'static str, fn(&Node), [u64; 5]);

/// The failure of an unanswered connect was counted before.
const ENDS: [End; 8] = [
    (
        "the kernel reports that the connect failed",
        |node| closed(node, SOCKET, true),
        [0, 1, 1, 0, 0],
    ),
    (
        "the kernel reports the end of the connection",
        |node| closed(node, SOCKET, false),
        [0, 0, 1, 0, 0],
    ),
    (
        "the program closes the socket",
        |node| released(node, SOCKET, || false),
        [0, 0, 1, 0, 0],
    ),
    (
        "the program closes a socket that is not connected",
        |node| released(node, SOCKET, || true),
        [1, 0, 1, 0, 0],
    ),
    (
        "the program connects to an address that is no service",
        |node| {
            let elsewhere = frontend(99, protocol::TCP);
            assert_eq!(
                crate::connect::connect(node, &elsewhere),
                crate::connect::Verdict::Untouched
            );
        },
        [0, 0, 1, 0, 0],
    ),
    (
        "the program disconnects the socket and sends",
        |node| {
            node.set_connected(false);
            assert!(datagram::connected(node).is_none());
        },
        [0, 0, 1, 0, 0],
    ),
    (
        "the agent finds the socket gone",
        |node| {
            suspected(node, SOCKET);
            settled(node, SOCKET);
            forgotten(node, SOCKET);
        },
        [0, 0, 1, 0, 0],
    ),
    (
        "the agent finds it gone while the program closes it",
        |node| {
            suspected(node, SOCKET);
            released(node, SOCKET, || false);
            settled(node, SOCKET);
            forgotten(node, SOCKET);
        },
        [0, 0, 1, 0, 0],
    ),
];

#[test]
fn each_end_in_each_state_gives_back_everything_and_removes_the_row() {
    for service in [service(), limited()] {
        for (end, happens, _) in ENDS {
            for state in ALL {
                let node = reached(service, state);
                happens(&node);
                assert_eq!(counts(&node), [0; 4], "{state:?}: {end}");
                assert!(!has_row(&node), "{state:?}: {end}");
            }
        }
    }
}

#[test]
fn two_ends_of_one_socket_give_back_once() {
    for (one, happens, _) in ENDS {
        for (other, follows, _) in ENDS {
            for state in ALL {
                let node = reached(limited(), state);
                node.set_client_id(5);
                node.set_random(0);
                // Another socket on the same backend, whose places must stay.
                node.succeed(SOCKET + 1);
                node.set_socket(SOCKET);
                happens(&node);
                follows(&node);
                assert_eq!(
                    counts(&node),
                    [1, 0, 1, 1],
                    "{state:?}: {one}, then {other}"
                );
            }
        }
    }
}

#[test]
fn each_end_counts_as_a_failure_where_the_backend_failed() {
    for (end, happens, failures) in ENDS {
        for (state, failures) in ALL.into_iter().zip(failures) {
            let node = reached(service(), state);
            happens(&node);
            assert_eq!(
                node.counted(Counter::Failures),
                failures,
                "{state:?}: {end}"
            );
        }
    }
}

#[test]
fn a_socket_that_connects_again_holds_only_its_new_backend() {
    for service in [service(), limited()] {
        for state in ALL {
            let node = reached(service, state);
            node.set_random(draw(1, 2));
            assert_eq!(node.open(SOCKET), Some(1), "{state:?}");
            assert_eq!(node.held(), [(0, 0), (1, 1)], "{state:?}");
            let expected = u64::from(service.max_connections != 0);
            assert_eq!(counts(&node)[2..], [expected; 2], "{state:?}");
        }
    }
}

#[test]
fn a_refused_connect_of_a_udp_socket_changes_nothing_while_it_is_connected() {
    let mut node = reached(limited(), Reached::Datagrams);
    let to = frontend(1, protocol::UDP);
    node.rows.services.get_mut(&to).unwrap().slot_count = 0;
    for (connected, expected) in [(true, [1, 0, 1, 1]), (false, [0; 4])] {
        node.set_connected(connected);
        let verdict = crate::connect::connect(&node, &to);
        assert_eq!(verdict, crate::connect::Verdict::Refused);
        assert_eq!(counts(&node), expected);
        assert_eq!(has_row(&node), connected);
    }
}

#[test]
fn a_refused_connect_of_a_tcp_socket_leaves_nothing() {
    for state in &ALL[..4] {
        let mut node = reached(limited(), *state);
        node.rows
            .services
            .get_mut(&frontend(1, protocol::TCP))
            .unwrap()
            .slot_count = 0;
        assert_eq!(node.connect(SOCKET), None);
        assert_eq!(counts(&node), [0; 4], "{state:?}");
        assert!(!has_row(&node), "{state:?}");
    }
}

#[test]
fn a_row_that_belongs_to_another_socket_by_now_is_left_alone() {
    let node = reached(limited(), Reached::Established);
    let row = record(&node, SOCKET).unwrap();
    let state = row.state.load(core::sync::atomic::Ordering::Relaxed);
    let others = state & !COOKIE | owner(SOCKET + 1, 0);
    row.state
        .store(others, core::sync::atomic::Ordering::Relaxed);
    let before = counts(&node);
    closed(&node, SOCKET, true);
    released(&node, SOCKET, || true);
    suspected(&node, SOCKET);
    settled(&node, SOCKET);
    assert_eq!(counts(&node), before);
    assert!(has_row(&node));
}

#[test]
fn a_backend_that_was_replaced_is_not_charged_with_sockets_of_the_former() {
    for state in ALL {
        let mut node = reached(limited(), state);
        let row = node.backend(0).unwrap().row;
        let generation = row.generation + 1;
        node.assign_backend(0, crate::abi::BackendRow { generation, ..row });
        released(&node, SOCKET, || false);
        assert_eq!(counts(&node), [0; 4], "{state:?}");
    }
}

#[test]
fn a_suspected_socket_that_connects_again_holds_its_backend_once() {
    let node = reached(limited(), Reached::Established);
    suspected(&node, SOCKET);
    assert_eq!(node.succeed(SOCKET), Some(0));
    settled(&node, SOCKET);
    assert_eq!(counts(&node), [1, 0, 1, 1], "it is suspected no longer");
    suspected(&node, SOCKET);
    settled(&node, SOCKET);
    assert_eq!(counts(&node), [0; 4]);
    assert!(has_row(&node), "a hook may be using it");
    assert_eq!(node.succeed(SOCKET), Some(0));
    forgotten(&node, SOCKET);
    assert!(has_row(&node), "the row is in use again");
    assert_eq!(counts(&node), [1, 0, 1, 1]);
}

#[test]
fn a_reservation_without_a_syn_expires() {
    let node = reached(limited(), Reached::Pending);
    node.wait(135);
    assert_eq!(counts(&node), [0; 4]);
    syn_sent(&node, SOCKET);
    assert_eq!(counts(&node), [1, 1, 1, 1], "its SYN is sent after all");
    released(&node, SOCKET, || false);
    assert_eq!(counts(&node), [0; 4]);
}

#[test]
fn only_a_timed_connection_that_was_established_says_how_long_it_was_open() {
    let row = ServiceRow {
        policy: policy::LATENCY_AWARE,
        ..service()
    };
    // Averages are one microsecond more than the samples: zero stands for no sample.
    for (state, expected) in ALL[..4].iter().zip([0, 0, 0, 500_001]) {
        let node = reached(row, *state);
        node.set_now(node.now() + SECOND / 2);
        closed(&node, SOCKET, false);
        assert_eq!(node.counters().backends[&0].duration, expected, "{state:?}");
    }
}
