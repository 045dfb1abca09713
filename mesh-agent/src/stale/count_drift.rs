//! Computes how far the counts of backends, services and clients drift from the rows of SOCKETS and
//! AFFINITY. Sockets come and go while both are read, so the result is a bound that holds whatever happens meanwhile.
//!
//! ```text
//!  counts ─── grace ───► counts ── rows ──► counts
//!  connects              sockets            connects, sockets
//! ```
//! A backend counts each connect that it is given, so at most as many sockets were opened as
//! connects were counted between the first and the last sample, and the number of closed ones
//! follows from the difference of its sockets. The grace period is for connects that were decided
//! before the first sample and send their SYN after it.

mod quotas;

use std::collections::BTreeMap;

use mesh_common::{
    abi::{AffinityKey, AffinityRow, BackendEntry, Resource, ShareKey, SocketRow, socket_state},
    occupancy::{connecting, live},
    settle::Request,
};

use crate::dataplane::Counts;

/// Sums over the rows of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct RowSums {
    live: u64,
    connecting: u64,
    pending: u64,
}

/// A counter that may drift.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Counter {
    Live(u32),
    Connecting(u32),
    Service(u32),
    Share(ShareKey),
    /// Rows of SOCKETS in a row of QUOTAS.
    Sockets(u32),
    /// Rows of AFFINITY there.
    Bindings(u32),
}

/// Three samples of the counts, and the rows that were read between the second and the third.
pub struct CountSamples<'a> {
    /// Before the grace period.
    pub first: &'a Counts,
    /// Before the rows were read.
    pub before: &'a Counts,
    /// After the rows were read.
    pub after: &'a Counts,
    /// The rows of SOCKETS.
    pub rows: &'a [(u64, SocketRow)],
    /// The rows of AFFINITY, read like these.
    pub bindings: &'a [(AffinityKey, AffinityRow)],
}

/// Counts that were wrong in the last comparison.
#[derive(Debug, Default)]
pub struct CountDrift(BTreeMap<Counter, i64>);

impl CountDrift {
    /// Returns the corrections: counts that were wrong in the same direction twice in a row, by the
    /// smaller of both amounts. `is_tcp` tells whether only rows of SOCKETS count for a service;
    /// flows of UDP sockets have no such row.
    pub fn take(&mut self, looks: &CountSamples<'_>, is_tcp: impl Fn(u32) -> bool) -> Vec<Request> {
        let now = looks.wrong(is_tcp);
        let before = std::mem::take(&mut self.0);
        let mut requests = Vec::new();
        for (&counter, &wrong) in &now {
            let agreed = before
                .get(&counter)
                .map_or(0, |&earlier| agreed(earlier, wrong));
            if agreed == 0 {
                self.0.insert(counter, wrong);
            } else {
                let by = i32::try_from(-agreed).unwrap_or(-1);
                requests.push(request(counter, by, looks.after));
            }
        }
        requests
    }
}

/// Returns the smaller amount, or zero if the directions differ.
fn agreed(one: i64, other: i64) -> i64 {
    if one.signum() == other.signum() {
        one.signum() * one.abs().min(other.abs())
    } else {
        0
    }
}

fn request(counter: Counter, by: i32, counts: &Counts) -> Request {
    let generation = |index: u32| {
        counts
            .backends
            .get(index as usize)
            .map_or(0, |entry| entry.row.generation)
    };
    match counter {
        Counter::Live(index) => Request::Backend {
            index,
            generation: generation(index),
            live: by,
            connecting: 0,
        },
        Counter::Connecting(index) => Request::Backend {
            index,
            generation: generation(index),
            live: 0,
            connecting: by,
        },
        Counter::Service(id) => Request::Service { id, live: by },
        Counter::Share(of) => Request::Share { of, live: by },
        Counter::Sockets(row) => quotas::add(Resource::Sockets, row, by),
        Counter::Bindings(row) => quotas::add(Resource::Affinity, row, by),
    }
}

/// What the rows of SOCKETS add up to.
#[derive(Default)]
struct Sums {
    /// By backend index and generation.
    backends: BTreeMap<(u32, u32), RowSums>,
    /// Rows that count for each service.
    services: BTreeMap<u32, u64>,
    /// Rows that count for each client's share of a service.
    shares: BTreeMap<ShareKey, u64>,
}

