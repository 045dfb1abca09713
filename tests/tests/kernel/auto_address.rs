//! Addresses that the agent allocates from its pools (`address: auto`).

use mesh_tests::{Node, client::protocol::counts, service};

fn address_of(node: &Node, name: &str) -> String {
    let [address] = <[_; 1]>::try_from(node.service(name).addresses).expect("one address");
    address
}

#[test]
fn an_automatic_address_comes_from_the_pool_and_outlives_agent_and_reboot() {
    let mut node = Node::setup().flags("--vip-pool 10.97.0.0/24").start();
    let a = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart").address("auto").tcp(80).endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    let address = address_of(&node, "shop/cart");
    assert!(address.starts_with("10.97.0."), "{address}");
    let mut client = node.client();
    let mut expect_served = |node: &Node| {
        assert_eq!(address_of(node, "shop/cart"), address);
        assert_eq!(
            client.tcp(&format!("{address}:80")).times(10).answers,
            counts([("a", 10)])
        );
    };
    expect_served(&node);

    node.kill_agent();
    node.start_agent();
    expect_served(&node);

    node.stop_agent();
    node.forget_pins();
    // Another service that sorts first would get the address if addresses were allocated anew.
    node.write("a.yaml", service("a/a").address("auto").tcp(80));
    node.start_agent();
    expect_served(&node);
    assert_ne!(address_of(&node, "a/a"), address);
}

#[test]
fn automatic_addresses_avoid_configured_ones() {
    let node = Node::setup().flags("--vip-pool 10.97.0.0/30").start();
    let fixed = ["10.97.0.0", "10.97.0.1", "10.97.0.3"];
    let fixed = fixed
        .iter()
        .fold(service("shop/fixed").tcp(80), |service, address| {
            service.address(address)
        });
    node.write("fixed.yaml", fixed);
    node.wait_until_served("shop/fixed", &[]);
    node.write("cart.yaml", service("shop/cart").address("auto").tcp(80));
    node.wait_until_served("shop/cart", &[]);
    assert_eq!(address_of(&node, "shop/cart"), "10.97.0.2");
}
