//! Variants of connect: non-blocking, io_uring, Fast Open, MPTCP, reconnects, bound and passed
//! sockets.

use std::{fs, net::SocketAddr, sync::Arc};

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Server,
    client::{Act, SocketId, Transport},
    place::Place,
    service,
};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
const EMPTY: &str = "10.96.0.11:80";
const MAPPED: &str = "[::ffff:10.96.0.10]:80";

/// A node with two services: one with a server, and one without endpoints.
fn shop() -> (Node, Server) {
    let node = Node::start();
    let a = serve(&node);
    (node, a)
}

fn serve(node: &Node) -> Server {
    let a = node.echo_server("a");
    node.write(
        "empty.yaml",
        service("shop/empty").address("10.96.0.11").tcp(80),
    );
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .udp(53)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    node.wait_until_served("shop/empty", &[]);
    a
}

fn address(literal: &str) -> SocketAddr {
    literal
        .parse()
        .unwrap_or_else(|error| panic!("{literal}: {error}"))
}

/// Expects the server to answer on a connected TCP socket, and the peer to be the service.
fn expect_served(client: &mut Client, socket: SocketId, to: &str) {
    assert_eq!(
        client.receive(socket).map(|heard| heard.name),
        Ok("a".into()),
        "{to}"
    );
    assert_eq!(client.peer(socket), Ok(address(to)));
}

/// Checks that a variant is served at the service and refused at the empty one, for IPv4 and mapped
/// addresses.
fn expect_variant(act: impl Fn(SocketAddr) -> Act) {
    let (node, _a) = shop();
    let mut client = node.client();
    for (bind, to) in [("0.0.0.0:0", TCP), ("[::]:0", MAPPED)] {
        let socket = client.tcp_socket(bind);
        assert_eq!(client.act(socket, act(address(to))), Ok(()), "{to}");
        expect_served(&mut client, socket, to);
    }
    let socket = client.tcp_socket("0.0.0.0:0");
    assert_eq!(
        client.act(socket, act(address(EMPTY))),
        Err("ECONNREFUSED".into())
    );
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::Connects],
        2
    );
    assert_eq!(
        node.port_of("shop/empty", 80, "TCP").counters[Counter::RefusedNoBackend],
        1
    );
}

#[test]
fn a_non_blocking_connect_is_served() {
    expect_variant(Act::ConnectNonBlocking);
}

#[test]
fn a_connect_by_io_uring_is_served() {
    expect_variant(Act::ConnectByRing);
}

/// Enables Fast Open without cookies on both sides in the node's namespace.
fn allow_fast_open(node: &Node) {
    let all = 0x1 | 0x2 | 0x4 | 0x200 | 0x400;
    node.place()
        .netns
        .run(|| fs::write("/proc/sys/net/ipv4/tcp_fastopen", all.to_string()))
        .expect("root may");
}

#[test]
fn a_fast_open_connect_is_served() {
    let (node, _a) = shop();
    allow_fast_open(&node);
    let mut client = node.client();
    for (bind, to) in [("0.0.0.0:0", TCP), ("[::]:0", MAPPED)] {
        let socket = client.tcp_socket(bind);
        // The connect succeeds before a packet is sent; the first data goes with the SYN.
        assert_eq!(
            client.act(socket, Act::ConnectFastOpen(address(to))),
            Ok(())
        );
        client.send(socket).unwrap();
        expect_served(&mut client, socket, to);
    }
    let socket = client.tcp_socket("0.0.0.0:0");
    let refused = client.act(socket, Act::ConnectFastOpen(address(EMPTY)));
    assert_eq!(refused, Err("ECONNREFUSED".into()));
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::Connects],
        2
    );
}

#[test]
fn a_first_send_with_fast_open_is_served() {
    let (node, _a) = shop();
    allow_fast_open(&node);
    let mut client = node.client();
    for (bind, to) in [("0.0.0.0:0", TCP), ("[::]:0", MAPPED)] {
        let socket = client.tcp_socket(bind);
        assert_eq!(client.act(socket, Act::SendFastOpen(address(to))), Ok(()));
        expect_served(&mut client, socket, to);
    }
    let socket = client.tcp_socket("0.0.0.0:0");
    assert_eq!(
        client.act(socket, Act::SendFastOpen(address(EMPTY))),
        Err("ECONNREFUSED".into())
    );
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::Connects],
        2
    );
}

