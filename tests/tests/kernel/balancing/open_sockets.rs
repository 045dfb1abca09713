//! Counts of open sockets stay right while agents restart and programs are replaced.

use mesh_tests::{Node, client::SocketId, service};

use super::{KernelState, VIP};

#[test]
fn open_sockets_are_counted_at_every_moment() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoints(&servers),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    let mut open = Vec::new();
    for count in 1..=100 {
        let socket = client.tcp_socket("0.0.0.0:0");
        client.connect(socket, VIP).expect("the connect succeeds");
        open.push(socket);
        assert_eq!(known.live(), (count, 0));
    }
    for (closed, socket) in (1..=100).zip(open) {
        client.reset(socket);
        assert_eq!(known.live(), (100 - closed, 0));
    }
    known.expect_rest(100);
}

#[test]
fn a_copy_of_a_socket_holds_what_the_socket_holds() {
    let node = Node::start();
    let a = node.echo_server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .udp(80)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    let (mut one, mut two) = (node.client(), node.client());
    for (protocol, open) in [
        ("TCP", mesh_tests::Client::tcp_socket as fn(&mut _, &_) -> _),
        ("UDP", mesh_tests::Client::udp_socket),
    ] {
        let known = KernelState::of_port(&node, &node.port_of("shop/cart", 80, protocol));
        let socket = open(&mut one, "0.0.0.0:0");
        one.connect(socket, VIP).expect("the connect succeeds");
        let path = node.scratch().join(protocol);
        let copy = two.take_from(&path, || {
            one.act(socket, mesh_tests::client::Act::Pass(path.clone()))
                .expect("the socket allows it");
        });
        one.close(socket);
        assert_eq!(known.live(), (1, 0), "{protocol}");
        two.close(copy);
        known.expect_rest(1);
    }
}

#[test]
fn streams_are_counted_while_agents_restart() {
    let mut node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    let limited = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("limits: {maxConnections: 1000}");
    node.write("cart.yaml", limited.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    let mut open: Vec<SocketId> = Vec::new();
    let mut connects = 0;
    for kill in [true, false, true, false] {
        for _ in 0..100 {
            let socket = client.tcp_socket("0.0.0.0:0");
            client.connect(socket, VIP).expect("the connect succeeds");
            open.push(socket);
        }
        connects += 100;
        if kill {
            node.kill_agent();
        } else {
            node.stop_agent();
        }
        // Counts fall while no agent runs, and stay after an agent took over and replaced the
        // programs.
        open.drain(..50).for_each(|socket| client.reset(socket));
        let count = open.len() as u64;
        assert_eq!((known.live(), known.connections()), ((count, 0), count));
        node.start_agent();
        assert_eq!((known.live(), known.connections()), ((count, 0), count));
        assert_eq!(known.connects(), connects);
    }
    open.into_iter().for_each(|socket| client.reset(socket));
    known.expect_rest(connects);
}
