//! The log of the kernel programs, in an agent that was built with the feature `kernel-log`.

use mesh_tests::{Node, binary, node::SETTLE, service, wait};

#[test]
fn answers_of_the_programs_are_in_the_log_with_service_and_backend_by_name() {
    let mut node = Node::setup().prepare();
    node.next_agent(&binary::find("mesh-agent-kernel-log"), "--log debug");
    node.start_agent();
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();

    node.write("cart.yaml", &cart);
    node.wait_until_served("shop/cart", &[]);
    client.tcp("10.96.0.10:80").once();
    wait_for(&node, "connect refused service=\"shop/cart:tcp-80/TCP\"");

    node.write("cart.yaml", cart.endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    client.tcp("10.96.0.10:80").once();
    let endpoint = a.address();
    wait_for(
        &node,
        &format!("connect answered service=\"shop/cart:tcp-80/TCP\" endpoint={endpoint}"),
    );
}

fn wait_for(node: &Node, line: &str) {
    wait::until(&format!("`{line}` in the log"), SETTLE, || {
        node.log().contains(line)
    });
}
