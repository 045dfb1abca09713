//! Capacity of the maps, and the check that tables fit.

use std::collections::BTreeSet;

pub use mesh_common::abi::capacity::Capacity;
use mesh_common::abi::maps::{self, MapDef};

use super::Tables;

/// Rows and service ids that can be allocated.
#[derive(Clone, Copy, Debug)]
pub struct Allocatable<'a> {
    /// Capacity of each map, in rows.
    pub capacity: Capacity,
    /// Service ids that connections still count for. A new service with such an id would be charged
    /// for them, so these ids are allocated last.
    pub busy: &'a BTreeSet<u32>,
}

impl From<Capacity> for Allocatable<'_> {
    /// No service id is busy.
    fn from(capacity: Capacity) -> Self {
        const NONE: &BTreeSet<u32> = &BTreeSet::new();
        Self {
            capacity,
            busy: NONE,
        }
    }
}

/// The configuration does not fit into the maps, so none of it is applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "map {map} has {capacity} rows but {needed} are needed (rows that are being replaced count until they are deleted); \
     configure fewer or raise the capacity in the agent's settings"
)]
pub struct CapacityError {
    /// Map name.
    pub map: &'static str,
    /// Rows it has.
    pub capacity: u32,
    /// Rows it would need.
    pub needed: u32,
}

/// Checks that the tables fit. New frontends are written before old ones are deleted, so both must
/// fit. Indexes are allocated around the rows in use, so the highest one decides.
pub(super) fn check_capacity(
    current: &Tables,
    tables: &Tables,
    capacity: Capacity,
) -> Result<(), CapacityError> {
    let needed = |last: Option<&u32>| last.map_or(0, |index| index + 1);
    let leaving = current
        .services
        .differences(&tables.services)
        .filter(|(_, _, new)| new.is_none())
        .count();
    let frontends =
        u32::try_from(tables.services.len() + leaving).expect("frontends fit into 32 bits");
    fits(&maps::SERVICES, capacity, frontends)?;
    fits(
        &maps::NAMES,
        capacity,
        needed(tables.names.keys().next_back()),
    )?;
    fits(
        &maps::SLOTS,
        capacity,
        needed(tables.slots.keys().next_back()),
    )?;
    fits(
        &maps::BACKENDS,
        capacity,
        needed(tables.backends.keys().next_back()),
    )
}

fn fits<K, V>(map: &MapDef<K, V>, capacity: Capacity, needed: u32) -> Result<(), CapacityError> {
    let rows = capacity.of(map.rows);
    if needed <= rows {
        return Ok(());
    }
    Err(CapacityError {
        map: map.name,
        capacity: rows,
        needed,
    })
}
