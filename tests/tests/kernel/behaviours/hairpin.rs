//! Hairpin connects, of a pod to itself: behaviour 10.

use mesh_tests::{Node, Pod, client::protocol::counts, service};

#[test]
fn b10_a_pod_reaches_itself_through_its_service_under_its_own_address() {
    let node = Node::start();
    let pod = Pod::start(&node, 1);
    let server = pod.server("self");
    node.write(
        "self.yaml",
        service("shop/self")
            .address("10.96.0.10")
            .tcp(80)
            .udp(53)
            .endpoint(&server),
    );
    node.wait_until_served("shop/self", &[&server]);
    let mut client = pod.client();
    assert_eq!(
        client.tcp("10.96.0.10:80").times(100).answers,
        counts([("self", 100)])
    );
    assert_eq!(
        client.udp("10.96.0.10:53").times(100).answers,
        counts([("self", 100)])
    );
    assert_eq!(server.clients(), [pod.ip()].into());
}

#[test]
fn b10_a_pod_reaches_itself_with_an_unconnected_socket() {
    let node = Node::start();
    let pod = Pod::start(&node, 1);
    let server = pod.server("self");
    node.write(
        "self.yaml",
        service("shop/self")
            .address("10.96.0.10")
            .udp(53)
            .endpoint(&server),
    );
    node.wait_until_served("shop/self", &[&server]);
    let mut client = pod.client();
    let socket = client.udp_socket("0.0.0.0:0");
    for _ in 0..100 {
        assert_eq!(client.name_at(socket, "10.96.0.10:53"), Ok("self".into()));
    }
    assert_eq!(server.clients(), [pod.ip()].into());
}
