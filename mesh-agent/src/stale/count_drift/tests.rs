use bytemuck::Zeroable;
use mesh_common::{
    abi::{BackendLoad, BackendRow, ServiceLoad},
    occupancy::{CONNECTING, LIVE},
    quota::place,
};

use super::*;

const HELD: u64 = socket_state::HELD;

fn counts(live: u64, connects: u64, connections: u64) -> Counts {
    let row = BackendRow {
        generation: 7,
        ..BackendRow::zeroed()
    };
    let load = BackendLoad {
        live,
        connects,
        ..BackendLoad::default()
    };
    Counts {
        backends: vec![BackendEntry { row, load }],
        services: vec![ServiceLoad {
            connections,
            ..ServiceLoad::default()
        }],
        ..Counts::default()
    }
}

fn rows(states: &[u64]) -> Vec<(u64, SocketRow)> {
    let row = |&state| SocketRow {
        generation: 7,
        state,
        ..SocketRow::zeroed()
    };
    (0..).zip(states.iter().map(row)).collect()
}

/// Counts of these sockets by client, as they should be.
fn quotas(rows: &[(u64, SocketRow)]) -> BTreeMap<u32, [u64; 4]> {
    let mut quotas: BTreeMap<u32, [u64; 4]> = BTreeMap::new();
    for (_, row) in rows {
        quotas.entry(place(row.client)).or_default()[0] += 1;
    }
    quotas
}

fn quiet(recount: &mut CountDrift, live: u64, connections: u64, states: &[u64]) -> Vec<Request> {
    let rows = rows(states);
    let counts = Counts {
        quotas: quotas(&rows),
        ..counts(live, 100, connections)
    };
    recount.take(
        &CountSamples {
            first: &counts,
            before: &counts,
            after: &counts,
            rows: &rows,
            bindings: &[],
        },
        |_| true,
    )
}

#[test]
fn counts_without_sockets_are_lowered_when_two_comparisons_agree() {
    let mut recount = CountDrift::default();
    let word = 5 * LIVE + 2 * CONNECTING;
    assert_eq!(
        quiet(&mut recount, word, 4, &[HELD, HELD | socket_state::LIMITED]),
        []
    );
    let backend = |live, connecting| Request::Backend {
        index: 0,
        generation: 7,
        live,
        connecting,
    };
    assert_eq!(
        quiet(&mut recount, word, 4, &[HELD, HELD | socket_state::LIMITED]),
        [
            backend(-3, 0),
            backend(0, -2),
            Request::Service { id: 0, live: -3 }
        ]
    );
}

#[test]
fn counts_that_lack_sockets_are_raised() {
    let mut recount = CountDrift::default();
    let states = [HELD; 3];
    assert_eq!(quiet(&mut recount, LIVE, 0, &states), []);
    let expected = Request::Backend {
        index: 0,
        generation: 7,
        live: 2,
        connecting: 0,
    };
    assert_eq!(quiet(&mut recount, LIVE, 0, &states), [expected]);
}

#[test]
fn the_smaller_of_two_differences_is_taken_and_none_when_they_disagree() {
    assert_eq!(
        [agreed(3, 5), agreed(-4, -2), agreed(3, -1), agreed(2, 0)],
        [3, -2, 0, 0]
    );
}

#[test]
fn the_share_of_each_client_is_compared_with_its_own_sockets() {
    let mut recount = CountDrift::default();
    let of = |client| ShareKey { service: 0, client };
    let counts = Counts {
        shares: [(of(1), 2), (of(2), 5), (of(3), 0)].into(),
        ..counts(4, 100, 4)
    };
    let state = HELD | socket_state::LIMITED | socket_state::SHARED;
    let row = |client| SocketRow {
        client,
        generation: 7,
        state,
        ..SocketRow::zeroed()
    };
    let rows: Vec<_> = (0..).zip([row(1), row(1), row(2), row(3)]).collect();
    let counts = Counts {
        quotas: quotas(&rows),
        ..counts
    };
    let looks = CountSamples {
        first: &counts,
        before: &counts,
        after: &counts,
        rows: &rows,
        bindings: &[],
    };
    assert_eq!(recount.take(&looks, |_| true), []);
    let expected = [(of(2), -4), (of(3), 1)].map(|(of, live)| Request::Share { of, live });
    assert_eq!(recount.take(&looks, |_| true), expected);
}

#[test]
fn right_counts_stay() {
    let mut recount = CountDrift::default();
    for _ in 0..3 {
        assert_eq!(
            quiet(
                &mut recount,
                2 * LIVE,
                1,
                &[HELD, HELD | socket_state::LIMITED]
            ),
            []
        );
    }
}

/// Whatever opens and closes while rows are read, a right count is never reported, and a wrong
/// one never by more than its error.
#[test]
fn sockets_that_come_and_go_are_no_drift() {
    for wrong in [-5_i64, 0, 5] {
        for (initial, opened, closed) in
            (0..6_i64).flat_map(|i| (0..6).flat_map(move |o| (0..=i + o).map(move |c| (i, o, c))))
        {
            // Sockets that exist all the time are seen; those that come or go may be.
            let (gone_old, gone_new) = (closed.min(initial), closed.saturating_sub(initial));
            for seen in initial - gone_old..=initial + opened {
                let count = |sockets: i64| u64::try_from(sockets + wrong).unwrap_or(0);
                if initial + wrong < 0 || initial + opened - closed + wrong < 0 || gone_new > opened
                {
                    continue;
                }
                let told = surely_wrong(
                    (count(initial), count(initial + opened - closed)),
                    u64::try_from(seen).unwrap(),
                    u64::try_from(opened).unwrap(),
                );
                assert!(
                    told.signum() == 0 || told.signum() == wrong.signum(),
                    "{wrong} {told}"
                );
                assert!(
                    told.abs() <= wrong.abs(),
                    "{wrong} {told}: {initial} {opened} {closed} {seen}"
                );
            }
        }
    }
}

#[test]
fn a_busy_backend_is_corrected_by_the_certain_amount() {
    let rows = rows(&[HELD; 300]);
    let at = |connects| Counts {
        quotas: quotas(&rows),
        ..counts(1000, connects, 0)
    };
    let (first, before, after) = (at(100), at(110), at(120));
    let looks = CountSamples {
        first: &first,
        before: &before,
        after: &after,
        rows: &rows,
        bindings: &[],
    };
    let mut recount = CountDrift::default();
    assert_eq!(recount.take(&looks, |_| true), []);
    let expected = Request::Backend {
        index: 0,
        generation: 7,
        live: -680,
        connecting: 0,
    };
    assert_eq!(recount.take(&looks, |_| true), [expected]);
}

#[test]
fn reused_indexes_and_udp_services_are_not_corrected() {
    let mut other = counts(9, 100, 9);
    other.backends[0].row.generation = 6;
    let now = counts(9, 100, 9);
    let mut recount = CountDrift::default();
    for _ in 0..2 {
        assert_eq!(
            recount.take(
                &CountSamples {
                    first: &other,
                    before: &now,
                    after: &now,
                    rows: &[],
                    bindings: &[],
                },
                |_| true
            ),
            []
        );
        assert_eq!(
            recount.take(
                &CountSamples {
                    first: &now,
                    before: &now,
                    after: &now,
                    rows: &[],
                    bindings: &[],
                },
                |_| false
            ),
            []
        );
    }
}
