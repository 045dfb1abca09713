//! `meshctl` against a running agent.

use mesh_agent::api::types;
use mesh_tests::{Node, service};
use serde::de::DeserializeOwned;

/// Asks for JSON with a command that must succeed.
fn ask<T: DeserializeOwned>(node: &Node, line: &str) -> T {
    let outcome = node.meshctl(&format!("-o json {line}")).expect_success();
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{line}: {outcome:#?}: {error}"))
}

#[test]
fn meshctl_shows_what_the_agent_knows() {
    let node = Node::start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    node.client().tcp("10.96.0.10:80").times(7);

    let cart = node.service("shop/cart");
    assert_eq!(cart.ports[0].counters.connects, 7);
    assert_eq!(ask::<types::Service>(&node, "service get shop/cart"), cart);
    assert_eq!(ask::<Vec<types::Service>>(&node, "service list"), [cart]);
    let status: types::Status = ask(&node, "status");
    assert_eq!((status.ready, status.hooks), (true, node.status().hooks));
    for line in ["backend list", "stats"] {
        ask::<serde_json::Value>(&node, line);
    }
}

#[test]
fn meshctl_ends_with_one_for_no_and_two_for_misuse() {
    let mut node = Node::start();
    assert_eq!(node.meshctl("service get shop/none").code, Some(1));
    assert_eq!(node.meshctl("service got").code, Some(2));
    node.write("wrong.yaml", "services: [");
    node.wait_for_errors(1);
    assert_eq!(node.meshctl("status").code, Some(1));
    node.stop_agent();
    assert_eq!(node.meshctl("status").code, Some(1));
}
