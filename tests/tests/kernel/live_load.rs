//! Each connection counts once for its endpoint, from its connect to its end.

mod ejection;

use std::time::Duration;

use mesh_common::counter::Counter;
use mesh_tests::{Node, Server, client::protocol::counts, service, wait};

const VIP: &str = "10.96.0.10:80";
const SETTLED: Duration = Duration::from_secs(5);

fn node_with(settings: &str, names: &[&str]) -> (Node, Vec<Server>) {
    let node = Node::start();
    let servers: Vec<Server> = names.iter().map(|name| node.server(name)).collect();
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with(settings);
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.iter().collect::<Vec<_>>());
    (node, servers)
}

/// Returns the number of connections, and of those that are still connecting.
fn live(node: &Node, port: u16, protocol: &str) -> (u64, u64) {
    let port = node.port_of("shop/cart", port, protocol);
    let sum = |of: fn(&mesh_core::api::types::Endpoint) -> u64| port.endpoints.iter().map(of).sum();
    (
        sum(|endpoint| endpoint.connections),
        sum(|endpoint| endpoint.connecting),
    )
}

fn wait_until_idle(node: &Node) {
    for (port, protocol) in [(80, "TCP"), (53, "UDP")] {
        wait::until_equal("no open connection", SETTLED, &(0, 0), || {
            live(node, port, protocol)
        });
    }
}

#[test]
fn streams_count_while_they_are_open_over_restarts_of_the_agent() {
    let (mut node, _servers) = node_with("balance: leastConnections", &["a", "b", "c"]);
    let mut client = node.client();
    let report = client.open_streams(VIP, 300);
    assert!(
        report.answers.values().all(|held| held.abs_diff(100) <= 2),
        "least connections are even: {report:?}"
    );
    assert_eq!(live(&node, 80, "TCP"), (300, 0));
    node.kill_agent();
    node.start_agent();
    assert_eq!(live(&node, 80, "TCP"), (300, 0));
    // The process is killed with its streams open.
    drop(client);
    wait_until_idle(&node);
}

#[test]
fn short_connections_of_all_kinds_leave_nothing_behind() {
    let (node, servers) = node_with("balance: random", &["a", "b"]);
    let (mut tcp, mut udp) = (node.client(), node.client());
    let (tcp, udp) = (
        tcp.tcp(VIP).again_and_again(),
        udp.udp("10.96.0.10:53").again_and_again(),
    );
    // `MESH_SOAK_SECONDS` makes it longer, for millions of connects.
    let seconds = std::env::var("MESH_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    wait::pass(Duration::from_secs(seconds));
    let (tcp, udp) = (tcp.stop(), udp.stop());
    println!(
        "{} TCP and {} UDP connects",
        tcp.total_answers(),
        udp.total_answers()
    );
    wait_until_idle(&node);
    for (report, port, protocol) in [(tcp, 80, "TCP"), (udp, 53, "UDP")] {
        let port = node.port_of("shop/cart", port, protocol);
        let sum: u64 = port
            .endpoints
            .iter()
            .map(|endpoint| endpoint.connects)
            .sum();
        assert_eq!(
            (sum, port.counters[Counter::Connects]),
            (report.total_answers(), report.total_answers())
        );
        assert_eq!(report.errors, counts([]));
    }
    drop(servers);
}

#[test]
fn refused_and_aborted_connects_leave_nothing_behind() {
    let (node, servers) = node_with("outlier: {enabled: false}", &["a"]);
    drop(servers);
    assert_eq!(
        node.client().tcp(VIP).times(500).errors,
        counts([("connect ECONNREFUSED", 500)])
    );
    wait_until_idle(&node);
    let mut client = node.client();
    for _ in 0..50 {
        let socket = client.tcp_socket("127.0.0.1:0");
        // An endpoint without a route from here: the connect fails before a packet is sent.
        _ = client.connect(socket, VIP);
        client.close(socket);
    }
    wait_until_idle(&node);
}

#[test]
fn one_socket_counts_once_after_any_number_of_connects() {
    let (node, _servers) = node_with("balance: random", &["a", "b", "c"]);
    let mut client = node.client();
    let tcp = client.tcp_socket("0.0.0.0:0");
    let udp = client.udp_socket("0.0.0.0:0");
    for _ in 0..20 {
        client.connect(udp, "10.96.0.10:53").expect("it is served");
        assert_eq!(live(&node, 53, "UDP").0, 1);
    }
    for _ in 0..5 {
        client.connect(tcp, VIP).expect("it is served");
        assert_eq!(live(&node, 80, "TCP"), (1, 0));
        client.disconnect(tcp).expect("it is connected");
        wait::until_equal("the connection to end", SETTLED, &(0, 0), || {
            live(&node, 80, "TCP")
        });
    }
    let loose = client.udp_socket("0.0.0.0:0");
    for _ in 0..10 {
        client.ask_at(loose, "10.96.0.10:53").expect("it answers");
        assert_eq!(
            live(&node, 53, "UDP").0,
            2,
            "one connected socket, and one that sends to the service"
        );
    }
    client.close(loose);
    client.close(udp);
    client.close(tcp);
    wait_until_idle(&node);
}

#[test]
fn weights_share_streams_in_proportion() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let cart = cart
        .weighted(&servers[0], 1)
        .weighted(&servers[1], 2)
        .weighted(&servers[2], 7);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &servers.each_ref());
    let report = node.client().open_streams(VIP, 500);
    for (name, expected) in [("a", 50), ("b", 100), ("c", 350)] {
        let held = report.answers.get(name).copied().unwrap_or_default();
        assert!(
            held.abs_diff(expected) <= 10,
            "{name} holds {held} of 500, not about {expected}"
        );
    }
}

