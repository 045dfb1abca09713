//! Connects over the fake kernel: verdicts, and limits of a service, a backend and a client. What a
//! socket gives back at its end is tested in `socket`.

mod reservations;

use super::*;
use crate::{
    abi::{BackendRow, Slot},
    host::fixture::{self, ID, Node, draw, frontend, node, service},
    socket::{established, released, syn_sent},
};

/// Returns a service with this limit of connections.
fn limited(max_connections: u32) -> ServiceRow {
    ServiceRow {
        max_connections,
        ..service()
    }
}

/// Returns a service with this limit of connections for each backend.
fn limited_backends(max_backend_connections: u32) -> ServiceRow {
    ServiceRow {
        max_backend_connections,
        ..service()
    }
}

/// Returns a service with a limit of ten connections, and this percentage of them for each client.
fn shared(percent: u32) -> ServiceRow {
    fixture::shared(percent, limited(10))
}

const REFUSALS: [Counter; 4] = [
    Counter::RefusedNoBackend,
    Counter::RefusedBroken,
    Counter::RefusedLimit,
    Counter::RefusedShare,
];

fn refusals(node: &Node) -> [u64; 4] {
    REFUSALS.map(|counter| node.counted(counter))
}

#[test]
fn a_connect_to_a_service_goes_to_the_backend_in_the_slot_that_is_drawn() {
    let node = node(service(), &[3]);
    for slot in 0..3 {
        node.set_random(draw(slot, 3));
        assert_eq!(node.connect(slot.into()), Some(slot));
    }
    assert_eq!(node.counted(Counter::Connects), 3);
}

#[test]
fn a_connect_elsewhere_is_untouched() {
    let node = node(service(), &[1]);
    for other in [frontend(2, protocol::TCP), frontend(1, protocol::UDP)] {
        assert_eq!(connect(&node, &other), Verdict::Untouched);
    }
    assert_eq!(node.counted(Counter::Connects), 0);
}

#[test]
fn a_connect_of_an_excluded_caller_is_untouched() {
    let node = node(service(), &[1]);
    node.set_excluded(true);
    assert_eq!(
        connect(&node, &frontend(1, protocol::TCP)),
        Verdict::Untouched
    );
}

#[test]
fn a_connect_without_a_backend_is_refused() {
    let node = node(service(), &[]);
    assert_eq!(node.connect(1), None);
    assert_eq!(refusals(&node), [1, 0, 0, 0]);
    assert!(socket::record(&node, 1).is_none());
}

#[test]
fn a_connect_without_a_usable_backend_is_refused() {
    let mut node = node(service(), &[2]);
    node.set_state(0, crate::abi::backend_state::DOWN);
    node.set_state(1, crate::abi::backend_state::DRAINING);
    assert_eq!(node.connect(1), None);
    assert_eq!(refusals(&node), [1, 0, 0, 0]);
}

#[test]
fn a_slot_without_a_row_refuses_and_says_so() {
    let mut node = node(service(), &[1]);
    node.rows.slots.insert(0, Slot::full(44));
    assert_eq!(node.connect(1), None);
    assert_eq!(refusals(&node), [0, 1, 0, 0]);
}

#[test]
fn a_backend_without_a_port_is_as_a_missing_row() {
    let mut node = node(service(), &[1]);
    let row = node.backend(0).unwrap().row;
    node.change_backend(0, BackendRow { port: 0, ..row });
    assert_eq!(node.connect(1), None);
    assert_eq!(refusals(&node), [0, 1, 0, 0]);
}

#[test]
fn a_socket_without_a_row_is_balanced_and_holds_nothing() {
    let node = node(service(), &[1]);
    node.set_full(true);
    assert_eq!(node.open(1), Some(0));
    assert_eq!(node.held(), [(0, 0)]);
    assert_eq!(node.counted(Counter::Unrecorded), 1);
}

#[test]
fn a_socket_without_a_row_is_refused_where_connections_are_limited() {
    for service in [limited(5), limited_backends(5), shared(50)] {
        let node = node(service, &[1]);
        node.set_full(true);
        assert_eq!(node.connect(1), None);
        assert_eq!(refusals(&node), [0, 0, 1, 0]);
        node.set_full(false);
        for socket in 2..=6 {
            assert!(node.open(socket).is_some(), "it left no reservation");
        }
    }
}

#[test]
fn a_service_takes_no_more_connections_than_its_limit() {
    let node = node(limited(2), &[2]);
    assert_eq!(
        [1, 2, 3].map(|it| node.open(it).is_some()),
        [true, true, false]
    );
    assert_eq!(refusals(&node), [0, 0, 1, 0]);
    assert_eq!(node.connections(), 2);
    released(&node, 1, || false);
    assert!(node.open(4).is_some(), "a place is free again");
}

