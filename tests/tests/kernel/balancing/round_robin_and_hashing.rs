//! Round robin and consistent hashing.

use std::collections::{BTreeMap, BTreeSet};

use mesh_tests::{
    Manifest, Node, Pod, Server,
    client::{Crowd, Protocol, protocol::counts},
    service,
};

use super::{REFUSED, VIP};

fn cart(policy: &str) -> Manifest {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(80)
        .with(&format!("balance: {policy}"))
}

fn serve(node: &Node, cart: Manifest, servers: &[&Server]) {
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", servers);
}

#[test]
fn round_robin_takes_turns() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    serve(
        &node,
        cart("roundRobin").endpoints(&servers),
        &servers.each_ref(),
    );
    let mut client = node.client();
    assert_eq!(
        client.tcp(VIP).times(300).answers,
        counts([("a", 100), ("b", 100), ("c", 100)])
    );
    // Several threads share one position in the cycle.
    let before = servers.each_ref().map(Server::tcp);
    client.crowd(&Crowd {
        threads: 4,
        times: 300,
        to: vec![(Protocol::Tcp, VIP.parse().expect("a valid address"))],
    });
    let after = servers.each_ref().map(Server::tcp);
    assert_eq!(
        [0, 1, 2].map(|server| after[server] - before[server]),
        [400; 3]
    );
}

#[test]
fn round_robin_follows_weights() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let [a, b, c] = &servers;
    serve(
        &node,
        cart("roundRobin")
            .weighted(a, 1)
            .weighted(b, 2)
            .weighted(c, 7),
        &servers.each_ref(),
    );
    let mut client = node.client();
    assert_eq!(
        client.tcp(VIP).times(1_000).answers,
        counts([("a", 100), ("b", 200), ("c", 700)])
    );
}

#[test]
fn a_namespace_hashes_to_one_endpoint_and_namespaces_spread() {
    let node = Node::start();
    let pods: Vec<_> = (1..=13).map(|number| Pod::start(&node, number)).collect();
    let servers = ["a", "b", "c", "d"].map(|name| pods[12].server(name));
    serve(
        &node,
        cart("consistentHash").endpoints(&servers),
        &servers.each_ref(),
    );
    let mut clients: Vec<_> = pods[..12].iter().map(Pod::client).collect();
    let mut chosen = Vec::new();
    for client in &mut clients {
        let report = client.tcp(VIP).times(100);
        assert_eq!(
            (report.answers.len(), report.total_answers()),
            (1, 100),
            "{report:?}"
        );
        chosen.extend(report.answers.into_keys());
    }
    // The probability that twelve clients hash to the same one of four endpoints is one in four
    // million.
    assert!(
        chosen.iter().collect::<BTreeSet<_>>().len() > 1,
        "{chosen:?}"
    );

    // Only clients of a removed endpoint move.
    let gone = chosen[0].clone();
    let left: Vec<_> = servers
        .iter()
        .filter(|server| server.name() != gone)
        .collect();
    serve(
        &node,
        cart("consistentHash").endpoints(left.iter().copied()),
        &left,
    );
    let mut moved = 0;
    for (client, before) in clients.iter_mut().zip(&chosen) {
        let after = client.tcp(VIP).times(10).answers;
        assert!(after.len() == 1 && !after.contains_key(&gone), "{after:?}");
        moved += u32::from(*before != gone && !after.contains_key(before));
    }
    assert!(
        moved <= 3,
        "{moved} of twelve clients moved from an endpoint that stayed"
    );
    // When it returns, its clients return to it.
    serve(
        &node,
        cart("consistentHash").endpoints(&servers),
        &servers.each_ref(),
    );
    for (client, before) in clients.iter_mut().zip(&chosen) {
        assert_eq!(client.tcp(VIP).times(10).answers, counts([(before, 10)]));
    }
}

#[test]
fn the_address_that_a_socket_is_bound_to_is_hashed() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let hash = cart("{policy: consistentHash, key: sourceAddress}");
    serve(&node, hash.endpoints(&servers), &servers.each_ref());
    let mut client = node.client();
    let mut chosen: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    for round in 0..3 {
        for source in 1..=60 {
            let socket = client.tcp_socket(&format!("127.0.0.{source}:0"));
            client.connect(socket, VIP).expect("the connect succeeds");
            chosen
                .entry(source)
                .or_default()
                .insert(client.receive(socket).expect("the server answers").name);
            client.reset(socket);
            let socket = client.udp_socket(&format!("127.0.0.{source}:0"));
            client.connect(socket, VIP).expect("the connect succeeds");
            client.close(socket);
        }
        assert!(
            chosen.values().all(|names| names.len() == 1),
            "round {round}: {chosen:?}"
        );
    }
    let mut spread: BTreeMap<&String, u32> = BTreeMap::new();
    chosen
        .values()
        .flatten()
        .for_each(|name| *spread.entry(name).or_default() += 1);
    // Sixty addresses over three endpoints: the standard deviation of each count is below four.
    assert!(
        spread.len() == 3 && spread.values().all(|count| (2..=38).contains(count)),
        "{spread:?}"
    );
    // A client without a bound address is identified by its namespace.
    assert_eq!(client.tcp(VIP).times(50).answers.len(), 1);
}

#[test]
fn clients_of_a_dead_endpoint_share_one_other() {
    let node = Node::start();
    let servers = ["a", "b", "c", "d"].map(|name| node.server(name));
    let cart = cart("consistentHash").with("outlier: {baseEjection: 60s, maxEjection: 60s}");
    serve(&node, cart.endpoints(&servers), &servers.each_ref());
    let mut client = node.client();
    let first = client
        .tcp(VIP)
        .once()
        .answers
        .into_keys()
        .next()
        .expect("the server answers");
    let (gone, left): (Vec<_>, Vec<_>) = servers
        .into_iter()
        .partition(|server| server.name() == first);
    drop(gone);
    let report = client.tcp(VIP).times(200);
    assert_eq!(report.errors, counts([(REFUSED, 3)]));
    assert_eq!(
        report.answers.len(),
        1,
        "{:?} of {} others",
        report.answers,
        left.len()
    );
}
