use bytemuck::Zeroable as _;

use super::*;

const NOW: u64 = 1_000_000;
const A: u32 = vote_of(10);
const B: u32 = vote_of(20);

fn service() -> ServiceRow {
    ServiceRow {
        base_ejection: 10_000,
        max_ejection: 300_000,
        ..ServiceRow::zeroed()
    }
}

fn doubted(voter: u32) -> Agreement {
    Agreement {
        standing: Standing::Doubted,
        until: NOW + 10_000 + MEMORY,
        ejections: 0,
        voter,
    }
}

fn ejected(seconds: u64, ejections: u8) -> Agreement {
    Agreement {
        standing: Standing::Ejected,
        until: NOW + seconds * 1_000,
        ejections,
        voter: 0,
    }
}

fn own(state: State) -> Health {
    Health {
        state,
        until: NOW + 5_000,
        streak: 1,
        ejections: 3,
    }
}

#[test]
fn a_word_holds_all_of_it() {
    for standing in [Standing::Doubted, Standing::Ejected] {
        let agreement = Agreement {
            standing,
            until: UNTIL - 1,
            ejections: 31,
            voter: vote_of(u32::MAX),
        };
        assert_eq!(Agreement::of(agreement.word()), agreement);
    }
    assert_eq!(Agreement::default().word(), 0);
    assert_eq!(
        Agreement::of(
            Agreement {
                ejections: 200,
                ..ejected(1, 0)
            }
            .word()
        )
        .ejections,
        31
    );
}

#[test]
fn a_failure_of_one_client_leaves_the_others_alone() {
    let agreement = Agreement::default().doubted(NOW, NOW + 10_000);
    assert_eq!(agreement, doubted(0));
    assert_eq!(
        agreement.seen_with(false, Health::default(), NOW),
        Health::default(),
        "others use the backend"
    );
    assert_eq!(
        agreement.seen_with(true, own(State::Ejected), NOW),
        own(State::Ejected)
    );
}

#[test]
fn doubt_lasts_as_long_as_the_longest_record_and_ends_by_itself() {
    let agreement = doubted(0).doubted(NOW, NOW + 1_000);
    assert_eq!(agreement, doubted(0), "no shorter than before");
    assert_eq!(agreement.at(NOW + 10_000 + MEMORY - 1), agreement);
    assert_eq!(agreement.at(NOW + 10_000 + MEMORY), Agreement::default());
    assert_eq!(
        agreement.seen_with(true, own(State::Ejected), NOW + 10_000 + MEMORY),
        Health::default()
    );
}

#[test]
fn votes_of_one_client_count_once() {
    let (first, agrees) = doubted(0).voted(&service(), NOW, A, true);
    assert_eq!((first, agrees), (doubted(A), false));
    assert_eq!(
        first.voted(&service(), NOW + 20_000, A, true),
        (doubted(A), false)
    );
}

#[test]
fn two_clients_agree() {
    assert_eq!(
        doubted(A).voted(&service(), NOW, B, true),
        (ejected(10, 1), true)
    );
}

#[test]
fn where_no_more_may_be_ejected_votes_stay_votes() {
    assert_eq!(
        doubted(A).voted(&service(), NOW, B, false),
        (doubted(B), false)
    );
    let over = NOW + 10_000;
    assert_eq!(
        ejected(10, 1).voted(&service(), over, B, false),
        (
            Agreement {
                voter: B,
                ..ejected(10, 1)
            },
            false
        )
    );
}

#[test]
fn a_vote_without_a_failure_does_not_count() {
    assert_eq!(
        Agreement::default().voted(&service(), NOW, A, true),
        (Agreement::default(), false)
    );
}

#[test]
fn an_ejection_is_for_clients_without_a_newer_record() {
    let agreed = Health {
        state: State::Agreed,
        until: NOW + 10_000,
        streak: 0,
        ejections: 1,
    };
    let agreement = ejected(10, 1);
    assert_eq!(agreement.seen_with(false, Health::default(), NOW), agreed);
    assert_eq!(
        agreement.seen_with(true, own(State::Probation), NOW),
        agreed,
        "it has failed here, too"
    );
    for state in [
        State::Closed,
        State::Ejected,
        State::HalfOpen,
        State::Failing,
    ] {
        assert_eq!(agreement.seen_with(true, own(state), NOW), own(state));
    }
    assert_eq!(agreement.doubted(NOW, NOW + 60_000), agreement);
    assert_eq!(
        agreement.voted(&service(), NOW, A, true),
        (agreement, false)
    );
}

#[test]
fn on_parole_two_votes_eject_again_for_twice_as_long() {
    let over = NOW + 10_000;
    assert!(
        ejected(10, 1)
            .seen_with(false, Health::default(), over)
            .is_due(over),
        "each client makes a trial"
    );
    let (one, agrees) = ejected(10, 1).voted(&service(), over, A, true);
    assert_eq!(
        (one, agrees),
        (
            Agreement {
                voter: A,
                ..ejected(10, 1)
            },
            false
        )
    );
    assert_eq!(one.voted(&service(), over, A, true), (one, false));
    let twice = Agreement {
        standing: Standing::Ejected,
        until: over + 20_000,
        ejections: 2,
        voter: 0,
    };
    assert_eq!(one.voted(&service(), over, B, true), (twice, true));
}

#[test]
fn parole_without_failures_ends_by_itself() {
    assert_eq!(ejected(10, 1).at(NOW + 10_000 + MEMORY - 1), ejected(10, 1));
    assert_eq!(
        ejected(10, 1).at(NOW + 10_000 + MEMORY),
        Agreement::default()
    );
}

#[test]
fn a_success_of_the_node_ends_an_ejection() {
    assert_eq!(ejected(10, 2).lifted(), doubted(0));
    assert_eq!(
        doubted(A).lifted(),
        doubted(0),
        "the earlier vote is dropped"
    );
    assert_eq!(Agreement::default().lifted(), Agreement::default());
    assert_eq!(
        ejected(10, 2)
            .lifted()
            .seen_with(true, own(State::Ejected), NOW),
        own(State::Ejected)
    );
}
