use bytemuck::Zeroable as _;

use super::*;

const NOW: u64 = 1_000_000;

fn service() -> ServiceRow {
    ServiceRow {
        failures: 3,
        base_ejection: 10_000,
        max_ejection: 300_000,
        connect_timeout: 1_000,
        ..ServiceRow::zeroed()
    }
}

fn failure() -> Failure {
    Failure {
        now: NOW,
        is_trial: false,
        others: Others::Suffice,
    }
}

fn probation(streak: u8) -> Health {
    Health {
        state: State::Probation,
        until: NOW + 1_000,
        streak,
        ejections: 0,
    }
}

fn ejected(seconds: u64, ejections: u8) -> Health {
    Health {
        state: State::Ejected,
        until: NOW + seconds * 1_000,
        streak: 0,
        ejections,
    }
}

#[test]
fn a_word_holds_all_of_it() {
    for state in [
        State::Closed,
        State::Probation,
        State::Ejected,
        State::HalfOpen,
        State::Failing,
        State::Agreed,
    ] {
        let health = Health {
            state,
            until: UNTIL - 1,
            streak: 255,
            ejections: 7,
        };
        assert_eq!(Health::of(health.word()), health);
    }
    assert_eq!(Health::default().word(), 0);
}

#[test]
fn closed_goes_to_probation_and_to_ejection_with_the_streak() {
    let first = Health::default().failed(&service(), failure());
    assert_eq!(first, (probation(1), false));
    let second = first.0.failed(&service(), failure());
    assert_eq!(second, (probation(2), false));
    assert_eq!(
        second.0.failed(&service(), failure()),
        (ejected(10, 1), true)
    );
}

#[test]
fn one_failure_ejects_where_the_streak_is_one() {
    let service = ServiceRow {
        failures: 1,
        ..service()
    };
    assert_eq!(
        Health::default().failed(&service, failure()),
        (ejected(10, 1), true)
    );
}

#[test]
fn a_success_ends_probation() {
    assert_eq!(probation(2).succeeded(false), Health::default());
}

#[test]
fn the_last_backend_is_failing_instead_of_ejected() {
    let last = Failure {
        others: Others::AreNone,
        ..failure()
    };
    let failing = Health {
        state: State::Failing,
        until: NOW + 10_000,
        ..probation(3)
    };
    let (health, ejects) = probation(2).failed(&service(), last);
    assert_eq!((health, ejects), (failing, false));
    assert_eq!(health.failed(&service(), last), (failing, false));
    assert!(!health.is_bounded(&service(), NOW, 1_000));
    assert!(health.is_failing(NOW + 9_999) && !health.is_failing(NOW + 10_000));
    assert_eq!(health.succeeded(false), Health::default());
    assert_eq!(
        health.failed(&service(), failure()),
        (ejected(10, 1), true),
        "another is usable again"
    );
}

#[test]
fn where_no_more_may_be_ejected_the_backend_takes_connects() {
    let few = Failure {
        others: Others::AreFew,
        ..failure()
    };
    let (health, ejects) = probation(2).failed(&service(), few);
    assert_eq!((health, ejects), (probation(3), false));
    assert!(!health.is_bounded(&service(), NOW, 1_000) && !health.is_failing(NOW));
}

#[test]
fn probation_bounds_connects_for_a_while() {
    let service = service();
    assert!(!probation(1).is_bounded(&service, NOW, 1));
    assert!(probation(1).is_bounded(&service, NOW, 2));
    assert!(probation(2).is_bounded(&service, NOW + 999, 1));
    assert!(
        !probation(2).is_bounded(&service, NOW + 1_000, 1),
        "it ends by itself"
    );
    assert!(!Health::default().is_bounded(&service, NOW, 1_000));
}

#[test]
fn an_ejection_ends_with_a_trial_that_succeeds() {
    let health = ejected(10, 1);
    assert!(!health.is_due(NOW + 9_999) && health.is_due(NOW + 10_000));
    let half_open = health.tried(&service(), NOW + 10_000);
    let expected = Health {
        state: State::HalfOpen,
        until: NOW + 20_000,
        streak: 0,
        ejections: 1,
    };
    assert_eq!(half_open, expected);
    assert_eq!(half_open.succeeded(true), Health::default());
}

#[test]
fn a_trial_that_fails_doubles_the_pause_up_to_the_longest() {
    let mut health = ejected(10, 1);
    for seconds in [20, 40, 80, 160, 300, 300] {
        let trial = Failure {
            is_trial: true,
            ..failure()
        };
        let next = health.tried(&service(), NOW).failed(&service(), trial);
        assert_eq!(next, (ejected(seconds, health.ejections + 1), true));
        health = next.0;
    }
}

#[test]
fn a_trial_without_an_outcome_is_followed_by_another() {
    let half_open = ejected(10, 1).tried(&service(), NOW);
    assert!(!half_open.is_due(NOW + 9_999));
    assert!(half_open.is_due(NOW + 10_000));
}

#[test]
fn connects_from_before_the_ejection_change_nothing() {
    for health in [ejected(10, 1), ejected(10, 1).tried(&service(), NOW)] {
        assert_eq!(health.failed(&service(), failure()), (health, false));
        assert_eq!(health.succeeded(false), health);
    }
}

