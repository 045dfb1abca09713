//! One client takes no more than its share of the connections that the endpoints of a service may
//! have.

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Manifest, Node, Server,
    client::{Transport, protocol::counts},
    node::PATIENCE,
    place::Place,
    service, wait,
};

use super::{shares::held, while_attacked};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
/// Number of connections that the attacker tries to hold.
const MANY: u32 = 100;
/// Each endpoint takes ten connections, and each client a quarter of all connections.
const LIMITS: &str = "limits: {maxConnectionsPerEndpoint: 10, maxConnectionsPerClientPercent: 25}";

fn cart(limits: &str) -> Manifest {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with(limits)
}

/// A node with two endpoints, and the attacker's cgroup.
fn node(limits: &str) -> (Node, [Server; 2], Place) {
    let node = Node::start();
    let servers = ["a", "b"].map(|name| node.echo_server(name));
    node.write("cart.yaml", cart(limits).endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let attacker = node.place().below("attacker.service");
    (node, servers, attacker)
}

/// Expects the attacker to hold `share` connections at most while it tries to hold all, and others
/// to be served.
fn expect_bounded(node: &Node, attacker: &Place, share: u64) {
    let refusals = || {
        let counters = node.port_of("shop/cart", 80, "TCP").counters;
        (
            counters[Counter::RefusedShare],
            counters[Counter::RefusedLimit],
        )
    };
    let before = refusals();
    let mut busy = Client::start(attacker);
    let opened = busy.open_streams(TCP, MANY);
    let refused = u64::from(MANY) - share;
    assert_eq!(
        (opened.total_answers(), &opened.errors),
        (share, &counts([("connect ECONNREFUSED", refused)]))
    );
    expect_others_served(node);
    assert_eq!(refusals(), (before.0 + refused, before.1));
    // The connections end with their sockets.
    busy.kill();
    wait::until("the attacker's connections to end", PATIENCE, || {
        held(node, attacker).iter().all(|it| *it == 0)
    });
}

fn expect_others_served(node: &Node) {
    let mut other = node.client();
    assert_eq!(other.tcp(TCP).times(200).errors, counts([]));
    assert_eq!(other.open_streams(TCP, 3).total_answers(), 3);
}

#[test]
fn one_client_cannot_fill_the_endpoints_of_a_service_that_bounds_its_share() {
    let (node, _servers, attacker) = node(LIMITS);
    expect_bounded(&node, &attacker, 5);
    let mut busy = Client::start(&attacker);
    while_attacked(Vec::new(), || {
        busy.open_streams(TCP, MANY);
        assert_eq!(held(&node, &attacker), [5]);
        expect_others_served(&node);
    });
    drop(busy);
    expect_bounded(&node, &attacker, 5);
}

#[test]
fn the_share_of_a_client_follows_the_usable_endpoints() {
    let (node, [a, b], attacker) = node(LIMITS);
    let c = node.echo_server("c");
    node.write("cart.yaml", cart(LIMITS).endpoints([&a, &b, &c]));
    node.wait_until_served("shop/cart", &[&a, &b, &c]);
    expect_bounded(&node, &attacker, 8);
    let terminating = |cart: Manifest, server| cart.in_state(server, "terminating");
    let cart = [&b, &c]
        .into_iter()
        .fold(cart(LIMITS).endpoint(&a), terminating);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &[&a]);
    expect_bounded(&node, &attacker, 3);
}

#[test]
fn the_lower_of_both_limits_applies() {
    let limits = "limits: {maxConnections: 12, maxConnectionsPerEndpoint: 10, \
                  maxConnectionsPerClientPercent: 25}";
    let (node, _servers, attacker) = node(limits);
    expect_bounded(&node, &attacker, 3);
}

#[test]
fn udp_sockets_of_a_client_count_for_its_share_of_the_endpoints() {
    let (node, _servers, attacker) = node(LIMITS);
    let mut busy = Client::start(&attacker);
    let connected = (0..MANY).filter(|_| {
        let socket = busy.socket(Transport::Udp, "0.0.0.0:0");
        busy.connect(socket, UDP).is_ok()
    });
    assert_eq!(connected.count(), 5);
    let (mut other, mut more) = (node.client(), Client::start(&attacker));
    let attack = more.udp(UDP).again_and_again();
    while_attacked(vec![attack], || {
        assert_eq!(other.udp(UDP).times(200).errors, counts([]));
    });
}

#[test]
fn without_a_share_one_client_fills_all_endpoints_and_others_are_refused() {
    let (node, _servers, attacker) = node("limits: {maxConnectionsPerEndpoint: 10}");
    let mut busy = Client::start(&attacker);
    assert_eq!(busy.open_streams(TCP, MANY).total_answers(), 20);
    assert_eq!(
        node.client().tcp(TCP).times(10).errors,
        counts([("connect ECONNREFUSED", 10)])
    );
}
