//! Computes what happened in an earlier agent's maps between two snapshots: sums that grew or fell,
//! and rows that appeared, changed or ended.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use bytemuck::Zeroable as _;
use mesh_common::{
    abi::{BackendLoad, Resource, ShareKey, SocketRow, maps, socket_state},
    occupancy::{connecting, live},
    settle::Request,
    sum::Sum,
};

use super::snapshot::Snapshot;

/// Kinds of rows in a row of QUOTAS, in their order.
const RESOURCES: [Resource; 4] = [
    Resource::Sockets,
    Resource::Flows,
    Resource::MoreFlows,
    Resource::Affinity,
];

/// A row that appeared, changed or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Change<K, V> {
    pub(super) key: K,
    pub(super) before: Option<V>,
    pub(super) now: Option<V>,
}

/// Returns the rows that differ.
pub(super) fn changes<K: Copy + Eq + Hash, V: Copy + PartialEq>(
    before: &HashMap<K, V>,
    now: &HashMap<K, V>,
) -> Vec<Change<K, V>> {
    let gone = before.iter().filter(|(key, _)| !now.contains_key(key));
    let ended = gone.map(|(&key, &row)| Change {
        key,
        before: Some(row),
        now: None,
    });
    let other = now.iter().map(|(&key, &row)| Change {
        key,
        before: before.get(&key).copied(),
        now: Some(row),
    });
    other
        .filter(|change| change.before != change.now)
        .chain(ended)
        .collect()
}

/// Returns the requests that add to the new sums what happened to the old ones.
pub(super) fn sums(before: &Snapshot, now: &Snapshot) -> Vec<Request> {
    let mut requests = Vec::new();
    backends(before, now, &mut requests);
    for (&id, &word) in &now.loads {
        let live = difference(before.loads.get(&id), word);
        requests.push(Request::Service { id, live });
    }
    for (&of, &word) in &now.shares {
        let live = difference(before.shares.get(&of), word);
        requests.push(Request::Share { of, live });
    }
    for (&row, sums) in &now.counters {
        let earlier = before.counters.get(&row).copied().unwrap_or_default();
        for ((place, sum), earlier) in (0..).zip(sums).zip(earlier) {
            requests.push(add(Sum::Counter(place), row, *sum, earlier));
        }
    }
    quotas(&before.quotas, &now.quotas, &mut requests);
    requests.retain(|request| !is_nothing(request));
    requests
}

fn backends(before: &Snapshot, now: &Snapshot, requests: &mut Vec<Request>) {
    for (&index, entry) in &now.backends {
        let generation = entry.row.generation;
        let earlier_entry = before
            .backends
            .get(&index)
            .filter(|earlier| earlier.row.generation == generation);
        let earlier = earlier_entry.map_or(BackendLoad::zeroed(), |earlier| earlier.load);
        requests.push(Request::Backend {
            index,
            generation,
            live: narrow(live(entry.load.live), live(earlier.live)),
            connecting: narrow(connecting(entry.load.live), connecting(earlier.live)),
        });
        requests.push(add(
            Sum::Connects,
            index,
            entry.load.connects,
            earlier.connects,
        ));
    }
}

/// A row of QUOTAS that is zero is not in the snapshot.
fn quotas(
    before: &BTreeMap<u32, [u64; 4]>,
    now: &BTreeMap<u32, [u64; 4]>,
    requests: &mut Vec<Request>,
) {
    let ended = before.keys().filter(|row| !now.contains_key(row));
    for &row in now.keys().chain(ended) {
        let of = |rows: &BTreeMap<u32, [u64; 4]>| rows.get(&row).copied().unwrap_or_default();
        for ((resource, now), before) in RESOURCES.into_iter().zip(of(now)).zip(of(before)) {
            requests.push(add(Sum::Quota(resource), row, now, before));
        }
    }
}

fn add(sum: Sum, row: u32, now: u64, before: u64) -> Request {
    let by = now.wrapping_sub(before);
    Request::Add { sum, row, by }
}

fn difference(before: Option<&u64>, now: u64) -> i32 {
    narrow(live(now), before.map_or(0, |&word| live(word)))
}

fn narrow(now: u64, before: u64) -> i32 {
    i32::try_from(now.cast_signed() - before.cast_signed()).unwrap_or_default()
}

const fn is_nothing(request: &Request) -> bool {
    match request {
        Request::Backend {
            live, connecting, ..
        } => *live == 0 && *connecting == 0,
        Request::Service { live, .. } | Request::Share { live, .. } => *live == 0,
        Request::Add { by, .. } => *by == 0,
        _ => false,
    }
}

/// Returns the request that counts a row of SOCKETS in COOKIE_FILTER.
pub(super) fn counted(cookie: u64) -> Request {
    add_cookies(cookie, 1)
}

/// Returns the request that takes back [`counted`].
pub(super) fn uncounted(cookie: u64) -> Request {
    add_cookies(cookie, 1_u64.wrapping_neg())
}

fn add_cookies(cookie: u64, rows: u64) -> Request {
    let classes = 2 * u64::from(maps::COOKIE_FILTER.capacity());
    let class = cookie & (classes - 1);
    Request::Add {
        sum: Sum::Cookies,
        row: u32::try_from(class >> 1).expect("a class is small"),
        by: if class & 1 == 0 { rows } else { rows << 32 },
    }
}

/// Returns a row that old programs wrote after the new ones began to follow TCP states, and what has
/// to be counted for it. Its SYN and its end may have been missed: a row of a connect is held from
/// now on, and the sweep of missing sockets looks for it.
pub(super) fn unseen(row: SocketRow) -> (SocketRow, Vec<Request>) {
    const PENDING: u64 = socket_state::PENDING | socket_state::RESERVED;
    let mut unseen = row;
    unseen.state |= socket_state::SUSPECTED;
    if row.state & socket_state::PENDING == 0 {
        return (unseen, Vec::new());
    }
    unseen.state = unseen.state & !PENDING | socket_state::HELD;
    let mut requests = vec![Request::Backend {
        index: row.backend_index,
        generation: row.generation,
        live: 1,
        connecting: 0,
    }];
    if row.state & socket_state::LIMITED != 0 {
        let id = row.service;
        requests.push(Request::Service { id, live: 1 });
    }
    if row.state & socket_state::SHARED != 0 {
        let (service, client) = (row.service, row.client);
        let of = ShareKey { service, client };
        requests.push(Request::Share { of, live: 1 });
    }
    (unseen, requests)
}

#[cfg(test)]
mod tests;
