//! Ports, their protocols and their names: behaviour 5.

use mesh_tests::{
    Node, Object,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice},
};
use serde_json::json;

use super::{UNREACHABLE, expect_tcp, expect_udp, settled};

fn ready() -> serde_json::Value {
    json!({"ready": true})
}

fn ends(server: &mesh_tests::Server, port: &str, protocol: &str) -> Object {
    slice("shop/cart", server.name())
        .serves(port, protocol, server.address().port())
        .endpoint(server, &ready())
}

#[test]
fn b05_the_same_port_over_tcp_and_udp_is_two_services() {
    let node = Node::start();
    let [tcp, udp] = ["tcp", "udp"].map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]);
    let both = cart
        .clone()
        .port("over-tcp", 53, "TCP")
        .port("over-udp", 53, "UDP");
    let [of_tcp, of_udp] = [ends(&tcp, "over-tcp", "TCP"), ends(&udp, "over-udp", "UDP")];
    node.write("cart.json", list([&both, &of_tcp, &of_udp]));
    let mut client = node.client();
    expect_tcp(&mut client, "10.96.0.10:53", "tcp");
    expect_udp(&mut client, "10.96.0.10:53", "udp");

    // One port is removed, the other stays.
    node.write(
        "cart.json",
        list([&cart.port("over-tcp", 53, "TCP"), &of_tcp, &of_udp]),
    );
    settled("UDP to be untouched", &counts([(UNREACHABLE, 1)]), || {
        client.udp("10.96.0.10:53").once().errors
    });
    expect_tcp(&mut client, "10.96.0.10:53", "tcp");
}

#[test]
fn b05_several_ports_lead_to_their_own_target_ports_also_after_edits() {
    let node = Node::start();
    let [web, admin] = ["web", "admin"].map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]);
    let slices = [ends(&web, "web", "TCP"), ends(&admin, "admin", "TCP")];
    let write = |cart: &Object| node.write("cart.json", list([cart, &slices[0], &slices[1]]));
    let mut client = node.client();

    write(&cart.clone().port("web", 80, "TCP").port("admin", 81, "TCP"));
    expect_tcp(&mut client, "10.96.0.10:80", "web");
    expect_tcp(&mut client, "10.96.0.10:81", "admin");

    // The two numbers are swapped.
    write(&cart.clone().port("web", 81, "TCP").port("admin", 80, "TCP"));
    expect_tcp(&mut client, "10.96.0.10:80", "admin");
    expect_tcp(&mut client, "10.96.0.10:81", "web");

    // One number changes, and the old number belongs to no service.
    write(&cart.port("web", 8080, "TCP").port("admin", 80, "TCP"));
    expect_tcp(&mut client, "10.96.0.10:8080", "web");
    expect_tcp(&mut client, "10.96.0.10:80", "admin");
    assert_eq!(
        client.tcp("10.96.0.10:81").once().errors,
        counts([(UNREACHABLE, 1)])
    );
}

#[test]
fn b05_a_named_target_port_may_have_another_number_for_every_endpoint() {
    let node = Node::start();
    // Each server has its own port.
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("web", 80, "TCP");
    let slices = servers.each_ref().map(|server| ends(server, "web", "TCP"));
    node.write(
        "cart.json",
        list([&cart, &slices[0], &slices[1], &slices[2]]),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    let report = node.client().tcp("10.96.0.10:80").times(1_000);
    assert_eq!(
        (report.errors, report.answers.len()),
        (counts([]), 3),
        "{:?}",
        report.answers
    );
}
