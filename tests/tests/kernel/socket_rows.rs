//! Rows of SOCKETS: they are deleted when their socket is closed in any way.

use std::time::Duration;

use aya::maps::{HashMap, Map, MapData};
use mesh_common::abi::{SocketRow, maps, socket_state};
use mesh_tests::{Node, manifest::document, node::SETTLE, pinned, service, wait};

type SocketBytes = [u8; size_of::<SocketRow>()];

fn map(node: &Node) -> HashMap<MapData, u64, SocketBytes> {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SOCKETS.name));
    map.try_into().expect("SOCKETS is a hash of these sizes")
}

fn rows(node: &Node) -> Vec<SocketRow> {
    let rows = map(node);
    let rows = rows.iter().flatten();
    rows.map(|(_, row)| bytemuck::pod_read_unaligned(&row))
        .collect()
}

/// Returns the number of rows, or `most` if there are more.
pub fn count(node: &Node, most: usize) -> usize {
    map(node).keys().flatten().take(most).count()
}

fn tracked(node: &Node) -> usize {
    let is_tracked = |row: &&SocketRow| row.state & socket_state::TRACKED != 0;
    rows(node).iter().filter(is_tracked).count()
}

/// Returns the monotonic clock.
fn now() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(result, 0);
    let [seconds, nanoseconds] =
        [now.tv_sec, now.tv_nsec].map(|it| it.try_into().expect("the clock starts at zero"));
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

/// Programs read the coarse clock, which advances once in a tick: every 10 ms at most.
#[test]
fn rows_have_the_time_of_their_connect() {
    const LATE: Duration = Duration::from_millis(20);
    let node = Node::start();
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("cart.yaml", cart.endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let mut client = node.client();
    for _ in 0..100 {
        let before = now();
        let socket = client.tcp_socket("0.0.0.0:0");
        client.connect(socket, "10.96.0.10:80").unwrap();
        let after = now();
        let started: Vec<_> = rows(&node).iter().map(|row| row.started).collect();
        let started = started.into_iter().max().map(Duration::from_nanos);
        let started = started.expect("a row for each open socket");
        assert!(
            before - LATE <= started && started <= after,
            "{before:?} {started:?} {after:?}"
        );
        // Shorter than a tick, so that connects fall on different moments of it.
        wait::pass(Duration::from_micros(3_700));
    }
}

#[test]
fn closed_sockets_leave_no_row_behind() {
    let node = Node::start();
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("closeStaleTcp: true");
    node.write("cart.yaml", cart.endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let mut client = node.client();
    assert_eq!(tracked(&node), 0);

    let open: Vec<_> = (0..10).map(|_| client.udp_socket("0.0.0.0:0")).collect();
    for &socket in &open {
        client.connect(socket, "10.96.0.10:53").unwrap();
    }
    assert_eq!(tracked(&node), 10);
    // Another connect of the same socket reuses its row; a connect to no service deletes it.
    client.connect(open[0], "10.96.0.10:53").unwrap();
    client.connect(open[1], &a.address().to_string()).unwrap();
    assert_eq!(tracked(&node), 9);
    assert_eq!(client.tcp("10.96.0.10:80").times(500).answers_of(&a), 500);
    assert_eq!(client.udp("10.96.0.10:53").times(500).answers_of(&a), 500);
    wait::until_equal("rows of closed sockets to be deleted", SETTLE, &9, || {
        tracked(&node)
    });
    client.close(open[2]);
    assert_eq!(tracked(&node), 8);
    // The process ends with its sockets open.
    drop(client);
    wait::until_equal("rows of a dead process to be deleted", SETTLE, &0, || {
        tracked(&node)
    });
}

#[test]
fn a_socket_whose_connect_failed_leaves_no_row_and_may_connect_elsewhere() {
    let node = Node::start();
    let a = node.server("a");
    let closed = node.server("closed").address();
    let closing = service("shop/closing")
        .address("10.96.0.10")
        .tcp(80)
        .with("closeStaleTcp: true")
        .at(closed);
    let patient = service("shop/patient")
        .address("10.96.0.11")
        .tcp(80)
        .endpoint(&a);
    node.write("shop.yaml", document([&closing, &patient]));
    node.wait_until_served("shop/patient", &[&a]);
    let mut client = node.client();
    for then in ["10.96.0.11:80", &a.address().to_string()] {
        let socket = client.tcp_socket("0.0.0.0:0");
        assert_eq!(
            client.connect(socket, "10.96.0.10:80"),
            Err("ECONNREFUSED".into())
        );
        wait::until_equal(
            "the row of the failed connect to be deleted",
            SETTLE,
            &0,
            || tracked(&node),
        );
        client.connect(socket, then).unwrap();
        assert_eq!(tracked(&node), 0, "{then}");
    }
}
