//! UDP sockets and their endpoints: behaviour 6.

mod stickiness;

use std::time::{Duration, Instant};

use mesh_tests::{
    Client, Manifest, Node, Pod, Server,
    client::{Done, Heard, SocketId},
    manifest::document,
    service, wait,
};

/// Interval at which a client sends, whether it gets answers or not.
const EVERY: Duration = Duration::from_millis(100);

/// Longest time from the edit to the first answer of another endpoint.
const MOVED: Duration = Duration::from_secs(2);

const DNS: &str = "10.96.0.10:53";

fn dns() -> Manifest {
    service("shop/dns")
        .address("10.96.0.10")
        .address("fd00:96::10")
        .udp(53)
}

/// Two servers, of which only the first is an endpoint.
fn served_by_the_first() -> (Node, Server, Server) {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write("dns.yaml", dns().endpoint(&a));
    node.wait_until_served("shop/dns", &[&a]);
    (node, a, b)
}

/// Sends once, and returns the answers until the next send is due.
fn tick(
    client: &mut Client,
    socket: SocketId,
    send: impl FnOnce(&mut Client) -> Done,
) -> Done<Vec<String>> {
    send(client)?;
    wait::pass(EVERY);
    let mut names = Vec::new();
    loop {
        match client.receive_now(socket) {
            Ok(heard) => names.push(heard.name),
            Err(errno) if errno == "EAGAIN" => return Ok(names),
            Err(errno) => return Err(errno),
        }
    }
}

/// Expects a connected socket to be closed: it has a pending error and no peer.
fn expect_closed(client: &mut Client, socket: SocketId) {
    let told = wait::until_some("the socket to be closed", MOVED, || {
        client.pending_error(socket)
    });
    assert_eq!(told, "ECONNABORTED");
    assert_eq!(client.send(socket), Err("EDESTADDRREQ".into()));
    assert_eq!(client.peer(socket), Err("ENOTCONN".into()));
}

#[test]
fn b06_unconnected_udp_socket_moves_within_two_seconds() {
    let (node, a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    let ask = |client: &mut Client| tick(client, socket, |client| client.send_to(socket, DNS));
    for _ in 0..3 {
        assert_eq!(ask(&mut client), Ok(vec!["a".into()]));
    }
    node.write("dns.yaml", dns().endpoint(&b));
    drop(a);
    let removed = Instant::now();
    wait::until("b to answer", MOVED, || {
        ask(&mut client).is_ok_and(|names| names == ["b"])
    });
    println!("moved after {:?}", removed.elapsed());
    assert_eq!(client.local(socket), Ok("0.0.0.0:5000".parse().unwrap()));
}

#[test]
fn b06_unconnected_udp_socket_moves_at_once_although_the_removed_endpoint_still_answers() {
    let (node, _a, b) = served_by_the_first();
    let mut client = node.client();
    let sockets = [
        ("0.0.0.0:5000", DNS),
        ("[::]:5001", "[::ffff:10.96.0.10]:53"),
    ];
    let sockets = sockets.map(|(bind, to)| (client.udp_socket(bind), to));
    for (socket, to) in sockets {
        assert_eq!(client.name_at(socket, to), Ok("a".into()));
    }
    node.write("dns.yaml", dns().endpoint(&b));
    node.wait_until_served("shop/dns", &[&b]);
    for (socket, to) in sockets {
        for _ in 0..100 {
            assert_eq!(client.name_at(socket, to), Ok("b".into()), "{to}");
        }
    }
}

#[test]
fn b06_unconnected_udp_socket_moves_over_ipv6() {
    const SIX: &str = "[fd00:96::10]:53";
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server6(name));
    let mut client = node.client();
    let socket = client.udp_socket("[::]:5000");
    for (server, name) in [(&a, "a"), (&b, "b"), (&a, "a")] {
        node.write("dns.yaml", dns().endpoint(server));
        node.wait_until_served("shop/dns", &[server]);
        for _ in 0..100 {
            let heard = client.ask_at(socket, SIX).unwrap();
            assert_eq!(
                (heard.name.as_str(), heard.from),
                (name, Some(SIX.parse().unwrap()))
            );
        }
    }
}

