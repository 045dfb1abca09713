//! Rows and counts after an agent was killed while it switched to maps of other sizes.

use std::{net::SocketAddr, sync::atomic::AtomicBool, time::Duration};

use aya::maps::{Array, HashMap, Map};
use bytemuck::cast;
use mesh_common::abi::{ClientRows, SocketRow, maps};
use mesh_tests::{
    Client, Node, Server, binary,
    client::{Transport, protocol::counts},
    node::PATIENCE,
    pinned, service, wait,
};

use crate::{
    kill_points::CAPACITIES,
    traced::{End, Traced},
};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
const SOCKETS: u32 = 20;
/// Sweeps have looked for lost sockets several times.
const SWEPT: Duration = Duration::from_secs(30);

/// Returns the number of rows of SOCKETS, their sum in COOKIE_FILTER, and the rows of QUOTAS that
/// count something.
fn counted(node: &Node) -> (usize, u64, Vec<ClientRows>) {
    let pins = &node.directories().pins;
    let filter = Map::Array(pinned::map(pins, maps::COOKIE_FILTER.name));
    let filter: Array<_, u64> = filter.try_into().expect("rows of this size");
    let halves = filter
        .iter()
        .flatten()
        .map(|row| (row >> 32) + (row & 0xffff_ffff));
    let sockets = Map::HashMap(pinned::map(pins, maps::SOCKETS.name));
    let sockets: HashMap<_, u64, [u8; size_of::<SocketRow>()]> =
        sockets.try_into().expect("rows of this size");
    let quotas = Map::Array(pinned::map(pins, maps::QUOTAS.name));
    let quotas: Array<_, [u8; size_of::<ClientRows>()]> =
        quotas.try_into().expect("rows of this size");
    let used = quotas.iter().flatten().map(cast);
    let used = used.filter(|row: &ClientRows| *row != [0; 4]);
    (
        sockets.keys().flatten().count(),
        halves.sum(),
        used.collect(),
    )
}

/// Opens TCP streams and connected UDP sockets.
fn open(client: &mut Client) {
    assert_eq!(client.open_streams(TCP, SOCKETS).errors, counts([]));
    for _ in 0..SOCKETS {
        let socket = client.socket(Transport::Udp, "0.0.0.0:0");
        client.connect(socket, UDP).expect("UDP has no handshake");
    }
}

/// Expects `getpeername` to show the service.
fn expect_recorded(node: &Node, at: usize) {
    let mut client = node.client();
    for (report, address) in [
        (client.tcp(TCP).times(SOCKETS), TCP),
        (client.udp(UDP).times(SOCKETS), UDP),
    ] {
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(report.errors, counts([]), "killed at {at}");
        assert_eq!(
            report.peers,
            [(address, u64::from(SOCKETS))].into(),
            "killed at {at}"
        );
    }
}

/// Kills an agent before the hook `at` is switched, and again its successor. Sockets that the maps of
/// the first agent have end while no agent runs.
fn kill_twice(node: &mut Node, flags: &'static str, at: usize) {
    let (mut before, mut between) = (node.client(), node.client());
    open(&mut before);
    node.kill_agent();
    for _ in 0..2 {
        let traced = Traced::start(node, flags, |call| call == "BPF_LINK_UPDATE");
        let end = traced.run(at, &AtomicBool::new(false));
        assert_eq!(end, End::KilledAt("BPF_LINK_UPDATE"));
    }
    drop(before);
    open(&mut between);
    node.next_agent(&binary::find("mesh-agent"), flags);
    node.start_agent();
    expect_recorded(node, at);
    drop(between);
}

fn node_with_echoes(flags: &'static str) -> (Node, [Server; 2]) {
    let mut node = Node::setup().prepare();
    node.next_agent(&binary::find("mesh-agent"), flags);
    let servers = ["a", "b"].map(|name| node.echo_server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    node.write("cart.yaml", cart.endpoints(&servers));
    node.start_agent();
    node.wait_until_served_within("shop/cart", &servers.each_ref(), PATIENCE);
    (node, servers)
}

#[test]
fn sockets_are_recorded_and_counted_exactly_after_kills_in_a_switch() {
    let (mut node, _servers) = node_with_echoes(CAPACITIES[1]);
    for (number, at) in [0, 1, 2, 4, 9].into_iter().enumerate() {
        kill_twice(&mut node, CAPACITIES[number % 2], at);
    }
    let what = "no row is left, and no count";
    wait::until_equal(what, SWEPT, &(0, 0, vec![]), || counted(&node));
    // Rows of the agent's own probe in smaller maps are no backends of services in larger ones.
    wait::until_equal("backends", SWEPT, &Some(4), || {
        let maps = node.status().capacity.into_iter();
        maps.filter(|it| it.map == "BACKENDS")
            .map(|it| it.used)
            .next()
    });
}

#[test]
fn rows_that_do_not_fit_into_smaller_maps_do_not_count_for_their_client() {
    let (mut node, _servers) = node_with_echoes("--max-sockets 400");
    let mut clients = [node.client(), node.client()];
    clients.iter_mut().for_each(open);
    node.stop_agent();
    node.next_agent(&binary::find("mesh-agent"), "--max-sockets 64");
    node.start_agent();
    let all = (64, 64, vec![[64, 0, 0, 0]]);
    wait::until_equal("as many rows as there are", SWEPT, &all, || counted(&node));
    drop(clients);
    wait::until_equal("no row", SWEPT, &(0, 0, vec![]), || counted(&node));
}
