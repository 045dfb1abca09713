//! The indexes, ids and rows that a compile may allocate.

use std::collections::BTreeSet;

use super::{Capacity, Quotas};

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
