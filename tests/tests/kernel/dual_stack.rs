//! IPv4, IPv6 and the mixture; and what `getpeername` shows.

use std::net::SocketAddr;

use mesh_tests::{Node, Server, client::protocol::counts, service};

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
    let (node, ..) = dual_stack();
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
    let (node, four, _six) = dual_stack();
    let other = node.server("other");
    let service = address("10.96.0.10:53");
    // The last but one is the endpoint itself: the same packets as before, another name.
    let walk = [service, other.address(), service, four.address(), service];
    let steps = node.client().walk(&walk);
    let shown: Vec<_> = steps.iter().map(|step| step.peer.clone()).collect();
    assert_eq!(shown, walk.map(Ok));
    let heard: Vec<_> = steps.into_iter().map(|step| step.answer).collect();
    assert_eq!(heard, ["four", "other", "four", "four", "four"].map(|name| Ok(name.into())));
}

#[test]
fn one_ipv6_udp_socket_walks_through_both_families() {
    let (node, four, six) = dual_stack();
    let mapped = address(&format!("[::ffff:{}]:{}", four.address().ip(), four.address().port()));
    let walk = [address("[fd00:96::10]:53"), six.address(), address("[::ffff:10.96.0.10]:53"), mapped];
    let steps = node.client().walk(&walk);
    let seen: Vec<_> = steps.into_iter().map(|step| (step.peer, step.answer)).collect();
    let expected = walk.into_iter().zip(["six", "six", "four", "four"]);
    assert_eq!(seen, expected.map(|(peer, name)| (Ok(peer), Ok(name.into()))).collect::<Vec<_>>());
}
