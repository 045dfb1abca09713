//! Limits of connections are exact.

use std::time::Duration;

use aya::maps::{HashMap, Map};
use mesh_common::{
    abi::{NameRow, maps},
    counter::Counter,
};
use mesh_tests::{
    Client, Node, Server,
    client::{Crowd, Protocol, SocketId, protocol::counts},
    node::PATIENCE,
    pinned, service, wait,
};

use super::{KernelState, VIP};

const CONNECTS: u32 = 10_000;

/// A node with three servers of a service with these limits, of one protocol.
fn shop(protocol: Protocol, limits: &str) -> (Node, [Server; 3], KernelState) {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .with(&format!("limits: {{{limits}}}"));
    let cart = if protocol == Protocol::Tcp {
        cart.tcp(80)
    } else {
        cart.udp(80)
    };
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    (node, servers, known)
}

fn socket(client: &mut Client, protocol: Protocol) -> SocketId {
    if protocol == Protocol::Tcp {
        client.tcp_socket("0.0.0.0:0")
    } else {
        client.udp_socket("0.0.0.0:0")
    }
}

/// Fills a service that allows this number of connections, then opens more sockets one at a time.
fn expect_a_limit(
    protocol: Protocol,
    limits: &str,
    places: u64,
    look: impl Fn(&KernelState, &[Server; 3]),
) {
    let (node, servers, known) = shop(protocol, limits);
    let mut client = node.client();
    let mut open: Vec<_> = (0..places)
        .map(|_| {
            let socket = socket(&mut client, protocol);
            client.connect(socket, VIP).expect("the connect succeeds");
            socket
        })
        .collect();
    look(&known, &servers);
    for round in 1..=5 {
        let late = socket(&mut client, protocol);
        assert_eq!(client.connect(late, VIP), Err("ECONNREFUSED".into()));
        assert_eq!(
            (known.live(), known.counter(Counter::RefusedLimit)),
            ((places, 0), round)
        );
        client.reset(open.pop().expect("sockets are open"));
        client.connect(late, VIP).expect("the connect succeeds");
        open.push(late);
    }
    assert_eq!(
        known.counter(Counter::Failures),
        0,
        "a refused connect is no failure of an endpoint"
    );
    client.kill();
    known.expect_rest(places + 5);
}

fn fives(known: &KernelState, servers: &[Server; 3]) {
    assert_eq!(
        servers.each_ref().map(|server| known.live_of(server)),
        [5, 5, 5]
    );
    assert!(known.counter(Counter::Overflows) <= 10);
}

#[test]
fn every_endpoint_is_filled_and_then_connects_are_refused() {
    expect_a_limit(Protocol::Tcp, "maxConnectionsPerEndpoint: 5", 15, fives);
    expect_a_limit(Protocol::Udp, "maxConnectionsPerEndpoint: 5", 15, fives);
}

#[test]
fn a_service_is_filled_and_then_connects_are_refused() {
    let counted = |known: &KernelState, _: &[Server; 3]| assert_eq!(known.connections(), 20);
    expect_a_limit(Protocol::Tcp, "maxConnections: 20", 20, counted);
    expect_a_limit(Protocol::Udp, "maxConnections: 20", 20, counted);
}

#[test]
fn connects_beyond_the_limit_go_elsewhere_and_are_counted() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("limits: {maxConnectionsPerEndpoint: 5}");
    // Nearly all connects prefer one endpoint.
    let [a, b, c] = &servers;
    let cart = cart
        .with("balance: random")
        .weighted(a, 100)
        .weighted(b, 1)
        .weighted(c, 1);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    for _ in 0..15 {
        let socket = client.tcp_socket("0.0.0.0:0");
        client.connect(socket, VIP).expect("the connect succeeds");
    }
    fives(&known, &servers);
    let overflows = known.counter(Counter::Overflows);
    assert!((3..=10).contains(&overflows), "{overflows}");
    assert_eq!(known.counter(Counter::RefusedLimit), 0);
}

#[test]
fn a_refusal_is_immediate() {
    let (node, _servers, _known) = shop(Protocol::Tcp, "maxConnections: 1");
    let mut client = node.client();
    assert_eq!(client.open_streams(VIP, 1).total_answers(), 1);
    let took = client.tcp(VIP).times(1_000).took;
    assert!(took.p50 < Duration::from_millis(1), "{took:?}");
}

