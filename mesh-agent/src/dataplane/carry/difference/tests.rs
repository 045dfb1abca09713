use mesh_common::{
    abi::{BackendEntry, BackendRow, ServiceCounters},
    occupancy::{CONNECTING, LIVE},
};

use super::*;

fn backend(generation: u32, live: u64, connects: u64) -> BackendEntry {
    BackendEntry {
        row: BackendRow {
            generation,
            ..BackendRow::zeroed()
        },
        load: BackendLoad {
            live,
            connects,
            ..BackendLoad::zeroed()
        },
    }
}

#[test]
fn sums_grow_and_fall_by_what_happened_between_the_snapshots() {
    let mut row = ServiceCounters::default();
    (row[0], row[5]) = (10, 3);
    let of = ShareKey {
        service: 1,
        client: 2,
    };
    let before = Snapshot {
        backends: [(4, backend(7, 5 * LIVE + 2 * CONNECTING, 100))].into(),
        loads: [(1, 5 * LIVE)].into(),
        counters: [(1, row)].into(),
        quotas: [(9, [3, 0, 0, 1])].into(),
        shares: [(of, 2 * LIVE)].into(),
        ..Snapshot::default()
    };
    row[0] = 12;
    let now = Snapshot {
        backends: [(4, backend(7, 3 * LIVE + 3 * CONNECTING, 102))].into(),
        loads: [(1, 4 * LIVE)].into(),
        counters: [(1, row)].into(),
        quotas: [].into(),
        shares: [(of, 3 * LIVE)].into(),
        ..Snapshot::default()
    };
    let minus = |by: u64| by.wrapping_neg();
    let expected = vec![
        Request::Backend {
            index: 4,
            generation: 7,
            live: -2,
            connecting: 1,
        },
        add(Sum::Connects, 4, 2, 0),
        Request::Service { id: 1, live: -1 },
        Request::Share { of, live: 1 },
        add(Sum::Counter(0), 1, 2, 0),
        add(Sum::Quota(Resource::Sockets), 9, minus(3), 0),
        add(Sum::Quota(Resource::Affinity), 9, minus(1), 0),
    ];
    assert_eq!(sums(&before, &now), expected);
    assert_eq!(sums(&now, &now), []);
}

#[test]
fn index_that_was_used_again_starts_at_zero() {
    let of = |generation, live| Snapshot {
        backends: [(4, backend(generation, live, 0))].into(),
        ..Snapshot::default()
    };
    let request = Request::Backend {
        index: 4,
        generation: 8,
        live: 2,
        connecting: 0,
    };
    assert_eq!(sums(&of(7, 5), &of(8, 2)), [request]);
}

#[test]
fn rows_appear_change_and_end() {
    let before = HashMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
    let now = HashMap::from([(1, 'a'), (2, 'x'), (4, 'd')]);
    let mut found = changes(&before, &now);
    found.sort_by_key(|change| change.key);
    let change = |key, before, now| Change { key, before, now };
    let expected = [
        change(2, Some('b'), Some('x')),
        change(3, Some('c'), None),
        change(4, None, Some('d')),
    ];
    assert_eq!(found, expected);
}

#[test]
fn connect_whose_syn_was_missed_is_held_and_looked_for() {
    let row = |state| SocketRow {
        backend_index: 4,
        generation: 7,
        service: 1,
        client: 2,
        state,
        ..SocketRow::zeroed()
    };
    let reserved = socket_state::PENDING | socket_state::RESERVED;
    let limited = socket_state::LIMITED | socket_state::SHARED;
    let (service, client) = (1, 2);
    let counts = vec![
        Request::Backend {
            index: 4,
            generation: 7,
            live: 1,
            connecting: 0,
        },
        Request::Service { id: 1, live: 1 },
        Request::Share {
            of: ShareKey { service, client },
            live: 1,
        },
    ];
    let held = limited | socket_state::HELD | socket_state::SUSPECTED;
    assert_eq!(unseen(row(reserved | limited)), (row(held), counts));
    let (held, suspected) = (socket_state::HELD, socket_state::SUSPECTED);
    assert_eq!(unseen(row(held)), (row(held | suspected), vec![]));
}

#[test]
fn neighbouring_cookies_count_in_the_halves_of_a_word() {
    let last = maps::COOKIE_FILTER.capacity() - 1;
    let of = |row, by| Request::Add {
        sum: Sum::Cookies,
        row,
        by,
    };
    let classes = 2 * u64::from(last + 1);
    assert_eq!(
        [counted(0), counted(classes - 1), counted(classes)],
        [of(0, 1), of(last, 1 << 32), of(0, 1)]
    );
    let sum = [counted(0), counted(1), uncounted(1), uncounted(0)]
        .into_iter()
        .fold(0_u64, |sum, request| match request {
            Request::Add { row: 0, by, .. } => sum.wrapping_add(by),
            other => panic!("{other:?}"),
        });
    assert_eq!(sum, 0);
}
