//! Endpoints of this node only: behaviour 3.

use mesh_tests::{
    Node,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice},
    service,
};

use super::{REFUSED, expect_tcp, expect_tcp_error, settled};

fn node_called_here() -> Node {
    Node::setup().flags("--node-name here").start()
}

#[test]
fn b03_a_local_service_never_leaks_to_another_node() {
    let node = node_called_here();
    let [near, far] = ["near", "far"].map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let cart = cart.spec("internalTrafficPolicy", "Local".into());
    let [of_near, of_far] = [(&near, "here"), (&far, "there")].map(|(server, place)| {
        slice("shop/cart", server.name())
            .serves("http", "TCP", server.address().port())
            .endpoint_on(server, place)
    });
    let mut client = node.client();

    node.write("cart.json", list([&cart, &of_near, &of_far]));
    settled(
        "connects to reach only the near endpoint",
        &counts([("near", 100)]),
        || client.tcp("10.96.0.10:80").times(100).answers,
    );
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).answers,
        counts([("near", 1_000)])
    );

    node.write("cart.json", list([&cart, &of_far]));
    expect_tcp_error(&mut client, "10.96.0.10:80", REFUSED);
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).errors,
        counts([(REFUSED, 1_000)])
    );
    assert_eq!(far.tcp(), 0);

    let everywhere = cart.spec("internalTrafficPolicy", "Cluster".into());
    node.write("cart.json", list([&everywhere, &of_far]));
    expect_tcp(&mut client, "10.96.0.10:80", "far");
}

#[test]
fn b03_a_native_service_can_be_local() {
    let node = node_called_here();
    let [near, far] = ["near", "far"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("internalTrafficPolicy: Local");
    node.write(
        "cart.yaml",
        cart.clone().on_node(&near, "here").on_node(&far, "there"),
    );
    node.wait_until_served("shop/cart", &[&near]);
    let mut client = node.client();
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).answers,
        counts([("near", 1_000)])
    );
    assert_eq!(
        client.udp("10.96.0.10:53").times(1_000).answers,
        counts([("near", 1_000)])
    );
    node.write("cart.yaml", cart.on_node(&far, "there"));
    node.wait_until_served("shop/cart", &[]);
    assert_eq!(
        client.tcp("10.96.0.10:80").times(1_000).errors,
        counts([(REFUSED, 1_000)])
    );
    assert_eq!((far.tcp(), far.udp()), (0, 0));
}