#[test]
fn limits_are_never_exceeded_and_refusals_are_counted() {
    let (node, _servers) = node_with(
        "limits: {maxConnectionsPerEndpoint: 5, maxConnections: 12}",
        &["a", "b", "c"],
    );
    let mut client = node.client();
    let report = client.open_streams(VIP, 12);
    assert!(report.answers.values().all(|&held| held <= 5), "{report:?}");
    assert_eq!(
        node.client().tcp(VIP).times(20).errors,
        counts([("connect ECONNREFUSED", 20)])
    );
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::RefusedLimit],
        20
    );
    assert_eq!(live(&node, 80, "TCP"), (12, 0));
    drop(client);
    wait_until_idle(&node);
    // Several clients at the same time.
    let mut clients: Vec<_> = (0..4).map(|_| node.client()).collect();
    let loops: Vec<_> = clients
        .iter_mut()
        .map(|client| client.tcp(VIP).again_and_again())
        .collect();
    for _ in 0..200 {
        let port = node.port_of("shop/cart", 80, "TCP");
        assert!(
            port.endpoints
                .iter()
                .all(|endpoint| endpoint.connections <= 5 + 4),
            "{port:?}"
        );
    }
    loops.into_iter().for_each(|running| drop(running.stop()));
    wait_until_idle(&node);
}

#[test]
fn round_robin_takes_turns_and_a_hashed_client_keeps_its_endpoint() {
    let (node, _servers) = node_with("balance: roundRobin", &["a", "b", "c"]);
    assert_eq!(
        node.client().tcp(VIP).times(300).answers,
        counts([("a", 100), ("b", 100), ("c", 100)])
    );
    let (node, _servers) = node_with(
        "balance: {policy: consistentHash, key: sourceAddress}",
        &["a", "b", "c"],
    );
    let mut client = node.client();
    let mut reached = std::collections::BTreeSet::new();
    for host in 1..=40 {
        let mut peers = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let socket = client.tcp_socket(&format!("127.0.7.{host}:0"));
            client.connect(socket, VIP).expect("it is served");
            peers.insert(client.name_of_peer(socket).expect("it answers"));
            client.close(socket);
        }
        assert_eq!(peers.len(), 1, "client {host} reaches {peers:?}");
        reached.extend(peers);
    }
    assert_eq!(reached.len(), 3, "many clients reach all endpoints");
}
