//! Rows that somebody else changed. The agent compares what the kernel holds with what it should hold, now and then.

use std::time::Duration;

use aya::maps::{Array, HashMap, Map};
use mesh_common::abi::maps;
use mesh_tests::{Node, Server, client::protocol::counts, node::SETTLE, pinned, service, wait};

/// The compare period given to the agent, and the time a repair takes.
const REPAIRED: Duration = Duration::from_secs(1).saturating_add(SETTLE);

type Frontends = HashMap<aya::maps::MapData, [u8; 20], [u8; 16]>;

fn node_that_compares_every_second() -> (Node, Server) {
    let node = Node::setup().flags("--resync-interval 1s").start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    assert_eq!(node.client().tcp("10.96.0.10:80").once().answers, counts([("a", 1)]));
    (node, a)
}

fn frontends(node: &Node) -> Frontends {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SERVICES));
    map.try_into().expect("SERVICES is a hash of 20 bytes to 16")
}

fn rows(frontends: &Frontends) -> std::collections::BTreeMap<[u8; 20], [u8; 16]> {
    frontends.iter().flatten().collect()
}

fn expect_repair(node: &Node, spoil: impl FnOnce(&mut Frontends)) {
    let mut frontends = frontends(node);
    let before = rows(&frontends);
    assert_eq!(before.len(), 1);
    spoil(&mut frontends);
    assert_ne!(rows(&frontends), before);
    wait::until_equal("the rows as they were", REPAIRED, &before, || rows(&frontends));
    assert_eq!(node.client().tcp("10.96.0.10:80").times(10).answers, counts([("a", 10)]));
}

#[test]
fn a_deleted_service_row_is_written_again() {
    let (node, _a) = node_that_compares_every_second();
    expect_repair(&node, |frontends| {
        let key = *rows(frontends).keys().next().expect("one service");
        frontends.remove(&key).expect("it is there");
    });
}

#[test]
fn a_changed_service_row_is_written_again() {
    let (node, _a) = node_that_compares_every_second();
    expect_repair(&node, |frontends| {
        let (key, mut row) = rows(frontends).pop_first().expect("one service");
        // The number of slots: none, so that everybody is refused.
        row[8..12].fill(0);
        frontends.insert(key, row, 0).expect("there is room");
    });
}

#[test]
fn a_foreign_service_row_is_deleted() {
    let (node, _a) = node_that_compares_every_second();
    expect_repair(&node, |frontends| {
        let (mut key, row) = rows(frontends).pop_first().expect("one service");
        // Another address, the same port.
        key[15] ^= 0xff;
        frontends.insert(key, row, 0).expect("there is room");
    });
}

#[test]
fn a_changed_backend_row_is_written_again() {
    let (node, _a) = node_that_compares_every_second();
    let index = node.port("shop/cart").endpoints[0].index.expect("it is active");
    let map = Map::Array(pinned::map(&node.directories().pins, maps::BACKENDS));
    let mut backends: Array<_, [u8; 32]> = map.try_into().expect("BACKENDS is an array of 32 bytes");
    let before = backends.get(&index, 0).expect("it is there");
    let mut changed = before;
    changed[15] ^= 0xff;
    backends.set(index, changed, 0).expect("it is there");
    wait::until_equal("the row as it was", REPAIRED, &before, || backends.get(&index, 0).expect("it is there"));
    assert_eq!(node.client().tcp("10.96.0.10:80").times(10).answers, counts([("a", 10)]));
}
