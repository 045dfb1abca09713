//! Ejection by agreement of clients, which one client alone cannot cause.

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Server, client::protocol::counts, node::PATIENCE, server::Manner, service, wait,
};

use super::while_attacked;
use crate::balancing::KernelState;

const VIP: &str = "10.96.0.10:80";
const REFUSED: &str = "connect ECONNREFUSED";

fn shop(outlier: &str) -> (Node, [Server; 3], KernelState) {
    let node = Node::start();
    let servers = std::array::from_fn(|number| node.server(&format!("{number}")));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("balance: random");
    node.write(
        "cart.yaml",
        cart.with(&format!("outlier: {{{outlier}}}"))
            .endpoints(&servers),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    (node, servers, known)
}

/// Connects until this client has ejected the dead endpoint: after `consecutiveFailures` failures.
fn expect_streak(client: &mut Client, failures: u64) {
    assert_eq!(
        client.tcp(VIP).times(200).errors,
        counts([(REFUSED, failures)])
    );
}

fn expect_agreement(end: impl Fn(&mut Node)) {
    let (mut node, servers, known) = shop("baseEjection: 60s, maxEjection: 60s");
    let [one, two, three] = ["one", "two", "three"].map(|name| node.place().below(name));
    let [mut first, mut second, mut third] = [&one, &two, &three].map(Client::start);
    end(&mut node);
    let [dead, _left, _other] = servers;
    drop(dead);
    expect_streak(&mut first, 3);
    assert_eq!(
        (known.agreed(), known.counter(Counter::Ejections)),
        (0, 1),
        "one client ejects only for itself"
    );
    expect_streak(&mut second, 3);
    assert_eq!(
        (known.agreed(), known.counter(Counter::Ejections)),
        (1, 3),
        "each client ejects it for itself, and both together for all"
    );
    assert_eq!(
        third.tcp(VIP).times(500).errors,
        counts([]),
        "the third client never meets the dead endpoint"
    );
    assert_eq!(known.counter(Counter::Failures), 6);
}

#[test]
fn two_clients_that_meet_a_dead_endpoint_eject_it_for_a_third() {
    expect_agreement(|_| {});
}

#[test]
fn clients_agree_without_an_agent() {
    expect_agreement(Node::kill_agent);
}

/// Each client has its own trials, with pauses that double, independently of other clients.
#[test]
fn success_in_a_namespace_of_its_own_revives_no_endpoint_for_others() {
    let (node, servers, known) = shop("baseEjection: 200ms, maxEjection: 10s");
    let addresses = servers.each_ref().map(Server::address);
    let [one, two, three] = ["one", "two", "three"].map(|name| node.place().below(name));
    let attacker = node.place().child();
    let _own =
        addresses.map(|address| Server::start_at(Manner::Closes, &attacker.netns, "own", address));
    let [mut first, mut second, mut third] = [&one, &two, &three].map(Client::start);
    let [dead, _left, _other] = servers;
    drop(dead);
    for client in [&mut first, &mut second] {
        client.tcp(VIP).times(200);
    }
    let mut lucky = Client::start(&attacker);
    let successes = lucky.tcp(VIP).again_and_again();
    let mut failed = 0;
    let reports = while_attacked(vec![successes], || {
        let report = third.tcp(VIP).times(500);
        failed += report.errors.values().sum::<u64>();
        assert_eq!(
            report.answers.len(),
            2,
            "no healthy endpoint is ejected: {report:?}"
        );
    });
    assert_eq!(reports[0].errors, counts([]));
    assert!(
        failed <= 9,
        "{failed} failures: the streak, then one after each pause"
    );
    assert_eq!(known.counter(Counter::RefusedNoBackend), 0);
}

/// Two clients whose network is broken agree on an endpoint that works.
#[test]
fn a_passing_health_check_lifts_an_ejection() {
    let allow = "--health-check-allowed-networks 127.0.0.0/8 --health-check-min-interval 100ms";
    let node = Node::setup().flags(allow).start();
    let servers: [Server; 4] = std::array::from_fn(|number| node.server(&format!("{number}")));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("balance: random");
    let cart = cart
        .with("outlier: {baseEjection: 60s, maxEjection: 60s}")
        .endpoints(&servers);
    node.write("cart.yaml", cart.clone());
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    for place in [node.place().child(), node.place().child()] {
        Client::start(&place).tcp(VIP).times(200);
    }
    let agreed = known.agreed();
    assert!(
        (1..=2).contains(&agreed),
        "half of the tier at most, not {agreed} of 4"
    );
    let mut victim = Client::start(&node.place().below("victim"));
    let report = victim.tcp(VIP).times(200);
    assert_eq!(
        (report.errors, report.answers.len()),
        (counts([]), 4 - agreed),
        "ejected endpoints get no connects"
    );
    node.write("cart.yaml", cart.with("health: {tcp: {}, interval: 300ms}"));
    wait::until_equal("agreements", PATIENCE, &0, || known.agreed());
    let report = victim.tcp(VIP).times(400);
    assert_eq!((report.errors, report.answers.len()), (counts([]), 4));
}

/// A client in the node's namespace proves that the endpoint is reachable again.
#[test]
fn an_endpoint_that_works_again_serves_all() {
    let (node, servers, known) = shop("baseEjection: 1s, maxEjection: 1s");
    let [one, two, three] = ["one", "two", "three"].map(|name| node.place().below(name));
    let [mut first, mut second, mut third] = [&one, &two, &three].map(Client::start);
    let [dead, _left, _other] = servers;
    let address = dead.address();
    drop(dead);
    for client in [&mut first, &mut second] {
        client.tcp(VIP).times(200);
    }
    assert_eq!(known.agreed(), 1);
    let back = node.server_again("back", address);
    for client in [&mut third, &mut first, &mut second] {
        wait::until("the endpoint to serve", PATIENCE, || {
            client.tcp(VIP).once().answers_of(&back) == 1
        });
        let report = client.tcp(VIP).times(600);
        assert!(
            report.errors.is_empty() && report.answers_of(&back) > 100,
            "{report:?}"
        );
    }
    assert_eq!(known.agreed(), 0);
}
