//! Ejection of a backend for all clients of a node: the clients' votes, as one word in its row.
//! Pure: takes the word, a client's record and the time, returns the next word.
//!
//! Each client has its own [`Health`](crate::ejection::Health), in OUTCOMES, for each backend at which
//! its connects failed. Other clients are affected only when a second client has
//! ejected the backend as well. (A failed health check of the agent needs no agreement: it takes
//! the backend out of the slots.)
//!
//! ```text
//!          a client's connect fails                       a second client votes  
//!   clear ──────────────────────────► doubted ──────────────────────────────────────────────► ejected
//!     ▲                                │  ▲ ◄──────────────────────────────────────────────────  │ ▲
//!     └── no failure for five minutes ─┘  │       a passing check, a connect from the node       ▼ │ two votes
//!                                         └────────────────────────────────────────────────── on parole
//! ```
//!
//! - **clear**: no client has a record of a failure. Connects look at nothing else.
//! - **doubted**: each client goes by its own record; a client without a record uses the backend. A
//!   client that ejects the backend votes; the last vote is kept.
//! - **ejected**: clients without their own, newer record go elsewhere until the pause is over.
//!   Each pause in a row is twice as long as the one before.
//! - **on parole**: the pause is over. Each client makes its own trial, and the outcome
//!   becomes its record. A failed trial is a vote, and two votes eject the backend again.

use crate::{
    abi::ServiceRow,
    ejection::{Health, MEMORY, State, pause},
};

/// Set in every vote, above the bits of the client's id.
const CLIENT: u32 = 1 << 16;

const VOTER_SHIFT: u32 = 40;
const VOTER: u64 = (1 << 17) - 1;
const EJECTIONS_SHIFT: u32 = 57;
const EJECTIONS: u64 = (1 << 5) - 1;
const STANDING_SHIFT: u32 = 62;
const UNTIL: u64 = (1 << VOTER_SHIFT) - 1;

/// State of the agreement; see the module. On parole is [`Ejected`](Self::Ejected) with a pause
/// that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// No client has a record of a failure.
    #[default]
    Clear,
    /// Each client goes by its own record.
    Doubted,
    /// Two clients have ejected the backend.
    Ejected,
}

/// What the clients of a node agree on about a backend; see the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Agreement {
    /// Standing.
    pub standing: Standing,
    /// End of the doubt or of the pause, milliseconds of the monotonic clock.
    pub until: u64,
    /// Ejections by agreement in a row.
    pub ejections: u8,
    /// The last vote, see [`vote_of`]; zero while there is none.
    pub voter: u32,
}

/// Returns the vote of a client. Clients with the same vote count as one.
#[inline(always)]
pub const fn vote_of(client: u32) -> u32 {
    client & (CLIENT - 1) | CLIENT
}

impl Agreement {
    /// Decodes the word in the map.
    #[inline(always)]
    pub const fn of(word: u64) -> Self {
        let standing = match word >> STANDING_SHIFT {
            1 => Standing::Doubted,
            2 => Standing::Ejected,
            _ => Standing::Clear,
        };
        Self {
            standing,
            until: word & UNTIL,
            ejections: (word >> EJECTIONS_SHIFT & EJECTIONS) as u8,
            voter: (word >> VOTER_SHIFT & VOTER) as u32,
        }
    }

    /// Encodes the word in the map. A clear agreement is zero.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        let ejections = if (self.ejections as u64) < EJECTIONS {
            self.ejections as u64
        } else {
            EJECTIONS
        };
        self.until & UNTIL
            | (self.voter as u64 & VOTER) << VOTER_SHIFT
            | ejections << EJECTIONS_SHIFT
            | (self.standing as u64) << STANDING_SHIFT
    }

    /// Returns the agreement as of `now`: clear when its time is over.
    #[inline(always)]
    pub const fn at(self, now: u64) -> Self {
        let end = match self.standing {
            Standing::Clear => 0,
            Standing::Doubted => self.until,
            Standing::Ejected => self.until + MEMORY,
        };
        if now < end {
            self
        } else {
            Self {
                standing: Standing::Clear,
                until: 0,
                ejections: 0,
                voter: 0,
            }
        }
    }

    /// Returns whether clients without their own record go elsewhere.
    #[inline(always)]
    pub const fn is_ejected(self, now: u64) -> bool {
        matches!(self.standing, Standing::Ejected) && now < self.until
    }

    /// Returns the health of the backend for one client. `own` is the client's record if
    /// `has_record`, else the default. Its own record outranks the agreement, except on probation:
    /// too few failures to eject do not contradict the other clients.
    #[inline(always)]
    pub fn seen_with(self, has_record: bool, own: Health, now: u64) -> Health {
        match self.at(now).standing {
            Standing::Clear => Health::default(),
            Standing::Doubted => own,
            Standing::Ejected if has_record && own.state != State::Probation => own,
            Standing::Ejected => Health {
                state: State::Agreed,
                until: self.until,
                streak: 0,
                ejections: self.ejections,
            },
        }
    }

    /// Returns the agreement after a client wrote a record, which counts until `until` and
    /// [`MEMORY`] longer.
    #[inline(always)]
    pub const fn doubted(self, now: u64, until: u64) -> Self {
        let known = self.at(now);
        match known.standing {
            Standing::Ejected => known,
            _ => Self {
                standing: Standing::Doubted,
                until: later(known.until, until + MEMORY),
                ..known
            },
        }
    }

    /// Returns the agreement after the vote of a client that ejected the backend, and whether this
    /// vote ejects. `may_eject` says whether enough capacity is left for all clients.
    #[inline(always)]
    pub fn voted(
        self,
        service: &ServiceRow,
        now: u64,
        voter: u32,
        may_eject: bool,
    ) -> (Self, bool) {
        let known = self.at(now);
        if known.standing == Standing::Clear || known.is_ejected(now) {
            return (known, false);
        }
        if known.voter == 0 || known.voter == voter || !may_eject {
            return (Self { voter, ..known }, false);
        }
        let until = now + pause(service, known.ejections);
        let ejections = known.ejections.saturating_add(1);
        (
            Self {
                standing: Standing::Ejected,
                until,
                ejections,
                voter: 0,
            },
            true,
        )
    }

    /// Returns the agreement after a health check or a connect of the node itself succeeded: an
    /// ejection ends. Clients still go by their own records.
    #[inline(always)]
    pub const fn lifted(self) -> Self {
        match self.standing {
            Standing::Clear => self,
            Standing::Doubted => Self { voter: 0, ..self },
            Standing::Ejected => Self {
                standing: Standing::Doubted,
                until: self.until + MEMORY,
                ejections: 0,
                voter: 0,
            },
        }
    }
}

#[inline(always)]
const fn later(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests;
