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
mod tests {
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
    fn a_failure_of_one_client_makes_doubt_and_nothing_more() {
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
    fn one_client_votes_as_often_as_it_likes() {
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
    fn a_vote_against_nothing_known_is_none() {
        assert_eq!(
            Agreement::default().voted(&service(), NOW, A, true),
            (Agreement::default(), false)
        );
    }

    #[test]
    fn an_ejection_is_everybodys_but_those_that_know_better() {
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
    fn what_works_for_the_node_is_not_ejected_for_all() {
        assert_eq!(ejected(10, 2).lifted(), doubted(0));
        assert_eq!(
            doubted(A).lifted(),
            doubted(0),
            "an earlier vote is worth nothing"
        );
        assert_eq!(Agreement::default().lifted(), Agreement::default());
        assert_eq!(
            ejected(10, 2)
                .lifted()
                .seen_with(true, own(State::Ejected), NOW),
            own(State::Ejected)
        );
    }
}