impl CountSamples<'_> {
    /// Returns by how much each count that is wrong is too high at least; negative if it is too low.
    fn wrong(&self, is_tcp: impl Fn(u32) -> bool) -> BTreeMap<Counter, i64> {
        let Sums {
            backends,
            services,
            shares,
        } = self.sums();
        let mut opened: BTreeMap<u32, u64> = BTreeMap::new();
        let mut wrong = BTreeMap::new();
        // Right counts take no room: there are two for each backend.
        let mut add = |counter, difference| {
            if difference != 0 {
                wrong.insert(counter, difference);
            }
        };
        for (index, looks) in (0_u32..).zip(self.backends()) {
            let [first, before, after] = looks;
            let same = first.row.generation == after.row.generation
                && first.row.service == after.row.service;
            if !is_tcp(after.row.service) {
                continue;
            }
            let rows = backends
                .get(&(index, after.row.generation))
                .copied()
                .unwrap_or_default();
            let new = after.load.connects.saturating_sub(first.load.connects) + rows.pending;
            *opened.entry(after.row.service).or_default() +=
                if same { new } else { u64::from(u32::MAX) };
            if !same {
                continue;
            }
            let counts = |of: fn(u64) -> u64| (of(before.load.live), of(after.load.live));
            add(
                Counter::Live(index),
                surely_wrong(counts(live), rows.live, new),
            );
            add(
                Counter::Connecting(index),
                surely_wrong(counts(connecting), rows.connecting, new),
            );
        }
        for (id, (before, after)) in
            (0_u32..).zip(self.before.services.iter().zip(&self.after.services))
        {
            if let Some(&new) = opened.get(&id).filter(|_| is_tcp(id)) {
                let rows = services.get(&id).copied().unwrap_or_default();
                let counts = (live(before.connections), live(after.connections));
                add(Counter::Service(id), surely_wrong(counts, rows, new));
            }
        }
        for (of, (&before, &after)) in both(&self.before.shares, &self.after.shares) {
            if let Some(&new) = opened.get(&of.service) {
                let rows = shares.get(&of).copied().unwrap_or_default();
                add(
                    Counter::Share(of),
                    surely_wrong((live(before), live(after)), rows, new),
                );
            }
        }
        for (counter, difference) in quotas::wrong(self) {
            add(counter, difference);
        }
        wrong
    }

    fn backends(&self) -> impl Iterator<Item = [&BackendEntry; 3]> {
        let looks = self
            .first
            .backends
            .iter()
            .zip(&self.before.backends)
            .zip(&self.after.backends);
        looks.map(|((first, before), after)| [first, before, after])
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (_, row) in self.rows {
            let has = |bit: u64| u64::from(row.state & bit != 0);
            let rows = sums
                .backends
                .entry((row.backend_index, row.generation))
                .or_default();
            rows.pending += has(socket_state::PENDING);
            rows.live += has(socket_state::HELD);
            rows.connecting += has(socket_state::CONNECTING);
            if row.state & socket_state::PENDING == 0 {
                *sums.services.entry(row.service).or_default() += has(socket_state::LIMITED);
                if row.state & socket_state::SHARED != 0 {
                    *sums
                        .shares
                        .entry(ShareKey {
                            service: row.service,
                            client: row.client,
                        })
                        .or_default() += 1;
                }
            }
        }
        sums
    }
}

/// Returns the entries that both looks have.
fn both<'a, K: Ord + Copy, V>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (K, (&'a V, &'a V))> {
    before
        .iter()
        .filter_map(|(&key, value)| Some((key, (value, after.get(&key)?))))
}

/// Returns by how much a count is too high at least, negative if it is too low, or zero if it may
/// be right. `opened` is the largest possible number of opened sockets.
fn surely_wrong((before, after): (u64, u64), rows: u64, opened: u64) -> i64 {
    let [before, after, rows, opened] = [before, after, rows, opened].map(u64::cast_signed);
    let closed = opened - (after - before);
    let difference = before - rows;
    if difference > closed.max(0) {
        difference - closed.max(0)
    } else if difference < -opened {
        difference + opened
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
