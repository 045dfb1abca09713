//! Rows that another process changed. The agent periodically compares the kernel's rows with the
//! desired ones.

use std::{collections::BTreeMap, time::Duration};

use aya::maps::{Array, HashMap, Map, MapData};
use bytemuck::cast;
use mesh_common::abi::{BackendEntry, BackendRow, FrontendKey, ServiceRow, maps};
use mesh_core::model::probe_address;
use mesh_tests::{Node, Server, client::protocol::counts, node::SETTLE, pinned, wait};

/// Longest time of a repair: the agent compares the rows every second.
const REPAIRED: Duration = Duration::from_secs(1).saturating_add(SETTLE);

// Rows as bytes, because aya's `Pod` is implemented for them only in the agent.
type FrontendBytes = [u8; size_of::<FrontendKey>()];
type ServiceBytes = [u8; size_of::<ServiceRow>()];
type BackendBytes = [u8; size_of::<BackendEntry>()];

fn node_that_compares_every_second() -> (Node, Server) {
    let node = Node::setup().flags("--resync-interval 1s").start();
    let a = node.serve_cart();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").once().answers,
        counts([("a", 1)])
    );
    (node, a)
}

/// The map SERVICES of a node.
struct Services(HashMap<MapData, FrontendBytes, ServiceBytes>);

impl Services {
    fn of(node: &Node) -> Self {
        let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SERVICES.name));
        Self(map.try_into().expect("SERVICES is a hash of these sizes"))
    }

    /// Returns the rows of services. The agent's own probe writes its rows itself.
    fn rows(&self) -> BTreeMap<FrontendKey, ServiceRow> {
        self.0
            .iter()
            .flatten()
            .map(|(key, row)| (cast::<_, FrontendKey>(key), cast(row)))
            .filter(|(key, _)| !probe_address::is_probe(key.addr.into()))
            .collect()
    }

    fn insert(&mut self, key: FrontendKey, row: ServiceRow) {
        self.0
            .insert(
                cast::<_, FrontendBytes>(key),
                cast::<_, ServiceBytes>(row),
                0,
            )
            .expect("there is room");
    }

    fn remove(&mut self, key: FrontendKey) {
        self.0
            .remove(&cast::<_, FrontendBytes>(key))
            .expect("the row exists");
    }
}

/// Damages the only row, and waits until all rows are repaired.
fn expect_repair(spoil: impl FnOnce(&mut Services, FrontendKey, ServiceRow)) {
    let (node, _a) = node_that_compares_every_second();
    let mut services = Services::of(&node);
    let before = services.rows();
    let (&key, &row) = before.first_key_value().expect("one service");
    spoil(&mut services, key, row);
    assert_ne!(services.rows(), before);
    wait::until_equal("the rows as they were", REPAIRED, &before, || {
        services.rows()
    });
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
}

#[test]
fn a_deleted_service_row_is_written_again() {
    expect_repair(|services, key, _row| services.remove(key));
}

#[test]
fn a_changed_service_row_is_written_again() {
    let refuse_everybody = |row| ServiceRow {
        slot_count: 0,
        ..row
    };
    expect_repair(|services, key, row| services.insert(key, refuse_everybody(row)));
}

#[test]
fn a_service_row_with_an_absurd_range_is_written_again() {
    let endless = |row| ServiceRow {
        slot_count: u32::MAX,
        ..row
    };
    expect_repair(|services, key, row| services.insert(key, endless(row)));
}

#[test]
fn a_foreign_service_row_is_deleted() {
    expect_repair(|services, key, row| {
        services.insert(
            FrontendKey {
                port: !key.port,
                ..key
            },
            row,
        );
    });
}

#[test]
fn a_changed_backend_row_is_written_again() {
    let (node, _a) = node_that_compares_every_second();
    let index = node.port("shop/cart").endpoints[0]
        .index
        .expect("it is active");
    let map = Map::Array(pinned::map(&node.directories().pins, maps::BACKENDS.name));
    let mut backends: Array<_, BackendBytes> =
        map.try_into().expect("BACKENDS is an array of this size");
    let before = backends.get(&index, 0).expect("the row exists");
    let entry: BackendEntry = cast(before);
    let elsewhere: BackendBytes = cast(BackendEntry {
        row: BackendRow {
            port: !entry.row.port,
            ..entry.row
        },
        ..entry
    });
    backends.set(index, elsewhere, 0).expect("the row exists");
    // The other half of the row belongs to the kernel and is reset.
    let row =
        || cast::<BackendBytes, BackendEntry>(backends.get(&index, 0).expect("the row exists")).row;
    wait::until_equal("the row as it was", REPAIRED, &entry.row, row);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
}
