//! Quotas: one client cannot use up the maps that all clients share.

use std::sync::Arc;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map};
use bytemuck::cast;
use mesh_common::{
    abi::{AffinityRow, ClientRows, SocketRow, maps},
    counter::Counter,
    quota,
};
use mesh_tests::{
    Client, Node, Server,
    client::{Transport, protocol::counts},
    netns::Netns,
    node::PATIENCE,
    pinned,
    place::Place,
    service, wait,
};

use super::{
    attacks::{CONNECTS, expect_fair},
    id, while_attacked,
};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
/// Number of rows that a client may have, and the number that it tries to have.
const SHARE: u32 = 16;
const MANY: u32 = 200;

/// A row is suspected, settled and deleted, each after two sweeps. Sweeps are ten times their duration
/// apart, at least a second.
const SWEPT: Duration = Duration::from_secs(60);

/// A node with 64 rows for sockets, of which a client may have a quarter; and the attacker's
/// cgroup.
fn node(interval: &str) -> (Node, Place) {
    let node = Node::setup()
        .flags(&format!("--max-sockets 64 --resync-interval {interval}"))
        .start();
    let attacker = node.place().below("attacker.service");
    (node, attacker)
}

fn serve(node: &Node, settings: &[&str]) -> Server {
    let server = node.echo_server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    let cart = settings
        .iter()
        .fold(cart, |cart, setting| cart.with(setting));
    node.write("cart.yaml", cart.endpoint(&server));
    node.wait_until_served("shop/cart", &[&server]);
    server
}

/// Returns the rows of a client: sockets, flows, large flow records, bindings.
pub(super) fn has(node: &Node, client: &Place) -> ClientRows {
    let map = Map::Array(pinned::map(&node.directories().pins, maps::QUOTAS.name));
    let rows: Array<_, [u8; size_of::<ClientRows>()]> =
        map.try_into().expect("QUOTAS has rows of this size");
    cast(
        rows.get(&quota::place(id(client)), 0)
            .expect("the row exists"),
    )
}

/// Returns the number of rows of this client in SOCKETS.
fn rows(node: &Node, client: &Place) -> usize {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SOCKETS.name));
    let rows: HashMap<_, u64, [u8; size_of::<SocketRow>()]> =
        map.try_into().expect("SOCKETS has rows of this size");
    let id = id(client);
    rows.iter()
        .flatten()
        .filter(|(_, row)| cast::<_, SocketRow>(*row).client == id)
        .count()
}

/// Returns the number of rows of this client in AFFINITY.
pub(super) fn bindings(node: &Node, client: &Place) -> u64 {
    let rows = affinity(node).into_iter();
    let rows = rows.filter(|row| row.owner == id(client)).count();
    rows.try_into().expect("the map has fewer rows than that")
}

/// Returns the rows of AFFINITY.
fn affinity(node: &Node) -> Vec<AffinityRow> {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::AFFINITY.name));
    let rows: HashMap<_, [u8; 16], [u8; size_of::<AffinityRow>()]> =
        map.try_into().expect("rows of these sizes");
    rows.iter().flatten().map(|(_, row)| cast(row)).collect()
}

/// Expects other clients to be served as usual while the client goes on to connect, and afterwards.
fn expect_others_served_beside(node: &Node, attacker: &Place) {
    let mut processes = [(); 2].map(|()| Client::start(attacker));
    let [tcp, udp] = &mut processes;
    let attacks = vec![
        tcp.tcp(TCP).again_and_again(),
        udp.udp(UDP).again_and_again(),
    ];
    while_attacked(attacks, || expect_others_served(node));
}

/// Expects other clients to be served as usual.
fn expect_others_served(node: &Node) {
    let mut other = node.client();
    assert_eq!(other.tcp(TCP).times(100).errors, counts([]));
    assert_eq!(other.udp(UDP).times(100).errors, counts([]));
    assert_eq!(other.open_streams(TCP, 10).total_answers(), 10);
}

#[test]
fn a_client_with_many_sockets_is_refused_by_a_limited_service_and_others_are_not() {
    let (node, attacker) = node("30s");
    let _server = serve(&node, &["limits: {maxConnections: 1000}"]);
    let mut busy = Client::start(&attacker);
    let opened = busy.open_streams(TCP, MANY);
    assert_eq!(
        (opened.total_answers(), rows(&node, &attacker)),
        (u64::from(SHARE), SHARE as usize)
    );
    assert_eq!(
        opened.errors,
        counts([("connect ECONNREFUSED", u64::from(MANY - SHARE))])
    );
    expect_others_served_beside(&node, &attacker);
    drop(busy);
    wait::until_equal("the client's rows to be removed", PATIENCE, &[0; 4], || {
        has(&node, &attacker)
    });
    assert_eq!(
        Client::start(&attacker)
            .open_streams(TCP, SHARE)
            .total_answers(),
        u64::from(SHARE)
    );
}

