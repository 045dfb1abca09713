//! Frontends besides the cluster address: behaviour 9.

use mesh_tests::{
    Client, Node, Object, Pod, Server,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice},
};
use serde_json::json;

use super::{REFUSED, UNREACHABLE, expect_tcp, expect_tcp_error, expect_udp};

const NODE_PORT: u16 = 30_080;

/// A node with two pods, and a server in the second. Its agent started after the pods.
struct Site {
    // Dropped in this order: what runs in a pod ends before the pod is removed.
    clients: Vec<Client>,
    server: Server,
    pods: [Pod; 2],
    node: Node,
}

fn start_site() -> Site {
    let mut node = Node::setup()
        .flags("--external-cidr 192.0.2.0/24,203.0.113.0/24")
        .prepare();
    let pods = [1, 2].map(|number| Pod::start(&node, number));
    node.start_agent();
    let clients = vec![node.client(), pods[0].client(), pods[1].client()];
    Site {
        clients,
        server: pods[1].server("a"),
        pods,
        node,
    }
}

fn ends(server: &Server) -> Object {
    let slice = slice("shop/cart", server.name()).endpoint(server, &json!({"ready": true}));
    let port = server.address().port();
    let slice = slice.serves("http", "TCP", port).serves("dns", "UDP", port);
    if server.address().is_ipv6() {
        slice.set(&["addressType"], "IPv6".into())
    } else {
        slice
    }
}

fn plain() -> Object {
    cluster_ip("shop/cart", &["10.96.0.10"])
        .port("http", 80, "TCP")
        .port("dns", 53, "UDP")
}

fn with_node_ports(addresses: &[&str]) -> Object {
    let cart = cluster_ip("shop/cart", addresses).spec("type", "NodePort".into());
    cart.node_port("http", 80, "TCP", NODE_PORT)
        .node_port("dns", 53, "UDP", NODE_PORT)
}

/// Expects a frontend to answer all clients over both protocols. It is the peer address that they see.
fn expect_front(clients: &mut [Client], tcp: &str, udp: &str, server: &str) {
    for client in clients {
        expect_tcp(client, tcp, server);
        expect_udp(client, udp, server);
        let peers = client.tcp(tcp).times(10).peers;
        assert_eq!(peers, [(tcp.parse().expect("an address"), 10)].into());
    }
}

#[test]
fn b09_a_node_port_answers_node_and_pods_on_loopback_and_node_addresses() {
    let mut site = start_site();
    site.node.write(
        "cart.json",
        list([&with_node_ports(&["10.96.0.10"]), &ends(&site.server)]),
    );
    expect_front(&mut site.clients, "10.96.0.10:80", "10.96.0.10:53", "a");
    let own = site.pods.each_ref().map(|pod| pod.node_ip().to_string());
    for ip in [
        "127.0.0.1",
        own[0].as_str(),
        own[1].as_str(),
        "[::ffff:127.0.0.1]",
    ] {
        let front = format!("{ip}:{NODE_PORT}");
        expect_front(&mut site.clients, &front, &front, "a");
    }
}

#[test]
fn b09_a_node_port_answers_on_ipv6_too() {
    let mut site = start_site();
    let six = site.pods[1].server6("six");
    let dual =
        with_node_ports(&["10.96.0.10", "fd00:96::10"]).spec("ipFamilies", json!(["IPv4", "IPv6"]));
    site.node
        .write("cart.json", list([&dual, &ends(&site.server), &ends(&six)]));
    for ip in ["::1".to_owned(), site.pods[0].node_ip6().to_string()] {
        let front = format!("[{ip}]:{NODE_PORT}");
        expect_front(&mut site.clients, &front, &front, "six");
    }
}

#[test]
fn b09_an_unconnected_socket_reaches_a_node_port() {
    let mut site = start_site();
    site.node.write(
        "cart.json",
        list([&with_node_ports(&["10.96.0.10"]), &ends(&site.server)]),
    );
    expect_udp(&mut site.clients[0], "10.96.0.10:53", "a");
    for client in &mut site.clients {
        let socket = client.udp_socket("0.0.0.0:0");
        for ip in ["127.0.0.1".to_owned(), site.pods[0].node_ip().to_string()] {
            let front = format!("{ip}:{NODE_PORT}");
            let heard = client.ask_at(socket, &front).unwrap();
            assert_eq!(
                (heard.name.as_str(), heard.from),
                ("a", Some(front.parse().unwrap()))
            );
        }
    }
}

