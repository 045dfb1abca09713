//! Rows and counts after an agent was killed while it switched to maps of other sizes.

use std::{
    net::SocketAddr,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use aya::maps::{Array, Map};
use bytemuck::cast;
use mesh_common::abi::{ClientRows, maps};
use mesh_tests::{
    Client, Node, Server, binary,
    client::{Transport, protocol::counts},
    node::PATIENCE,
    pinned, service, wait,
};

use crate::{
    kill_points::CAPACITIES,
    socket_rows::count,
    traced::{End, Traced},
};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
const SOCKETS: u32 = 20;
/// Sweeps have looked for lost sockets several times.
const SWEPT: Duration = Duration::from_secs(30);

/// Until ended sockets are forgotten, the start of the agent included. A build without optimisation
/// takes longer to read the maps.
const CONVERGED: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 2 });

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
    let quotas = Map::Array(pinned::map(pins, maps::QUOTAS.name));
    let quotas: Array<_, [u8; size_of::<ClientRows>()]> =
        quotas.try_into().expect("rows of this size");
    let used = quotas.iter().flatten().map(cast);
    let used = used.filter(|row: &ClientRows| *row != [0; 4]);
    (count(node, usize::MAX), halves.sum(), used.collect())
}

/// Connections to the endpoints of the TCP port.
fn live(node: &Node) -> u64 {
    let port = node.port_of("shop/cart", 80, "TCP");
    let endpoints = port.endpoints.iter();
    endpoints.map(|endpoint| endpoint.connections).sum()
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

/// Starts an agent and kills it before the hook `at` is switched.
fn kill_in_switch(node: &Node, flags: &str, at: usize) {
    let traced = Traced::start(node, flags, "BPF_LINK_UPDATE");
    let end = traced.run(at, &AtomicBool::new(false));
    assert_eq!(end, End::Killed);
}

/// Kills an agent before the hook `at` is switched, and again its successor. Sockets that the maps of
/// the first agent have end while no agent runs.
fn kill_twice(node: &mut Node, flags: &str, at: usize) {
    let (mut before, mut between) = (node.client(), node.client());
    open(&mut before);
    node.kill_agent();
    for _ in 0..2 {
        kill_in_switch(node, flags, at);
    }
    drop(before);
    open(&mut between);
    node.next_agent(&binary::find("mesh-agent"), flags);
    node.start_agent();
    expect_recorded(node, at);
    drop(between);
}

fn node_with_echoes(flags: &str) -> (Node, [Server; 2]) {
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

/// The programs that connect write rows into the old maps, while those that see sockets end use the new
/// ones: every row stays, and counts for its client.
#[test]
fn sockets_that_ended_in_an_interrupted_switch_are_forgotten_at_the_start() {
    let quota = "--max-sockets-per-client 100";
    let [old, new] = ["20000", "30000"].map(|sockets| format!("--max-sockets {sockets} {quota}"));
    let (mut node, _servers) = node_with_echoes(&old);
    node.kill_agent();
    kill_in_switch(&node, &new, 2);
    let mut client = node.client();
    assert_eq!(client.tcp(TCP).times(300).errors, counts([]));
    node.next_agent(&binary::find("mesh-agent"), &new);
    let start = Instant::now();
    node.start_agent();
    wait::until_equal("rows", PATIENCE, &0, || count(&node, 1));
    let took = start.elapsed();
    expect_recorded(&node, 2);
    assert!(took < CONVERGED, "{took:?}");
    wait::until_equal("no count is left", SWEPT, &((0, 0, vec![]), 0), || {
        (counted(&node), live(&node))
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
