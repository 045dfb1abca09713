//! A service that nobody serves.

use std::time::Duration;

use mesh_agent::api::types::ServiceCounters;
use mesh_tests::{
    Node,
    client::protocol::{Report, counts},
    service, wait,
};

const AT_ONCE: Duration = Duration::from_millis(5);
/// The machine may take the processor away from any one connect, but not in every round.
const ROUNDS: u64 = 3;

#[test]
fn connects_to_a_service_without_endpoints_are_refused_at_once_and_counted() {
    let node = Node::setup().alone().start();
    let empty = service("shop/empty").tcp(80).udp(53);
    node.write("empty.yaml", empty.address("10.96.0.10").address("fd00:96::10"));
    node.wait_until_served("shop/empty", &[]);
    let mut client = node.client();

    let refused =
        refused_at_once(|| [client.tcp("10.96.0.10:80").times(500), client.tcp("[fd00:96::10]:80").times(500)]);
    assert_eq!(node.port_of("shop/empty", 80, "TCP").counters, counted(refused));
    let refused =
        refused_at_once(|| [client.udp("10.96.0.10:53").times(500), client.udp("[fd00:96::10]:53").times(500)]);
    assert_eq!(node.port_of("shop/empty", 53, "UDP").counters, counted(refused));
}

/// Connects until each of 1,000 is refused in time, and never with anything else; returns how many there were.
fn refused_at_once(mut connect: impl FnMut() -> [Report; 2]) -> u64 {
    let mut slow = Vec::new();
    for round in 1..=ROUNDS {
        let reports = connect();
        assert_eq!(reports.each_ref().map(|report| &report.errors), [&counts([("connect ECONNREFUSED", 500)]); 2]);
        if reports.iter().all(|report| report.took.max < AT_ONCE) {
            return round * 1_000;
        }
        slow.extend(reports);
    }
    panic!("no round was fast: {slow:?}");
}

fn counted(refused: u64) -> ServiceCounters {
    ServiceCounters { connects: 0, refused_no_backend: refused, refused_broken: 0, unrecorded: 0 }
}

#[test]
fn the_last_endpoint_gone_refuses_and_the_first_one_back_serves() {
    let node = Node::start();
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();
    for _ in 0..3 {
        node.write("cart.yaml", cart.clone().endpoint(&a));
        wait::until_equal("a to serve", mesh_tests::node::SETTLE, &counts([("a", 1)]), || {
            client.tcp("10.96.0.10:80").once().answers
        });
        node.write("cart.yaml", &cart);
        wait::until_equal("refusals", mesh_tests::node::SETTLE, &counts([("connect ECONNREFUSED", 1)]), || {
            client.tcp("10.96.0.10:80").once().errors
        });
    }
}
