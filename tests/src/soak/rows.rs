//! Numbers of rows in the pinned maps of a node.

use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData};
use bytemuck::cast;
use mesh_common::abi::{
    BackendEntry, FrontendKey, NameRow, ServiceRow, ShareKey, SocketRow, backend_state, maps,
};

use crate::{Node, pinned};

/// Numbers of rows that follow from the configuration and the open sockets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rows {
    services: usize,
    names: usize,
    backends: usize,
    sockets: usize,
    shares: usize,
}

impl Rows {
    /// Counts the rows.
    pub fn of(node: &Node) -> Self {
        let pins = &node.directories().pins;
        Self {
            services: rows::<{ size_of::<FrontendKey>() }, { size_of::<ServiceRow>() }>(
                pins,
                maps::SERVICES.name,
            ),
            names: rows::<4, { size_of::<NameRow>() }>(pins, maps::NAMES.name),
            backends: backends(pins),
            sockets: sockets(pins),
            shares: rows::<{ size_of::<ShareKey>() }, 8>(pins, maps::SHARES.name),
        }
    }
}

/// Counts the rows of open sockets.
pub fn sockets(pins: &Path) -> usize {
    rows::<8, { size_of::<SocketRow>() }>(pins, maps::SOCKETS.name)
}

/// Counts the rows of a hash map whose keys and rows have these sizes.
fn rows<const KEY: usize, const ROW: usize>(pins: &Path, name: &str) -> usize {
    let map = Map::HashMap(pinned::map(pins, name));
    let map: HashMap<MapData, [u8; KEY], [u8; ROW]> =
        map.try_into().expect("a hash map of these sizes");
    map.keys().filter(Result::is_ok).count()
}

/// Counts the backends that are in use.
fn backends(pins: &Path) -> usize {
    let map = Map::Array(pinned::map(pins, maps::BACKENDS.name));
    let map: Array<MapData, [u8; size_of::<BackendEntry>()]> =
        map.try_into().expect("an array of this size");
    // Indexes are taken from the lowest on, and few are in use at a time.
    let first = (0..1000).filter_map(|index| map.get(&index, 0).ok());
    let states = first.map(|row| cast::<_, BackendEntry>(row).row.state);
    states.filter(|state| *state != backend_state::FREE).count()
}
