//! Capacity of the maps, and whether tables fit.

pub use mesh_common::abi::capacity::Capacity;
use mesh_common::abi::maps;

use super::Tables;

/// Whether the tables fit. New frontends are written before old ones are deleted, so both must fit.
/// Indexes are allocated around the rows in use, so the highest one decides.
pub(super) fn fit(current: &Tables, tables: &Tables, capacity: Capacity) -> bool {
    let needed = |last: Option<&u32>| last.map_or(0, |index| *index as usize + 1);
    let replaced = current.services.differences(&tables.services);
    let leaving = replaced.filter(|(_, _, new)| new.is_none()).count();
    let names = needed(tables.names.keys().next_back());
    let slots = needed(tables.slots.keys().next_back());
    let backends = needed(tables.backends.keys().next_back());
    let rows = [
        (maps::SERVICES.rows, tables.services.len() + leaving),
        (maps::NAMES.rows, names),
        (maps::SLOTS.rows, slots),
        (maps::BACKENDS.rows, backends),
    ];
    rows.into_iter()
        .all(|(rows, needed)| needed <= capacity.of(rows) as usize)
}
