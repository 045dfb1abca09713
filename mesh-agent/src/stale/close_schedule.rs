//! Schedules the closing of stale sockets. SOCKETS has a row for each connection of the node, so it
//! is read only after a backend left while sockets held it, and not because a weight, another
//! service or the time changed.

use std::{collections::BTreeSet, time::Duration};

/// Shortest pause between two runs. After a long run the pause is half as long as the run. Reading
/// a full SOCKETS takes about 40 ms.
const PAUSE: Duration = Duration::from_millis(20);
/// Grace period from a change to the closing of sockets, so that UDP sockets receive answers that
/// are under way.
const GRACE: Duration = Duration::from_millis(20);
/// Changes that follow one another postpone a run by this much at most: sockets are closed within
/// 100 ms.
const LONGEST_GRACE: Duration = Duration::from_millis(60);
/// A socket that was not found is searched again after this time, because its connect may not be
/// finished yet.
const AGAIN: Duration = Duration::from_millis(250);

/// The backends whose sockets are checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BackendSet {
    /// All backends.
    All,
    /// Backends with these indexes.
    Of(BTreeSet<u32>),
}

impl BackendSet {
    /// Whether the backend is in the set.
    pub fn has(&self, backend: u32) -> bool {
        match self {
            Self::All => true,
            Self::Of(backends) => backends.contains(&backend),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Of(backends) if backends.is_empty())
    }

    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::All, _) => {}
            (Self::Of(ours), Self::Of(more)) => ours.extend(more),
            (ours, Self::All) => *ours = Self::All,
        }
    }
}

/// A run that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueClose {
    /// Backends whose sockets are checked.
    pub backends: BackendSet,
    /// End of the grace period: rows are read before, sockets are closed after it.
    pub close_at: Duration,
}

/// Pending runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseSchedule {
    backends: BackendSet,
    close_at: Duration,
    /// Time of the first request since the last run.
    requested_at: Option<Duration>,
    earliest: Duration,
    /// Duration of the last read of the rows. The next run begins this much earlier.
    reading: Duration,
}

impl Default for CloseSchedule {
    /// The first run checks all sockets, because an earlier agent may have ended between a change
    /// and its run.
    fn default() -> Self {
        Self {
            backends: BackendSet::All,
            close_at: Duration::ZERO,
            requested_at: None,
            earliest: Duration::ZERO,
            reading: Duration::ZERO,
        }
    }
}

impl CloseSchedule {
    /// Requests at `now` a run that ends after the grace period.
    pub fn ask(&mut self, backends: BackendSet, now: Duration) {
        if backends.is_empty() {
            return;
        }
        // A run that was pending for others waits too: these backends' sockets have their grace.
        let requested_at = *self.requested_at.get_or_insert(now);
        self.close_at = (now + GRACE).min(requested_at + LONGEST_GRACE);
        self.backends.add(backends);
    }

    /// Returns the run that is due now. The caller must report its [end](Self::finished).
    pub fn take(&mut self, now: Duration) -> Option<DueClose> {
        if !self.wait(now)?.is_zero() {
            return None;
        }
        self.requested_at = None;
        Some(DueClose {
            backends: std::mem::replace(&mut self.backends, BackendSet::Of(BTreeSet::new())),
            close_at: self.close_at,
        })
    }

    /// Records how long reading the rows took.
    pub fn read(&mut self, took: Duration) {
        self.reading = took;
    }

    /// Records the end of a run that began at `start`. The backends in `again` have stale sockets
    /// that it did not find.
    pub fn finished(&mut self, start: Duration, now: Duration, again: BackendSet) {
        (self.close_at, self.earliest) =
            (now + AGAIN, now + PAUSE.max(now.saturating_sub(start) / 2));
        self.backends.add(again);
    }

