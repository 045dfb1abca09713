//! Capacity of the maps, and whether tables fit.

use std::collections::BTreeSet;

use super::{Quotas, Tables};

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

/// Rows and service ids that can be allocated.
#[derive(Clone, Copy, Debug)]
pub struct Allocatable<'a> {
    /// Capacity of each map, in rows.
    pub capacity: Capacity,
    /// Service ids that connections still count for. A new service with such an id would be charged
    /// for them, so these ids are allocated last.
    pub busy: &'a BTreeSet<u32>,
    /// Share of the maps that one service or namespace may use.
    pub quotas: Quotas,
}

impl From<Capacity> for Allocatable<'_> {
    /// No service id is busy, and there are no quotas.
    fn from(capacity: Capacity) -> Self {
        const NONE: &BTreeSet<u32> = &BTreeSet::new();
        Self {
            capacity,
            busy: NONE,
            quotas: Quotas::NONE,
        }
    }
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
