//! Every kind of TCP connect counts the same.

use mesh_common::counter::Counter;
use mesh_tests::{
    Node,
    client::{Act, Transport},
    node::SETTLE,
    wait,
};

use super::{
    KernelState, VIP,
    socket_lifetime::{TIMES, cart, connected, expect_lives, serve, shop},
};

#[test]
fn fast_open_connects_are_counted() {
    let (node, _servers, known) = shop();
    let to = VIP.parse().expect("a valid address");
    for act in [Act::SendFastOpen(to), Act::ConnectFastOpen(to)] {
        expect_lives(&known, &mut node.client(), |client, socket| {
            client
                .act(socket, act.clone())
                .expect("the socket allows it");
            client.close(socket);
        });
    }
    assert_eq!(known.counter(Counter::Failures), 0);
}

#[test]
fn mptcp_connects_are_counted() {
    let (node, _servers, known) = shop();
    let mut client = node.client();
    if client.try_socket(Transport::Mptcp, "0.0.0.0:0").is_err() {
        println!("skipped: this kernel has no MPTCP");
        return;
    }
    for round in 1..=TIMES {
        let socket = client.socket(Transport::Mptcp, "0.0.0.0:0");
        connected(&mut client, socket);
        client.close(socket);
        if round % 100 == 0 {
            known.expect_rest(round);
        }
    }
    assert_eq!(known.counter(Counter::Failures), 0);
}

/// The first subflow is a socket of the kernel, for which no release hook runs.
#[test]
fn failed_mptcp_connects_hold_nothing() {
    for dead in ["127.0.9.9:9", "192.0.2.1:80"] {
        let node = Node::start();
        let server = node.server("a");
        let limited = || cart().with("limits: {maxConnections: 50}");
        node.write("cart.yaml", limited().at(dead.parse().expect("an address")));
        let (known, mut client) = (KernelState::when(&node, 1), node.client());
        if client.try_socket(Transport::Mptcp, "0.0.0.0:0").is_err() {
            println!("skipped: this kernel has no MPTCP");
            return;
        }
        for _ in 0..TIMES {
            let socket = client.socket(Transport::Mptcp, "0.0.0.0:0");
            client.connect(socket, VIP).expect_err("no server listens");
            client.close(socket);
        }
        assert_eq!((known.live(), known.connections()), ((0, 0), 0), "{dead}");
        node.write("cart.yaml", limited().endpoint(&server));
        node.wait_until_served("shop/cart", &[&server]);
        // Reservations of connects that sent nothing expire after 250 ms.
        wait::until("a connect", SETTLE, || {
            client.tcp(VIP).once().answers_of(&server) == 1
        });
        assert_eq!(
            client.tcp(VIP).times(100).answers_of(&server),
            100,
            "{dead}"
        );
    }
}

#[test]
fn connects_of_both_families_are_counted() {
    let node = Node::start();
    let (a, six) = (node.echo_server("a"), node.server6("six"));
    let dual = cart().address("fd00:96::10").endpoint(&a).endpoint(&six);
    let known = serve(&node, dual, &[&a, &six]);
    let mut client = node.client();
    for to in [
        "[fd00:96::10]:80",
        "[::ffff:10.96.0.10]:80",
        "10.96.0.10:80",
    ] {
        let bind = if to.starts_with('[') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let before = known.connects();
        for _ in 0..TIMES {
            let socket = client.tcp_socket(bind);
            client.connect(socket, to).expect("the connect succeeds");
            client.receive(socket).expect("the server answers");
            client.close(socket);
        }
        known.expect_rest(before + TIMES);
    }
}
