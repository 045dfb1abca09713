//! An endpoint that refuses connects is ejected, with and without an agent.

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Manifest, Node, Server,
    client::{Crowd, Protocol, protocol::counts},
    service,
};

use super::{KernelState, REFUSED, VIP};

/// Long enough that no endpoint is tried again during a test.
const LONG: &str = "baseEjection: 60s, maxEjection: 60s";

/// A node with `N` servers whose service has these settings of ejection.
fn shop<const N: usize>(outlier: &str) -> (Node, [Server; N], KernelState) {
    let node = Node::start();
    let servers = std::array::from_fn(|number| node.server(&format!("{number}")));
    node.write("cart.yaml", cart(outlier).endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    (node, servers, known)
}

fn cart(outlier: &str) -> Manifest {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(&format!("outlier: {{{outlier}}}"))
}

/// Connects until this number of connects has failed.
fn fail(client: &mut Client, known: &KernelState, times: u64) {
    let enough = known.counter(Counter::Failures) + times;
    for _ in 0..1_000 {
        if known.counter(Counter::Failures) == enough {
            return;
        }
        client.tcp(VIP).once();
    }
    panic!("fewer than {times} of a thousand connects failed");
}

fn expect_few_failures(end: impl Fn(&mut Node)) {
    let (mut node, servers, known) = shop::<3>(LONG);
    let [gone, _, _] = servers.each_ref().map(Server::address);
    let mut client = node.client();
    end(&mut node);
    let [server, _one, _two] = servers;
    drop(server);
    let report = client.tcp(VIP).times(200);
    assert_eq!(
        (report.total_answers(), report.errors),
        (197, counts([(REFUSED, 3)]))
    );
    let counted = [Counter::Failures, Counter::Ejections, Counter::Trials]
        .map(|counter| known.counter(counter));
    assert_eq!(counted, [3, 1, 0]);
    assert_eq!(known.ejected(), 1);
    assert!(known.records_of(gone)[0].is_ejected());
    assert_eq!(client.tcp(VIP).times(500).errors, counts([]));
    known.expect_rest(700);
}

#[test]
fn a_dead_endpoint_fails_only_as_many_connects_as_its_streak() {
    expect_few_failures(|_| {});
}

#[test]
fn a_dead_endpoint_is_ejected_without_an_agent() {
    expect_few_failures(Node::stop_agent);
    expect_few_failures(Node::kill_agent);
}

#[test]
fn concurrent_connects_do_not_exceed_the_streak() {
    let (node, servers, known) = shop::<3>(LONG);
    let [gone, _one, _two] = servers;
    let mut client = node.client();
    drop(gone);
    // The first failure starts probation. Connects that start before it are not bounded.
    fail(&mut client, &known, 1);
    let rush = client.rush(&Crowd {
        threads: 64,
        times: 5,
        to: vec![(Protocol::Tcp, VIP.parse().expect("a valid address"))],
    });
    let counted = [Counter::Failures, Counter::Ejections].map(|counter| known.counter(counter));
    assert_eq!((rush.errors, counted), (counts([(REFUSED, 2)]), [3, 1]));
    assert_eq!(rush.connected.iter().sum::<u64>(), 5 * 64 - 2);
}

#[test]
fn a_success_resets_the_streak() {
    let (node, servers, known) = shop::<2>(LONG);
    let [a, _b] = servers;
    let address = a.address();
    let mut client = node.client();
    drop(a);
    for _ in 0..3 {
        fail(&mut client, &known, 2);
        let again = node.server_again("again", address);
        while client.tcp(VIP).once().answers_of(&again) == 0 {}
        assert_eq!(known.records_of(address), []);
    }
    assert_eq!((known.ejected(), known.counter(Counter::Ejections)), (0, 0));
    fail(&mut client, &known, 3);
    assert_eq!((known.ejected(), known.counter(Counter::Ejections)), (1, 1));
}

#[test]
fn no_endpoint_is_ejected_if_ejection_is_disabled() {
    let (node, servers, known) = shop::<3>("enabled: false");
    let [gone, _one, _two] = servers;
    drop(gone);
    fail(&mut node.client(), &known, 30);
    assert_eq!((known.ejected(), known.counter(Counter::Ejections)), (0, 0));
}

#[test]
fn the_last_endpoint_is_never_ejected() {
    let (node, servers, known) = shop::<2>(LONG);
    drop(servers);
    let report = node.client().tcp(VIP).times(100);
    assert_eq!(report.errors, counts([(REFUSED, 100)]));
    // The connect reaches the endpoint, which refuses it.
    let refused = [
        Counter::RefusedNoBackend,
        Counter::RefusedLimit,
        Counter::RefusedBroken,
    ];
    assert_eq!(refused.map(|counter| known.counter(counter)), [0; 3]);
    assert_eq!((known.ejected(), known.counter(Counter::Ejections)), (1, 1));
    known.expect_rest(100);
    assert_eq!(known.counter(Counter::Failures), 100);
}

#[test]
fn no_more_than_max_ejected_percent_is_ejected() {
    let (node, servers, known) = shop::<4>(&format!("{LONG}, maxEjectedPercent: 50"));
    let [_left, dead @ ..] = servers;
    drop(dead);
    let mut client = node.client();
    fail(&mut client, &known, 60);
    assert_eq!((known.ejected(), known.counter(Counter::Ejections)), (2, 2));
}

#[test]
fn ejections_are_ignored_when_too_few_are_left() {
    let (node, servers, known) = shop::<4>(&format!("{LONG}, panicPercent: 50"));
    let [left, dead @ ..] = servers;
    drop(dead);
    let mut client = node.client();
    fail(&mut client, &known, 100);
    assert!(known.counter(Counter::Panics) > 0);
    // Without panic, only the remaining endpoint takes connects.
    node.write(
        "cart.yaml",
        cart(&format!("{LONG}, panicPercent: 0"))
            .endpoint(&left)
            .at("127.0.9.9:9".parse().expect("a valid address")),
    );
    let known = KernelState::when(&node, 2);
    let report = client.tcp(VIP).times(200);
    assert_eq!(report.errors, counts([(REFUSED, 3)]));
    assert_eq!(known.ejected(), 1);
}