#[test]
fn b06_connected_udp_socket_moves_within_two_seconds() {
    // The removed endpoint still answers, so only an error makes a client reconnect.
    let (node, _a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    client.connect(socket, DNS).unwrap();
    let ask = |client: &mut Client| tick(client, socket, |client| client.send(socket));
    for _ in 0..3 {
        assert_eq!(ask(&mut client), Ok(vec!["a".into()]));
    }
    node.write("dns.yaml", dns().endpoint(&b));
    let mut told = Vec::new();
    wait::until("b to answer", MOVED, || match ask(&mut client) {
        Ok(names) => names == ["b"],
        Err(errno) => {
            // Like resolvers and log shippers: when a send fails, connect again from the same port.
            told.push(errno);
            client.connect(socket, DNS).unwrap();
            false
        }
    });
    // A receive returns the reason; a send returns only that the socket is not connected.
    assert!(told.iter().any(|errno| errno == "ECONNABORTED"), "{told:?}");
    assert!(
        told.iter()
            .all(|errno| ["ECONNABORTED", "EDESTADDRREQ"].contains(&errno.as_str())),
        "{told:?}"
    );
    assert_eq!(client.local(socket).map(|local| local.port()), Ok(5000));
    assert_eq!(client.peer(socket), Ok(DNS.parse().unwrap()));
}

#[test]
fn b06_connected_udp_socket_of_a_dead_endpoint_moves_within_two_seconds() {
    let (node, a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    client.connect(socket, DNS).unwrap();
    assert_eq!(client.name_of_peer(socket), Ok("a".into()));
    node.write("dns.yaml", dns().endpoint(&b));
    drop(a);
    wait::until("b to answer", MOVED, || {
        let heard = tick(&mut client, socket, |client| client.send(socket));
        heard
            .map_err(|_refused_or_aborted| client.connect(socket, DNS).unwrap())
            .is_ok_and(|names| names == ["b"])
    });
}

#[test]
fn b06_a_udp_client_is_refused_within_two_seconds_when_no_endpoint_is_left() {
    let (node, _a, _b) = served_by_the_first();
    let mut client = node.client();
    let [connected, unconnected] =
        [5000, 5001].map(|port| client.udp_socket(&format!("0.0.0.0:{port}")));
    client.connect(connected, DNS).unwrap();
    assert_eq!(client.name_of_peer(connected), Ok("a".into()));
    assert_eq!(client.name_at(unconnected, DNS), Ok("a".into()));
    node.write("dns.yaml", dns());
    node.wait_until_served("shop/dns", &[]);
    assert_eq!(client.name_at(unconnected, DNS), Err("ECONNREFUSED".into()));
    expect_closed(&mut client, connected);
    assert_eq!(client.connect(connected, DNS), Err("ECONNREFUSED".into()));
}

#[test]
fn b06_exactly_the_udp_sockets_of_the_removed_endpoint_are_closed_wherever_they_are() {
    let node = Node::start();
    let [one, two] = [1, 2].map(|number| Pod::start(&node, number));
    let [a, b, other] = ["a", "b", "other"].map(|name| two.server(name));
    let log = service("shop/log")
        .address("10.96.0.11")
        .udp(514)
        .endpoint(&a);
    node.write(
        "shop.yaml",
        document([&dns().endpoint(&a).endpoint(&b), &log]),
    );
    node.wait_until_served("shop/dns", &[&a, &b]);
    node.wait_until_served("shop/log", &[&a]);

    for mut client in [node.client(), one.client(), two.client()] {
        let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
        for (bind, to) in [("0.0.0.0:0", DNS), ("[::]:0", "[::ffff:10.96.0.10]:53")]
            .into_iter()
            .cycle()
            .take(40)
        {
            let socket = client.udp_socket(bind);
            client.connect(socket, to).unwrap();
            if client.name_of_peer(socket).unwrap() == "a" {
                to_a.push((socket, to));
            } else {
                to_b.push((socket, to));
            }
        }
        // One of the sockets of `a` connects to another address before the removal.
        let (moved, _) = to_a.pop().expect("half of forty");
        let moved_to = if client.local(moved).unwrap().is_ipv4() {
            other.address().to_string()
        } else {
            format!(
                "[::ffff:{}]:{}",
                other.address().ip(),
                other.address().port()
            )
        };
        client.connect(moved, &moved_to).unwrap();
        let [direct, logger] = [(); 2].map(|()| client.udp_socket("0.0.0.0:0"));
        client.connect(direct, &a.address().to_string()).unwrap();
        client.connect(logger, "10.96.0.11:514").unwrap();
        let mut live = vec![(moved, "other"), (direct, "a"), (logger, "a")];
        live.extend(to_b.iter().map(|(socket, _)| (*socket, "b")));

        node.write("shop.yaml", document([&dns().endpoint(&b), &log]));
        node.wait_until_served("shop/dns", &[&b]);
        for (socket, to) in to_a {
            expect_closed(&mut client, socket);
            client.connect(socket, to).unwrap();
            assert_eq!(client.name_of_peer(socket), Ok("b".into()));
        }
        for (socket, name) in live {
            assert_eq!(client.pending_error(socket), None);
            assert_eq!(client.name_of_peer(socket), Ok(name.into()));
        }
        node.write(
            "shop.yaml",
            document([&dns().endpoint(&a).endpoint(&b), &log]),
        );
        node.wait_until_served("shop/dns", &[&a, &b]);
    }
}

#[test]
fn b06_sockets_of_an_endpoint_removed_while_no_agent_ran_are_closed_by_the_next() {
    let (mut node, _a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    client.connect(socket, DNS).unwrap();
    assert_eq!(client.name_of_peer(socket), Ok("a".into()));
    node.kill_agent();
    node.write("dns.yaml", dns().endpoint(&b));
    node.start_agent();
    expect_closed(&mut client, socket);
}
