//! The kernel's counters of a service port.

use mesh_common::{abi, counter::Counter};
use serde::{Deserialize, Serialize};

/// The kernel's counters of a service port. One field per counter of `mesh_common::counter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounters {
    /// Connects answered with a backend.
    pub connects: u64,
    /// Connects refused because no backend was usable.
    pub refused_no_backend: u64,
    /// Connects refused because a map row refers to a missing row.
    pub refused_broken: u64,
    /// Connects answered without a socket record.
    pub unrecorded: u64,
    /// Connects refused because of a limit of connections.
    #[serde(default)]
    pub refused_limit: u64,
    /// Connects that failed at the backend.
    #[serde(default)]
    pub failures: u64,
    /// Ejections of backends.
    #[serde(default)]
    pub ejections: u64,
    /// Trial connects to a backend whose ejection is over.
    #[serde(default)]
    pub trials: u64,
    /// Connects that went elsewhere because the first choice was full.
    #[serde(default)]
    pub overflows: u64,
    /// Connects that went to a farther tier than the first.
    #[serde(default)]
    pub failovers: u64,
    /// Connects to ejected backends because too few others were left.
    #[serde(default)]
    pub panics: u64,
    /// Connects refused because their client holds its share of the connections.
    #[serde(default)]
    pub refused_share: u64,
}

impl ServiceCounters {
    /// Returns the field of `counter`.
    pub fn get(&self, counter: Counter) -> u64 {
        match counter {
            Counter::Connects => self.connects,
            Counter::RefusedNoBackend => self.refused_no_backend,
            Counter::RefusedBroken => self.refused_broken,
            Counter::Unrecorded => self.unrecorded,
            Counter::RefusedLimit => self.refused_limit,
            Counter::Failures => self.failures,
            Counter::Ejections => self.ejections,
            Counter::Trials => self.trials,
            Counter::Overflows => self.overflows,
            Counter::Failovers => self.failovers,
            Counter::Panics => self.panics,
            Counter::RefusedShare => self.refused_share,
        }
    }

    /// Returns the connects refused for any reason.
    pub fn refused(&self) -> u64 {
        let of_limits = self.refused_limit.saturating_add(self.refused_share);
        self.refused_no_backend
            .saturating_add(self.refused_broken)
            .saturating_add(of_limits)
    }
}

impl From<abi::ServiceCounters> for ServiceCounters {
    fn from(row: abi::ServiceCounters) -> Self {
        let value = |counter: Counter| row[counter.index()];
        Self {
            connects: value(Counter::Connects),
            refused_no_backend: value(Counter::RefusedNoBackend),
            refused_broken: value(Counter::RefusedBroken),
            unrecorded: value(Counter::Unrecorded),
            refused_limit: value(Counter::RefusedLimit),
            failures: value(Counter::Failures),
            ejections: value(Counter::Ejections),
            trials: value(Counter::Trials),
            overflows: value(Counter::Overflows),
            failovers: value(Counter::Failovers),
            panics: value(Counter::Panics),
            refused_share: value(Counter::RefusedShare),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counter_has_its_field() {
        let row = std::array::from_fn(|place| place as u64 + 1);
        let counters = ServiceCounters::from(row);
        for counter in Counter::ALL {
            assert_eq!(counters.get(counter), row[counter.index()], "{counter:?}");
        }
    }

    #[test]
    fn counter_fields_have_the_names_of_the_counters() {
        let fields = serde_json::to_value(ServiceCounters::default()).unwrap();
        let names: BTreeSet<_> = fields
            .as_object()
            .unwrap()
            .keys()
            .map(|name| snake_case(name))
            .collect();
        let expected: BTreeSet<_> = Counter::ALL
            .iter()
            .map(|counter| counter.name().to_owned())
            .collect();
        assert_eq!(names, expected);
    }

    fn snake_case(camel: &str) -> String {
        camel
            .chars()
            .flat_map(|c| {
                c.is_uppercase()
                    .then_some('_')
                    .into_iter()
                    .chain(c.to_lowercase())
            })
            .collect()
    }
}
