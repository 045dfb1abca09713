//! Schedules the probes of all targets. Pure: the time is an argument, and randomness is a hash.
//!
//! Each target has its own grid, one round per interval, so that slow probes do not make targets
//! drift together. The start of each grid is a golden-ratio step after the previous one, which
//! spreads any number of targets evenly over an interval, in whatever portions they are added.
//! Jitter delays each round after the first by up to the allowance, so the time between two probes
//! never differs more than that from the interval. Probes that become due together anyway (after a
//! stall, or with slow answers) are paced.

pub(super) mod queues;

use std::{collections::HashMap, time::Duration};

use mesh_common::hash::GOLDEN_64;

use self::queues::{Line, Queues};
use crate::{hash::mix, model::ServiceName};

/// One start in the token bucket: nanoseconds times millionths per second.
const START: u64 = 1_000_000_000_000_000;
/// Most probes that start at the same moment: twice what 2,000 endpoints, probed every 5 s, need in
/// one [`TICK`].
const BURST: u64 = 32;
/// Probes start at multiples of this. Starting many at once costs much less, because a CPU that
/// wakes up has cold caches.
const TICK: Duration = Duration::from_millis(40);
/// Factor by which probes may start faster than average after a pause.
const CATCH_UP: u64 = 2;

/// Id of a target, which is never reused.
pub(super) type Id = u64;

/// Pace of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    /// Time from one probe to the next.
    pub(super) interval: Duration,
    /// Jitter: the interval varies by up to this percentage.
    pub(super) jitter_percent: u8,
}

impl Pace {
    /// Returns the probes per second, in millionths.
    fn rate(self) -> u64 {
        u64::try_from(1_000_000_000 / self.interval.as_millis().max(1))
            .expect("a rate below one per nanosecond")
    }
}

/// All targets and the probes under way.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    places: HashMap<Id, Grid>,
    queues: Queues,
    /// Queue of each target under way. The target may have been removed.
    running: HashMap<Id, Line>,
    /// Sum of the rates of all targets.
    rate: u64,
    /// Token bucket, in parts of [`START`], and the time of its last refill.
    tokens: u64,
    filled_at: Duration,
}

#[derive(Clone, Debug)]
struct Grid {
    line: Line,
    pace: Pace,
    /// Start of the grid.
    first: Duration,
    round: u64,
    /// Due time of the next probe; absent while one is under way.
    due: Option<Duration>,
}

