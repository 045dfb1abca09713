//! Distribution of connects, each counted once: behaviour 7.

use mesh_common::counter::Counter;
use mesh_core::api::types::ServiceCounters;
use mesh_tests::{Node, Server, client::protocol::counts, service};
use statrs::distribution::{ChiSquared, ContinuousCDF};

const CONNECTS: u32 = 10_000;

#[test]
fn b07_weighted_endpoints_get_their_share_and_every_connect_is_counted_once() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let weights = [1, 2, 7];
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write(
        "cart.yaml",
        servers
            .iter()
            .zip(weights)
            .fold(cart, |cart, (server, weight)| cart.weighted(server, weight)),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());

    let report = node.client().tcp("10.96.0.10:80").times(CONNECTS);

    assert_eq!(report.errors, counts([]));
    assert_eq!(
        report.peers,
        [("10.96.0.10:80".parse().unwrap(), CONNECTS.into())].into()
    );
    let answers = servers.each_ref().map(|server| report.answers_of(server));
    let p = likelihood(answers, weights);
    assert!(p > 0.001, "{answers:?} for weights {weights:?}: p = {p}");
    assert_eq!(servers.each_ref().map(Server::tcp), answers);
    let port = node.port("shop/cart");
    let mut expected = ServiceCounters::default();
    expected[Counter::Connects] = CONNECTS.into();
    assert_eq!(port.counters, expected);
    assert_eq!(
        servers.each_ref().map(|server| counted(&port, server)),
        answers
    );
}

#[test]
fn b07_equal_endpoints_share_udp_equally() {
    let node = Node::start();
    let servers = ["a", "b", "c", "d"].map(|name| node.server(name));
    node.write(
        "dns.yaml",
        service("shop/dns")
            .address("10.96.0.10")
            .udp(53)
            .endpoints(&servers),
    );
    node.wait_until_served("shop/dns", &servers.each_ref());

    let report = node.client().udp("10.96.0.10:53").times(CONNECTS);

    assert_eq!(report.errors, counts([]));
    let answers = servers.each_ref().map(|server| report.answers_of(server));
    let p = likelihood(answers, [1; 4]);
    assert!(p > 0.001, "{answers:?}: p = {p}");
    assert_eq!(
        servers
            .each_ref()
            .map(|server| counted(&node.port("shop/dns"), server)),
        answers
    );
}

#[test]
fn b07_an_endpoint_of_weight_zero_gets_nothing() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .weighted(&a, 0)
            .weighted(&b, 1),
    );
    node.wait_until_served("shop/cart", &[&b]);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(1_000).answers,
        counts([("b", 1_000)])
    );
}

fn counted(port: &mesh_core::api::types::ServicePort, server: &Server) -> u64 {
    let mut rows = port
        .endpoints
        .iter()
        .filter(|row| row.endpoint == server.address().to_string());
    rows.next()
        .unwrap_or_else(|| panic!("{} is no endpoint of {port:?}", server.name()))
        .connects
}

/// Pearson's chi-square test: the probability of counts at least this far from the weights, if the
/// weights are obeyed.
fn likelihood<const N: usize>(observed: [u64; N], weights: [u32; N]) -> f64 {
    let total = observed.iter().sum::<u64>() as f64;
    let weight = f64::from(weights.iter().sum::<u32>());
    let expected = weights.map(|share| total * f64::from(share) / weight);
    let distances = observed
        .iter()
        .zip(expected)
        .map(|(&count, expected)| (count as f64 - expected).powi(2) / expected);
    ChiSquared::new((N - 1) as f64)
        .expect("more than one endpoint")
        .sf(distances.sum())
}

#[test]
fn the_chi_square_test_tells_obeyed_weights_from_ignored_ones() {
    assert!((likelihood([1_000, 2_000, 7_000], [1, 2, 7]) - 1.0).abs() < 1e-9);
    // Distance 1 + 1 of two degrees of freedom: e^-1.
    assert!((likelihood([110, 90, 100], [1, 1, 1]) - (-1.0_f64).exp()).abs() < 1e-9);
    assert!(likelihood([1_200, 1_900, 6_900], [1, 2, 7]) < 0.001);
}

#[test]
fn b07_unconnected_sockets_share_equally_and_every_endpoint_is_hit() {
    const SOCKETS: u64 = 2_000;
    let node = Node::start();
    let servers = ["a", "b", "c", "d"].map(|name| node.server(name));
    node.write(
        "dns.yaml",
        service("shop/dns")
            .address("10.96.0.10")
            .udp(53)
            .endpoints(&servers),
    );
    node.wait_until_served("shop/dns", &servers.each_ref());
    let mut client = node.client();
    for _ in 0..SOCKETS {
        let socket = client.udp_socket("0.0.0.0:0");
        client.ask_at(socket, "10.96.0.10:53").unwrap();
        client.close(socket);
    }
    let answers = servers.each_ref().map(Server::udp);
    assert_eq!(answers.iter().sum::<u64>(), SOCKETS);
    let p = likelihood(answers, [1; 4]);
    assert!(p > 0.001, "{answers:?}: p = {p}");
}
