//! Retains the rows of services whose configuration cannot be read at present.

use std::collections::{BTreeMap, BTreeSet};

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
    let unknown: BTreeMap<u32, String> = current
        .names
        .iter()
        .filter(|(id, _)| !tables.names.contains_key(id))
        .filter(|(_, name)| identified(name).is_some_and(|service| services.contains(&service)))
        .map(|(&id, name)| (id, name.clone()))
        .collect();
    for (key, row) in current
        .services
        .iter()
        .filter(|(_, row)| unknown.contains_key(&row.id))
    {
        if !tables.services.contains_key(key) {
            tables.services.insert(*key, *row);
            for range in slot_ranges(&current.slots, row) {
                tables.slots.extend(
                    current
                        .slots
                        .range(range)
                        .map(|(&index, &slot)| (index, slot)),
                );
            }
        }
    }
    let backends = current
        .backends
        .iter()
        .filter(|(_, row)| unknown.contains_key(&row.service));
    tables
        .backends
        .extend(backends.map(|(&index, &row)| (index, row)));
    tables.names.extend(unknown);
}
