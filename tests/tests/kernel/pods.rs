//! Clients and endpoints in pods.

use mesh_common::counter::Counter;
use mesh_tests::{Node, Pod, client::protocol::counts, service};

#[test]
fn a_pod_reaches_another_through_a_service_under_its_own_address() {
    let node = Node::start();
    let [one, two] = [1, 2].map(|number| Pod::start(&node, number));
    let (four, six) = (two.server("four"), two.server6("six"));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .address("fd00:96::10")
        .tcp(80)
        .udp(53);
    node.write("cart.yaml", cart.endpoint(&four).endpoint(&six));
    node.wait_until_served("shop/cart", &[&four, &six]);

    let mut client = one.client();
    for (ip, server) in [("10.96.0.10", &four), ("[fd00:96::10]", &six)] {
        for report in [
            client.tcp(&format!("{ip}:80")).times(100),
            client.udp(&format!("{ip}:53")).times(100),
        ] {
            assert_eq!(report.errors, counts([]));
            assert_eq!(report.answers, counts([(server.name(), 100)]));
        }
    }
    assert_eq!(four.clients(), [one.ip()].into());
    assert_eq!(six.clients(), [one.ip6()].into());
}

#[test]
fn node_and_pods_see_the_same_service() {
    let node = Node::start();
    let pods = [1, 2].map(|number| Pod::start(&node, number));
    let servers = [pods[0].server("one"), pods[1].server("two")];
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoints(&servers),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    for mut client in [node.client(), pods[0].client(), pods[1].client()] {
        let report = client.tcp("10.96.0.10:80").times(200);
        assert_eq!(
            (report.errors, report.answers.len()),
            (counts([]), 2),
            "{:?}",
            report.answers
        );
    }
    assert_eq!(node.port("shop/cart").counters[Counter::Connects], 600);
}
