//! The agent repairs what hooks cannot detect: sockets that ended without a hook, connects that the
//! kernel refused, wrong counts.

use std::{fs, time::Duration};

use aya::maps::{Array, Map};
use bytemuck::{bytes_of, cast, pod_read_unaligned};
use mesh_common::{
    abi::{BackendEntry, ServiceLoad, maps},
    occupancy::{CONNECTING, LIVE},
};
use mesh_tests::{Node, Server, node::PATIENCE, pinned, service, wait};

use super::{BackendBytes, KernelState, LoadBytes, VIP};

fn node(flags: &str) -> (Node, Server) {
    let node = Node::setup().flags(flags).start();
    let server = node.echo_server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("limits: {maxConnections: 50}");
    node.write("cart.yaml", cart.endpoint(&server));
    node.wait_until_served("shop/cart", &[&server]);
    (node, server)
}

/// Adds to the counts of the endpoint and of the service without opening sockets.
fn drift(node: &Node, known: &KernelState, backend: u64, service: u64) {
    let map = |name| Map::Array(pinned::map(&node.directories().pins, name));
    let mut backends: Array<_, BackendBytes> = map(maps::BACKENDS.name)
        .try_into()
        .expect("rows of this size");
    let mut entry: BackendEntry = cast(backends.get(&known.indices[0], 0).expect("the row exists"));
    entry.load.live = entry.load.live.wrapping_add(backend);
    backends
        .set(known.indices[0], cast::<_, BackendBytes>(entry), 0)
        .expect("root may");
    let mut services: Array<_, LoadBytes> =
        map(maps::LOAD.name).try_into().expect("rows of this size");
    let mut load: ServiceLoad =
        pod_read_unaligned(&services.get(&known.service, 0).expect("the row exists"));
    load.connections = load.connections.wrapping_add(service);
    let row: LoadBytes = bytes_of(&load).try_into().expect("rows of this size");
    services.set(known.service, row, 0).expect("root may");
}

#[test]
fn wrong_counts_are_repaired_soon_after_the_agent_starts() {
    let (mut node, _server) = node("--resync-interval 30s");
    let (known, mut client) = (KernelState::of(&node), node.client());
    assert_eq!(client.open_streams(VIP, 10).total_answers(), 10);
    for (backend, service) in [
        (300 * LIVE + 7 * CONNECTING, 40),
        (LIVE.wrapping_mul(4).wrapping_neg(), 5_u64.wrapping_neg()),
    ] {
        node.kill_agent();
        drift(&node, &known, backend, service);
        assert_ne!((known.live(), known.connections()), ((10, 0), 10));
        node.start_agent();
        wait::until_equal("counts", PATIENCE, &((10, 0), 10), || {
            (known.live(), known.connections())
        });
    }
    // The limit is exact again.
    assert_eq!(client.open_streams(VIP, 50).total_answers(), 40);
    client.kill();
    wait::until_equal("rest", PATIENCE, &((0, 0), 0), || {
        (known.live(), known.connections())
    });
}

#[test]
fn counts_are_corrected_while_connections_come_and_go() {
    let (mut node, _server) = node("--resync-interval 1s");
    let (known, mut steady, mut busy) = (KernelState::of(&node), node.client(), node.client());
    assert_eq!(steady.open_streams(VIP, 10).total_answers(), 10);
    node.kill_agent();
    drift(&node, &known, 100_000 * LIVE, 30);
    node.start_agent();
    let running = busy.tcp(VIP).again_and_again();
    wait::until("most wrong counts to be corrected", PATIENCE, || {
        known.live().0 < 10_000
    });
    assert_eq!(
        running.stop().errors,
        mesh_tests::client::protocol::counts([])
    );
    wait::until_equal("counts", PATIENCE, &((10, 0), 10), || {
        (known.live(), known.connections())
    });
}

