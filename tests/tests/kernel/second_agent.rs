//! Two agents for one pin directory.

use std::time::Duration;

use mesh_tests::{
    Node,
    client::protocol::counts,
    node::{Directories, PATIENCE},
    outcome::Outcome,
    pinned, service,
};

#[test]
fn a_second_agent_gives_up_within_a_second_and_touches_nothing() {
    let node = Node::start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let state = || (node.status().hooks, pinned::pins(&node.directories().pins), node.services());
    let before = state();

    let [services, second_state] = ["second-services", "second-state"].map(|name| node.scratch().join(name));
    std::fs::create_dir(&services).unwrap();
    let second = Directories {
        services,
        state: second_state,
        socket: node.scratch().join("second.sock"),
        ..node.directories().clone()
    };
    let outcome = Outcome::of(&mut node.mesh_agent(second.run()), PATIENCE);

    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.took <= Duration::from_secs(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(outcome.stderr.contains(node.directories().pins.to_str().unwrap()), "{outcome:#?}");
    assert_eq!(state(), before);
    assert_eq!(node.client().tcp("10.96.0.10:80").times(10).answers, counts([("a", 10)]));
}

#[test]
fn agents_of_different_pin_directories_do_not_meet() {
    let nodes = [Node::start(), Node::start()];
    for (node, name) in nodes.iter().zip(["a", "b"]) {
        let server = node.server(name);
        node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&server));
        node.wait_until_served("shop/cart", &[&server]);
        assert_eq!(node.client().tcp("10.96.0.10:80").times(10).answers, counts([(name, 10)]));
        assert_eq!(node.port("shop/cart").counters.connects, 10);
    }
}
