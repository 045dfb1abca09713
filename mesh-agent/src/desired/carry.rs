//! Retains the rows of services whose configuration cannot be read at present, and walks the slots of a service row.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use mesh_common::abi::{ServiceRow, Slot, backend_state, service_flags};

use super::{Tables, compile::identified};
use crate::{model::ServiceName, table::Table};

/// Copies the rows of these services from `current`.
pub(super) fn carry_over(current: &Tables, tables: &mut Tables, services: &BTreeSet<ServiceName>) {
    let unknown: BTreeMap<u32, String> = current
        .names
        .iter()
        .filter(|(id, _)| !tables.names.contains_key(id))
        .filter(|(_, name)| identified(name).is_some_and(|service| services.contains(&service)))
        .map(|(&id, name)| (id, name.clone()))
        .collect();
    for (key, row) in current.services.iter().filter(|(_, row)| unknown.contains_key(&row.id)) {
        if !tables.services.contains_key(key) {
            tables.services.insert(*key, *row);
            for range in ranges(&current.slots, row) {
                tables.slots.extend(current.slots.range(range).map(|(&index, &slot)| (index, slot)));
            }
        }
    }
    let backends = current.backends.iter().filter(|(_, row)| unknown.contains_key(&row.service));
    tables.backends.extend(backends.map(|(&index, &row)| (index, row)));
    tables.names.extend(unknown);
}

impl Tables {
    /// Whether any backend of a service row takes connects.
    pub fn leads_to_active(&self, row: &ServiceRow) -> bool {
        let is_active = |index: u32| self.backends.get(&index).is_some_and(|it| it.state == backend_state::ACTIVE);
        if let Some(mut row) = in_a_row(row) {
            return row.any(is_active);
        }
        let mut slots = ranges(&self.slots, row).into_iter().flat_map(|range| self.slots.range(range));
        slots.any(|(_, slot)| slot.link == 0 && is_active(slot.backend))
    }
}

/// Returns the backends of a service row without slots.
pub fn in_a_row(row: &ServiceRow) -> Option<Range<u32>> {
    let end = row.slot_base.saturating_add(row.slot_count);
    (row.flags & service_flags::IN_A_ROW != 0).then_some(row.slot_base..end)
}

/// Returns the slots of every tier of a service row, each range including the link to the next tier. A link always leads
/// to a higher index; any other link was written by another process and ends the walk.
pub(super) fn ranges(slots: &Table<u32, Slot>, row: &ServiceRow) -> Vec<Range<u32>> {
    let mut ranges = Vec::new();
    let first = (row.slot_base, row.slot_count, row.flags & service_flags::TIERS != 0);
    let mut tier = in_a_row(row).is_none().then_some(first);
    while let Some((base, count, more)) = tier {
        let end = base.saturating_add(count);
        ranges.push(base..end.saturating_add(more.into()));
        let link = slots.get(&end).filter(|link| more && link.link != 0 && link.backend > end);
        tier = link.map(|link| (link.backend, link.alias, link.threshold != 0));
    }
    ranges
}
