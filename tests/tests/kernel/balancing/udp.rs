//! A UDP socket counts once for each backend of its datagrams.

use mesh_tests::{Node, Server, client::SocketId, node::SETTLE, service, wait};

use super::{KernelState, VIP};

const ROUNDS: u64 = 1_000;

fn serve(node: &Node, name: &str, address: &str, servers: &[&Server]) {
    let dns = service(&format!("shop/{name}")).address(address).udp(80);
    node.write(
        &format!("{name}.yaml"),
        dns.endpoints(servers.iter().copied()),
    );
    node.wait_until_served(&format!("shop/{name}"), servers);
}

#[test]
fn a_connected_socket_that_connects_again_counts_once() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    serve(&node, "cart", "10.96.0.10", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    let socket = client.udp_socket("0.0.0.0:0");
    for _ in 0..ROUNDS {
        client.connect(socket, VIP).expect("the connect succeeds");
        assert_eq!(known.live(), (1, 0));
    }
    client.close(socket);
    known.expect_rest(ROUNDS);
}

#[test]
fn connected_sockets_count_until_they_are_closed() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    serve(&node, "cart", "10.96.0.10", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    let sockets: Vec<SocketId> = (0..500).map(|_| client.udp_socket("0.0.0.0:0")).collect();
    for (open, socket) in (1..).zip(&sockets) {
        client.connect(*socket, VIP).expect("the connect succeeds");
        assert_eq!(known.live(), (open, 0));
    }
    // A datagram is not a connect.
    for socket in &sockets {
        client.name_of_peer(*socket).expect("the server answers");
    }
    for socket in &sockets[..250] {
        client.close(*socket);
    }
    assert_eq!(known.live(), (250, 0));
    client.kill();
    known.expect_rest(500);
}

#[test]
fn datagrams_of_one_socket_count_once_for_each_service() {
    let node = Node::start();
    let servers = ["a", "b", "c", "d", "e", "f"].map(|name| node.server(name));
    let names = [
        ("cart", "10.96.0.10"),
        ("pay", "10.96.0.11"),
        ("ship", "10.96.0.12"),
    ];
    for (number, (name, address)) in names.into_iter().enumerate() {
        serve(&node, name, address, &[&servers[number]]);
    }
    let known = |name: &str| KernelState::of_port(&node, &node.port(&format!("shop/{name}")));
    let before = names.map(|(name, _)| known(name));
    let mut client = node.client();
    let sockets: Vec<_> = (0..50).map(|_| client.udp_socket("0.0.0.0:0")).collect();
    let ask_all = |client: &mut mesh_tests::Client| {
        for (_, address) in names {
            for socket in &sockets {
                for _ in 0..3 {
                    client
                        .name_at(*socket, &format!("{address}:80"))
                        .expect("the server answers");
                }
            }
        }
    };
    ask_all(&mut client);
    for known in &before {
        assert_eq!((known.live(), known.connects()), ((50, 0), 50));
    }
    // Other endpoints take over with the next datagram.
    for (number, (name, address)) in names.into_iter().enumerate() {
        serve(&node, name, address, &[&servers[3 + number]]);
    }
    let after = names.map(|(name, _)| known(name));
    ask_all(&mut client);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.live(), after.live()), ((0, 0), (50, 0)));
    }
    for socket in sockets.clone() {
        client.close(socket);
    }
    for known in before.iter().chain(&after) {
        assert_eq!(known.live(), (0, 0));
    }
}

#[test]
fn a_flow_whose_endpoint_comes_back_counts_again() {
    let node = Node::start();
    let server = node.server("a");
    let dns = |state: &str| {
        let dns = service("shop/cart")
            .address("10.96.0.10")
            .udp(80)
            .with("limits: {maxConnections: 1}");
        node.write("cart.yaml", dns.in_state(&server, state));
    };
    dns("ready");
    node.wait_until_served("shop/cart", &[&server]);
    let (known, mut client) = (KernelState::of(&node), node.client());
    let [first, second] = [(); 2].map(|()| client.udp_socket("0.0.0.0:0"));
    client.name_at(first, VIP).expect("the server answers");
    dns("notReady");
    wait::until("no endpoint", SETTLE, || {
        client.name_at(first, VIP).is_err()
    });
    assert_eq!((known.live(), known.connections()), ((0, 0), 0));
    dns("ready");
    wait::until("the endpoint", SETTLE, || {
        client.name_at(first, VIP).is_ok()
    });
    assert_eq!(
        (known.live(), known.connections(), known.connects()),
        ((1, 0), 1, 2)
    );
    assert_eq!(
        client.send_to(second, VIP),
        Err("ECONNREFUSED".into()),
        "the limit holds for the flow that came back"
    );
}

#[test]
fn a_disconnected_socket_shows_the_endpoint_and_counts_no_more() {
    let node = Node::start();
    let server = node.server("a");
    serve(&node, "cart", "10.96.0.10", &[&server]);
    let (known, mut client) = (KernelState::of(&node), node.client());
    let socket = client.udp_socket("0.0.0.0:0");
    client.connect(socket, VIP).expect("the connect succeeds");
    client.send(socket).expect("the socket is connected");
    assert_eq!(
        client.receive(socket).expect("the server answers").from,
        Some(VIP.parse().expect("an address"))
    );
    assert_eq!(known.live(), (1, 0));
    client.disconnect(socket).expect("the socket is connected");
    let heard = client
        .ask_at(socket, &server.address().to_string())
        .expect("the server answers");
    assert_eq!(
        heard.from,
        Some(server.address()),
        "the socket asked the endpoint, not the service"
    );
    assert_eq!(known.live(), (0, 0));
    client.close(socket);
    known.expect_rest(1);
}

#[test]
fn a_socket_whose_next_connect_is_refused_keeps_its_endpoint() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    serve(&node, "cart", "10.96.0.10", &[&a]);
    node.write(
        "empty.yaml",
        service("shop/empty").address("10.96.0.11").udp(80),
    );
    wait::until_equal("the empty service", SETTLE, &true, || {
        node.find_service("shop/empty").is_some()
    });
    let (known, mut client) = (KernelState::of(&node), node.client());
    let socket = client.udp_socket("0.0.0.0:0");
    client.connect(socket, VIP).expect("the connect succeeds");
    assert_eq!(
        client.connect(socket, "10.96.0.11:80"),
        Err("ECONNREFUSED".into())
    );
    assert_eq!(client.peer(socket), Ok(VIP.parse().expect("an address")));
    assert_eq!(known.live(), (1, 0));
    client.send(socket).expect("the endpoint answers");
    assert_eq!(
        client.receive(socket).expect("the endpoint answers").from,
        Some(VIP.parse().expect("an address"))
    );
    serve(&node, "cart", "10.96.0.10", &[&b]);
    wait::until_equal("the socket to be closed", SETTLE, &true, || {
        client.pending_error(socket).is_some()
    });
    client.close(socket);
    assert_eq!(known.live(), (0, 0));
}