#[test]
fn a_trial_of_what_others_ejected_becomes_a_record_of_its_own() {
    let agreed = Health {
        state: State::Agreed,
        ..ejected(10, 1)
    };
    assert!(agreed.is_ejected() && agreed.is_due(NOW + 10_000));
    assert_eq!(
        agreed.tried(&service(), NOW + 10_000).state,
        State::HalfOpen
    );
    assert_eq!(agreed.succeeded(false), agreed);
    assert_eq!(agreed.succeeded(true), Health::default());
    assert_eq!(agreed.failed(&service(), failure()), (agreed, false));
    let trial = Failure {
        is_trial: true,
        ..failure()
    };
    assert_eq!(agreed.failed(&service(), trial), (ejected(20, 2), true));
}

#[test]
fn the_time_of_the_last_try_is_known_in_every_state() {
    assert_eq!(ejected(10, 1).tried_at(&service()), NOW);
    assert_eq!(ejected(40, 3).tried_at(&service()), NOW);
    assert_eq!(ejected(300, 200).tried_at(&service()), NOW);
    assert_eq!(
        ejected(40, 3).tried(&service(), NOW).tried_at(&service()),
        NOW
    );
    let failing = Health {
        state: State::Failing,
        until: NOW + 10_000,
        ..probation(3)
    };
    assert_eq!(failing.tried_at(&service()), NOW);
}

#[test]
fn a_connect_of_last_resort_brings_the_backend_back_or_makes_it_wait() {
    let health = Health {
        until: NOW + 500,
        ..ejected(0, 2)
    };
    assert_eq!(health.succeeded(true), Health::default());
    let trial = Failure {
        is_trial: true,
        ..failure()
    };
    assert_eq!(
        health.failed(&service(), trial),
        (ejected(20, 2), false),
        "the pause is not doubled"
    );
}

/// What happens to a backend at [`NOW`].
#[derive(Clone, Copy, Debug)]
enum Event {
    Success,
    SuccessOfTrial,
    Failure(Others),
    FailureOfTrial,
    BecomesTrial,
}

/// Each state with two failures or two ejections behind it, and its pause over.
#[test]
fn every_event_in_every_state_has_its_next_state() {
    use Event::{BecomesTrial, Failure as Fails, FailureOfTrial, Success, SuccessOfTrial};
    use Others::{AreFew, AreNone, Suffice};
    use State::{Agreed, Closed, Ejected, Failing, HalfOpen, Probation};

    let events = [
        Success,
        SuccessOfTrial,
        Fails(Suffice),
        Fails(AreFew),
        Fails(AreNone),
        FailureOfTrial,
    ];
    let table = [
        (
            Closed,
            [Closed, Closed, Ejected, Probation, Failing, Ejected],
        ),
        (
            Probation,
            [Closed, Closed, Ejected, Probation, Failing, Ejected],
        ),
        (
            Failing,
            [Closed, Closed, Ejected, Probation, Failing, Ejected],
        ),
        (
            Ejected,
            [Ejected, Closed, Ejected, Ejected, Ejected, Ejected],
        ),
        (Agreed, [Agreed, Closed, Agreed, Agreed, Agreed, Ejected]),
        (
            HalfOpen,
            [HalfOpen, Closed, HalfOpen, HalfOpen, HalfOpen, Ejected],
        ),
    ];
    for (state, next) in table {
        let before = Health {
            state,
            until: NOW,
            streak: 2,
            ejections: 2,
        };
        assert_eq!(after(before, BecomesTrial).0.state, HalfOpen, "{state:?}");
        for (event, next) in events.into_iter().zip(next) {
            let (after, ejects) = after(before, event);
            assert_eq!(after.state, next, "{state:?}, {event:?}");
            let is_new = next == Ejected && state != Ejected;
            assert_eq!(ejects, is_new, "{state:?}, {event:?}");
            let ejections = match next {
                Closed => 0,
                Ejected if is_new => 3,
                _ => 2,
            };
            assert_eq!(after.ejections, ejections, "{state:?}, {event:?}");
            let is_old = matches!(event, Success | Fails(_));
            if before.is_ejected() && is_old {
                assert_eq!(after, before, "{state:?}: the connect is from before");
            }
        }
    }
}

fn after(before: Health, event: Event) -> (Health, bool) {
    let fails = |is_trial, others| {
        let failure = Failure {
            now: NOW,
            is_trial,
            others,
        };
        before.failed(&service(), failure)
    };
    match event {
        Event::Success => (before.succeeded(false), false),
        Event::SuccessOfTrial => (before.succeeded(true), false),
        Event::Failure(others) => fails(false, others),
        Event::FailureOfTrial => fails(true, Others::Suffice),
        Event::BecomesTrial => (before.tried(&service(), NOW), false),
    }
}

#[test]
fn pauses_double_with_each_ejection_in_a_row_and_never_overflow() {
    let row = ServiceRow {
        base_ejection: 1,
        max_ejection: u32::MAX,
        ..service()
    };
    let pauses = [0, 1, 2, 15, 16, 17, u8::MAX].map(|before| pause(&row, before));
    assert_eq!(pauses, [1, 2, 4, 1 << 15, 1 << 16, 1 << 16, 1 << 16]);
    let row = ServiceRow {
        base_ejection: u32::MAX,
        max_ejection: u32::MAX,
        ..row
    };
    assert_eq!(pause(&row, u8::MAX), u64::from(u32::MAX));
}
