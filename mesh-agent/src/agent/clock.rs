//! The clock of the agent.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Returns the time of the monotonic clock, which changes of the date do not affect.
pub(super) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("Linux has a monotonic clock")
        .into()
}
