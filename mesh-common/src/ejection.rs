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
mod tests;
