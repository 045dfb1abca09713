//! From single probes to a verdict that does not flap. Pure: the time is an argument.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::failure::Outcome;

/// Whether an endpoint works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// Too few results yet. It is given connections as if it were healthy: a new endpoint is believed until it fails.
    Unknown,
    /// The last `rise` probes or more, counted from the last change, went well.
    Healthy,
    /// `fall` probes in a row have failed, and not yet `rise` in a row went well.
    Unhealthy,
}

impl Health {
    /// As the API and the command line say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether it works.
    pub state: Health,
    /// What the last probe found; empty when all was well and nothing is to follow.
    pub reason: Arc<str>,
    /// Since when `state` is what it is, by the monotonic clock.
    pub changed_at: Duration,
    /// When the last probe ended, by the monotonic clock.
    pub checked_at: Option<Duration>,
    /// So many probes in a row ended like the last one.
    pub streak: u32,
}

/// The results so far of one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hysteresis {
    verdict: Verdict,
    /// How the last probe ended.
    last: Option<Ended>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Well,
    Badly,
}

/// How many results in a row change a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Thresholds {
    /// Successes that make an endpoint healthy.
    pub(super) rise: NonZeroU32,
    /// Failures that make it unhealthy.
    pub(super) fall: NonZeroU32,
}

impl Hysteresis {
    /// Of an endpoint that was never probed.
    pub(super) fn new(now: Duration) -> Self {
        let verdict =
            Verdict { state: Health::Unknown, reason: "".into(), changed_at: now, checked_at: None, streak: 0 };
        Self { verdict, last: None }
    }

    /// Of an endpoint that an earlier agent found not to work, and that nobody has asked since.
    pub(super) fn failing(now: Duration) -> Self {
        let mut state = Self::new(now);
        (state.verdict.state, state.verdict.reason) = (Health::Unhealthy, "failed before the agent started".into());
        state
    }

    /// What is known.
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes the result of one probe; whether the state changed. A probe that failed for a reason on this node counts
    /// neither way.
    pub(super) fn record(&mut self, outcome: &Outcome, thresholds: Thresholds, now: Duration) -> bool {
        self.verdict.checked_at = Some(now);
        let (ended, needed, next) = match outcome {
            Ok(()) => (Ended::Well, thresholds.rise.get(), Health::Healthy),
            Err(failure) if failure.is_local() => {
                self.verdict.reason = format!("not known: {failure}").into();
                return false;
            }
            Err(_) => (Ended::Badly, thresholds.fall.get(), Health::Unhealthy),
        };
        let before = if self.last == Some(ended) { self.verdict.streak } else { 0 };
        let streak = before.saturating_add(1);
        let reached = streak >= needed;
        let changed = reached && self.verdict.state != next;
        if changed {
            (self.verdict.state, self.verdict.changed_at) = (next, now);
        }
        let settled = self.verdict.state == next;
        (self.last, self.verdict.streak) = (Some(ended), streak);
        self.set_reason(match outcome {
            Ok(()) if settled => String::new(),
            Ok(()) => format!("{streak} of {needed} good answers"),
            Err(failure) if settled => failure.to_string(),
            Err(failure) => format!("{failure}; failure {streak} of {needed}"),
        });
        changed
    }

