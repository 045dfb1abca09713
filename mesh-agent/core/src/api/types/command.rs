//! Commands that change an endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Service;

/// Body of `POST /v1/services/{namespace}/{name}/endpoints/{address:port}/{drain,undrain,weight}`;
/// may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandOptions {
    /// For `weight`: the new weight; the configured one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Allows to remove the last active endpoint.
    #[serde(default)]
    pub force: bool,
}

/// Answer to a command that is in effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    /// The service after the change.
    #[serde(flatten)]
    pub service: Service,
    /// Why the change ends with the agent; absent when it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A change of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Send no new connections to it.
    Drain,
    /// Send new connections to it again.
    Undrain,
    /// Set its weight, or reset it to the configured one.
    Weight(Option<u16>),
}

impl Change {
    /// Returns the last part of the request path.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Weight(_) => "weight",
        }
    }
}

impl fmt::Display for Change {
    /// `draining`, `not draining`, `weight 5` or `weight as configured`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str("draining"),
            Self::Undrain => f.write_str("not draining"),
            Self::Weight(Some(weight)) => write!(f, "weight {weight}"),
            Self::Weight(None) => f.write_str("weight as configured"),
        }
    }
}
