//! `meshctl` against a running agent.

use mesh_agent::api::types;
use mesh_tests::{Node, manifest::document, node::PATIENCE, service, wait};
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
fn a_starting_agent_does_not_deny_services_that_it_has_not_loaded() {
    let mut node = Node::start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    let many = (0..5000).map(|number| {
        let address = format!("10.97.{}.{}", number / 250, number % 250 + 1);
        service(&format!("many/s{number}")).address(&address).tcp(80).endpoint(&a)
    });
    node.write("many.yaml", document(&many.collect::<Vec<_>>()));
    node.wait_until_served_within("many/s4999", &[&a], PATIENCE);
    node.stop_agent();
    node.launch_agent();
    let mut codes = Vec::new();
    wait::until("an answer", PATIENCE, || {
        let code = node.try_get("/v1/services/shop/cart").map(|answer| answer.code);
        codes.extend(code.as_ref().ok().copied());
        code.is_ok_and(|code| code == 200)
    });
    assert!(codes.iter().all(|code| [200, 503].contains(code)), "{codes:?}");
    node.stop_agent();
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || node.try_get("/v1/status").is_ok());
    node.meshctl("service get shop/cart").expect_success();
}

#[test]
fn explain_knows_where_session_affinity_binds_a_client() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).with("affinity: {}");
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let answers = node.client().tcp("10.96.0.10:80").times(5).answers;
    let bound = servers.iter().find(|server| answers.get(server.name()) == Some(&5)).expect("one answers all");
    // The agent and the client are in the node's namespace.
    let line = "explain 10.96.0.10:80 --from netns:/proc/self/ns/net";
    let explained: types::Explanation = ask(&node, line);
    let address = bound.address().to_string();
    let went: Vec<_> = explained.outcomes.iter().map(|it| it.endpoint.clone()).collect();
    assert_eq!(went, [Some(address.clone())]);
    assert!(
        explained.notes[0].starts_with(&format!("session affinity binds this client to {address}")),
        "{explained:?}"
    );
    let refused = node.meshctl("explain 10.96.0.10:80 --from netns:/no/such/namespace");
    assert!(refused.stderr.contains("No such file or directory"), "{refused:?}");
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