/// The connect hook runs for the subflow. The `getpeername` hook runs for the socket of the program,
/// which has no record, so it shows the endpoint.
#[test]
fn a_multipath_connect_is_served_and_shows_the_endpoint() {
    let (node, a) = shop();
    let mut client = node.client();
    match client.try_socket(Transport::Mptcp, "0.0.0.0:0") {
        Ok(socket) => {
            assert_eq!(client.connect(socket, TCP), Ok(()));
            assert_eq!(
                client.receive(socket).map(|heard| heard.name),
                Ok("a".into())
            );
            assert_eq!(client.peer(socket), Ok(a.address()));
            assert_eq!(
                node.port_of("shop/cart", 80, "TCP").counters[Counter::Connects],
                1
            );
            let socket = client.socket(Transport::Mptcp, "0.0.0.0:0");
            assert_eq!(client.connect(socket, EMPTY), Err("ECONNREFUSED".into()));
        }
        // The kernel may have no MPTCP.
        Err(errno) => assert!(
            ["EPROTONOSUPPORT", "ENOPROTOOPT"].contains(&errno.as_str()),
            "{errno}"
        ),
    }
}

#[test]
fn a_udp_socket_that_connects_again_is_served_again() {
    let (node, _a) = shop();
    let other = node.server("other");
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:0");
    for _ in 0..3 {
        client.connect(socket, UDP).unwrap();
        assert_eq!(client.name_of_peer(socket), Ok("a".into()));
        assert_eq!(client.peer(socket), Ok(address(UDP)));
        client
            .connect(socket, &other.address().to_string())
            .unwrap();
        assert_eq!(client.name_of_peer(socket), Ok("other".into()));
        assert_eq!(client.peer(socket), Ok(other.address()));
    }
    assert_eq!(
        node.port_of("shop/cart", 53, "UDP").counters[Counter::Connects],
        3
    );
}

/// No hook runs for a disconnect; the kernel drops the peer.
#[test]
fn a_disconnected_udp_socket_has_no_peer_and_may_connect_again() {
    let (node, _a) = shop();
    let other = node.server("other");
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:0");
    for _ in 0..3 {
        client.connect(socket, UDP).unwrap();
        assert_eq!(client.name_of_peer(socket), Ok("a".into()));
        assert_eq!(client.disconnect(socket), Ok(()));
        assert_eq!(client.peer(socket), Err("ENOTCONN".into()));
        assert_eq!(client.send(socket), Err("EDESTADDRREQ".into()));
        let heard = client.ask_at(socket, &other.address().to_string()).unwrap();
        assert_eq!(
            (heard.name.as_str(), heard.from),
            ("other", Some(other.address()))
        );
    }
}

#[test]
fn a_disconnected_tcp_socket_may_connect_to_another_service() {
    let (node, a) = shop();
    let b = node.echo_server("b");
    node.write(
        "b.yaml",
        service("shop/b").address("10.96.0.12").tcp(80).endpoint(&b),
    );
    node.wait_until_served("shop/b", &[&b]);
    let mut client = node.client();
    let socket = client.tcp_socket("0.0.0.0:0");
    for (to, name) in [(TCP, "a"), ("10.96.0.12:80", "b")] {
        client.connect(socket, to).unwrap();
        assert_eq!(
            client.receive(socket).map(|heard| heard.name),
            Ok(name.into())
        );
        assert_eq!(client.peer(socket), Ok(address(to)));
        assert_eq!(client.disconnect(socket), Ok(()));
    }
    client.connect(socket, &a.address().to_string()).unwrap();
    assert_eq!(client.peer(socket), Ok(a.address()));
}

#[test]
fn a_bound_source_address_is_kept() {
    let (node, a) = shop();
    let mut client = node.client();
    let tcp = client.tcp_socket("127.0.0.5:0");
    client.connect(tcp, TCP).unwrap();
    expect_served(&mut client, tcp, TCP);
    let udp = client.udp_socket("127.0.0.6:5000");
    client.connect(udp, UDP).unwrap();
    assert_eq!(client.name_of_peer(udp), Ok("a".into()));
    assert_eq!(client.local(udp), Ok("127.0.0.6:5000".parse().unwrap()));
    assert_eq!(
        a.clients(),
        ["127.0.0.5", "127.0.0.6"]
            .map(|ip| ip.parse().unwrap())
            .into()
    );
}

#[test]
fn a_bound_source_address_is_kept_by_unconnected_sends() {
    let (node, a) = shop();
    let mut client = node.client();
    let socket = client.udp_socket("127.0.0.7:5000");
    assert_eq!(client.name_at(socket, UDP), Ok("a".into()));
    assert_eq!(a.clients(), ["127.0.0.7".parse().unwrap()].into());
}

