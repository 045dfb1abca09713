//! Long TCP streams when their endpoint is removed: behaviour 13.

use std::time::{Duration, Instant};

use mesh_tests::{
    Manifest, Node, Pod, Server,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice_of},
    service, wait,
};
use serde_json::json;

use super::Counts;

const STREAMS: u32 = 1_000;
const BEATS: usize = 10;

/// Longest time from the edit until the last stream is closed.
const CLOSED: Duration = Duration::from_secs(2);

fn cart() -> Manifest {
    service("shop/cart").address("10.96.0.10").tcp(80)
}

fn two_echo_servers() -> (Node, [Server; 2]) {
    let node = Node::start();
    let servers = ["a", "b"].map(|name| node.echo_server(name));
    (node, servers)
}

#[test]
fn b13_a_thousand_streams_outlive_the_removal_of_their_endpoint() {
    let (mut node, [a, b]) = two_echo_servers();
    node.write("cart.yaml", cart().endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let mut client = node.client();
    let opened = client.open_streams("10.96.0.10:80", STREAMS);
    assert_eq!(
        (&opened.errors, opened.total_answers()),
        (&counts([]), STREAMS.into())
    );
    assert_eq!(
        opened.peers,
        [("10.96.0.10:80".parse().unwrap(), STREAMS.into())].into()
    );

    let mut expect_all = || {
        for _ in 0..BEATS {
            let beat = client.beat();
            assert_eq!((beat.errors, &beat.answers), (counts([]), &opened.answers));
        }
    };
    expect_all();
    node.write("cart.yaml", cart().endpoint(&b));
    node.wait_until_served("shop/cart", &[&b]);
    expect_all();
    node.kill_agent();
    expect_all();
    node.start_agent();
    node.write("cart.yaml", cart());
    node.wait_until_served("shop/cart", &[]);
    expect_all();
    // Removing the whole service does not affect them either.
    node.write(
        "other.yaml",
        service("shop/other").address("10.96.0.11").tcp(80),
    );
    node.remove("cart.yaml");
    node.wait_until_gone("shop/cart");
    expect_all();
}

/// Expects only the streams of these servers to be left, each once per beat.
fn expect_left(client: &mut mesh_tests::Client, left: &Counts) {
    for _ in 0..BEATS {
        let beat = client.beat();
        assert_eq!((beat.errors, &beat.answers), (counts([]), left));
    }
}

/// Beats until no stream of `server` is left, and returns how they ended.
fn ends(client: &mut mesh_tests::Client, server: &Server) -> Counts {
    let mut errors = Counts::new();
    wait::until(
        &format!("streams of {} to be closed", server.name()),
        CLOSED,
        || {
            let beat = client.beat();
            let left = beat.answers_of(server);
            for (error, count) in beat.errors {
                *errors.entry(error).or_default() += count;
            }
            left == 0
        },
    );
    errors
}

#[test]
fn b13_streams_are_closed_exactly_where_the_service_asks_for_it() {
    let node = Node::start();
    let [one, two] = [1, 2].map(|number| Pod::start(&node, number));
    let [a, b] = ["a", "b"].map(|name| two.echo_server(name));
    let closing = cart().with("closeStaleTcp: true");
    let patient = service("shop/patient").address("10.96.0.11").tcp(80);
    node.write("cart.yaml", closing.clone().endpoint(&a).endpoint(&b));
    node.write("patient.yaml", patient.clone().endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/cart", &[&a, &b]);
    node.wait_until_served("shop/patient", &[&a, &b]);

    let mut clients = [node.client(), one.client(), two.client()];
    let (mut direct, mut bystander) = (one.client(), one.client());
    let opened = clients
        .each_mut()
        .map(|client| client.open_streams("10.96.0.10:80", STREAMS / 3));
    assert_eq!(
        direct.open_streams(&a.address().to_string(), 50).answers,
        counts([("a", 50)])
    );
    let patients = bystander.open_streams("10.96.0.11:80", 50).answers;

    node.write("cart.yaml", closing.endpoint(&b));
    node.write("patient.yaml", patient.endpoint(&b));
    node.wait_until_served("shop/cart", &[&b]);
    for (client, opened) in clients.iter_mut().zip(opened) {
        let ended = ends(client, &a);
        assert_eq!(
            ended.values().sum::<u64>(),
            opened.answers_of(&a),
            "{ended:?}"
        );
        assert!(
            ended.keys().all(|error| error.ends_with(" ECONNABORTED")),
            "{ended:?}"
        );
        expect_left(client, &counts([("b", opened.answers_of(&b))]));
    }
    expect_left(&mut direct, &counts([("a", 50)]));
    expect_left(&mut bystander, &patients);
}

#[test]
fn b13_a_terminating_endpoint_keeps_its_streams_until_it_is_removed() {
    let (node, [a, b]) = two_echo_servers();
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let cart = cart.annotation("mesh-agent.io/close-stale-tcp", "true");
    let of = |server, conditions| slice_of("shop/cart", "http", server, &conditions);
    let ready = || json!({"ready": true});
    node.write(
        "cart.json",
        list([&cart, &of(&a, ready()), &of(&b, ready())]),
    );
    node.wait_until_served("shop/cart", &[&a, &b]);
    let mut client = node.client();
    let opened = client.open_streams("10.96.0.10:80", STREAMS);
    assert_eq!(opened.total_answers(), u64::from(STREAMS));

    let leaving = of(
        &a,
        json!({"ready": false, "serving": true, "terminating": true}),
    );
    node.write("cart.json", list([&cart, &leaving, &of(&b, ready())]));
    node.wait_until_served("shop/cart", &[&b]);
    expect_left(&mut client, &opened.answers);

    node.write("cart.json", list([&cart, &of(&b, ready())]));
    let ended = ends(&mut client, &a);
    assert_eq!(
        ended.values().sum::<u64>(),
        opened.answers_of(&a),
        "{ended:?}"
    );
    expect_left(&mut client, &counts([("b", opened.answers_of(&b))]));
}

#[test]
fn b13_a_drain_with_a_deadline_closes_streams_at_the_deadline_and_not_before() {
    let (node, [a, b]) = two_echo_servers();
    let cart = cart().with("drainSeconds: 4");
    node.write("cart.yaml", cart.clone().endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let mut client = node.client();
    let opened = client.open_streams("10.96.0.10:80", STREAMS);

    let left = Instant::now();
    node.write("cart.yaml", cart.endpoint(&b));
    node.wait_until_served("shop/cart", &[&b]);
    while left.elapsed() < Duration::from_secs(3) {
        expect_left(&mut client, &opened.answers);
    }
    let ended = ends(&mut client, &a);
    assert_eq!(
        ended.values().sum::<u64>(),
        opened.answers_of(&a),
        "{ended:?}"
    );
    assert!(
        left.elapsed() >= Duration::from_secs(4),
        "closed after {:?}",
        left.elapsed()
    );
    expect_left(&mut client, &counts([("b", opened.answers_of(&b))]));
}
