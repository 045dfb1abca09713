//! Slow start of new endpoints.

use std::time::Duration;

use mesh_tests::{ConnectReport, Node, service, wait};

fn share(report: &ConnectReport, name: &str) -> f64 {
    report.answers.get(name).copied().unwrap_or_default() as f64 / report.total_answers() as f64
}

#[test]
fn the_share_of_a_new_endpoint_grows_in_steps() {
    let node = Node::start();
    let (old, new) = (node.server("old"), node.server("new"));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("slowStart: {alpha: 0.1, tick: 500ms}");
    node.write("cart.yaml", cart.clone().endpoint(&old));
    node.wait_until_served("shop/cart", &[&old]);
    // Waits until the first endpoint has its full weight.
    wait::pass(Duration::from_secs(1));
    node.write("cart.yaml", cart.endpoints([&old, &new]));
    node.wait_until_served("shop/cart", &[&old, &new]);
    let first = share(&node.client().tcp("10.96.0.10:80").times(500), "new");
    wait::pass(Duration::from_secs(10));
    let later = share(&node.client().tcp("10.96.0.10:80").times(500), "new");
    assert!(
        first < 0.33 && later > 0.38,
        "the new endpoint gets {first} connects at first, {later} later"
    );
}