/// Many concurrent connects reach the limit and never exceed it.
fn expect_a_hard_limit(protocol: Protocol, limits: &str, places: u64) {
    const ROUNDS: u32 = 100;
    let (node, _servers, known) = shop(protocol, limits);
    let crowd = Crowd {
        threads: 32,
        times: ROUNDS,
        to: vec![(protocol, VIP.parse().expect("a valid address"))],
    };
    let (mut one, mut two) = (node.client(), node.client());
    let rush = one.rush(&crowd);
    let (most, all) = (
        *rush.connected.iter().max().expect("a rush has rounds"),
        rush.connected.iter().sum::<u64>(),
    );
    assert_eq!(most, places, "{protocol:?} {limits}: {rush:?}");
    // Two connects that race for the last place may both be refused, but rarely.
    assert!(
        all * 10 > places * u64::from(ROUNDS) * 9,
        "{protocol:?} {limits}: {rush:?}"
    );
    assert_eq!(
        rush.errors.into_iter().collect::<Vec<_>>(),
        [(super::REFUSED.into(), 3_200 - all)]
    );
    known.expect_rest(all);
    assert_eq!(known.counter(Counter::RefusedLimit), 3_200 - all);

    // Two independent processes.
    let held = two.open_streams(VIP, 1);
    let taken = held.total_answers();
    let rush = one.rush(&crowd);
    assert!(
        rush.connected
            .iter()
            .all(|connected| *connected <= places - taken),
        "{rush:?}"
    );
    two.kill();
    known.expect_rest(known.connects());
}

#[test]
fn no_race_exceeds_the_limit_of_an_endpoint() {
    expect_a_hard_limit(Protocol::Tcp, "maxConnectionsPerEndpoint: 5", 15);
}

#[test]
fn no_race_exceeds_the_limit_of_a_service() {
    expect_a_hard_limit(Protocol::Tcp, "maxConnections: 10", 10);
}

#[test]
fn no_race_of_udp_sockets_exceeds_a_limit() {
    expect_a_hard_limit_of_udp("maxConnectionsPerEndpoint: 5", 15);
    expect_a_hard_limit_of_udp("maxConnections: 10", 10);
}

fn expect_a_hard_limit_of_udp(limits: &str, places: u64) {
    let (node, _servers, known) = shop(Protocol::Udp, limits);
    let rush = node.client().rush(&Crowd {
        threads: 32,
        times: 300,
        to: vec![(Protocol::Udp, VIP.parse().expect("a valid address"))],
    });
    assert_eq!(
        rush.connected.iter().max(),
        Some(&places),
        "{limits}: {rush:?}"
    );
    known.expect_rest(rush.connected.iter().sum());
}

#[test]
fn connections_of_a_removed_service_do_not_count_for_a_new_one() {
    let (node, servers, _) = shop(Protocol::Tcp, "maxConnections: 1");
    let mut client = node.client();
    let old = socket(&mut client, Protocol::Tcp);
    client.connect(old, VIP).expect("the connect succeeds");
    node.write("cart.yaml", "services: []");
    let ids = || {
        let map = Map::HashMap(pinned::map(&node.directories().pins, maps::NAMES.name));
        let names: HashMap<_, u32, NameRow> =
            map.try_into().expect("NAMES is a hash of these sizes");
        names.keys().flatten().collect::<Vec<_>>()
    };
    wait::until_equal("the id to be free", PATIENCE, &vec![], ids);

    let menu = service("shop/menu")
        .address("10.96.0.10")
        .with("limits: {maxConnections: 1}")
        .tcp(80);
    node.write("cart.yaml", menu.endpoints(&servers));
    node.wait_until_served("shop/menu", &servers.each_ref());
    let new = socket(&mut client, Protocol::Tcp);
    client
        .connect(new, VIP)
        .expect("the connection of the other service does not count");
    assert_eq!(ids(), [1], "the next one that is free");
    client.reset(new);
    let report = client.tcp(VIP).times(CONNECTS);
    assert_eq!(
        (report.total_answers(), report.errors),
        (CONNECTS.into(), counts([]))
    );
}
