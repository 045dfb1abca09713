//! Changes in the services directory, and how soon they are live.

use std::time::{Duration, Instant};

use mesh_common::counter::Counter;
use mesh_tests::{Client, Manifest, Node, client::protocol::counts, node::SETTLE, service, wait};

/// A change is served within this time.
const SOON: Duration = Duration::from_millis(200);

/// Makes a change, and measures the time until a connect shows that it is live.
fn until_answered_by(client: &mut Client, name: &str, change: impl FnOnce()) -> Duration {
    let start = Instant::now();
    change();
    wait::until_equal(
        &format!("{name} to answer"),
        SETTLE,
        &counts([(name, 1)]),
        || client.tcp("10.96.0.10:80").once().answers,
    );
    start.elapsed()
}

fn until_error(client: &mut Client, error: &str, change: impl FnOnce()) -> Duration {
    let start = Instant::now();
    change();
    wait::until_equal(error, SETTLE, &counts([(error, 1)]), || {
        client.tcp("10.96.0.10:80").once().errors
    });
    start.elapsed()
}

/// Prints the slowest of several changes, and checks it.
fn expect_soon(what: &str, took: &[Duration]) {
    let slowest = took.iter().max().expect("some changes");
    println!(
        "{what}: {} changes, the slowest live after {slowest:?}",
        took.len()
    );
    assert!(*slowest <= SOON, "{what}: {took:?}");
}

/// Expects each of several edits of a file, made by `edit`, to be live soon.
fn expect_edits_to_be_live_soon(what: &str, edit: impl Fn(&Node, Manifest)) {
    let node = Node::setup().alone().start();
    let servers = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();
    let edits = servers.iter().cycle().take(20);
    let took: Vec<_> = edits
        .map(|server| {
            let edited = cart.clone().endpoint(server);
            until_answered_by(&mut client, server.name(), || edit(&node, edited))
        })
        .collect();
    expect_soon(what, &took);
}

#[test]
fn an_edited_file_is_live_within_200_milliseconds() {
    expect_edits_to_be_live_soon("edits", |node, cart| node.write("cart.yaml", cart));
}

#[test]
fn a_file_overwritten_in_place_is_live_within_200_milliseconds() {
    expect_edits_to_be_live_soon("overwrites", |node, cart| {
        node.overwrite("cart.yaml", cart.to_string());
    });
}

#[test]
fn an_added_file_serves_and_a_removed_one_lets_go_within_200_milliseconds() {
    let node = Node::setup().alone().start();
    let a = node.server("a");
    // Keeps the directory from being empty, which has its own meaning.
    node.write(
        "other.yaml",
        service("shop/other").address("10.96.0.99").tcp(80),
    );
    let mut client = node.client();
    let mut took = Vec::new();
    for _ in 0..10 {
        let cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a);
        took.push(until_answered_by(&mut client, "a", || {
            node.write("cart.yaml", cart);
        }));
        took.push(until_error(&mut client, "connect ENETUNREACH", || {
            node.remove("cart.yaml");
        }));
    }
    expect_soon("additions and removals", &took);
    assert_eq!(node.find_service("shop/cart"), None);
}

#[test]
fn a_renamed_file_never_stops_serving() {
    let node = Node::start();
    let a = node.server("a");
    node.write(
        "0.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    let mut client = node.client();
    let connecting = client.tcp("10.96.0.10:80").again_and_again();
    for number in 0..20 {
        let renamed = format!("{}.yaml", number + 1);
        node.rename(&format!("{number}.yaml"), &renamed);
        let origin = format!("{}:", node.file(&renamed).display());
        wait::until("the new origin", SETTLE, || {
            node.service("shop/cart").origin.starts_with(&origin)
        });
    }
    let report = connecting.stop();
    assert_eq!(report.errors, counts([]));
    assert_eq!(
        node.port("shop/cart").counters[Counter::Connects],
        report.total_answers()
    );
}

#[test]
fn an_exchanged_config_map_is_live_within_200_milliseconds() {
    let node = Node::setup().alone().start();
    let servers = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();
    let took: Vec<_> = (0..20)
        .map(|version| {
            let server = &servers[version % 2];
            let edited = cart.clone().endpoint(server);
            until_answered_by(&mut client, server.name(), || {
                node.write_config_map(&format!("version-{version}"), "cart.yaml", edited);
            })
        })
        .collect();
    expect_soon("exchanged config maps", &took);
}

#[test]
fn a_directory_emptied_by_mistake_keeps_serving() {
    let node = Node::start();
    let _server = node.serve_cart();
    node.remove("cart.yaml");
    wait::until("the agent to say so", SETTLE, || !node.status().ready);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(100).answers,
        counts([("a", 100)])
    );
}
