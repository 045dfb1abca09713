//! The states of a backend whose connects fail, as one client sees it, and what moves it from one
//! to the next. Pure.
//!
//! ```text
//!             failure                 failures in a row            time is up: due
//!  closed ─────────────► probation ─────────────────────► ejected ─────────────────► half-open
//!    ▲  ◄──────────────────  │                              ▲  ▲                       │  │
//!    │        success        └ failure, but it is the last  │  └─── the trial fails ───┘  │
//!    │                                                      └ a connect of last resort fails
//!    └──────────────── a trial or a connect of last resort succeeds ─────────────────────┘
//! ```
//!
//! - **closed**: connects go there.
//! - **probation**: the last connect failed. For the time that a connect may take, the number of
//!   connects under way is bounded by the failures that are left before the ejection. When no other
//!   backend is usable, the bound is ignored.
//! - **ejected**: connects go elsewhere until the pause is over; each pause in a row is twice as
//!   long as the one before. When no backend of any tier is usable, the one that was tried the
//!   longest ago takes the connect as the last resort.
//! - **failing**: the backend has failed as often as an ejection takes, and no other is usable. The
//!   last backend is not ejected: it is one of the last resorts for the time that an ejection would
//!   last.
//! - **agreed**: as ejected, but it is [other clients](crate::agreement) that say so; this one has
//!   no record of its own.
//! - **half-open**: the pause is over and one connect, the trial, is on its way. When its outcome
//!   is not known in time, another connect becomes the trial.

use crate::abi::ServiceRow;

/// How long records count after the last failure, or after the pause that followed it,
/// milliseconds.
pub const MEMORY: u64 = 300_000;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// Ejections in a row after which pauses grow no longer.
const MAX_DOUBLINGS: u8 = 16;

const STREAK_SHIFT: u32 = 40;
const EJECTIONS_SHIFT: u32 = 48;
const STATE_SHIFT: u32 = 56;
/// Milliseconds of the monotonic clock that a word has room for: 34 years.
const UNTIL: u64 = (1 << STREAK_SHIFT) - 1;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// Connects go there.
    #[default]
    Closed,
    /// The last connect failed.
    Probation,
    /// Connects go elsewhere.
    Ejected,
    /// One connect tries it.
    HalfOpen,
    /// It would be ejected, if it were not the last.
    Failing,
    /// Other clients agree that it does not work.
    Agreed,
}

/// What the other backends of a service allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// Enough are usable without this one: it may be ejected.
    Suffice,
    /// Some are usable, but no more may be ejected.
    AreFew,
    /// None is usable.
    AreNone,
}

/// What is known of the outcomes of a backend's connects: one word, replaced as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// State.
    pub state: State,
    /// When probation, ejection or trial is over, milliseconds of the monotonic clock; zero when
    /// closed.
    pub until: u64,
    /// Failures since the last success; zero when ejected.
    pub streak: u8,
    /// Ejections in a row.
    pub ejections: u8,
}

/// How a connect to the backend ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Milliseconds of the monotonic clock.
    pub now: u64,
    /// The connect was made to learn about an ejected backend: a trial, or one of last resort.
    pub is_trial: bool,
    /// The other backends.
    pub others: Others,
}

impl Health {
    /// From the word in the map.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the word")]
    pub const fn of(word: u64) -> Self {
        let state = match (word >> STATE_SHIFT) as u8 {
            1 => State::Probation,
            2 => State::Ejected,
            3 => State::HalfOpen,
            4 => State::Failing,
            5 => State::Agreed,
            _ => State::Closed,
        };
        Self {
            state,
            until: word & UNTIL,
            streak: (word >> STREAK_SHIFT) as u8,
            ejections: (word >> EJECTIONS_SHIFT) as u8,
        }
    }

