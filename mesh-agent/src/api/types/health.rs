//! What health checks say of an endpoint.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::HealthStatus;

/// What the health checks of this node say of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHealth {
    /// `healthy`, `unhealthy`, or `unknown` while there are too few results; then it counts as
    /// healthy, as it does where it is `unchecked`, because the settings do not allow the check.
    pub state: String,
    /// What the last probe found, or why there is none; empty when all was well.
    pub reason: String,
    /// Seconds since the state is what it is.
    pub since_seconds: u64,
    /// Seconds since the last probe; absent before the first.
    pub checked_seconds_ago: Option<u64>,
    /// Whether it is unhealthy and given connections all the same, because every endpoint is that
    /// could take them.
    pub kept: bool,
}

impl EndpointHealth {
    /// An endpoint that may not be checked, for this reason.
    pub fn unchecked(reason: String) -> Self {
        Self {
            state: "unchecked".to_owned(),
            reason,
            since_seconds: 0,
            checked_seconds_ago: None,
            kept: false,
        }
    }

    /// As of `now`, by the monotonic clock.
    pub fn new(verdict: &HealthStatus, kept: bool, now: Duration) -> Self {
        let HealthStatus {
            state,
            reason,
            changed_at,
            checked_at,
            streak: _,
        } = verdict;
        let ago = |at: Duration| now.saturating_sub(at).as_secs();
        Self {
            state: state.name().to_owned(),
            reason: reason.to_string(),
            since_seconds: ago(*changed_at),
            checked_seconds_ago: checked_at.map(ago),
            kept,
        }
    }
}
