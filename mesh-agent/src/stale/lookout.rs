//! When to look for stale sockets, and whose. SOCKETS has a row for each connection of the node, so it is read only after
//! a backend left while sockets held it, and not because a weight, another service or the time changed.

use std::{collections::BTreeSet, time::Duration};

/// Least time between the end of a look and the next; after a long look it is half as long as that was. A look at a full
/// SOCKETS takes some forty milliseconds.
const PAUSE: Duration = Duration::from_millis(20);
/// From a change to the closing of sockets, for answers that are on their way: a UDP socket that has just asked hears them.
const GRACE: Duration = Duration::from_millis(20);
/// A socket that was not found is searched for again after this time: its connect may not be finished yet.
const AGAIN: Duration = Duration::from_millis(250);

/// The backends whose sockets are looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Every backend's.
    All,
    /// Those of backends with these indexes.
    Of(BTreeSet<u32>),
}

impl Whose {
    /// Whether sockets of this backend are looked at.
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

/// A look that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// Whose sockets are looked at.
    pub whose: Whose,
    /// When the time of grace is over: rows are read before, sockets are closed after it.
    pub close_at: Duration,
}

/// Looks that are to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookout {
    whose: Whose,
    close_at: Duration,
    earliest: Duration,
    /// How long the rows were read the last time. The next look begins by so much earlier.
    reading: Duration,
}

impl Default for Lookout {
    /// The first look is at all sockets: an earlier agent may have ended between a change and the look.
    fn default() -> Self {
        Self { whose: Whose::All, close_at: Duration::ZERO, earliest: Duration::ZERO, reading: Duration::ZERO }
    }
}

impl Lookout {
    /// Asks at `now` for a look that ends after the time of grace.
    pub fn ask(&mut self, whose: Whose, now: Duration) {
        if whose.is_empty() {
            return;
        }
        let close_at = now + GRACE;
        self.close_at = if self.whose.is_empty() { close_at } else { self.close_at.min(close_at) };
        self.whose.add(whose);
    }

    /// The look that is due now. The caller says how that [went](Self::looked).
    pub fn take(&mut self, now: Duration) -> Option<Look> {
        let is_due = self.wait(now).is_some_and(|wait| wait.is_zero());
        is_due.then(|| Look {
            whose: std::mem::replace(&mut self.whose, Whose::Of(BTreeSet::new())),
            close_at: self.close_at,
        })
    }

    /// Takes note of how long the rows were read.
    pub fn read(&mut self, took: Duration) {
        self.reading = took;
    }

    /// A look that began at `start` has ended; the backends in `again` have stale sockets that it did not find.
    pub fn looked(&mut self, start: Duration, now: Duration, again: Whose) {
        (self.close_at, self.earliest) = (now + AGAIN, now + PAUSE.max(now.saturating_sub(start) / 2));
        self.whose.add(again);
    }

    /// How long until the next look; none when there is none to come.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let due = self.close_at.saturating_sub(self.reading).max(self.earliest);
        (!self.whose.is_empty()).then(|| due.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn whose(look: Option<Look>) -> Option<Whose> {
        look.map(|look| look.whose)
    }

    fn of(backends: &[u32]) -> Whose {
        Whose::Of(backends.iter().copied().collect())
    }

    #[test]
    fn first_look_is_at_all_and_then_there_is_none() {
        let mut lookout = Lookout::default();
        assert_eq!(whose(lookout.take(NOW)), Some(Whose::All));
        lookout.looked(NOW, NOW, of(&[]));
        assert_eq!((lookout.wait(NOW), whose(lookout.take(NOW * 2))), (None, None));
    }

    #[test]
    fn backend_that_leaves_is_looked_at_after_the_time_of_grace() {
        let mut lookout = Lookout::default();
        lookout.take(NOW);
        lookout.looked(NOW, NOW, of(&[]));
        let later = NOW + PAUSE;
        lookout.ask(of(&[]), later);
        assert_eq!(lookout.wait(later), None, "none left");
        lookout.ask(of(&[7]), later);
        assert_eq!((lookout.take(later), lookout.wait(later)), (None, Some(GRACE)));
        let look = Look { whose: of(&[7]), close_at: later + GRACE };
        assert_eq!(lookout.take(later + GRACE), Some(look));
    }

    #[test]
    fn rows_that_take_long_to_read_are_read_within_the_time_of_grace() {
        let mut lookout = Lookout::default();
        lookout.take(NOW);
        lookout.looked(NOW, NOW, of(&[]));
        let later = NOW + PAUSE;
        for (reading, wait) in [(GRACE / 4, GRACE / 4 * 3), (GRACE * 2, Duration::ZERO)] {
            lookout.read(reading);
            lookout.ask(of(&[7]), later);
            assert_eq!(lookout.wait(later), Some(wait));
            let look = Look { whose: of(&[7]), close_at: later + GRACE };
            assert_eq!(lookout.take(later + wait), Some(look), "sockets are closed no earlier");
        }
    }

    #[test]
    fn backends_that_leave_one_after_the_other_share_a_look() {
        let mut lookout = Lookout::default();
        lookout.take(NOW);
        lookout.looked(NOW, NOW, of(&[]));
        lookout.ask(of(&[7]), NOW);
        assert_eq!((lookout.take(NOW), lookout.wait(NOW)), (None, Some(PAUSE)));
        lookout.ask(of(&[8]), NOW);
        assert_eq!(whose(lookout.take(NOW + PAUSE)), Some(of(&[7, 8])));
    }

    #[test]
    fn a_third_of_the_time_is_left_for_other_work_however_long_looks_take() {
        let mut lookout = Lookout::default();
        lookout.take(NOW);
        let end = NOW + PAUSE * 6;
        lookout.looked(NOW, end, of(&[]));
        lookout.ask(of(&[7]), end);
        assert_eq!(lookout.wait(end), Some(PAUSE * 3));
    }

    #[test]
    fn what_was_not_found_is_looked_at_again_later_and_with_what_leaves_meanwhile() {
        let mut lookout = Lookout::default();
        lookout.take(NOW);
        lookout.looked(NOW, NOW, of(&[3]));
        assert_eq!((lookout.take(NOW + PAUSE), lookout.wait(NOW)), (None, Some(AGAIN)));
        lookout.ask(of(&[4]), NOW);
        assert_eq!(whose(lookout.take(NOW + PAUSE)), Some(of(&[3, 4])));
    }

    #[test]
    fn whose_all_takes_in_what_is_named() {
        let mut whose = of(&[1]);
        whose.add(Whose::All);
        whose.add(of(&[2]));
        assert_eq!(whose, Whose::All);
        assert!(whose.has(9) && of(&[9]).has(9) && !of(&[9]).has(8));
    }
}