#[test]
fn a_client_with_many_sockets_is_served_without_records_where_no_limit_is_broken() {
    let (node, attacker) = node("30s");
    let _server = serve(&node, &[]);
    let mut busy = Client::start(&attacker);
    assert_eq!(
        busy.open_streams(TCP, MANY).total_answers(),
        u64::from(MANY)
    );
    assert_eq!(rows(&node, &attacker), SHARE as usize);
    let port = node.port_of("shop/cart", 80, "TCP");
    assert_eq!(port.counters[Counter::Unrecorded], u64::from(MANY - SHARE));
    assert_eq!(port.endpoints[0].connections, u64::from(SHARE));
    expect_others_served_beside(&node, &attacker);
}

/// Together the clients ask for more rows than the map has. Services with limits refuse then.
#[test]
fn five_clients_that_fill_the_table_together_take_nothing_from_services_without_limits() {
    let (node, _attacker) = node("30s");
    let servers = ["a", "b"].map(|name| node.echo_server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let names = ["1", "2", "3", "4", "5"].map(|number| format!("attacker{number}.service"));
    let places = names.map(|name| node.place().below(&name));
    let mut attackers = places.each_ref().map(Client::start);
    let opened = attackers.each_mut().map(|it| it.open_streams(TCP, MANY));
    assert!(
        opened
            .iter()
            .all(|it| it.total_answers() == u64::from(MANY))
    );
    let recorded: usize = places.iter().map(|place| rows(&node, place)).sum();
    assert_eq!(recorded, 64, "no row is left");
    let mut more = places.each_ref().map(Client::start);
    let attacks = more.iter_mut().map(|it| it.tcp(TCP).again_and_again());
    let mut other = node.client();
    while_attacked(attacks.collect(), || {
        expect_fair(&other.tcp(TCP).times(CONNECTS), &servers);
        expect_others_served(&node);
    });
}

#[test]
fn udp_sockets_of_a_client_take_no_more_memory_than_its_share() {
    let (node, attacker) = node("30s");
    let _server = serve(&node, &[]);
    let mut busy = Client::start(&attacker);
    let sockets: Vec<_> = (0..MANY).map(|_| busy.udp_socket("0.0.0.0:0")).collect();
    for &socket in &sockets {
        assert_eq!(busy.name_at(socket, UDP), Ok("a".into()));
    }
    assert_eq!(has(&node, &attacker), [0, u64::from(SHARE), 0, 0]);
    expect_others_served_beside(&node, &attacker);
    drop(busy);
    wait::until_equal(
        "the client's records to be removed",
        PATIENCE,
        &[0; 4],
        || has(&node, &attacker),
    );
}

#[test]
fn a_client_with_many_namespaces_gets_only_its_share_of_bindings() {
    let (node, attacker) = node("1s");
    let _server = serve(
        &node,
        &["affinity: {timeoutSeconds: 5}", "outlier: {enabled: false}"],
    );
    let mut other = node.client();
    assert_eq!(other.tcp(TCP).times(3).errors, counts([]));
    for _ in 0..2 * SHARE {
        let elsewhere = Place {
            netns: Arc::new(Netns::new()),
            ..attacker.clone()
        };
        // No server listens, but the client was bound.
        assert_eq!(Client::start(&elsewhere).tcp(TCP).once().total_answers(), 0);
    }
    let of = |place: &Place| bindings(&node, place);
    assert_eq!((of(&attacker), of(node.place())), (SHARE.into(), 1));
    // Bindings that are not used expire.
    wait::until_equal("no binding", PATIENCE, &[0; 4], || has(&node, &attacker));
    assert_eq!(affinity(&node).len(), 0);
}

#[test]
fn rows_of_sockets_that_ended_without_a_hook_are_removed_within_seconds() {
    let (node, attacker) = node("3s");
    let server = serve(&node, &["limits: {maxConnections: 1000}"]);
    let mut busy = Client::start(&attacker);
    if busy.try_socket(Transport::Mptcp, "0.0.0.0:0").is_err() {
        println!("skipped: this kernel has no MPTCP");
        return;
    }
    // The kernel refuses these connects after the hook, and closes the sockets without one.
    let nowhere = service("shop/nowhere")
        .address("10.96.0.11")
        .tcp(80)
        .at("192.0.2.1:80".parse().expect("an address"));
    node.write("nowhere.yaml", nowhere);
    wait::until("the service", PATIENCE, || {
        node.find_service("shop/nowhere")
            .is_some_and(|it| it.ports[0].endpoints[0].active)
    });
    for _ in 0..MANY {
        let socket = busy.socket(Transport::Mptcp, "0.0.0.0:0");
        busy.connect(socket, "10.96.0.11:80")
            .expect_err("there is no route");
        busy.close(socket);
    }
    expect_others_served(&node);
    wait::until_equal("the client's rows to be removed", SWEPT, &[0; 4], || {
        has(&node, &attacker)
    });
    assert_eq!(rows(&node, &attacker), 0);
    assert_eq!(
        busy.open_streams(TCP, SHARE).answers_of(&server),
        u64::from(SHARE)
    );
}
