//! Datagrams over the fake kernel: how long a socket keeps its endpoints, what its flows hold, and
//! which service a reply is shown to come from.

use std::vec::Vec;

use super::*;
use crate::{
    abi::{
        BackendRow,
        capacity::{FLOWS_AT_FIRST, FLOWS_PER_SOCKET},
        protocol,
    },
    connect::connect,
    counter::Counter,
    host::fixture::{self, Change, ID, Node, backend_row, draw, frontend, service},
};

const SOCKET: u64 = 3;

/// Returns a UDP service that limits all its connections and each client's share.
fn limited() -> ServiceRow {
    limited_to(4)
}

fn limited_to(max_connections: u32) -> ServiceRow {
    let service = ServiceRow {
        max_connections,
        ..fixture::udp(service())
    };
    fixture::shared(50, service)
}

fn node() -> Node {
    fixture::node(fixture::udp(service()), &[2])
}

/// Sends a datagram to the first service that would draw this slot of two.
fn ask(node: &Node, slot: u32) -> Option<u32> {
    node.set_random(draw(slot, 2));
    node.send(SOCKET, &frontend(1, protocol::UDP))
}

/// Returns what counts for the first service and for its clients.
fn limits(node: &Node) -> [u64; 2] {
    let counters = node.counters();
    [
        occupancy::live(counters.loads[&ID].connections),
        counters.shares.into_values().map(occupancy::live).sum(),
    ]
}

/// Closes the calling socket.
fn close(node: &Node) {
    let (flows, more) = (node.flows(false), node.more_flows(false));
    // SAFETY: the flows live as long as `node`, and no other reference to them does.
    unsafe { released(node, &*flows, more.as_ref()) };
}

/// Returns the last byte of the service address that a reply from a backend is shown to come from.
fn reply_from(node: &Node, index: u32) -> Option<u8> {
    let row = backend_row(ID, index);
    let peer = FrontendKey {
        addr: row.addr,
        port: row.port,
        protocol: protocol::UDP,
        pad: 0,
    };
    // SAFETY: the flows live as long as `node`, and no other reference to them does.
    let (addr, _) = asked_for(node, unsafe { &*node.flows(false) }, &peer)?;
    match core::net::IpAddr::from(addr) {
        core::net::IpAddr::V4(address) => Some(address.octets()[3]),
        core::net::IpAddr::V6(_) => None,
    }
}

#[test]
fn datagrams_of_a_socket_stay_with_their_backend() {
    let node = node();
    assert_eq!([0, 1, 1].map(|slot| ask(&node, slot)), [Some(0); 3]);
    assert_eq!(node.counted(Counter::Connects), 1);
    assert_eq!(node.held(), [(1, 0), (0, 0)]);
    node.set_socket(SOCKET + 1);
    node.set_random(draw(1, 2));
    let other = node.send(SOCKET + 1, &frontend(1, protocol::UDP));
    assert_eq!(other, Some(1));
}

#[test]
fn a_flow_goes_on_while_its_backend_drains_and_ends_with_it() {
    for (state, expected) in [
        (backend_state::ACTIVE, 0),
        (backend_state::DRAINING, 0),
        (backend_state::RETIRED, 1),
        (backend_state::DOWN, 1),
        (backend_state::FREE, 1),
    ] {
        let mut node = node();
        ask(&node, 0);
        node.set_state(0, state);
        assert_eq!(ask(&node, 1), Some(expected), "state {state}");
        let held = if expected == 0 { [1, 0] } else { [0, 1] };
        assert_eq!(node.held(), held.map(|live| (live, 0)), "state {state}");
    }
}

