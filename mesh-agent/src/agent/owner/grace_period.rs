//! Frees rows that nothing refers to any more, after a grace period.

use std::{collections::HashMap, time::Duration};

use super::{GRACE, Owner, RETRY};
use crate::{dataplane::Dataplane, desired::plan::Op};

impl<D: Dataplane> Owner<D> {
    /// Frees the rows whose grace period is over; returns the time until the next is due.
    pub(super) fn free(&mut self, frees: Vec<Op>, now: Duration) -> Option<Duration> {
        if frees.is_empty() {
            self.held.clear();
            return None;
        }
        let held = std::mem::take(&mut self.held);
        let drains = self.drains();
        let due = |op: &Op| {
            held.get(op)
                .copied()
                .unwrap_or_else(|| now + self.grace(op, &drains))
        };
        let (ready, waiting): (Vec<Op>, Vec<Op>) = frees.into_iter().partition(|op| due(op) <= now);
        self.held = waiting
            .into_iter()
            .map(|op| {
                let due = due(&op);
                (op, due)
            })
            .collect();
        if !self.apply(&ready) {
            return Some(RETRY);
        }
        if !ready.is_empty() && !self.over_capacity.errors.is_empty() {
            // Services that did not fit may fit now.
            self.needs_compile = true;
            return Some(Duration::ZERO);
        }
        self.held.values().min().map(|&due| due.saturating_sub(now))
    }

    /// Returns how long to keep what an operation frees. Connections to a removed endpoint are closed
    /// when its row is freed, and its service id must not be reused before.
    fn grace(&self, op: &Op, drains: &HashMap<u32, u16>) -> Duration {
        let seconds = match op {
            Op::Backend(index, _) => self
                .current
                .backends
                .get(index)
                .map(|row| row.drain_seconds),
            Op::Name(id, _) => drains.get(id).copied(),
            _ => None,
        };
        GRACE.max(Duration::from_secs(seconds.unwrap_or_default().into()))
    }

    /// Returns the longest drain among the backends of each service.
    fn drains(&self) -> HashMap<u32, u16> {
        let mut drains = HashMap::new();
        for row in self
            .current
            .backends
            .values()
            .filter(|row| row.drain_seconds > 0)
        {
            let longest: &mut u16 = drains.entry(row.service).or_default();
            *longest = row.drain_seconds.max(*longest);
        }
        drains
    }
}
