//! What the clients of a node know of a backend together: one word in its row. Pure.
//!
//! Each client has a [`Health`](crate::ejection::Health) of its own for each backend that failed
//! it, in OUTCOMES. What happens to one client decides for that client. It decides for the others
//! only when a second client says the same. (The agent's own health check needs no agreement: what
//! fails it is taken out of the slots.)
//!
//! ```text
//!          a client's connect fails                       another client votes, too
//!   clear ──────────────────────────► doubted ──────────────────────────────────────────────► ejected
//!     ▲                                │  ▲ ◄──────────────────────────────────────────────────  │ ▲
//!     └── no failure for five minutes ─┘  │       a passing check, a connect from the node       ▼ │ two votes
//!                                         └────────────────────────────────────────────────── on parole
//! ```
//!
//! - **clear**: no client has anything against it. Connects look at nothing else.
//! - **doubted**: each client goes by its own record; one without a record uses the backend. A
//!   client that ejects the backend for itself votes; the last vote is remembered.
//! - **ejected**: clients without a record of their own since go elsewhere, until the pause is
//!   over. Each pause in a row is twice as long as the one before.
//! - **on parole**: the pause is over. Each client makes one trial for itself, which is its record
//!   then. A trial that fails is a vote, and two eject the backend again.

use crate::{
    abi::ServiceRow,
    ejection::{Health, MEMORY, State, pause},
};

/// Set in the vote of a client, above the part of its id that there is room for.
const CLIENT: u32 = 1 << 16;

const VOTER_SHIFT: u32 = 40;
const VOTER: u64 = (1 << 17) - 1;
const EJECTIONS_SHIFT: u32 = 57;
const EJECTIONS: u64 = (1 << 5) - 1;
const STANDING_SHIFT: u32 = 62;
const UNTIL: u64 = (1 << VOTER_SHIFT) - 1;

/// See the module; on parole is [`Ejected`](Self::Ejected) with a pause that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// No client has anything against it.
    #[default]
    Clear,
    /// Each client goes by its own record.
    Doubted,
    /// Clients agree.
    Ejected,
}

/// See the module.
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

/// The vote of a client. Two clients may have the same; then they count as one.
#[inline(always)]
pub const fn vote_of(client: u32) -> u32 {
    client & (CLIENT - 1) | CLIENT
}

impl Agreement {
    /// From the word in the map.
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

    /// As the word in the map. A clear one is zero.
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

    /// As it is now: clear when it was forgotten.
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

    /// Whether clients without a record of their own go elsewhere.
    #[inline(always)]
    pub const fn is_ejected(self, now: u64) -> bool {
        matches!(self.standing, Standing::Ejected) && now < self.until
    }

    /// How a client sees the backend that has a record of its own, if `has_record`; else `own` is
    /// the default. What it sees itself outranks what others say, but for failures that are too few
    /// to eject: there it is of their opinion.
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

    /// A client has a record, which counts until `until` and for a while after.
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

    /// A client ejected the backend for itself. `may_eject` says whether enough is left for
    /// all. Returns whether that makes an agreement, too.
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

    /// The backend works for all, as a check or a connect of the node itself has shown. Clients
    /// still go by their own records.
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