#[test]
fn a_flow_ends_when_its_backend_or_service_is_another() {
    let changes: [Change; 4] = [
        ("the index is in another use", |node| {
            let row = node.backend(0).unwrap().row;
            let generation = row.generation + 1;
            node.assign_backend(0, BackendRow { generation, ..row });
        }),
        ("the backend is another service's", |node| {
            let row = node.backend(0).unwrap().row;
            node.change_backend(0, BackendRow { service: 99, ..row });
        }),
        ("the address is another service's", |node| {
            for row in node.rows.services.values_mut() {
                row.id = 99;
            }
            for index in 0..2 {
                node.assign_backend(index, backend_row(99, 40 + index));
            }
        }),
        ("the service leads to local backends alone", |node| {
            for row in node.rows.services.values_mut() {
                row.flags |= service_flags::LOCAL;
            }
        }),
    ];
    for (what, change) in changes {
        let mut node = node();
        ask(&node, 0);
        change(&mut node);
        let connects = |node: &Node| -> u64 {
            let services = node.counters().services.into_values();
            services.map(|row| row[Counter::Connects.index()]).sum()
        };
        assert!(ask(&node, 1).is_some(), "{what}");
        assert_eq!(connects(&node), 2, "{what}: balanced again");
        let live: u64 = node.held().iter().map(|(live, _)| live).sum();
        assert_eq!(live, 1, "{what}: it holds one backend");
    }
}

#[test]
fn a_service_that_loses_its_backends_refuses_and_the_flow_holds_nothing() {
    let mut node = fixture::node(limited(), &[2]);
    ask(&node, 0);
    for row in node.rows.services.values_mut() {
        row.slot_count = 0;
    }
    assert_eq!([0, 0].map(|slot| ask(&node, slot)), [None; 2]);
    assert_eq!(node.counted(Counter::RefusedNoBackend), 2);
    assert_eq!((node.held(), limits(&node)), ([(0, 0); 2].into(), [0, 0]));
    for row in node.rows.services.values_mut() {
        row.slot_count = 2;
    }
    assert_eq!(ask(&node, 0), Some(0));
    assert_eq!(limits(&node), [1, 1], "it counts again like the first");
}

#[test]
fn each_socket_counts_once_for_each_service_and_not_after_its_end() {
    let mut node = fixture::node(limited(), &[2]);
    for (slot, state) in [
        (0, backend_state::ACTIVE),
        (1, backend_state::DOWN),
        (1, backend_state::ACTIVE),
    ] {
        node.set_state(0, state);
        assert!(ask(&node, slot).is_some());
        assert_eq!(limits(&node), [1, 1]);
    }
    assert_eq!(node.held(), [(0, 0), (1, 0)]);
    close(&node);
    assert_eq!((node.held(), limits(&node)), ([(0, 0); 2].into(), [0, 0]));
}

#[test]
fn a_flow_beyond_a_limit_is_refused_and_holds_nothing() {
    let node = fixture::node(limited(), &[2]);
    let to = frontend(1, protocol::UDP);
    node.set_client_id(1);
    let answers = [1, 2, 3].map(|socket| node.send(socket, &to).is_some());
    assert_eq!(answers, [true, true, false]);
    assert_eq!(node.counted(Counter::RefusedShare), 1);
    node.set_client_id(2);
    let answers = [4, 5].map(|socket| node.send(socket, &to).is_some());
    assert_eq!(answers, [true, true]);
    node.set_client_id(3);
    assert_eq!(node.send(6, &to), None);
    assert_eq!(node.counted(Counter::RefusedLimit), 1);
    assert_eq!(limits(&node), [4, 4]);
    node.set_socket(1);
    close(&node);
    assert!(node.send(6, &to).is_some(), "a place is free again");
}

#[test]
fn a_socket_without_a_record_is_balanced_each_time_and_holds_nothing() {
    let node = fixture::node(limited(), &[2]);
    node.set_full(true);
    assert_eq!([0, 1, 0].map(|slot| ask(&node, slot)), [0, 1, 0].map(Some));
    assert_eq!((node.held(), limits(&node)), ([(0, 0); 2].into(), [0, 0]));
    assert_eq!(node.counted(Counter::Unrecorded), 3);
}

#[test]
fn the_client_that_used_the_socket_first_is_charged() {
    let node = fixture::node(limited(), &[2]);
    node.set_client_id(1);
    ask(&node, 0);
    node.set_client_id(2);
    ask(&node, 0);
    close(&node);
    assert_eq!(limits(&node), [0, 0]);
    let clients: Vec<u32> = node.counters().shares.keys().map(|it| it.client).collect();
    assert_eq!(clients, [1]);
}