/// Programs are attached to the cgroup, so they also run for sockets that were made before.
#[test]
fn a_socket_older_than_the_agent_is_served_when_it_connects() {
    let mut node = Node::setup().prepare();
    let mut client = node.client();
    let [tcp, udp] = [
        client.tcp_socket("0.0.0.0:0"),
        client.udp_socket("0.0.0.0:5000"),
    ];
    node.start_agent();
    let _a = serve(&node);
    client.connect(tcp, TCP).unwrap();
    expect_served(&mut client, tcp, TCP);
    client.connect(udp, UDP).unwrap();
    assert_eq!(client.name_of_peer(udp), Ok("a".into()));
    assert_eq!(client.peer(udp), Ok(address(UDP)));
}

#[test]
fn an_unconnected_socket_older_than_the_agent_is_served_when_it_sends() {
    let mut node = Node::setup().prepare();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    assert_eq!(client.send_to(socket, UDP), Err("ENETUNREACH".into()));
    node.start_agent();
    let _a = serve(&node);
    let heard = client.ask_at(socket, UDP).unwrap();
    assert_eq!((heard.name.as_str(), heard.from), ("a", Some(address(UDP))));
}

#[test]
fn a_connection_older_than_the_agent_is_left_alone() {
    let mut node = Node::setup().prepare();
    let direct = node.echo_server("direct");
    let mut client = node.client();
    let to = direct.address().to_string();
    assert_eq!(client.open_streams(&to, 10).total_answers(), 10);
    let udp = client.udp_socket("0.0.0.0:0");
    client.connect(udp, &to).unwrap();
    node.start_agent();
    // Its endpoint becomes part of a service, and then of none.
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("closeStaleTcp: true");
    node.write("cart.yaml", cart.clone().endpoint(&direct));
    node.wait_until_served("shop/cart", &[&direct]);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &[]);
    assert_eq!(client.beat().total_answers(), 10);
    assert_eq!(client.name_of_peer(udp), Ok("direct".into()));
    assert_eq!(client.peer(udp), Ok(direct.address()));
}

/// A process of the node and one outside of its cgroup, in the same network namespace.
fn inside_and_outside(node: &Node) -> (Client, Client) {
    let outside = Place {
        netns: Arc::clone(&node.place().netns),
        ..Place::default()
    };
    (node.client(), Client::start(&outside))
}

fn passed(node: &Node, from: &mut Client, socket: SocketId, to: &mut Client) -> SocketId {
    let path = node.scratch().join(format!("pass-{}", socket.0));
    to.take_from(&path, || {
        from.act(socket, Act::Pass(path.clone()))
            .expect("the other process waits for the socket");
    })
}

/// The cgroup in which a socket was created counts, not the process that uses it.
#[test]
fn a_socket_passed_to_a_process_outside_is_still_served() {
    let (node, _a) = shop();
    let (mut inside, mut outside) = inside_and_outside(&node);
    let [tcp, udp] = [
        inside.tcp_socket("0.0.0.0:0"),
        inside.udp_socket("0.0.0.0:0"),
    ];
    let [tcp, udp] = [tcp, udp].map(|socket| passed(&node, &mut inside, socket, &mut outside));
    outside.connect(tcp, TCP).unwrap();
    expect_served(&mut outside, tcp, TCP);
    outside.connect(udp, UDP).unwrap();
    assert_eq!(outside.name_of_peer(udp), Ok("a".into()));
}

#[test]
fn a_socket_from_outside_is_not_served_in_any_process() {
    let (node, _a) = shop();
    let (mut inside, mut outside) = inside_and_outside(&node);
    let socket = outside.tcp_socket("0.0.0.0:0");
    let socket = passed(&node, &mut outside, socket, &mut inside);
    assert_eq!(inside.connect(socket, TCP), Err("ENETUNREACH".into()));
}

#[test]
fn a_connected_socket_shows_the_service_to_a_process_that_receives_it() {
    let (node, _a) = shop();
    let (mut inside, mut outside) = inside_and_outside(&node);
    let socket = inside.udp_socket("0.0.0.0:0");
    inside.connect(socket, UDP).unwrap();
    let taken = passed(&node, &mut inside, socket, &mut outside);
    assert_eq!(outside.name_of_peer(taken), Ok("a".into()));
    assert_eq!(outside.peer(taken), Ok(address(UDP)));
}
