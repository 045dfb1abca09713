//! Walks the backends and slots that a service row refers to.

use std::{iter, ops::Range};

use mesh_common::abi::{BackendRow, ServiceRow, Slot, backend_state, service_flags};

use super::Tables;
use crate::table::Table;

impl Tables {
    /// Whether any backend of a service row takes connects.
    pub fn leads_to_active(&self, row: &ServiceRow) -> bool {
        let is_active = |it: &BackendRow| it.state == backend_state::ACTIVE;
        // By the rows that exist: another process may have written any range.
        if let Some(indexes) = contiguous_backends(row) {
            return self.backends.range(indexes).any(|(_, it)| is_active(it));
        }
        let mut slots = slot_ranges(&self.slots, row)
            .into_iter()
            .flat_map(|range| self.slots.range(range));
        slots.any(|(_, slot)| {
            slot.link == 0 && self.backends.get(&slot.backend).is_some_and(is_active)
        })
    }
}

/// Returns the backends of a service row without slots.
pub fn contiguous_backends(row: &ServiceRow) -> Option<Range<u32>> {
    let end = row.slot_base.saturating_add(row.slot_count);
    (row.flags & service_flags::CONTIGUOUS != 0).then_some(row.slot_base..end)
}

/// The slots of one tier of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotTier {
    base: u32,
    count: u32,
    /// Whether a link to the next tier follows.
    has_link: bool,
}

impl SlotTier {
    /// Returns the nearest tier.
    pub fn first(row: &ServiceRow) -> Self {
        Self {
            base: row.slot_base,
            count: row.slot_count,
            has_link: row.flags & service_flags::TIERS != 0,
        }
    }

    /// Returns the next tier, if any. A link always leads to a higher index; any other link was
    /// written by another process and ends the walk.
    pub fn next(&self, slots: &Table<u32, Slot>) -> Option<Self> {
        let end = self.columns().end;
        let link = slots.get(&end).filter(|_| self.has_link)?;
        let (base, count, more) = link.linked().filter(|(base, ..)| *base > end)?;
        Some(Self {
            base,
            count,
            has_link: more != 0,
        })
    }

    /// Returns the columns.
    pub fn columns(&self) -> Range<u32> {
        self.base..self.base.saturating_add(self.count)
    }

    /// Returns the columns and the link that follows them.
    pub fn with_link(&self) -> Range<u32> {
        self.base..self.columns().end.saturating_add(self.has_link.into())
    }
}

/// Returns the tiers of a service row.
pub fn tiers<'a>(
    slots: &'a Table<u32, Slot>,
    row: &ServiceRow,
) -> impl Iterator<Item = SlotTier> + use<'a> {
    iter::successors(Some(SlotTier::first(row)), |tier| tier.next(slots))
}

/// Returns the slots of every tier of a service row, each range including the link to the next
/// tier.
pub(super) fn slot_ranges(slots: &Table<u32, Slot>, row: &ServiceRow) -> Vec<Range<u32>> {
    if contiguous_backends(row).is_some() {
        return Vec::new();
    }
    tiers(slots, row).map(|tier| tier.with_link()).collect()
}
