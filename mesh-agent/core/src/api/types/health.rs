//! The result of health checks of an endpoint.

use serde::{Deserialize, Serialize};

/// The result of this node's health checks of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHealth {
    /// `healthy`, `unhealthy`, or `unknown` while there are too few results, or `unchecked` when
    /// the settings do not allow the check. The last two count as healthy.
    pub state: String,
    /// Error of the last probe, or why there is no probe; empty after a success.
    pub reason: String,
    /// Seconds since the state changed.
    pub since_seconds: u64,
    /// Seconds since the last probe; absent before the first.
    pub checked_seconds_ago: Option<u64>,
    /// Whether it gets connections although it is unhealthy, because all endpoints are.
    pub kept: bool,
}

impl EndpointHealth {
    /// Returns the health of an endpoint that may not be checked.
    pub fn unchecked(reason: String) -> Self {
        Self {
            state: "unchecked".to_owned(),
            reason,
            since_seconds: 0,
            checked_seconds_ago: None,
            kept: false,
        }
    }
}
