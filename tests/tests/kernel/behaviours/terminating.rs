//! Terminating endpoints: behaviour 4.

use mesh_tests::{
    Node,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice_of},
};
use serde_json::json;

#[test]
fn b04_terminating_endpoints_serve_only_while_none_is_ready() {
    let node = Node::start();
    let [a, b, gone] = ["a", "b", "gone"].map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let of = |server, conditions| slice_of("shop/cart", "http", server, &conditions);
    let leaving = of(
        &a,
        json!({"ready": false, "serving": true, "terminating": true}),
    );
    let left = of(
        &gone,
        json!({"ready": false, "serving": false, "terminating": true}),
    );
    let mut client = node.client();

    node.write("cart.json", list([&cart, &leaving, &left]));
    node.wait_until_served("shop/cart", &[&a]);
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).answers,
        counts([("a", 1_000)])
    );

    node.write("more.json", list([&of(&b, json!({"ready": true}))]));
    node.wait_until_served("shop/cart", &[&b]);
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).answers,
        counts([("b", 1_000)])
    );

    node.remove("more.json");
    node.wait_until_served("shop/cart", &[&a]);
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).answers,
        counts([("a", 1_000)])
    );
    assert_eq!(gone.tcp(), 0);
}

#[test]
fn b04_open_connections_to_a_terminating_endpoint_stay_open() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.echo_server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let of = |server, conditions| slice_of("shop/cart", "http", server, &conditions);
    node.write("cart.json", list([&cart, &of(&a, json!({"ready": true}))]));
    node.wait_until_served("shop/cart", &[&a]);
    let mut client = node.client();
    assert_eq!(
        client.open_streams("10.96.0.10:80", 100).answers,
        counts([("a", 100)])
    );
    let leaving = of(
        &a,
        json!({"ready": false, "serving": true, "terminating": true}),
    );
    node.write(
        "cart.json",
        list([&cart, &leaving, &of(&b, json!({"ready": true}))]),
    );
    node.wait_until_served("shop/cart", &[&b]);
    for _ in 0..10 {
        let report = client.beat();
        assert_eq!(
            (report.errors, report.answers),
            (counts([]), counts([("a", 100)]))
        );
    }
}
