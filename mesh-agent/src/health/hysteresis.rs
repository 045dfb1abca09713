//! Turns single probe results into a state that does not flap. Pure: the time is an argument.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use mesh_core::api::types::{EndpointHealth, health_state};

use super::failure::ProbeResult;

/// State of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthState {
    /// Too few results yet. The endpoint takes connections as if it were healthy.
    Unknown,
    /// The last `rise` probes or more, counted from the last change, succeeded.
    Healthy,
    /// `fall` consecutive probes failed, and `rise` consecutive ones have not succeeded since.
    Unhealthy,
}

impl HealthState {
    /// Returns the name in the API and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => health_state::UNKNOWN,
            Self::Healthy => health_state::HEALTHY,
            Self::Unhealthy => health_state::UNHEALTHY,
        }
    }
}

/// Health status of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthStatus {
    /// Whether it works.
    pub state: HealthState,
    /// Result of the last probe; empty if it succeeded and no change is pending.
    pub reason: Arc<str>,
    /// Time of the last change of `state`, by the monotonic clock.
    pub changed_at: Duration,
    /// End of the last probe, by the monotonic clock.
    pub checked_at: Option<Duration>,
    /// Number of consecutive probes that ended like the last one.
    pub streak: u32,
}

impl HealthStatus {
    /// Returns the status at `now` of the monotonic clock, as the API shows it.
    pub fn shown(&self, kept: bool, now: Duration) -> EndpointHealth {
        let Self {
            state,
            reason,
            changed_at,
            checked_at,
            streak: _,
        } = self;
        let ago = |at: Duration| now.saturating_sub(at).as_secs();
        EndpointHealth {
            state: state.name().to_owned(),
            reason: reason.to_string(),
            since_seconds: ago(*changed_at),
            checked_seconds_ago: checked_at.map(ago),
            kept,
        }
    }
}

/// Results of one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hysteresis {
    status: HealthStatus,
    /// Result of the last probe.
    last: Option<Ended>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Well,
    Badly,
}

/// Numbers of consecutive results that change the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Thresholds {
    /// Successes that make an endpoint healthy.
    pub(super) rise: NonZeroU32,
    /// Failures that make it unhealthy.
    pub(super) fall: NonZeroU32,
}

impl Hysteresis {
    /// Creates the record of an endpoint that was never probed.
    pub(super) fn new(now: Duration) -> Self {
        let status = HealthStatus {
            state: HealthState::Unknown,
            reason: "".into(),
            changed_at: now,
            checked_at: None,
            streak: 0,
        };
        Self { status, last: None }
    }

    /// Creates the record of an endpoint that an earlier agent found unhealthy.
    pub(super) fn failing(now: Duration) -> Self {
        let mut state = Self::new(now);
        (state.status.state, state.status.reason) = (
            HealthState::Unhealthy,
            "failed before the agent started".into(),
        );
        state
    }

    /// Returns the present status.
    pub(super) fn status(&self) -> &HealthStatus {
        &self.status
    }

    /// Records the result of a probe; returns whether the state changed. A probe that failed
    /// because of this node does not count.
    pub(super) fn record(
        &mut self,
        outcome: &ProbeResult,
        thresholds: Thresholds,
        now: Duration,
    ) -> bool {
        self.status.checked_at = Some(now);
        let (ended, needed, next) = match outcome {
            Ok(()) => (Ended::Well, thresholds.rise.get(), HealthState::Healthy),
            Err(failure) if failure.is_local() => {
                self.status.reason = format!("not known: {failure}").into();
                return false;
            }
            Err(_) => (Ended::Badly, thresholds.fall.get(), HealthState::Unhealthy),
        };
        let before = if self.last == Some(ended) {
            self.status.streak
        } else {
            0
        };
        let streak = before.saturating_add(1);
        let reached = streak >= needed;
        let changed = reached && self.status.state != next;
        if changed {
            (self.status.state, self.status.changed_at) = (next, now);
        }
        let settled = self.status.state == next;
        (self.last, self.status.streak) = (Some(ended), streak);
        self.set_reason(match outcome {
            Ok(()) if settled => String::new(),
            Ok(()) => format!("{streak} of {needed} good answers"),
            Err(failure) if settled => failure.to_string(),
            Err(failure) => format!("{failure}; failure {streak} of {needed}"),
        });
        changed
    }

