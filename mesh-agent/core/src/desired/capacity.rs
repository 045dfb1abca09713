//! Capacity of the maps, and whether tables fit.

use super::Tables;

/// Capacity of the maps, in rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capacity {
    /// Frontends, and service ids.
    pub services: u32,
    /// Slots.
    pub slots: u32,
    /// Backends.
    pub backends: u32,
    /// Open sockets.
    pub sockets: u32,
    /// Open sockets of one [client](mesh_common::client).
    pub sockets_per_client: u32,
}

/// Whether the tables fit. New frontends are written before old ones are deleted, so both must fit.
/// Indexes are allocated around the rows in use, so the highest one decides.
pub(super) fn fit(current: &Tables, tables: &Tables, capacity: Capacity) -> bool {
    let needed = |last: Option<&u32>| last.map_or(0, |index| *index as usize + 1);
    let replaced = current.services.differences(&tables.services);
    let leaving = replaced.filter(|(_, _, new)| new.is_none()).count();
    let rows = [
        (capacity.services, tables.services.len() + leaving),
        (capacity.services, needed(tables.names.keys().next_back())),
        (capacity.slots, needed(tables.slots.keys().next_back())),
        (
            capacity.backends,
            needed(tables.backends.keys().next_back()),
        ),
    ];
    rows.into_iter()
        .all(|(capacity, needed)| needed <= capacity as usize)
}
