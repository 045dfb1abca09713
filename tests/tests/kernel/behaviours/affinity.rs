//! Session affinity: behaviour 8. Eight endpoints and several clients: without affinity, a test would
//! pass by chance in less than one of a million runs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mesh_tests::{
    Client, Manifest, Node, Pod, Server,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice},
    place::Place,
    service, wait,
};
use serde_json::json;

use super::settled;

const TO: &str = "10.96.0.10:80";
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Tolerance for the end of the timeout.
const TOLERANCE: Duration = Duration::from_secs(1);

/// A node, eight servers that all its pods reach, and a client in each of eight pods.
struct Shop {
    clients: Vec<Client>,
    servers: [Server; 8],
    // Dropped after the clients in them.
    pods: Vec<Pod>,
    node: Node,
}

fn shop() -> Shop {
    let node = Node::start();
    let pods: Vec<_> = (1..=9).map(|number| Pod::start(&node, number)).collect();
    let servers = NAMES.map(|name| pods[8].server(name));
    Shop {
        clients: pods[..8].iter().map(Pod::client).collect(),
        servers,
        pods,
        node,
    }
}

fn cart() -> Manifest {
    service("shop/cart").address("10.96.0.10").tcp(80).udp(80)
}

impl Shop {
    fn serve(&self, cart: Manifest) {
        self.node.write("cart.yaml", cart.endpoints(&self.servers));
        self.node
            .wait_until_served("shop/cart", &self.servers.each_ref());
    }

    /// Returns the server that a connect of each client reaches.
    fn once(&mut self) -> Vec<String> {
        self.clients
            .iter_mut()
            .map(|client| only(client, 1))
            .collect()
    }
}

/// Returns the only server that this number of connects reaches.
fn only(client: &mut Client, times: u32) -> String {
    let report = client.tcp(TO).times(times);
    assert_eq!(report.errors, counts([]));
    assert_eq!(report.answers.len(), 1, "{:?}", report.answers);
    report.answers.into_keys().next().expect("one")
}

#[test]
fn b08_every_client_keeps_to_one_endpoint_and_clients_are_independent() {
    let mut shop = shop();
    shop.serve(cart().sticky(600));
    let chosen = shop.once();
    for (client, server) in shop.clients.iter_mut().zip(&chosen) {
        assert_eq!(
            client.tcp(TO).times(1_000).answers,
            counts([(server, 1_000)])
        );
    }
    assert!(
        chosen.iter().collect::<BTreeSet<_>>().len() > 1,
        "eight namespaces, one endpoint: {chosen:?}"
    );
    // Another process in the same namespace is the same client.
    let again: Vec<_> = shop.pods[..8]
        .iter()
        .map(|pod| only(&mut pod.client(), 100))
        .collect();
    assert_eq!(again, chosen);
}

#[test]
fn b08_unconnected_sockets_of_a_client_keep_to_one_endpoint() {
    let mut shop = shop();
    shop.serve(cart().sticky(600));
    for client in &mut shop.clients {
        let sockets = [0; 20].map(|_| client.udp_socket("0.0.0.0:0"));
        let names: BTreeSet<_> = sockets
            .iter()
            .map(|socket| client.name_at(*socket, TO).unwrap())
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let connected = client.udp(TO).times(20).answers;
        assert_eq!(connected.into_keys().collect::<BTreeSet<_>>(), names);
    }
}

#[test]
fn b08_a_binding_ends_when_its_timeout_is_over_and_no_sooner() {
    const WINDOW: Duration = Duration::from_secs(3);
    let mut shop = shop();
    shop.serve(cart().sticky(3));
    let chosen = shop.once();
    wait::pass(WINDOW.checked_sub(TOLERANCE).unwrap());
    assert_eq!(shop.once(), chosen);
    wait::pass(WINDOW + TOLERANCE);
    assert_ne!(shop.once(), chosen);
}

#[test]
fn b08_every_use_restarts_the_timeout() {
    let mut shop = shop();
    shop.serve(cart().sticky(3));
    let chosen = shop.once();
    // For three timeouts, with a use at least every two seconds.
    for _ in 0..6 {
        wait::pass(Duration::from_millis(1_500));
        assert_eq!(shop.once(), chosen);
    }
}

