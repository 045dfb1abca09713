//! A TCP socket counts once for its backend, from its connect to its end, however it ends.

use std::fs;

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Manifest, Node, Server,
    client::{Act, SocketId},
    service,
};

use super::{KernelState, VIP};

pub(super) const TIMES: u64 = 2_000;

/// Three servers that keep connections open, behind a service without ejection.
pub(super) fn shop() -> (Node, [Server; 3], KernelState) {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    let known = serve(&node, cart().endpoints(&servers), &servers.each_ref());
    (node, servers, known)
}

pub(super) fn cart() -> Manifest {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("outlier: {enabled: false}")
}

pub(super) fn serve(node: &Node, cart: Manifest, servers: &[&Server]) -> KernelState {
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", servers);
    KernelState::of(node)
}

/// Runs `live` with `TIMES` sockets, one after the other; at the end none holds anything.
pub(super) fn expect_lives(
    known: &KernelState,
    client: &mut Client,
    live: impl Fn(&mut Client, SocketId),
) {
    let before = known.connects();
    for _ in 0..TIMES {
        let socket = client.tcp_socket("0.0.0.0:0");
        live(client, socket);
    }
    assert!(known.connects() >= before + TIMES);
    known.expect_rest(known.connects());
}

pub(super) fn connected(client: &mut Client, socket: SocketId) {
    client.connect(socket, VIP).expect("the connect succeeds");
    client.receive(socket).expect("the server answers");
}

#[test]
fn the_client_closes() {
    let (node, _servers, known) = shop();
    expect_lives(&known, &mut node.client(), |client, socket| {
        connected(client, socket);
        client.close(socket);
    });
    known.expect_rest(TIMES);
}

#[test]
fn the_client_resets() {
    let (node, _servers, known) = shop();
    expect_lives(&known, &mut node.client(), |client, socket| {
        connected(client, socket);
        client.reset(socket);
    });
    known.expect_rest(TIMES);
}

#[test]
fn the_server_closes_first() {
    let node = Node::start();
    let a = node.server("a");
    let known = serve(&node, cart().endpoint(&a), &[&a]);
    expect_lives(&known, &mut node.client(), |client, socket| {
        connected(client, socket);
        assert_eq!(client.receive(socket), Err("EPIPE".into()));
        client.close(socket);
    });
    known.expect_rest(TIMES);
}

#[test]
fn the_server_refuses() {
    let (node, servers, known) = shop();
    drop(servers);
    expect_lives(&known, &mut node.client(), |client, socket| {
        assert_eq!(client.connect(socket, VIP), Err("ECONNREFUSED".into()));
        // The connection ends with the refusal, not with the socket.
        assert_eq!(known.live(), (0, 0));
        client.close(socket);
    });
    known.expect_rest(TIMES);
    assert_eq!(
        known.counter(Counter::Failures),
        TIMES,
        "failures count although ejection is off"
    );
}

#[test]
fn a_connect_is_abandoned_before_an_answer() {
    let node = Node::start();
    let blackhole = node.blackhole();
    node.write("cart.yaml", cart().at(blackhole.address()));
    let known = KernelState::when(&node, 1);
    expect_lives(&known, &mut node.client(), |client, socket| {
        assert!(client.start_connect(socket, VIP));
        assert_eq!(known.live(), (1, 1));
        client.close(socket);
        assert_eq!(known.live(), (0, 0));
    });
    known.expect_rest(TIMES);
    assert_eq!(
        known.counter(Counter::Failures),
        0,
        "a local close is no endpoint's failure"
    );
}

#[test]
fn a_process_is_killed_with_its_sockets_open() {
    let (node, _servers, known) = shop();
    for round in 1..=4 {
        let mut client = node.client();
        assert_eq!(client.open_streams(VIP, 500).total_answers(), 500);
        assert_eq!(known.live(), (500, 0));
        client.kill();
        known.expect_rest(round * 500);
    }
}

#[test]
fn one_socket_connects_again_and_again() {
    let (node, servers, known) = shop();
    let mut client = node.client();
    let socket = client.tcp_socket("0.0.0.0:0");
    for round in 1..=TIMES {
        connected(&mut client, socket);
        assert_eq!(known.live(), (1, 0));
        if round % 2 == 0 {
            client
                .act(socket, Act::Shutdown)
                .expect("the socket allows it");
        }
        client.disconnect(socket).expect("the socket is connected");
        assert_eq!(known.live(), (0, 0));
    }
    // A direct connect to an endpoint does not count for it.
    client
        .connect(socket, &servers[0].address().to_string())
        .expect("the connect succeeds");
    known.expect_rest(TIMES);
}

#[test]
fn a_connect_fails_before_its_first_packet() {
    let node = Node::start();
    node.write(
        "cart.yaml",
        cart().at("192.0.2.1:80".parse().expect("a valid address")),
    );
    let known = KernelState::when(&node, 1);
    expect_lives(&known, &mut node.client(), |client, socket| {
        // Twice, so that the second connect meets what the first left behind.
        for _ in 0..2 {
            assert_eq!(client.connect(socket, VIP), Err("ENETUNREACH".into()));
        }
        client.close(socket);
    });
    known.expect_rest(2 * TIMES);
    assert_eq!(
        known.counter(Counter::Failures),
        TIMES,
        "one failure for each socket, for its client alone"
    );
}

#[test]
fn a_socket_that_was_connected_before_finds_no_port() {
    let (node, servers, _known) = shop();
    // One local port for all sockets: three endpoints allow three connections.
    node.place().netns.run(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001")
            .expect("every namespace has the sysctl");
    });
    let known = serve(&node, cart().endpoint(&servers[0]), &[&servers[0]]);
    let mut client = node.client();
    let late = client.tcp_socket("0.0.0.0:0");
    connected(&mut client, late);
    client.disconnect(late).expect("the socket is connected");
    let held = [(); 2].map(|()| client.tcp_socket("0.0.0.0:0"));
    for socket in held {
        connected(&mut client, socket);
    }
    for _ in 0..100 {
        assert_eq!(client.connect(late, VIP), Err("EADDRNOTAVAIL".into()));
    }
    assert_eq!(
        known.counter(Counter::Failures),
        0,
        "the endpoint was never asked"
    );
    for socket in [late, held[0], held[1]] {
        client.close(socket);
    }
    known.expect_rest(known.connects());
}
