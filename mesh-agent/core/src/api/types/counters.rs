//! The kernel's counters of a service port.

use std::{
    collections::HashMap,
    fmt,
    ops::{Index, IndexMut},
    sync::LazyLock,
};

use mesh_common::{
    abi,
    counter::{Counter, Kind},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const COUNTERS: usize = Counter::ALL.len();

/// The kernel's counters of a service port. In JSON, one field per [`Counter`], with its name in
/// camel case.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceCounters([u64; COUNTERS]);

impl ServiceCounters {
    /// Returns the connects refused for any reason.
    pub fn refused(&self) -> u64 {
        Counter::of_kind(Kind::Refusal).fold(0, |sum, counter| sum.saturating_add(self[counter]))
    }

    /// Returns the counters that are shown one by one beside the connects and the sum of refusals.
    pub fn details() -> impl Iterator<Item = Counter> {
        Counter::ALL
            .into_iter()
            .filter(|counter| matches!(counter.kind(), Kind::Detour | Kind::Event))
    }
}

impl Index<Counter> for ServiceCounters {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.0[counter.index()]
    }
}

impl IndexMut<Counter> for ServiceCounters {
    fn index_mut(&mut self, counter: Counter) -> &mut u64 {
        &mut self.0[counter.index()]
    }
}

impl From<abi::ServiceCounters> for ServiceCounters {
    fn from(row: abi::ServiceCounters) -> Self {
        Self(Counter::ALL.map(|counter| row[counter.index()]))
    }
}

impl fmt::Debug for ServiceCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = Counter::ALL.map(|counter| (counter.name(), self[counter]));
        f.debug_map().entries(fields).finish()
    }
}

impl Serialize for ServiceCounters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FIELDS.iter().zip(self.0))
    }
}

impl<'de> Deserialize<'de> for ServiceCounters {
    /// Counters that an agent of another version has in addition are ignored, missing ones are zero.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = HashMap::<String, u64>::deserialize(deserializer)?;
        let value = |counter: Counter| fields.get(&FIELDS[counter.index()]);
        Ok(Self(Counter::ALL.map(|counter| {
            value(counter).copied().unwrap_or_default()
        })))
    }
}

/// Field names in JSON.
static FIELDS: LazyLock<[String; COUNTERS]> =
    LazyLock::new(|| Counter::ALL.map(|counter| camel_case(counter.name())));

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (initial, rest) = word.split_at(1);
        text + &initial.to_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_field() {
        let row = std::array::from_fn(|place| place as u64 + 1);
        let counters = ServiceCounters::from(row);
        for counter in Counter::ALL {
            assert_eq!(counters[counter], row[counter.index()], "{counter:?}");
        }
        let json = serde_json::to_string(&counters).unwrap();
        assert_eq!(
            serde_json::from_str::<ServiceCounters>(&json).unwrap(),
            counters
        );
    }

    #[test]
    fn published_fields_keep_their_names_and_order() {
        let json = serde_json::to_string(&ServiceCounters::default()).unwrap();
        let published = r#"{"connects":0,"refusedNoBackend":0,"refusedBroken":0,"unrecorded":0,"refusedLimit":0,"failures":0,"ejections":0,"trials":0,"overflows":0,"failovers":0,"panics":0,"refusedShare":0"#;
        assert!(json.starts_with(published), "{json}");
    }

    #[test]
    fn counters_of_other_versions_are_ignored_or_zero() {
        let read = serde_json::from_str(r#"{"connects":7,"later":1}"#);
        let mut expected = ServiceCounters::default();
        expected[Counter::Connects] = 7;
        assert_eq!(read.ok(), Some(expected));
    }

    #[test]
    fn only_refusals_are_summed() {
        let mut counters = ServiceCounters::default();
        counters[Counter::Connects] = 1;
        counters[Counter::RefusedNoBackend] = 10;
        counters[Counter::RefusedShare] = 100;
        counters[Counter::Failures] = 1000;
        assert_eq!(counters.refused(), 110);
    }
}
