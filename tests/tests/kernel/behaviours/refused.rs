//! A service without endpoints: behaviours 1 and 2.

use std::time::{Duration, Instant};

use mesh_common::counter::Counter;
use mesh_core::api::types::ServiceCounters;
use mesh_tests::{
    Node, Object,
    client::protocol::{ConnectReport, counts},
    kubernetes::{cluster_ip, list, slice_of},
    service, wait,
};
use serde_json::json;

use super::settled;

const AT_ONCE: Duration = Duration::from_millis(5);
/// Number of rounds. The scheduler may delay a connect, but not one in every round.
const ROUNDS: u64 = 3;

#[test]
fn b01_connects_to_a_service_without_endpoints_are_refused_at_once_and_counted() {
    let node = Node::setup().alone().start();
    let empty = service("shop/empty").tcp(80).udp(53);
    node.write(
        "empty.yaml",
        empty.address("10.96.0.10").address("fd00:96::10"),
    );
    node.wait_until_served("shop/empty", &[]);
    let mut client = node.client();

    let refused = refused_at_once(|| {
        [
            client.tcp("10.96.0.10:80").times(500),
            client.tcp("[fd00:96::10]:80").times(500),
        ]
    });
    assert_eq!(
        node.port_of("shop/empty", 80, "TCP").counters,
        counted(refused)
    );
    let refused = refused_at_once(|| {
        [
            client.udp("10.96.0.10:53").times(500),
            client.udp("[fd00:96::10]:53").times(500),
        ]
    });
    assert_eq!(
        node.port_of("shop/empty", 53, "UDP").counters,
        counted(refused)
    );
}

/// Connects in rounds of 1,000 until all of a round are refused in time, and returns the number of
/// connects. Every other result fails.
fn refused_at_once(mut connect: impl FnMut() -> [ConnectReport; 2]) -> u64 {
    let mut slow = Vec::new();
    for round in 1..=ROUNDS {
        let reports = connect();
        assert_eq!(
            reports.each_ref().map(|report| &report.errors),
            [&counts([("connect ECONNREFUSED", 500)]); 2]
        );
        if reports.iter().all(|report| report.took.max < AT_ONCE) {
            return round * 1_000;
        }
        slow.extend(reports);
    }
    panic!("no round was fast: {slow:?}");
}

fn counted(refused: u64) -> ServiceCounters {
    let mut counters = ServiceCounters::default();
    counters[Counter::RefusedNoBackend] = refused;
    counters
}

#[test]
fn b01_a_service_without_its_last_endpoint_refuses_and_serves_when_one_returns() {
    let node = Node::start();
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();
    for _ in 0..3 {
        node.write("cart.yaml", cart.clone().endpoint(&a));
        wait::until_equal(
            "a to serve",
            mesh_tests::node::SETTLE,
            &counts([("a", 1)]),
            || client.tcp("10.96.0.10:80").once().answers,
        );
        node.write("cart.yaml", &cart);
        wait::until_equal(
            "refusals",
            mesh_tests::node::SETTLE,
            &counts([("connect ECONNREFUSED", 1)]),
            || client.tcp("10.96.0.10:80").once().errors,
        );
    }
}

#[test]
fn b01_unconnected_sends_to_a_service_without_endpoints_are_refused_at_once() {
    let node = Node::setup().alone().start();
    node.write(
        "empty.yaml",
        service("shop/empty")
            .address("10.96.0.10")
            .address("fd00:96::10")
            .udp(53),
    );
    node.wait_until_served("shop/empty", &[]);
    let mut client = node.client();
    for (bind, to) in [
        ("0.0.0.0:0", "10.96.0.10:53"),
        ("[::]:0", "[fd00:96::10]:53"),
        ("[::]:0", "[::ffff:10.96.0.10]:53"),
    ] {
        let socket = client.udp_socket(bind);
        let start = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(
                client.send_to(socket, to),
                Err("ECONNREFUSED".into()),
                "{to}"
            );
        }
        // On average, because each request also goes to the client process and back.
        assert!(
            start.elapsed() < AT_ONCE * 1_000,
            "{to}: {:?}",
            start.elapsed()
        );
    }
}

/// Two unready endpoints, and a Service that publishes them or not.
fn unready(publish: bool) -> Object {
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    cart.spec("publishNotReadyAddresses", publish.into())
}

#[test]
fn b02_unready_endpoints_count_where_the_service_publishes_them() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let slices =
        [&a, &b].map(|server| slice_of("shop/cart", "http", server, &json!({"ready": false})));
    let mut client = node.client();
    let refused = counts([("connect ECONNREFUSED", 100)]);
    let expect_refused = |client: &mut mesh_tests::Client| {
        settled("refusals", &refused, || {
            client.tcp("10.96.0.10:80").times(100).errors
        });
    };

    node.write("cart.json", list([&unready(false), &slices[0], &slices[1]]));
    expect_refused(&mut client);
    node.write("cart.json", list([&unready(true), &slices[0], &slices[1]]));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let report = client.tcp("10.96.0.10:80").times(1_000);
    assert_eq!(report.errors, counts([]));
    assert!(
        report.answers_of(&a) > 0 && report.answers_of(&b) > 0,
        "{:?}",
        report.answers
    );
    node.write("cart.json", list([&unready(true)]));
    expect_refused(&mut client);
}
