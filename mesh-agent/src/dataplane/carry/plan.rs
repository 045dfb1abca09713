//! Decides what becomes of each map of an earlier agent: takes the forms of the old and the new maps.

use std::collections::BTreeMap;

use mesh_common::abi::maps;

use crate::dataplane::layout::Form;

/// The oldest layout whose rows [`convert`](super::convert) understands.
const OLDEST: u32 = 6;

/// Maps that refer to each other by indexes that the agent assigns. While old and new programs run
/// side by side, both need all of them from one agent.
const CONFIGURED: [&str; 4] = [
    maps::SERVICES.name,
    maps::SLOTS.name,
    maps::BACKENDS.name,
    maps::ADDRESS_FILTER.name,
];

/// Maps whose rows are read and converted. The others are derived from the configuration, caches,
/// or storage of sockets, which no agent can read.
const COPIED: [&str; 9] = [
    maps::BACKENDS.name,
    maps::LOAD.name,
    maps::COUNTERS.name,
    maps::NAMES.name,
    maps::SOCKETS.name,
    maps::AFFINITY.name,
    maps::OUTCOMES.name,
    maps::QUOTAS.name,
    maps::SHARES.name,
];

/// What becomes of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Old and new programs use the same map.
    Kept,
    /// The new map gets the rows of the old one.
    Copied,
    /// The new map starts empty.
    Empty,
}

/// Forms by the name of the map.
pub(super) type Forms = BTreeMap<&'static str, Form>;

/// Returns the fate of each new map, given the maps of the layout `version`. Maps of a later version
/// are understood, because [fields are only appended](super::convert).
pub(super) fn plan(version: u32, old: &Forms, new: &Forms) -> BTreeMap<&'static str, Fate> {
    let is_same = |name: &str| old.contains_key(name) && old.get(name) == new.get(name);
    let keeps_configured = CONFIGURED.iter().all(|name| is_same(name));
    let fate = |name: &str| {
        let is_kept = match name {
            _ if !is_understood(version) => return Fate::Empty,
            _ if CONFIGURED.contains(&name) => keeps_configured,
            // Counts the rows of SOCKETS.
            _ if name == maps::COOKIE_FILTER.name => is_same(name) && is_same(maps::SOCKETS.name),
            // Counts the rows of maps that no agent can read.
            _ if name == maps::QUOTAS.name => {
                is_same(name) && is_same(maps::FLOWS.name) && is_same(maps::MORE_FLOWS.name)
            }
            _ => is_same(name),
        };
        let can_be_read = || {
            let key = |forms: &Forms| forms.get(name).map(|form| (form.kind, form.key_size));
            COPIED.contains(&name) && key(old) == key(new)
        };
        match is_kept {
            true => Fate::Kept,
            false if can_be_read() => Fate::Copied,
            false => Fate::Empty,
        }
    };
    new.keys().map(|&name| (name, fate(name))).collect()
}

/// Returns whether the rows of this layout are understood.
pub(super) const fn is_understood(version: u32) -> bool {
    version >= OLDEST
}

#[cfg(test)]
mod tests {
    use mesh_common::abi::ABI_VERSION;

    use super::*;
    use crate::desired::Capacity;

    fn forms(capacity: Capacity) -> Forms {
        maps::ALL
            .iter()
            .map(|map| (map.name, Form::of(map, capacity)))
            .collect()
    }

    /// Maps that are not kept.
    fn not_kept(version: u32, old: &Forms, new: &Forms) -> Vec<(&'static str, Fate)> {
        let plan = plan(version, old, new);
        plan.into_iter()
            .filter(|(_, fate)| *fate != Fate::Kept)
            .collect()
    }

    const CAPACITY: Capacity = Capacity::DEFAULT;

    #[test]
    fn maps_of_the_same_form_are_kept() {
        let forms = forms(CAPACITY);
        assert_eq!(not_kept(ABI_VERSION, &forms, &forms), []);
    }

    #[test]
    fn another_number_of_sockets_copies_their_rows_and_counts_them_again() {
        let more = Capacity {
            sockets: 10,
            ..CAPACITY
        };
        assert_eq!(
            not_kept(ABI_VERSION, &forms(CAPACITY), &forms(more)),
            [("COOKIE_FILTER", Fate::Empty), ("SOCKETS", Fate::Copied)]
        );
    }

    #[test]
    fn configured_maps_are_kept_together_or_not_at_all() {
        let more = Capacity {
            backends: 10,
            slots: 20,
            ..CAPACITY
        };
        let rest = [
            ("ADDRESS_FILTER", Fate::Empty),
            ("BACKENDS", Fate::Copied),
            ("SERVICES", Fate::Empty),
            ("SLOTS", Fate::Empty),
        ];
        assert_eq!(not_kept(ABI_VERSION, &forms(CAPACITY), &forms(more)), rest);
    }

    #[test]
    fn rows_that_grew_are_copied_and_socket_storage_is_not() {
        let (old, mut new) = (forms(CAPACITY), forms(CAPACITY));
        for name in ["FLOWS", "AFFINITY"] {
            new.get_mut(name).unwrap().row_size += 8;
        }
        assert_eq!(
            not_kept(ABI_VERSION, &old, &new),
            [
                ("AFFINITY", Fate::Copied),
                ("FLOWS", Fate::Empty),
                ("QUOTAS", Fate::Copied)
            ]
        );
    }

    #[test]
    fn rows_of_a_layout_that_is_not_understood_are_not_read() {
        let forms = forms(CAPACITY);
        let plan = plan(OLDEST - 1, &forms, &forms);
        assert!(plan.into_values().all(|fate| fate == Fate::Empty));
    }
}