    /// As the word in the map.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.until & UNTIL
            | (self.streak as u64) << STREAK_SHIFT
            | (self.ejections as u64) << EJECTIONS_SHIFT
            | (self.state as u64) << STATE_SHIFT
    }

    /// Whether connects go elsewhere, or one is trying the backend.
    #[inline(always)]
    pub const fn is_ejected(self) -> bool {
        matches!(self.state, State::Ejected | State::Agreed | State::HalfOpen)
    }

    /// Whether the backend has failed as often as an ejection takes, and is not ejected because it
    /// is the last.
    #[inline(always)]
    pub const fn is_failing(self, now: u64) -> bool {
        matches!(self.state, State::Failing) && now < self.until
    }

    /// Whether the pause, or the time of a trial without an outcome, is over: one connect may
    /// become the trial.
    #[inline(always)]
    pub const fn is_due(self, now: u64) -> bool {
        self.is_ejected() && now >= self.until
    }

    /// Whether the `connecting` connects are enough to eject the backend, so that no further one is
    /// let in.
    #[inline(always)]
    pub fn is_bounded(self, service: &ServiceRow, now: u64, connecting: u64) -> bool {
        matches!(self.state, State::Probation)
            && now < self.until
            && self.streak < service.failures
            && u64::from(self.streak) + connecting >= u64::from(service.failures)
    }

    /// When a connect failed last, or became the trial: the last resort is the backend that this is
    /// the longest ago of.
    #[inline(always)]
    pub fn tried_at(self, service: &ServiceRow) -> u64 {
        let pause = match self.state {
            State::Ejected | State::Agreed => pause(service, self.ejections.saturating_sub(1)),
            State::Closed | State::Probation | State::HalfOpen | State::Failing => {
                pause(service, 0)
            }
        };
        self.until.saturating_sub(pause)
    }

    /// The same, or nothing where it has counted for so long that it is forgotten.
    #[inline(always)]
    pub(crate) fn unless_forgotten(self, now: u64) -> Self {
        if now < self.until + MEMORY {
            self
        } else {
            Self::default()
        }
    }

    /// A connect becomes the trial. Another may take its place after one more pause of the first
    /// length.
    #[inline(always)]
    pub fn tried(self, service: &ServiceRow, now: u64) -> Self {
        let pause = if service.base_ejection == 0 {
            1
        } else {
            u64::from(service.base_ejection)
        };
        Self {
            state: State::HalfOpen,
            until: now + pause,
            ..self
        }
    }

    /// A connect succeeded. An ejection is ended only by a connect that was made after it began.
    #[inline(always)]
    pub const fn succeeded(self, is_trial: bool) -> Self {
        match self.state {
            State::Ejected | State::Agreed | State::HalfOpen if !is_trial => self,
            _ => Self {
                state: State::Closed,
                until: 0,
                streak: 0,
                ejections: 0,
            },
        }
    }

    /// A connect failed. Returns whether that is an ejection, too.
    #[inline(always)]
    pub fn failed(self, service: &ServiceRow, failure: Failure) -> (Self, bool) {
        let Failure {
            now,
            is_trial,
            others,
        } = failure;
        match self.state {
            State::Closed | State::Probation | State::Failing => {
                let streak = self.streak.saturating_add(1);
                if streak < service.failures {
                    return (self.on_probation(service, now, streak), false);
                }
                match others {
                    Others::Suffice => (self.ejected(service, now), true),
                    Others::AreFew => (self.on_probation(service, now, service.failures), false),
                    Others::AreNone => (self.failing(service, now), false),
                }
            }
            State::HalfOpen | State::Agreed if is_trial => (self.ejected(service, now), true),
            State::Ejected if is_trial => {
                // Where no backend works, another one is the last resort now.
                (
                    Self {
                        until: now + pause(service, self.ejections.saturating_sub(1)),
                        ..self
                    },
                    false,
                )
            }
            // The connect was let in before the ejection.
            State::Ejected | State::Agreed | State::HalfOpen => (self, false),
        }
    }

    #[inline(always)]
    fn on_probation(self, service: &ServiceRow, now: u64, streak: u8) -> Self {
        Self {
            state: State::Probation,
            until: now + u64::from(service.connect_timeout),
            streak,
            ..self
        }
    }

    #[inline(always)]
    fn failing(self, service: &ServiceRow, now: u64) -> Self {
        Self {
            state: State::Failing,
            until: now + pause(service, 0),
            streak: service.failures,
            ..self
        }
    }

    #[inline(always)]
    fn ejected(self, service: &ServiceRow, now: u64) -> Self {
        Self {
            state: State::Ejected,
            until: now + pause(service, self.ejections),
            streak: 0,
            ejections: self.ejections.saturating_add(1),
        }
    }
}

/// Milliseconds of an ejection that follows `before` others in a row.
#[inline(always)]
pub(crate) fn pause(service: &ServiceRow, before: u8) -> u64 {
    let doublings = if before < MAX_DOUBLINGS {
        before
    } else {
        MAX_DOUBLINGS
    };
    let pause = u64::from(service.base_ejection) << doublings;
    let longest = u64::from(service.max_ejection);
    if pause < longest { pause } else { longest }
}

/// Milliseconds of the monotonic clock.
#[inline(always)]
pub const fn milliseconds(now: u64) -> u64 {
    now / NANOSECONDS_PER_MILLISECOND
}

#[cfg(test)]
mod tests {
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
}