    /// Returns the time until the next run, if one is pending.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let due = self
            .close_at
            .saturating_sub(self.reading)
            .max(self.earliest);
        (!self.backends.is_empty()).then(|| due.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn set_of(due: Option<DueClose>) -> Option<BackendSet> {
        due.map(|due| due.backends)
    }

    fn of(backends: &[u32]) -> BackendSet {
        BackendSet::Of(backends.iter().copied().collect())
    }

    #[test]
    fn the_first_run_checks_all_sockets_and_then_none_is_pending() {
        let mut schedule = CloseSchedule::default();
        assert_eq!(set_of(schedule.take(NOW)), Some(BackendSet::All));
        schedule.finished(NOW, NOW, of(&[]));
        assert_eq!(
            (schedule.wait(NOW), set_of(schedule.take(NOW * 2))),
            (None, None)
        );
    }

    #[test]
    fn sockets_of_a_leaving_backend_are_checked_after_the_grace_period() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        schedule.finished(NOW, NOW, of(&[]));
        let later = NOW + PAUSE;
        schedule.ask(of(&[]), later);
        assert_eq!(schedule.wait(later), None, "none left");
        schedule.ask(of(&[7]), later);
        assert_eq!(
            (schedule.take(later), schedule.wait(later)),
            (None, Some(GRACE))
        );
        let due = DueClose {
            backends: of(&[7]),
            close_at: later + GRACE,
        };
        assert_eq!(schedule.take(later + GRACE), Some(due));
    }

    #[test]
    fn rows_that_take_long_to_read_are_read_within_the_grace_period() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        schedule.finished(NOW, NOW, of(&[]));
        let later = NOW + PAUSE;
        for (reading, wait) in [(GRACE / 4, GRACE / 4 * 3), (GRACE * 2, Duration::ZERO)] {
            schedule.read(reading);
            schedule.ask(of(&[7]), later);
            assert_eq!(schedule.wait(later), Some(wait));
            let due = DueClose {
                backends: of(&[7]),
                close_at: later + GRACE,
            };
            assert_eq!(
                schedule.take(later + wait),
                Some(due),
                "sockets are closed no earlier"
            );
        }
    }

    #[test]
    fn backends_that_leave_one_after_the_other_share_a_run() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        schedule.finished(NOW, NOW, of(&[]));
        schedule.ask(of(&[7]), NOW);
        assert_eq!(
            (schedule.take(NOW), schedule.wait(NOW)),
            (None, Some(PAUSE))
        );
        schedule.ask(of(&[8]), NOW);
        assert_eq!(set_of(schedule.take(NOW + PAUSE)), Some(of(&[7, 8])));
    }

    #[test]
    fn sockets_of_a_change_at_the_start_have_their_grace_period() {
        let mut schedule = CloseSchedule::default();
        schedule.ask(of(&[7]), NOW);
        assert_eq!(
            (schedule.take(NOW), schedule.wait(NOW)),
            (None, Some(GRACE))
        );
        let due = schedule.take(NOW + GRACE).expect("the grace is over");
        assert_eq!((due.backends, due.close_at), (BackendSet::All, NOW + GRACE));
    }

    #[test]
    fn changes_that_follow_one_another_have_their_grace_periods_up_to_a_bound() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        schedule.finished(NOW, NOW, of(&[]));
        let half = GRACE / 2;
        for step in 0..=8 {
            let now = NOW + half * step;
            let wait = GRACE.min((LONGEST_GRACE).saturating_sub(half * step));
            schedule.ask(of(&[step]), now);
            assert_eq!(schedule.wait(now), Some(wait), "{step}");
        }
    }

    #[test]
    fn a_third_of_the_time_is_left_for_other_work_however_long_runs_take() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        let end = NOW + PAUSE * 6;
        schedule.finished(NOW, end, of(&[]));
        schedule.ask(of(&[7]), end);
        assert_eq!(schedule.wait(end), Some(PAUSE * 3));
    }

    #[test]
    fn sockets_that_were_not_found_are_searched_again_together_with_new_ones() {
        let mut schedule = CloseSchedule::default();
        schedule.take(NOW);
        schedule.finished(NOW, NOW, of(&[3]));
        assert_eq!(
            (schedule.take(NOW + PAUSE), schedule.wait(NOW)),
            (None, Some(AGAIN))
        );
        schedule.ask(of(&[4]), NOW);
        assert_eq!(set_of(schedule.take(NOW + PAUSE)), Some(of(&[3, 4])));
    }

    #[test]
    fn the_set_of_all_backends_absorbs_others() {
        let mut backends = of(&[1]);
        backends.add(BackendSet::All);
        backends.add(of(&[2]));
        assert_eq!(backends, BackendSet::All);
        assert!(backends.has(9) && of(&[9]).has(9) && !of(&[9]).has(8));
    }
}
