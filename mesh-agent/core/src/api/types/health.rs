//! The result of health checks of an endpoint.

use serde::{Deserialize, Serialize};

/// [`EndpointHealth::state`]
pub mod health_state {
    /// There are too few results; counts as healthy.
    pub const UNKNOWN: &str = "unknown";
    /// The checks succeed.
    pub const HEALTHY: &str = "healthy";
    /// The checks fail.
    pub const UNHEALTHY: &str = crate::desired::Ineligible::UNHEALTHY;
    /// The settings do not allow the check; counts as healthy.
    pub const UNCHECKED: &str = "unchecked";
}

/// The result of this node's health checks of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHealth {
    /// One of [`health_state`].
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
            state: health_state::UNCHECKED.to_owned(),
            reason,
            since_seconds: 0,
            checked_seconds_ago: None,
            kept: false,
        }
    }

    /// Returns whether the checks fail.
    pub fn is_unhealthy(&self) -> bool {
        self.state == health_state::UNHEALTHY
    }

    /// Returns whether the endpoint is checked.
    pub fn is_checked(&self) -> bool {
        self.state != health_state::UNCHECKED
    }
}
