//! Places that connects reserve between hook and SYN.

use std::fs;

use mesh_common::counter::Counter;
use mesh_tests::{
    Node, Server,
    client::{Crowd, Protocol},
    service,
};

use super::{KernelState, VIP};

const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const POLICIES: [&str; 5] = [
    "leastConnections",
    "latencyAware",
    "random",
    "roundRobin",
    "consistentHash",
];

/// A node with these servers of a service, each of which takes one connection.
fn shop(servers: &[&str], policy: &str) -> (Node, Vec<Server>, KernelState) {
    let node = Node::start();
    let servers: Vec<_> = servers.iter().map(|name| node.echo_server(name)).collect();
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let cart = cart
        .with(&format!("balance: {policy}"))
        .with("limits: {maxConnectionsPerEndpoint: 1}");
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.iter().collect::<Vec<_>>());
    let known = KernelState::of(&node);
    (node, servers, known)
}

/// The kernel finds no port for one connect after the hook has reserved its place; the other place
/// is free.
#[test]
fn a_place_that_no_connection_takes_does_not_hide_a_free_one() {
    for policy in POLICIES {
        let (node, servers, known) = shop(&["a", "b"], policy);
        let mut client = node.client();
        // Both ports that a socket may choose are taken, by connections to each of the endpoints.
        node.place()
            .netns
            .run(|| fs::write(PORTS, "40000 40001").expect("every namespace has the sysctl"));
        for server in servers.iter().chain(&servers) {
            let held = client.tcp_socket("0.0.0.0:0");
            client
                .connect(held, &server.address().to_string())
                .expect("the connect succeeds");
        }
        for _ in 0..30 {
            let refused = client.tcp_socket("0.0.0.0:0");
            assert_eq!(
                client.connect(refused, VIP),
                Err("EADDRNOTAVAIL".into()),
                "{policy}"
            );
            let free = client.tcp_socket("0.0.0.0:5000");
            client
                .connect(free, VIP)
                .unwrap_or_else(|error| panic!("{policy}: {error}"));
            client.reset(free);
            client.close(refused);
        }
        assert_eq!(known.counter(Counter::RefusedLimit), 0, "{policy}");
    }
}

/// Two clients connect at the same time; there are three places.
#[test]
fn while_a_place_is_free_no_connect_is_refused() {
    for policy in POLICIES {
        let (node, _servers, known) = shop(&["a", "b", "c"], policy);
        let crowd = Crowd {
            threads: 2,
            times: 4_000,
            to: vec![(Protocol::Tcp, VIP.parse().expect("an address"))],
        };
        let report = node.client().crowd(&crowd);
        assert_eq!(
            (report.errors, known.counter(Counter::RefusedLimit)),
            ([].into(), 0),
            "{policy}"
        );
    }
}
