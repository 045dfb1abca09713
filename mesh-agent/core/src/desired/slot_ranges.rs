//! Walks the backends and slots that a service row refers to.

use std::ops::Range;

use mesh_common::abi::{ServiceRow, Slot, backend_state, service_flags};

use super::Tables;
use crate::table::Table;

impl Tables {
    /// Whether any backend of a service row takes connects.
    pub fn leads_to_active(&self, row: &ServiceRow) -> bool {
        let is_active = |index: u32| {
            self.backends
                .get(&index)
                .is_some_and(|it| it.state == backend_state::ACTIVE)
        };
        if let Some(mut row) = contiguous_backends(row) {
            return row.any(is_active);
        }
        let mut slots = slot_ranges(&self.slots, row)
            .into_iter()
            .flat_map(|range| self.slots.range(range));
        slots.any(|(_, slot)| slot.link == 0 && is_active(slot.backend))
    }
}

/// Returns the backends of a service row without slots.
pub fn contiguous_backends(row: &ServiceRow) -> Option<Range<u32>> {
    let end = row.slot_base.saturating_add(row.slot_count);
    (row.flags & service_flags::CONTIGUOUS != 0).then_some(row.slot_base..end)
}

/// Returns the slots of every tier of a service row, each range including the link to the next
/// tier. A link always leads to a higher index; any other link was written by another process and
/// ends the walk.
pub(super) fn slot_ranges(slots: &Table<u32, Slot>, row: &ServiceRow) -> Vec<Range<u32>> {
    let mut ranges = Vec::new();
    let first = (
        row.slot_base,
        row.slot_count,
        row.flags & service_flags::TIERS != 0,
    );
    let mut tier = contiguous_backends(row).is_none().then_some(first);
    while let Some((base, count, more)) = tier {
        let end = base.saturating_add(count);
        ranges.push(base..end.saturating_add(more.into()));
        let link = slots
            .get(&end)
            .filter(|link| more && link.link != 0 && link.backend > end);
        tier = link.map(|link| (link.backend, link.alias, link.threshold != 0));
    }
    ranges
}
