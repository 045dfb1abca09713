//! Services that are left alone, and services without a selector: behaviour 11.

use mesh_tests::{
    Node, Object,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice_of},
};
use serde_json::json;

use super::{UNREACHABLE, expect_tcp, expect_tcp_error};

/// Expects a service with this change to be untouched. Another service in the same file is served, so
/// that the test can wait for it.
fn expect_untouched(change: impl FnOnce(Object) -> Object) {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let of = |service, server| slice_of(service, "http", server, &json!({"ready": true}));
    let plain = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let other = cluster_ip("shop/other", &["10.96.0.11"]).port("http", 80, "TCP");
    let mut client = node.client();
    node.write("shop.json", list([&plain, &of("shop/cart", &a)]));
    expect_tcp(&mut client, "10.96.0.10:80", "a");

    let changed = change(plain);
    node.write(
        "shop.json",
        list([
            &changed,
            &of("shop/cart", &a),
            &other,
            &of("shop/other", &b),
        ]),
    );
    expect_tcp(&mut client, "10.96.0.11:80", "b");
    assert_eq!(
        client.tcp("10.96.0.10:80").times(100).errors,
        counts([(UNREACHABLE, 100)])
    );
    assert_eq!(
        client.udp("10.96.0.10:80").times(100).errors,
        counts([(UNREACHABLE, 100)])
    );
    let direct = client.tcp(&a.address().to_string()).times(100);
    assert_eq!(
        (direct.answers, direct.peers),
        (counts([("a", 100)]), [(a.address(), 100)].into())
    );
    assert_eq!(node.status().errors, []);
}

#[test]
fn b11_a_headless_service_is_left_alone() {
    expect_untouched(|cart| {
        cart.spec("clusterIP", "None".into())
            .spec("clusterIPs", json!(["None"]))
    });
}

#[test]
fn b11_an_external_name_is_left_alone() {
    expect_untouched(|cart| {
        let cart = cart
            .spec("type", "ExternalName".into())
            .spec("externalName", "cart.example.com".into());
        cart.spec("clusterIP", json!(null))
            .spec("clusterIPs", json!(null))
    });
}

#[test]
fn b11_a_service_labelled_headless_is_left_alone() {
    expect_untouched(|cart| cart.label("service.kubernetes.io/headless", ""));
}

#[test]
fn b11_a_service_of_another_proxy_is_left_alone() {
    expect_untouched(|cart| cart.label("service.kubernetes.io/service-proxy-name", "another"));
}

#[test]
fn b11_a_service_without_selector_is_served_by_the_slices_made_by_hand() {
    let node = Node::start();
    let a = node.server("a");
    // No selector is written in any of these services; the slice is as an operator would write it.
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let by_hand =
        slice_of("shop/cart", "http", &a, &json!({})).set(&["metadata", "name"], "by-hand".into());
    let mut client = node.client();
    node.write("cart.json", list([&cart]));
    expect_tcp_error(&mut client, "10.96.0.10:80", "connect ECONNREFUSED");
    node.write("by-hand.json", list([&by_hand]));
    expect_tcp(&mut client, "10.96.0.10:80", "a");
    node.remove("by-hand.json");
    expect_tcp_error(&mut client, "10.96.0.10:80", "connect ECONNREFUSED");
}
