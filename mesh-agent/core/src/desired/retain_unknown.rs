//! Retains the rows of services whose configuration cannot be read at present.

use std::collections::BTreeSet;

use super::{Tables, port_identity::identified, slot_ranges::slot_ranges};
use crate::model::ServiceName;

/// Copies the rows of these services from `current`.
pub(super) fn retain_unknown(
    current: &Tables,
    tables: &mut Tables,
    services: &BTreeSet<ServiceName>,
) {
    if services.is_empty() {
        return;
    }
    let unknown: BTreeSet<u32> = current
        .names
        .iter()
        .filter(|(id, _)| !tables.names.contains_key(id))
        .filter(|(_, name)| identified(name).is_some_and(|service| services.contains(&service)))
        .map(|(&id, _)| id)
        .collect();
    let rows = current
        .services
        .iter()
        .filter(|(_, row)| unknown.contains(&row.id));
    for (_, row) in rows.filter(|(key, _)| !tables.services.contains_key(key)) {
        for range in slot_ranges(&current.slots, row) {
            let slots = current.slots.range(range);
            tables
                .slots
                .extend(slots.map(|(&index, &slot)| (index, slot)));
        }
    }
    tables.copy_services(current, |id| unknown.contains(&id));
}