    /// Most probes find what the one before found; then nothing is allocated for keeps.
    fn set_reason(&mut self, reason: String) {
        if *self.verdict.reason != *reason {
            self.verdict.reason = reason.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::{super::failure::Failure, *};

    fn thresholds(rise: u32, fall: u32) -> Thresholds {
        Thresholds { rise: NonZeroU32::new(rise).unwrap(), fall: NonZeroU32::new(fall).unwrap() }
    }

    fn refused() -> Outcome {
        Err(Failure::Io(io::Error::from_raw_os_error(libc::ECONNREFUSED)))
    }

    fn seconds(number: usize) -> Duration {
        Duration::from_secs(number as u64)
    }

    /// State and reason after each of these probes, one a second.
    fn story(outcomes: impl IntoIterator<Item = Outcome>) -> Vec<String> {
        let mut state = Hysteresis::new(Duration::ZERO);
        let mut story = vec![];
        for (at, outcome) in outcomes.into_iter().enumerate() {
            state.record(&outcome, thresholds(2, 3), seconds(at + 1));
            let Verdict { state, reason, changed_at, checked_at: _, streak } = state.verdict();
            story.push(format!("{} {}s {streak} {reason}", state.name(), changed_at.as_secs()).trim_end().to_owned());
        }
        story
    }

    #[test]
    fn a_new_endpoint_is_unknown_until_it_rose_or_fell() {
        assert_eq!(
            story([Ok(()), Ok(()), Ok(())]),
            ["unknown 0s 1 1 of 2 good answers", "healthy 2s 2", "healthy 2s 3"]
        );
        let fell = [
            "unknown 0s 1 connection refused; failure 1 of 3",
            "unknown 0s 2 connection refused; failure 2 of 3",
            "unhealthy 3s 3 connection refused",
            "unhealthy 3s 4 connection refused",
        ];
        assert_eq!(story([refused(), refused(), refused(), refused()]), fell);
    }

    #[test]
    fn only_results_in_a_row_change_anything() {
        let odd = (0..20).map(|at| if at % 3 == 2 { Ok(()) } else { refused() });
        assert!(story(odd).iter().all(|line| line.starts_with("unknown 0s")));
        let risen = [refused(), refused(), refused(), Ok(()), refused(), Ok(()), Ok(())];
        let story = story(risen);
        let end = [
            "unhealthy 3s 1 1 of 2 good answers",
            "unhealthy 3s 1 connection refused",
            "unhealthy 3s 1 1 of 2 good answers",
            "healthy 7s 2",
        ];
        assert_eq!(story[3..], end);
    }

    #[test]
    fn one_that_failed_before_works_when_it_rose() {
        let mut state = Hysteresis::failing(seconds(1));
        let shown = |state: &Hysteresis| format!("{} {}", state.verdict().state.name(), state.verdict().reason);
        assert_eq!(shown(&state), "unhealthy failed before the agent started");
        assert!(!state.record(&refused(), thresholds(2, 3), seconds(2)));
        assert_eq!(shown(&state), "unhealthy connection refused", "one failure is enough");
        assert!(!state.record(&Ok(()), thresholds(2, 3), seconds(3)));
        assert!(state.record(&Ok(()), thresholds(2, 3), seconds(4)));
        assert_eq!(shown(&state), "healthy ");
    }

    #[test]
    fn a_probe_that_fails_for_want_of_something_here_counts_neither_way() {
        let mut state = Hysteresis::new(Duration::ZERO);
        let full = Err(Failure::Io(io::Error::from_raw_os_error(libc::EMFILE)));
        for (at, outcome) in [refused(), full, refused()].into_iter().enumerate() {
            assert!(!state.record(&outcome, thresholds(1, 2), seconds(at)) || at == 2);
        }
        assert_eq!((state.verdict().state, state.verdict().streak), (Health::Unhealthy, 2));
        let full = Err(Failure::Io(io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(!state.record(&full, thresholds(1, 2), seconds(9)));
        assert_eq!(state.verdict().state, Health::Unhealthy);
        assert!(state.verdict().reason.starts_with("not known: "), "{}", state.verdict().reason);
        assert_eq!(state.verdict().checked_at, Some(seconds(9)));
    }

    proptest! {
        /// The definition, read backwards from each moment.
        #[test]
        fn the_state_is_what_the_last_long_run_says(results in prop::collection::vec(any::<bool>(), 0..60), rise in 1..5_u32, fall in 1..5_u32) {
            let mut state = Hysteresis::new(Duration::ZERO);
            let mut expected = Health::Unknown;
            for (at, &good) in results.iter().enumerate() {
                let run = results[..=at].iter().rev().take_while(|&&other| other == good).count();
                let before = expected;
                expected = match good {
                    true if run >= rise as usize => Health::Healthy,
                    false if run >= fall as usize => Health::Unhealthy,
                    _ => expected,
                };
                let outcome = if good { Ok(()) } else { refused() };
                prop_assert_eq!(state.record(&outcome, thresholds(rise, fall), seconds(at)), before != expected);
                prop_assert_eq!(state.verdict().state, expected);
                prop_assert_eq!(state.verdict().streak as usize, run);
            }
        }
    }
}