#[test]
fn b08_affinity_is_switched_on_and_off() {
    let mut shop = shop();
    for _ in 0..2 {
        shop.serve(cart());
        // Both versions have eight servers; only the answers differ.
        settled("spread", &NAMES.len(), || {
            shop.clients[0].tcp(TO).times(1_000).answers.len()
        });
        shop.serve(cart().sticky(600));
        settled("affinity", &1, || {
            shop.clients[0].tcp(TO).times(1_000).answers.len()
        });
        let chosen = shop.once();
        assert_eq!(shop.once(), chosen);
    }
}

#[test]
fn b08_each_client_of_a_removed_endpoint_moves_to_exactly_one_other() {
    let mut shop = shop();
    shop.serve(cart().sticky(600));
    let chosen = shop.once();
    let gone = chosen[0].clone();
    let left: Vec<_> = shop
        .servers
        .iter()
        .filter(|server| server.name() != gone)
        .collect();
    shop.node.write(
        "cart.yaml",
        cart().sticky(600).endpoints(left.iter().copied()),
    );
    shop.node.wait_until_served("shop/cart", &left);
    let mut after = Vec::new();
    for (client, before) in shop.clients.iter_mut().zip(&chosen) {
        let now = only(client, 1_000);
        assert!(
            now != gone && (now == *before || *before == gone),
            "{before} became {now}"
        );
        after.push(now);
    }
    // No connect fails, and no client returns when the endpoint comes back.
    shop.serve(cart().sticky(600));
    assert_eq!(shop.once(), after);
}

#[test]
fn b08_affinity_outlives_the_agent() {
    let mut shop = shop();
    shop.serve(cart().sticky(600));
    let chosen = shop.once();
    shop.node.kill_agent();
    assert_eq!(shop.once(), chosen);
    shop.node.start_agent();
    assert_eq!(shop.once(), chosen);
}

#[test]
fn b08_a_client_may_be_a_cgroup() {
    let node = Node::start();
    let servers = NAMES.map(|name| node.server(name));
    let cart = cart().with("affinity: {client: cgroup, timeoutSeconds: 600}");
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    expect_cgroups_to_be_clients(&node);
}

#[test]
fn b08_a_kubernetes_service_asks_for_affinity_and_may_choose_the_client_identity() {
    let node = Node::start();
    let servers = NAMES.map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let cart = cart.spec("sessionAffinity", "ClientIP".into());
    let cart = cart.spec(
        "sessionAffinityConfig",
        json!({"clientIP": {"timeoutSeconds": 600}}),
    );
    let slices = servers.each_ref().map(|server| {
        let slice =
            slice("shop/cart", server.name()).serves("http", "TCP", server.address().port());
        slice.endpoint(server, &json!({"ready": true}))
    });
    node.write("cart.json", list([&cart].into_iter().chain(&slices)));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let chosen = only(&mut node.client(), 1_000);
    for client in &mut in_cgroups(&node) {
        assert_eq!(only(client, 100), chosen, "one namespace is one client");
    }

    let by_cgroup = cart.annotation("mesh-agent.io/affinity-client", "cgroup");
    node.write("cart.json", list([&by_cgroup].into_iter().chain(&slices)));
    wait::until("cgroups to be clients", mesh_tests::node::SETTLE, || {
        in_cgroups(&node)
            .iter_mut()
            .map(|client| only(client, 1))
            .collect::<BTreeSet<_>>()
            .len()
            > 1
    });
    expect_cgroups_to_be_clients(&node);
}

/// Clients in one network namespace, each in its own cgroup.
fn in_cgroups(node: &Node) -> Vec<Client> {
    let child = || Place {
        cgroup: Arc::new(node.place().cgroup.child()),
        netns: Arc::clone(&node.place().netns),
    };
    (0..8).map(|_| Client::start(&child())).collect()
}

fn expect_cgroups_to_be_clients(node: &Node) {
    let mut clients = in_cgroups(node);
    let chosen: Vec<_> = clients.iter_mut().map(|client| only(client, 200)).collect();
    assert!(
        chosen.iter().collect::<BTreeSet<_>>().len() > 1,
        "eight cgroups, one endpoint: {chosen:?}"
    );
}
