//! Every way to connect a TCP socket counts the same.

use mesh_tests::{
    Node,
    client::{Act, Transport},
};

use super::{
    VIP,
    live::{TIMES, cart, connected, expect_lives, serve, shop},
};

#[test]
fn data_goes_with_the_connect() {
    let (node, _servers, known) = shop();
    let to = VIP.parse().expect("it is there");
    for act in [Act::SendFastOpen(to), Act::ConnectFastOpen(to)] {
        expect_lives(&known, &mut node.client(), |client, socket| {
            client.act(socket, act.clone()).expect("it is there");
            client.close(socket);
        });
    }
}

#[test]
fn several_paths() {
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
}

#[test]
fn both_families() {
    let node = Node::start();
    let (a, six) = (node.echo_server("a"), node.server6("six"));
    let dual = cart().address("fd00:96::10").endpoint(&a).endpoint(&six);
    let known = serve(&node, dual, &[&a, &six]);
    let mut client = node.client();
    for to in ["[fd00:96::10]:80", "[::ffff:10.96.0.10]:80", "10.96.0.10:80"] {
        let bind = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let before = known.connects();
        for _ in 0..TIMES {
            let socket = client.tcp_socket(bind);
            client.connect(socket, to).expect("it is there");
            client.receive(socket).expect("it is there");
            client.close(socket);
        }
        known.expect_rest(before + TIMES);
    }
}