#[test]
fn a_connect_reserves_its_place_before_the_syn() {
    let node = node(limited(1), &[1]);
    assert_eq!([1, 2].map(|it| node.connect(it)), [Some(0), None]);
    node.wait(135);
    assert_eq!(node.open(3), Some(0), "the reservation has expired");
    syn_sent(&node, 1);
    assert_eq!(node.connections(), 2, "its SYN was later than its place");
}

#[test]
fn a_client_takes_no_more_than_its_share() {
    let node = node(shared(20), &[1]);
    node.set_client_id(1);
    assert_eq!([1, 2, 3].map(|it| node.open(it)), [Some(0), Some(0), None]);
    assert_eq!(refusals(&node), [0, 0, 0, 1]);
    assert_eq!(node.connections(), 2, "the refused connect holds no place");
    node.set_client_id(2);
    assert_eq!(node.open(4), Some(0));
    released(&node, 1, || false);
    node.set_client_id(1);
    assert_eq!(node.open(5), Some(0));
}

#[test]
fn a_connect_refused_by_the_service_limit_leaves_the_share_alone() {
    for service in [shared(100), fixture::udp(shared(100))] {
        let node = node(service, &[1]);
        let key = service.key;
        let ask = |client: u32, sockets: core::ops::Range<u64>| {
            node.set_client_id(client);
            let mut refused = 0;
            for socket in sockets {
                node.set_socket(socket);
                refused += u32::from(connect(&node, &key) == Verdict::Refused);
                syn_sent(&node, socket);
            }
            refused
        };
        assert_eq!([ask(1, 0..6), ask(2, 6..12)], [0, 2]);
        assert_eq!(refusals(&node), [0, 0, 2, 0]);
        let held = |word: u64| occupancy::live(word) + occupancy::reserved(word, epoch(node.now()));
        let shares: std::vec::Vec<u64> = node.counters().shares.into_values().map(held).collect();
        assert_eq!(shares, [6, 4]);
    }
}

#[test]
fn a_client_without_a_row_has_the_limit_of_the_service_alone() {
    let node = node(shared(10), &[1]);
    node.set_client_id(1);
    assert_eq!([1, 2].map(|it| node.open(it)), [Some(0), None]);
    // The map of shares is full for a further client, the map of sockets is not.
    node.set_client_id(2);
    node.set_full(true);
    let row = ServiceRow {
        client: 2,
        ..node.rows.services[&service().key]
    };
    assert_eq!(crate::limits::claim(&node, &row), 0);
    assert_eq!(
        crate::limits::enter(&node, &row),
        socket_state::LIMITED,
        "it does not count in a share"
    );
}

#[test]
fn a_full_backend_passes_its_connects_on() {
    let node = node(limited_backends(1), &[2]);
    assert_eq!([1, 2, 3].map(|it| node.open(it)), [Some(0), Some(1), None]);
    assert_eq!(node.counted(Counter::Overflows), 1);
    assert_eq!(refusals(&node), [0, 0, 1, 0]);
}

#[test]
fn of_two_connects_that_see_the_last_place_one_goes_elsewhere() {
    let node = node(limited_backends(1), &[2]);
    node.set_seed(3);
    node.set_rivals(1);
    let first = node.open(1);
    let held = node.held();
    assert_eq!(
        held.iter().map(|(live, _)| live).sum::<u64>(),
        2,
        "the other connect and this one, each at a backend: {held:?}"
    );
    assert!(held.iter().all(|(live, _)| *live == 1), "{held:?}");
    assert!(first.is_some());
}

#[test]
fn connects_that_always_lose_the_last_place_are_refused_at_the_limit() {
    let node = node(limited_backends(1), &[2]);
    node.set_seed(3);
    node.set_rivals(2);
    assert_eq!(node.open(1), None);
    assert_eq!(node.held(), [(1, 0), (1, 0)], "both are the others'");
    assert_eq!(refusals(&node), [0, 0, 1, 0]);
}

#[test]
fn the_end_of_a_failed_reservation_gives_the_service_its_place_back() {
    let node = node(
        ServiceRow {
            max_connections: 10,
            ..limited_backends(1)
        },
        &[1],
    );
    assert_eq!(node.open(1), Some(0));
    assert_eq!(node.open(2), None);
    assert_eq!(node.connections(), 1);
    established(&node, 1, 0, || false);
    released(&node, 1, || false);
    let counters = node.counters();
    assert_eq!(occupancy::counts(counters.loads[&ID].connections), 0);
    assert_eq!(occupancy::counts(counters.backends[&0].live), 0);
}

#[test]
fn a_reused_id_counts_sockets_of_the_former_service_until_they_close() {
    let mut node = node(limited(1), &[1]);
    assert_eq!(node.open(1), Some(0));
    node.add(limited(2), 0, &[1]);
    assert_eq!([2, 3].map(|it| node.open(it)), [Some(0), None]);
    released(&node, 1, || false);
    assert_eq!(node.open(3), Some(0));
    released(&node, 2, || false);
    released(&node, 3, || false);
    assert_eq!(node.connections(), 0);
}
