//! Computes how far the rows of QUOTAS drift from the numbers of rows that they count.

use std::collections::{BTreeMap, BTreeSet};

use mesh_common::{
    abi::{ClientRows, Resource},
    quota::place,
    settle::Request,
    sum::Sum,
};

use super::{CountSamples, Counter, surely_wrong};

/// Returns by how much each count is too high at least; negative if it is too low.
pub(super) fn wrong(samples: &CountSamples<'_>) -> Vec<(Counter, i64)> {
    let socket_rows = by_row(samples.rows.iter().map(|(_, row)| row.client));
    let binding_rows = by_row(samples.bindings.iter().map(|(_, row)| row.owner));
    let opened = opened(samples);
    let wrong_sockets = wrong_of(samples, Resource::Sockets, &socket_rows, opened);
    let wrong_bindings = wrong_of(samples, Resource::Affinity, &binding_rows, opened);
    let sockets = wrong_sockets.map(|(row, wrong)| (Counter::Sockets(row), wrong));
    let bindings = wrong_bindings.map(|(row, wrong)| (Counter::Bindings(row), wrong));
    sockets.chain(bindings).collect()
}

/// Returns the same for one kind, of which there are `rows`.
fn wrong_of(
    samples: &CountSamples<'_>,
    resource: Resource,
    rows: &BTreeMap<u32, u64>,
    opened: u64,
) -> impl Iterator<Item = (u32, i64)> {
    let (before, after) = (&samples.before.quotas, &samples.after.quotas);
    let places: BTreeSet<u32> = before
        .keys()
        .chain(after.keys())
        .chain(rows.keys())
        .copied()
        .collect();
    places.into_iter().map(move |row| {
        let of = |counts: &BTreeMap<u32, ClientRows>| {
            counts.get(&row).map_or(0, |used| used[resource as usize])
        };
        let there = rows.get(&row).copied().unwrap_or_default();
        (row, surely_wrong((of(before), of(after)), there, opened))
    })
}

/// Returns the request that corrects a count.
pub(super) fn add(resource: Resource, row: u32, by: i32) -> Request {
    Request::Add {
        sum: Sum::Quota(resource),
        row,
        by: i64::from(by).cast_unsigned(),
    }
}

/// Counts clients by their row of QUOTAS.
fn by_row(clients: impl Iterator<Item = u32>) -> BTreeMap<u32, u64> {
    let mut rows = BTreeMap::new();
    for client in clients {
        *rows.entry(place(client)).or_default() += 1;
    }
    rows
}

/// Returns the largest possible number of rows that were added: each has its connect.
fn opened(samples: &CountSamples<'_>) -> u64 {
    let opened = samples.backends().map(|[first, _, after]| {
        let is_same = first.row.generation == after.row.generation;
        if is_same {
            after.load.connects.saturating_sub(first.load.connects)
        } else {
            u64::from(u32::MAX)
        }
    });
    opened.sum()
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use mesh_common::abi::{
        AffinityKey, AffinityRow, BackendEntry, BackendLoad, BackendRow, SocketRow,
    };

    use super::{super::CountDrift, *};
    use crate::dataplane::Counts;

    const CLIENT: u32 = 7;

    fn counts(connects: u64, used: ClientRows) -> Counts {
        Counts {
            backends: vec![BackendEntry {
                row: BackendRow::zeroed(),
                load: BackendLoad {
                    connects,
                    ..BackendLoad::zeroed()
                },
            }],
            quotas: [(place(CLIENT), used)].into(),
            ..Counts::default()
        }
    }

    /// Compares with a number of rows in SOCKETS and AFFINITY.
    fn compare(
        drift: &mut CountDrift,
        [before, after]: [&Counts; 2],
        rows: u64,
        bindings: u32,
    ) -> Vec<Request> {
        let row = SocketRow {
            client: CLIENT,
            ..SocketRow::zeroed()
        };
        let key = |client| AffinityKey {
            client,
            ..AffinityKey::zeroed()
        };
        let binding = AffinityRow {
            owner: CLIENT,
            ..AffinityRow::zeroed()
        };
        let samples = CountSamples {
            first: before,
            before,
            after,
            rows: &(0..rows).map(|cookie| (cookie, row)).collect::<Vec<_>>(),
            bindings: &(0..bindings)
                .map(|client| (key(client.into()), binding))
                .collect::<Vec<_>>(),
        };
        drift.take(&samples, |_| true)
    }

    #[test]
    fn quotas_become_the_numbers_of_rows_when_two_comparisons_agree() {
        let below_zero = 2_u64.wrapping_neg();
        for (used, by) in [([5, 9, 9, 1], [-2, 3]), ([below_zero, 0, 0, 6], [5, -2])] {
            let (mut drift, counts) = (CountDrift::default(), counts(8, used));
            let mut again = || compare(&mut drift, [&counts; 2], 3, 4);
            assert_eq!(again(), []);
            let [sockets, affinity] = by;
            let expected = [
                add(Resource::Sockets, place(CLIENT), sockets),
                add(Resource::Affinity, place(CLIENT), affinity),
            ];
            assert_eq!(again(), expected);
        }
    }

    #[test]
    fn rows_that_came_or_went_meanwhile_explain_a_difference() {
        let mut drift = CountDrift::default();
        for (connects, used, rows) in [(2, 3, 1), (2, 3, 5), (4, 1, 5)] {
            let looks = [&counts(0, [3, 0, 0, 0]), &counts(connects, [used, 0, 0, 0])];
            for _ in 0..2 {
                assert_eq!(compare(&mut drift, looks, rows, 0), []);
            }
        }
    }
}