#[test]
fn b09_a_node_port_does_not_answer_at_other_addresses() {
    let mut site = start_site();
    site.node.write(
        "cart.json",
        list([&with_node_ports(&["10.96.0.10"]), &ends(&site.server)]),
    );
    expect_tcp(&mut site.clients[0], &format!("127.0.0.1:{NODE_PORT}"), "a");
    // A pod is not the node.
    assert_eq!(
        site.clients[0]
            .tcp(&format!("{}:{NODE_PORT}", site.pods[1].ip()))
            .once()
            .errors,
        counts([(REFUSED, 1)])
    );
    assert_eq!(
        site.clients[0]
            .tcp(&format!("192.0.2.1:{NODE_PORT}"))
            .once()
            .errors,
        counts([(UNREACHABLE, 1)])
    );
    // A cluster address is not the node either.
    let cluster_address = site.clients[0]
        .tcp(&format!("10.96.0.10:{NODE_PORT}"))
        .once();
    assert_eq!(cluster_address.errors, counts([(UNREACHABLE, 1)]));
}

#[test]
fn b09_external_and_load_balancer_addresses_answer_on_the_ports_of_the_service_only() {
    let mut site = start_site();
    let cart = plain()
        .spec("type", "LoadBalancer".into())
        .spec("externalIPs", json!(["192.0.2.10"]));
    let cart = cart.set(
        &["status", "loadBalancer"],
        json!({"ingress": [{"ip": "203.0.113.10"}]}),
    );
    site.node
        .write("cart.json", list([&cart, &ends(&site.server)]));
    for ip in ["10.96.0.10", "192.0.2.10", "203.0.113.10"] {
        expect_front(
            &mut site.clients,
            &format!("{ip}:80"),
            &format!("{ip}:53"),
            "a",
        );
        assert_eq!(
            site.clients[0].tcp(&format!("{ip}:81")).once().errors,
            counts([(UNREACHABLE, 1)])
        );
    }
    for neighbour in ["192.0.2.11:80", "203.0.113.11:80"] {
        assert_eq!(
            site.clients[0].tcp(neighbour).once().errors,
            counts([(UNREACHABLE, 1)])
        );
    }
}

#[test]
fn b09_traffic_to_a_load_balancer_in_proxy_mode_is_untouched() {
    let mut site = start_site();
    let cart = plain().spec("type", "LoadBalancer".into());
    let ingress = json!({"ingress": [{"ip": "203.0.113.10", "ipMode": "Proxy"}]});
    site.node.write(
        "cart.json",
        list([
            &cart.set(&["status", "loadBalancer"], ingress),
            &ends(&site.server),
        ]),
    );
    expect_tcp(&mut site.clients[0], "10.96.0.10:80", "a");
    assert_eq!(
        site.clients[0].tcp("203.0.113.10:80").once().errors,
        counts([(UNREACHABLE, 1)])
    );
}

#[test]
fn b09_a_frontend_without_endpoints_refuses() {
    let mut site = start_site();
    let cart = with_node_ports(&["10.96.0.10"]).spec("externalIPs", json!(["192.0.2.10"]));
    site.node.write("cart.json", list([&cart]));
    for front in ["192.0.2.10:80".to_owned(), format!("127.0.0.1:{NODE_PORT}")] {
        expect_tcp_error(&mut site.clients[0], &front, REFUSED);
    }
}

#[test]
fn b09_a_change_of_type_refuses_the_old_frontend() {
    let mut site = start_site();
    let front = format!("127.0.0.1:{NODE_PORT}");
    for _ in 0..3 {
        site.node.write(
            "cart.json",
            list([&with_node_ports(&["10.96.0.10"]), &ends(&site.server)]),
        );
        expect_tcp(&mut site.clients[0], &front, "a");
        site.node
            .write("cart.json", list([&plain(), &ends(&site.server)]));
        expect_tcp_error(&mut site.clients[0], &front, REFUSED);
        expect_tcp(&mut site.clients[0], "10.96.0.10:80", "a");
    }
    let outside = plain().spec("type", "LoadBalancer".into());
    let outside = outside.set(
        &["status", "loadBalancer"],
        json!({"ingress": [{"ip": "203.0.113.10"}]}),
    );
    site.node
        .write("cart.json", list([&outside, &ends(&site.server)]));
    expect_tcp(&mut site.clients[0], "203.0.113.10:80", "a");
    site.node
        .write("cart.json", list([&plain(), &ends(&site.server)]));
    expect_tcp_error(&mut site.clients[0], "203.0.113.10:80", UNREACHABLE);
}
