//! IPv4, IPv6 and IPv4-mapped addresses, and the addresses that `getpeername` and `recvfrom` show:
//! behaviour 12.

use std::net::{IpAddr, SocketAddr};

use mesh_common::counter::Counter;
use mesh_tests::{
    Node, Server,
    client::{Act, Heard, Step, protocol::counts},
    service,
};

/// A node with a service of both families and both protocols, and the server of each family.
fn dual_stack() -> (Node, Server, Server) {
    let node = Node::start();
    let (four, six) = (node.server("four"), node.server6("six"));
    let both = service("shop/both")
        .address("10.96.0.10")
        .address("fd00:96::10")
        .tcp(80)
        .udp(53);
    node.write("both.yaml", both.endpoint(&four).endpoint(&six));
    node.wait_until_served("shop/both", &[&four, &six]);
    (node, four, six)
}

fn address(literal: &str) -> SocketAddr {
    literal
        .parse()
        .unwrap_or_else(|error| panic!("{literal}: {error}"))
}

#[test]
fn b12_each_family_has_its_own_endpoints_and_getpeername_shows_the_service() {
    let (node, _four, _six) = dual_stack();
    let mut client = node.client();
    for (ip, server) in [
        ("10.96.0.10", "four"),
        ("[fd00:96::10]", "six"),
        ("[::ffff:10.96.0.10]", "four"),
    ] {
        let (tcp, udp) = (format!("{ip}:80"), format!("{ip}:53"));
        for (report, to) in [
            (client.tcp(&tcp).times(100), tcp),
            (client.udp(&udp).times(100), udp),
        ] {
            assert_eq!(report.errors, counts([]), "{to}");
            assert_eq!(report.answers, counts([(server, 100)]), "{to}");
            assert_eq!(report.peers, [(address(&to), 100)].into());
        }
    }
    for (port, protocol) in [(80, "TCP"), (53, "UDP")] {
        assert_eq!(
            node.port_of("shop/both", port, protocol).counters[Counter::Connects],
            300
        );
    }
}

#[test]
fn b12_a_udp_socket_connected_elsewhere_shows_its_real_peer() {
    let (node, _four, _six) = dual_stack();
    let other = node.server("other");
    let service = address("10.96.0.10:53");
    let walk = [service, other.address(), service];
    let expected = walk.into_iter().zip(["four", "other", "four"]);
    assert_eq!(
        node.client().walk(&walk),
        expected.map(step).collect::<Vec<_>>()
    );
}

#[test]
fn b12_a_udp_socket_connected_to_a_mapped_service_and_elsewhere_shows_its_real_peer() {
    let (node, _four, _six) = dual_stack();
    let other = node.server("other");
    let service = address("[::ffff:10.96.0.10]:53");
    let walk = [service, mapped(other.address()), service];
    let expected = walk.into_iter().zip(["four", "other", "four"]);
    assert_eq!(
        node.client().walk(&walk),
        expected.map(step).collect::<Vec<_>>()
    );
}

#[test]
fn b12_a_udp_socket_connected_to_the_endpoint_itself_shows_the_endpoint() {
    let (node, four, _six) = dual_stack();
    let walk = [address("10.96.0.10:53"), four.address()];
    let expected = walk.into_iter().zip(["four", "four"]);
    assert_eq!(
        node.client().walk(&walk),
        expected.map(step).collect::<Vec<_>>()
    );
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => (ip.to_ipv6_mapped(), address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

fn step((peer, name): (SocketAddr, &str)) -> Step {
    Step {
        peer: Ok(peer),
        answer: Ok(name.into()),
    }
}

#[test]
fn b12_recvfrom_shows_the_service_address_in_the_family_of_the_socket() {
    let (node, _four, _six) = dual_stack();
    let mut client = node.client();
    for (bind, to, server) in [
        ("0.0.0.0:0", "10.96.0.10:53", "four"),
        ("[::]:0", "[fd00:96::10]:53", "six"),
        ("[::]:0", "[::ffff:10.96.0.10]:53", "four"),
    ] {
        let socket = client.udp_socket(bind);
        for _ in 0..100 {
            assert_eq!(
                client.ask_at(socket, to),
                Ok(Heard {
                    name: server.into(),
                    from: Some(address(to))
                })
            );
        }
        let connected = client.udp_socket(bind);
        client.connect(connected, to).unwrap();
        client.send(connected).unwrap();
        assert_eq!(
            client.receive(connected),
            Ok(Heard {
                name: server.into(),
                from: Some(address(to))
            })
        );
    }
}

#[test]
fn b12_a_socket_that_sends_to_the_endpoint_itself_sees_the_endpoint() {
    let (node, four, _six) = dual_stack();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:0");
    let direct = four.address().to_string();
    assert_eq!(
        client.ask_at(socket, &direct),
        Ok(Heard {
            name: "four".into(),
            from: Some(four.address())
        })
    );
}

#[test]
fn b12_sendmmsg_is_translated_for_every_message() {
    let node = Node::start();
    let names = ["a", "b", "c"];
    let servers = names.map(|name| node.server(name));
    let to = ["10.96.0.10:53", "10.96.0.11:53", "10.96.0.12:53"];
    let services = names
        .iter()
        .zip(&servers)
        .zip(to)
        .map(|((name, server), to)| {
            service(&format!("shop/{name}"))
                .address(to.trim_end_matches(":53"))
                .udp(53)
                .endpoint(server)
        });
    node.write(
        "shop.yaml",
        mesh_tests::manifest::document(&services.collect::<Vec<_>>()),
    );
    for (name, server) in names.iter().zip(&servers) {
        node.wait_until_served(&format!("shop/{name}"), &[server]);
    }
    let direct = node.server("direct");
    let mut client = node.client();
    for (bind, mapped_too) in [("0.0.0.0:0", false), ("[::]:0", true)] {
        let socket = client.udp_socket(bind);
        let shown = |address: SocketAddr| if mapped_too { mapped(address) } else { address };
        let mut messages: Vec<_> = to.iter().map(|to| shown(address(to))).collect();
        messages.push(shown(direct.address()));
        client.act(socket, Act::SendMany(messages.clone())).unwrap();
        let mut heard: Vec<_> = messages
            .iter()
            .map(|_| client.receive(socket).unwrap())
            .collect();
        heard.sort_unstable();
        let names = names.into_iter().chain(["direct"]);
        let expected = names.zip(messages).map(|(name, from)| Heard {
            name: name.into(),
            from: Some(from),
        });
        assert_eq!(heard, expected.collect::<Vec<_>>());
    }
}

#[test]
fn b12_two_services_of_one_endpoint_are_told_apart_on_one_socket() {
    let node = Node::start();
    let a = node.server("a");
    let services = ["10.96.0.10", "10.96.0.11"].map(|ip| {
        service(&format!("shop/s{}", ip.replace('.', "-")))
            .address(ip)
            .udp(53)
            .endpoint(&a)
    });
    node.write("shop.yaml", mesh_tests::manifest::document(&services));
    node.wait_until_served("shop/s10-96-0-10", &[&a]);
    node.wait_until_served("shop/s10-96-0-11", &[&a]);
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:0");
    let direct = a.address().to_string();
    for to in ["10.96.0.10:53", "10.96.0.11:53", &direct]
        .into_iter()
        .cycle()
        .take(30)
    {
        assert_eq!(
            client.ask_at(socket, to),
            Ok(Heard {
                name: "a".into(),
                from: Some(address(to))
            }),
            "{to}"
        );
    }
}
