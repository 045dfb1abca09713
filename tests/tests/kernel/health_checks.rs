//! Endpoints that fail their health checks get no connects.

use std::time::Duration;

use mesh_common::counter::Counter;
use mesh_tests::{Node, client::protocol::counts, service, wait};

/// Servers of tests are on loopback.
const ALLOW_LOOPBACK: &str =
    "--health-check-allowed-networks 127.0.0.0/8 --health-check-min-interval 100ms";
const VIP: &str = "10.96.0.10:80";
const CHECK: &str = "health: {tcp: {}, interval: 200ms, timeout: 200ms, rise: 1, fall: 2}";

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_connects() {
    let node = Node::setup().flags(ALLOW_LOOPBACK).start();
    let (a, b) = (node.server("a"), node.server("b"));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(CHECK)
        .with("outlier: {enabled: false}");
    node.write("cart.yaml", cart.endpoints([&a, &b]));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let (gone, address) = (a.address(), a.address());
    drop(a);
    wait::until("the check has failed twice", Duration::from_secs(5), || {
        let port = node.port("shop/cart");
        let endpoint = port
            .endpoints
            .iter()
            .find(|endpoint| endpoint.endpoint == gone.to_string());
        let endpoint = endpoint.expect("it is configured");
        endpoint
            .health
            .as_ref()
            .is_some_and(|health| health.state == "unhealthy" && health.reason.contains("refused"))
    });
    wait::pass(Duration::from_millis(100));
    let report = node.client().tcp("10.96.0.10:80").times(100);
    assert_eq!(
        (report.answers, report.errors),
        (counts([("b", 100)]), counts([])),
        "{address} is down"
    );
    let table = node
        .meshctl("service get shop/cart")
        .expect_success()
        .stdout;
    assert!(
        table.contains("unhealthy") && table.contains("connection refused"),
        "{table}"
    );
}

/// The state outlives the agent: no client meets the endpoint before the new agent has probed it.
#[test]
fn an_endpoint_that_failed_before_a_restart_stays_out_until_a_probe_succeeds() {
    let mut node = Node::setup().flags(ALLOW_LOOPBACK).start();
    let (a, b) = (node.server("a"), node.server("b"));
    let slow = CHECK
        .replace("interval: 200ms", "interval: 1s")
        .replace("fall: 2", "fall: 20");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("outlier: {enabled: false}")
        .endpoints([&a, &b]);
    node.write("cart.yaml", cart.clone().with(CHECK));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let address = a.address();
    drop(a);
    node.wait_until_served_within("shop/cart", &[&b], Duration::from_secs(5));
    let mut client = node.client();
    let under_way = client.tcp(VIP).again_and_again();
    for end in [Node::stop_agent, Node::kill_agent] {
        end(&mut node);
        // Failures of the new agent's own probes would take it out much later.
        node.write("cart.yaml", cart.clone().with(&slow));
        node.start_agent();
        wait::pass(Duration::from_millis(500));
    }
    let port = node.port("shop/cart");
    let health = port.endpoints[0].health.clone().expect("it is checked");
    assert!(
        !port.endpoints[0].active && health.state == "unhealthy",
        "{health:?}"
    );
    let report = under_way.stop();
    assert_eq!(
        (report.errors, report.answers.contains_key("a")),
        (counts([]), false)
    );
    let again = node.server_again("a", address);
    node.wait_until_served_within("shop/cart", &[&again, &b], Duration::from_secs(5));
}

#[test]
fn the_last_endpoint_is_kept_unless_allow_empty_is_set() {
    let node = Node::setup().flags(ALLOW_LOOPBACK).start();
    let a = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with(CHECK)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    let address = a.address();
    drop(a);
    let failing = || {
        let port = node.port("shop/cart");
        port.endpoints[0]
            .health
            .as_ref()
            .is_some_and(|health| health.state == "unhealthy")
    };
    wait::until("the check has failed", Duration::from_secs(5), failing);
    let kept = node.port("shop/cart").counters;
    assert!(!node.client().tcp("10.96.0.10:80").once().errors.is_empty());
    let asked = node.port("shop/cart").counters;
    assert_eq!(
        (asked[Counter::Connects], asked[Counter::RefusedNoBackend]),
        (kept[Counter::Connects] + 1, 0),
        "the endpoint itself refuses"
    );
    let check = CHECK.replace("fall: 2}", "fall: 2, allowEmpty: true}");
    let emptied = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(&check)
        .at(address);
    node.write("cart.yaml", emptied);
    wait::until("no endpoint to be left", Duration::from_secs(5), || {
        node.client().tcp("10.96.0.10:80").once();
        node.port("shop/cart").counters[Counter::RefusedNoBackend] > 0
    });
}