impl Schedule {
    /// Creates an empty schedule. Nodes with different seeds do not probe the same endpoint at the
    /// same time.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            places: HashMap::new(),
            queues: Queues::default(),
            running: HashMap::new(),
            rate: 0,
            tokens: BURST * START,
            filled_at: Duration::ZERO,
        }
    }

    /// Adds a target of a service. Its first probe is within one interval. Ids should increase.
    pub(super) fn add(&mut self, id: Id, service: &ServiceName, pace: Pace, now: Duration) {
        let first = now
            + fraction(
                pace.interval,
                self.seed.wrapping_add(id).wrapping_mul(GOLDEN_64),
            );
        let place = Grid {
            line: self.queues.line(service),
            pace,
            first,
            round: 0,
            due: None,
        };
        self.places.insert(id, place);
        self.set_due(id, Some(tick(first)));
        self.rate += pace.rate();
    }

    /// Changes the pace of a target. Its next probe is one interval after the last, or within one
    /// interval if that is past. A target that is due now stays due.
    pub(super) fn repace(&mut self, id: Id, pace: Pace, now: Duration) {
        let Some(place) = self.places.get_mut(&id).filter(|place| place.pace != pace) else {
            return;
        };
        self.rate = self.rate - place.pace.rate() + pace.rate();
        let spread = now
            + fraction(
                pace.interval,
                self.seed.wrapping_add(id).wrapping_mul(GOLDEN_64),
            );
        let regular = |due: Duration| {
            (due + pace.interval)
                .checked_sub(place.pace.interval)
                .filter(|due| *due >= now)
        };
        let next = place.due.map(|due| {
            if due <= now {
                due
            } else {
                regular(due).unwrap_or(spread.min(due))
            }
        });
        (place.pace, place.first, place.round) = (pace, next.unwrap_or(now), 0);
        if let Some(next) = next {
            self.set_due(id, Some(tick(next)));
        }
    }

    /// Removes a target. A probe under way still counts until it is [finished](Self::finish).
    pub(super) fn remove(&mut self, id: Id) {
        self.set_due(id, None);
        if let Some(place) = self.places.remove(&id) {
            self.rate -= place.pace.rate();
            self.queues.forget_unused(&place.line);
        }
    }

    /// Returns when to call [`start`](Self::start) again; absent while only the end of a probe can
    /// change anything.
    pub(super) fn next(&self) -> Option<Duration> {
        let (due, _) = self.queues.first()?;
        Some(self.at_the_earliest(due))
    }

    /// Returns when a probe that is due then can start.
    fn at_the_earliest(&self, due: Duration) -> Duration {
        let missing = START.saturating_sub(self.tokens).div_ceil(self.refill());
        due.max(self.filled_at + Duration::from_nanos(missing))
    }

    /// Returns a target to probe now, if any. It is under way until finished.
    pub(super) fn start(&mut self, now: Duration) -> Option<Id> {
        self.fill(now);
        let (due, id) = self.queues.first()?;
        if self.at_the_earliest(due) > now {
            return None;
        }
        let line = self.places.get(&id)?.line.clone();
        self.queues.start(&line);
        self.running.insert(id, line);
        self.set_due(id, None);
        self.tokens -= START;
        Some(id)
    }

    /// Records the end of a probe, even if its target was removed.
    pub(super) fn finish(&mut self, id: Id, now: Duration) {
        if let Some(line) = self.running.remove(&id) {
            self.queues.end(&line);
        }
        let Some(place) = self.places.get_mut(&id) else {
            return;
        };
        // Missed rounds are skipped.
        let past =
            now.saturating_sub(place.first).as_nanos() / place.pace.interval.as_nanos().max(1);
        place.round = (place.round + 1).max(u64::try_from(past).unwrap_or(u64::MAX));
        let due = tick(place.due_in_round(self.seed ^ id));
        self.set_due(id, Some(due));
    }

    /// Sets the due time of a target; absent while it is under way.
    fn set_due(&mut self, id: Id, due: Option<Duration>) {
        let Some(place) = self.places.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut place.due, due);
        self.queues.set_due(&place.line, id, old, due);
    }

    fn fill(&mut self, now: Duration) {
        let nanos =
            u64::try_from(now.saturating_sub(self.filled_at).as_nanos()).unwrap_or(u64::MAX);
        self.tokens = self
            .tokens
            .saturating_add(nanos.saturating_mul(self.refill()))
            .min(BURST * START);
        self.filled_at = now.max(self.filled_at);
    }

    /// Returns the tokens per nanosecond.
    fn refill(&self) -> u64 {
        self.rate.max(1) * CATCH_UP
    }
}

impl Grid {
    fn due_in_round(&self, seed: u64) -> Duration {
        let Pace {
            interval,
            jitter_percent,
        } = self.pace;
        let grid = self
            .first
            .saturating_add(interval.saturating_mul(u32::try_from(self.round).unwrap_or(u32::MAX)));
        let allowance = interval * jitter_percent.into() / 100;
        grid.saturating_add(fraction(
            allowance,
            mix(seed ^ self.round.wrapping_mul(GOLDEN_64)),
        ))
    }
}

/// Returns the first tick at or after `time`.
fn tick(time: Duration) -> Duration {
    let over = time.as_nanos() % TICK.as_nanos();
    time + if over == 0 {
        Duration::ZERO
    } else {
        TICK - Duration::from_nanos(u64::try_from(over).expect("below a tick"))
    }
}

/// Returns a part of a time; `part` is in 2⁻⁶⁴.
fn fraction(time: Duration, part: u64) -> Duration {
    let nanos =
        (u128::from(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)) * u128::from(part)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).expect("a part is not larger than the whole"))
}

#[cfg(test)]
mod tests;