    /// Keeps the allocated text if the reason is unchanged, as it mostly is.
    fn set_reason(&mut self, reason: String) {
        if *self.status.reason != *reason {
            self.status.reason = reason.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::{super::failure::Failure, *};

    fn thresholds(rise: u32, fall: u32) -> Thresholds {
        Thresholds {
            rise: NonZeroU32::new(rise).unwrap(),
            fall: NonZeroU32::new(fall).unwrap(),
        }
    }

    fn refused() -> ProbeResult {
        Err(Failure::Io(io::Error::from_raw_os_error(
            libc::ECONNREFUSED,
        )))
    }

    fn seconds(number: usize) -> Duration {
        Duration::from_secs(number as u64)
    }

    /// Returns state and reason after each of these probes, one per second.
    fn story(outcomes: impl IntoIterator<Item = ProbeResult>) -> Vec<String> {
        let mut state = Hysteresis::new(Duration::ZERO);
        let mut story = vec![];
        for (at, outcome) in outcomes.into_iter().enumerate() {
            state.record(&outcome, thresholds(2, 3), seconds(at + 1));
            let HealthStatus {
                state,
                reason,
                changed_at,
                checked_at: _,
                streak,
            } = state.status();
            story.push(
                format!(
                    "{} {}s {streak} {reason}",
                    state.name(),
                    changed_at.as_secs()
                )
                .trim_end()
                .to_owned(),
            );
        }
        story
    }

    #[test]
    fn a_new_endpoint_is_unknown_until_it_rose_or_fell() {
        assert_eq!(
            story([Ok(()), Ok(()), Ok(())]),
            [
                "unknown 0s 1 1 of 2 good answers",
                "healthy 2s 2",
                "healthy 2s 3"
            ]
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
    fn only_consecutive_results_change_the_state() {
        let odd = (0..20).map(|at| if at % 3 == 2 { Ok(()) } else { refused() });
        assert!(story(odd).iter().all(|line| line.starts_with("unknown 0s")));
        let risen = [
            refused(),
            refused(),
            refused(),
            Ok(()),
            refused(),
            Ok(()),
            Ok(()),
        ];
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
    fn an_endpoint_that_failed_before_recovers_after_enough_successes() {
        let mut state = Hysteresis::failing(seconds(1));
        let shown = |state: &Hysteresis| {
            format!("{} {}", state.status().state.name(), state.status().reason)
        };
        assert_eq!(shown(&state), "unhealthy failed before the agent started");
        assert!(!state.record(&refused(), thresholds(2, 3), seconds(2)));
        assert_eq!(
            shown(&state),
            "unhealthy connection refused",
            "one failure is enough"
        );
        assert!(!state.record(&Ok(()), thresholds(2, 3), seconds(3)));
        assert!(state.record(&Ok(()), thresholds(2, 3), seconds(4)));
        assert_eq!(shown(&state), "healthy ");
    }

    #[test]
    fn a_probe_that_fails_because_of_this_node_does_not_count() {
        let mut state = Hysteresis::new(Duration::ZERO);
        let full = Err(Failure::Io(io::Error::from_raw_os_error(libc::EMFILE)));
        for (at, outcome) in [refused(), full, refused()].into_iter().enumerate() {
            assert!(!state.record(&outcome, thresholds(1, 2), seconds(at)) || at == 2);
        }
        assert_eq!(
            (state.status().state, state.status().streak),
            (HealthState::Unhealthy, 2)
        );
        let full = Err(Failure::Io(io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(!state.record(&full, thresholds(1, 2), seconds(9)));
        assert_eq!(state.status().state, HealthState::Unhealthy);
        assert!(
            state.status().reason.starts_with("not known: "),
            "{}",
            state.status().reason
        );
        assert_eq!(state.status().checked_at, Some(seconds(9)));
    }

    proptest! {
        /// The definition, evaluated backwards from each moment.
        #[test]
        fn the_state_is_what_the_last_long_run_says(results in prop::collection::vec(any::<bool>(), 0..60), rise in 1..5_u32, fall in 1..5_u32) {
            let mut state = Hysteresis::new(Duration::ZERO);
            let mut expected = HealthState::Unknown;
            for (at, &good) in results.iter().enumerate() {
                let run = results[..=at].iter().rev().take_while(|&&other| other == good).count();
                let before = expected;
                expected = match good {
                    true if run >= rise as usize => HealthState::Healthy,
                    false if run >= fall as usize => HealthState::Unhealthy,
                    _ => expected,
                };
                let outcome = if good { Ok(()) } else { refused() };
                prop_assert_eq!(state.record(&outcome, thresholds(rise, fall), seconds(at)), before != expected);
                prop_assert_eq!(state.status().state, expected);
                prop_assert_eq!(state.status().streak as usize, run);
            }
        }
    }
}
