//! Outlier ejection: the states of a backend as one client sees it, and the transitions between
//! them. Pure: takes a state, the outcome of a connect and the time, returns the next state.
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
//! - **closed**: the backend takes connects.
//! - **probation**: the last connect failed. For the time that a connect may take, the number of
//!   connects in progress is bounded by the failures that are left before the ejection. When no
//!   other backend is usable, the bound is ignored.
//! - **ejected**: connects go elsewhere until the pause is over; each pause in a row is twice as
//!   long as the one before. When no backend of any tier is usable, the one with the oldest attempt
//!   takes the connect as the last resort.
//! - **failing**: the backend has as many failures as an ejection takes, and no other is usable.
//!   The last backend is not ejected: it is one of the last resorts for the time that an ejection
//!   would last.
//! - **agreed**: as ejected, but by [other clients](crate::agreement); this client has no record of
//!   its own.
//! - **half-open**: the pause is over and one connect, the trial, is in progress. If its outcome is
//!   not known in time, another connect becomes the trial.

use crate::abi::ServiceRow;

/// Time for which a record counts after the last failure, or after the pause that followed it,
/// milliseconds.
pub const MEMORY: u64 = 300_000;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// Ejections in a row after which pauses no longer grow.
const MAX_DOUBLINGS: u8 = 16;

const STREAK_SHIFT: u32 = 40;
const EJECTIONS_SHIFT: u32 = 48;
const STATE_SHIFT: u32 = 56;
/// Largest time in a word, milliseconds of the monotonic clock: 34 years.
const UNTIL: u64 = (1 << STREAK_SHIFT) - 1;

/// State of a backend for one client; see the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// The backend takes connects.
    #[default]
    Closed,
    /// The last connect failed.
    Probation,
    /// Connects go elsewhere.
    Ejected,
    /// One connect, the trial, is in progress.
    HalfOpen,
    /// As many failures as an ejection takes, but no other backend is usable.
    Failing,
    /// Other clients agree on an ejection.
    Agreed,
}

/// What the other backends of a service permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// Enough others are usable: the backend may be ejected.
    Suffice,
    /// Some others are usable, but no more backends may be ejected.
    AreFew,
    /// No other backend is usable.
    AreNone,
}

/// State of a backend for one client, and its history: one word, replaced as a whole.
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

/// A failed connect to the backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Milliseconds of the monotonic clock.
    pub now: u64,
    /// The connect was the trial of an ejected backend, or one of last resort.
    pub is_trial: bool,
    /// The other backends.
    pub others: Others,
}

impl Health {
    /// Decodes the word in the map.
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

    /// Encodes the word in the map.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.until & UNTIL
            | (self.streak as u64) << STREAK_SHIFT
            | (self.ejections as u64) << EJECTIONS_SHIFT
            | (self.state as u64) << STATE_SHIFT
    }

    /// Returns whether connects go elsewhere, a trial in progress included.
    #[inline(always)]
    pub const fn is_ejected(self) -> bool {
        matches!(self.state, State::Ejected | State::Agreed | State::HalfOpen)
    }

    /// Returns whether the backend is [failing](State::Failing) at `now`.
    #[inline(always)]
    pub const fn is_failing(self, now: u64) -> bool {
        matches!(self.state, State::Failing) && now < self.until
    }

    /// Returns whether the pause, or the time of a trial without an outcome, is over: one connect
    /// may become the trial.
    #[inline(always)]
    pub const fn is_due(self, now: u64) -> bool {
        self.is_ejected() && now >= self.until
    }

    /// Returns whether the `connecting` connects in progress are enough to eject the backend, so
    /// that it takes no further one.
    #[inline(always)]
    pub fn is_bounded(self, service: &ServiceRow, now: u64, connecting: u64) -> bool {
        matches!(self.state, State::Probation)
            && now < self.until
            && self.streak < service.failures
            && u64::from(self.streak) + connecting >= u64::from(service.failures)
    }

    /// Returns the health after a connect became the trial. Another may take its place after one
    /// more pause of the first length.
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

    /// Returns the health, or the default after [`MEMORY`].
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

    /// Returns the health after a connect that succeeded. Only a connect that was made after an
    /// ejection began ends it.
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

    /// Returns the health after a connect that failed, and whether this is an ejection.
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
                // The backend was the last resort; another one is next.
                (
                    Self {
                        until: now + pause(service, self.ejections.saturating_sub(1)),
                        ..self
                    },
                    false,
                )
            }
            // The connect was made before the ejection.
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

/// Returns the length of an ejection that follows `before` others in a row, milliseconds.
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

/// Converts nanoseconds of the monotonic clock to milliseconds.
#[inline(always)]
pub const fn milliseconds(now: u64) -> u64 {
    now / NANOSECONDS_PER_MILLISECOND
}

#[cfg(test)]
mod tests;