#[test]
fn right_counts_stay_right_under_load() {
    let (node, _server) = node("--resync-interval 100ms");
    let (known, mut steady, mut busy) = (
        KernelState::of(&node),
        node.client(),
        [node.client(), node.client()],
    );
    assert_eq!(steady.open_streams(VIP, 10).total_answers(), 10);
    let running = busy
        .each_mut()
        .map(|client| client.tcp(VIP).again_and_again());
    wait::pass(Duration::from_secs(5));
    for report in running.map(mesh_tests::client::Loop::stop) {
        assert_eq!(report.errors, mesh_tests::client::protocol::counts([]));
    }
    wait::until_equal("counts", PATIENCE, &((10, 0), 10), || {
        (known.live(), known.connections())
    });
    assert!(!node.log().contains("corrected counts"), "{}", node.log());
}

#[test]
fn sockets_that_were_closed_while_no_program_ran_release_their_counts() {
    let (mut node, _server) = node("--resync-interval 1s --max-sockets-per-client 40");
    let (known, mut client) = (KernelState::of(&node), node.client());
    let mut steady = node.client();
    assert_eq!(steady.open_streams(VIP, 10).total_answers(), 10);
    assert_eq!(client.open_streams(VIP, 30).total_answers(), 30);
    node.stop_agent();
    // Removing the links detaches the programs.
    fs::remove_dir_all(node.directories().pins.join("links")).expect("no agent holds them");
    wait::until("the programs to be gone", PATIENCE, || {
        node.client().tcp(VIP).once().total_answers() == 0
    });
    // The kernel releases the links a little later, one after the other.
    wait::pass(Duration::from_millis(500));
    client.kill();
    assert_eq!((known.live(), known.connections()), ((40, 0), 40));
    node.start_agent();
    wait::until_equal(
        "the counts without them",
        PATIENCE * 2,
        &((10, 0), 10),
        || (known.live(), known.connections()),
    );
    let has_room = || node.client().open_streams(VIP, 30).total_answers() == 30;
    wait::until("their rows to be gone as well", PATIENCE, has_room);
}

#[test]
fn a_udp_connect_that_the_kernel_refused_stops_counting() {
    let node = Node::setup().flags("--resync-interval 1s").start();
    let server = node.server("a");
    let cart = |to| {
        service("shop/cart")
            .address("10.96.0.10")
            .udp(80)
            .with("limits: {maxConnections: 8}")
            .at(to)
    };
    node.write(
        "cart.yaml",
        cart("192.0.2.1:80".parse().expect("an address")),
    );
    let (known, mut client) = (KernelState::when(&node, 1), node.client());
    let refused = client.udp_socket("0.0.0.0:0");
    let disconnected = client.udp_socket("0.0.0.0:0");
    assert_eq!(client.connect(refused, VIP), Err("ENETUNREACH".into()));
    assert_eq!((known.live(), known.connections()), ((1, 0), 1));
    wait::until_equal(
        "the refused socket to be counted no longer",
        PATIENCE,
        &((0, 0), 0),
        || (known.live(), known.connections()),
    );
    node.write("cart.yaml", cart(server.address()));
    node.wait_until_served("shop/cart", &[&server]);
    let known = KernelState::of(&node);
    // Both sockets connect again and count again; then one disconnects, which no hook sees.
    client.connect(refused, VIP).expect("the connect succeeds");
    client
        .connect(disconnected, VIP)
        .expect("the connect succeeds");
    client
        .disconnect(disconnected)
        .expect("the socket is connected");
    assert_eq!((known.live(), known.connections()), ((2, 0), 2));
    wait::until_equal(
        "the disconnected socket to count no longer",
        PATIENCE,
        &((1, 0), 1),
        || (known.live(), known.connections()),
    );
    wait::pass(Duration::from_secs(4));
    assert_eq!(
        (known.live(), known.connections()),
        ((1, 0), 1),
        "the connected socket still counts"
    );
    assert_eq!(client.name_of_peer(refused), Ok("a".into()));
    assert_eq!(client.peer(refused), Ok(VIP.parse().expect("an address")));
    client.close(refused);
    assert_eq!((known.live(), known.connections()), ((0, 0), 0));
}
