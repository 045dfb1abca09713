//! IPv4, IPv6 and the mixture; and what `getpeername` shows.

use std::net::{IpAddr, SocketAddr};

use mesh_tests::{
    Node, Server,
    client::{Step, protocol::counts},
    service,
};

/// A node with a service of both families and both protocols, and the server of each family.
fn dual_stack() -> (Node, Server, Server) {
    let node = Node::start();
    let (four, six) = (node.server("four"), node.server6("six"));
    let both = service("shop/both").address("10.96.0.10").address("fd00:96::10").tcp(80).udp(53);
    node.write("both.yaml", both.endpoint(&four).endpoint(&six));
    node.wait_until_served("shop/both", &[&four, &six]);
    (node, four, six)
}

fn address(literal: &str) -> SocketAddr {
    literal.parse().unwrap_or_else(|error| panic!("{literal}: {error}"))
}

#[test]
fn each_family_is_served_by_its_own_and_getpeername_shows_the_service() {
    let (node, _four, _six) = dual_stack();
    let mut client = node.client();
    for (ip, server) in [("10.96.0.10", "four"), ("[fd00:96::10]", "six"), ("[::ffff:10.96.0.10]", "four")] {
        let (tcp, udp) = (format!("{ip}:80"), format!("{ip}:53"));
        for (report, to) in [(client.tcp(&tcp).times(100), tcp), (client.udp(&udp).times(100), udp)] {
            assert_eq!(report.errors, counts([]), "{to}");
            assert_eq!(report.answers, counts([(server, 100)]), "{to}");
            assert_eq!(report.peers, [(address(&to), 100)].into());
        }
    }
    for (port, protocol) in [(80, "TCP"), (53, "UDP")] {
        assert_eq!(node.port_of("shop/both", port, protocol).counters.connects, 300);
    }
}

#[test]
fn a_udp_socket_connected_elsewhere_shows_its_real_peer() {
    let (node, _four, _six) = dual_stack();
    let other = node.server("other");
    let service = address("10.96.0.10:53");
    let walk = [service, other.address(), service];
    let expected = walk.into_iter().zip(["four", "other", "four"]);
    assert_eq!(node.client().walk(&walk), expected.map(step).collect::<Vec<_>>());
}

#[test]
fn a_udp_socket_connected_to_a_mapped_service_and_elsewhere_shows_its_real_peer() {
    let (node, _four, _six) = dual_stack();
    let other = node.server("other");
    let service = address("[::ffff:10.96.0.10]:53");
    let walk = [service, mapped(other.address()), service];
    let expected = walk.into_iter().zip(["four", "other", "four"]);
    assert_eq!(node.client().walk(&walk), expected.map(step).collect::<Vec<_>>());
}

#[test]
fn a_udp_socket_connected_to_the_endpoint_itself_shows_the_endpoint() {
    let (node, four, _six) = dual_stack();
    let walk = [address("10.96.0.10:53"), four.address()];
    let expected = walk.into_iter().zip(["four", "four"]);
    assert_eq!(node.client().walk(&walk), expected.map(step).collect::<Vec<_>>());
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => (ip.to_ipv6_mapped(), address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

fn step((peer, name): (SocketAddr, &str)) -> Step {
    Step { peer: Ok(peer), answer: Ok(name.into()) }
}
