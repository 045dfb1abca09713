//! Builds the slots of a frontend: one table per tier, in the form that its policy needs, with
//! links between the tiers.

use std::collections::HashSet;

use mesh_common::abi::Slot;

use super::{
    alias_table::{WeightedBackend, alias_table},
    maglev::maglev_table,
    round_robin::round_robin_table,
};
use crate::model::Balance;

/// Slots by tier, not yet placed in SLOTS.
#[derive(Debug, Default)]
pub(super) struct Tiers(Vec<Vec<Slot>>);

impl Tiers {
    /// Builds the tables from the nearest tier to the farthest. Empty tiers are dropped.
    pub(super) fn new(
        balance: Balance,
        tiers: impl IntoIterator<Item = Vec<WeightedBackend>>,
    ) -> Self {
        let tables = tiers.into_iter().map(|shares| table(balance, &shares));
        Self(tables.filter(|table| !table.is_empty()).collect())
    }

    /// Returns the number of slots of the first tier.
    pub(super) fn first(&self) -> u32 {
        self.0.first().map_or(0, |table| count(table))
    }

    /// Whether a link follows the first tier.
    pub(super) fn has_more(&self) -> bool {
        self.0.len() > 1
    }

    /// Returns the first backend if the backends are contiguous and equal, so that the service
    /// needs no slots.
    pub(super) fn first_contiguous(&self) -> Option<u32> {
        let [table] = self.0.as_slice() else {
            return None;
        };
        let first = table.first()?.backend;
        (first..)
            .zip(table)
            .all(|(backend, slot)| *slot == Slot::full(backend))
            .then_some(first)
    }

    /// Returns the number of backends in the slots.
    pub(super) fn backends(&self) -> u32 {
        let slots = self.0.iter().flatten();
        let backends: HashSet<u32> = slots.flat_map(|slot| [slot.backend, slot.alias]).collect();
        u32::try_from(backends.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of slots, including the links between tiers.
    pub(super) fn len(&self) -> u32 {
        self.0
            .iter()
            .map(|table| count(table) + 1)
            .sum::<u32>()
            .saturating_sub(1)
    }

    /// Returns the rows with the first slot at `base`.
    pub(super) fn at(&self, base: u32) -> impl Iterator<Item = (u32, Slot)> {
        let mut next = base;
        let rows = self.0.iter().enumerate().flat_map(move |(tier, table)| {
            let link = self.0.get(tier + 1).map(|following| {
                let base = next + count(table) + 1;
                next = base;
                Slot::next(base, count(following), tier + 2 < self.0.len())
            });
            table.iter().copied().chain(link)
        });
        (base..).zip(rows)
    }
}

fn table(balance: Balance, shares: &[WeightedBackend]) -> Vec<Slot> {
    match balance {
        Balance::LeastConnections | Balance::LatencyAware | Balance::Random => alias_table(shares),
        Balance::RoundRobin => round_robin_table(shares),
        Balance::ConsistentHash(_) => maglev_table(shares),
    }
}

fn count(table: &[Slot]) -> u32 {
    u32::try_from(table.len()).expect("endpoints of one port fit into memory, hence into 32 bits")
}