#[test]
fn a_reply_comes_from_the_service_that_was_asked_last() {
    let mut node = node();
    let twin = ServiceRow {
        key: frontend(2, protocol::UDP),
        ..fixture::udp(service())
    };
    node.add(twin, 0, &[2]);
    for host in [1, 2, 1] {
        assert_eq!(node.send(SOCKET, &frontend(host, protocol::UDP)), Some(0));
        assert_eq!(reply_from(&node, 0), Some(host));
    }
    assert_eq!(reply_from(&node, 1), None, "no datagram went there");
    let row = backend_row(ID, 0);
    let direct = FrontendKey {
        addr: row.addr,
        port: row.port,
        ..twin.key
    };
    assert_eq!(send(&node, &direct), Verdict::Untouched);
    assert_eq!(reply_from(&node, 0), None, "it was asked directly");
}

#[test]
fn a_socket_keeps_its_latest_services_and_gives_all_back_at_its_end() {
    let mut node = Node::default();
    for number in 0..=u8::try_from(FLOWS_PER_SOCKET).unwrap() {
        let row = ServiceRow {
            key: frontend(number, protocol::UDP),
            ..limited_to(1_000)
        };
        node.add(row, 0, &[2]);
    }
    let to = |number: usize| frontend(u8::try_from(number).unwrap(), protocol::UDP);
    for number in 0..=FLOWS_PER_SOCKET {
        assert_eq!(node.send(SOCKET, &to(number)), Some(0));
    }
    assert_eq!(limits(&node)[0], FLOWS_PER_SOCKET as u64);
    // The last took the place of the first in the second record.
    node.set_random(draw(1, 2));
    let replaced = FLOWS_AT_FIRST;
    let answers = [replaced - 1, replaced, replaced + 2].map(|it| node.send(SOCKET, &to(it)));
    assert_eq!(answers, [0, 1, 0].map(Some));
    close(&node);
    assert_eq!((node.held(), limits(&node)), ([(0, 0); 2].into(), [0, 0]));
}

#[test]
fn without_a_second_record_the_first_one_is_used_again() {
    let mut node = Node::default();
    for number in 0..4 {
        let row = ServiceRow {
            key: frontend(number, protocol::UDP),
            id: number.into(),
            ..fixture::udp(service())
        };
        node.add(row, u32::from(number) * 2, &[2]);
    }
    for number in 0..4 {
        // Only the socket's first record can be made.
        let answer = node.send(SOCKET, &frontend(number, protocol::UDP));
        assert_eq!(answer, Some(u32::from(number) * 2));
        node.set_full(true);
    }
    let held: Vec<u64> = node.held().into_iter().map(|(live, _)| live).collect();
    assert_eq!(held, [0, 0, 0, 0, 1, 0, 1, 0]);
}

#[test]
fn a_datagram_of_a_connected_socket_to_its_own_backend_is_untouched() {
    let node = node();
    node.set_socket(SOCKET);
    connect(&node, &frontend(1, protocol::UDP));
    node.set_connected(true);
    let row = backend_row(ID, 0);
    let peer = FrontendKey {
        addr: row.addr,
        port: row.port,
        protocol: protocol::UDP,
        pad: 0,
    };
    assert_eq!(send(&node, &peer), Verdict::Untouched);
    assert_eq!(node.held(), [(1, 0), (0, 0)], "it stays connected");
}

#[test]
fn what_a_disconnected_socket_held_is_released_at_its_next_datagram() {
    let node = node();
    node.set_socket(SOCKET);
    node.set_random(draw(0, 2));
    connect(&node, &frontend(1, protocol::UDP));
    assert_eq!(ask(&node, 1), Some(1));
    assert_eq!(node.held(), [(0, 0), (1, 0)]);
}

#[test]
fn a_datagram_of_an_excluded_caller_is_untouched() {
    let node = node();
    node.set_excluded(true);
    assert_eq!(send(&node, &frontend(1, protocol::UDP)), Verdict::Untouched);
}
