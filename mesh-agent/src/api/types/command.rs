//! What an operator says of an endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Service;

/// Body of `POST /v1/services/{namespace}/{name}/endpoints/{address:port}/{drain,undrain,weight}`;
/// may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandOptions {
    /// For `weight`: the weight from now on; the configured one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Even if no endpoint is left then that takes new connections.
    #[serde(default)]
    pub force: bool,
}

/// Answer to an [`CommandOptions`] that is in effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    /// The service, as it is now.
    #[serde(flatten)]
    pub service: Service,
    /// Why the order ends when the agent does, where it could not be written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// What is to become of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It takes no new connections from now on.
    Drain,
    /// It takes new connections again.
    Undrain,
    /// Its weight is this, or the configured one.
    Weight(Option<u16>),
}

impl Change {
    /// The last part of the path that asks for it.
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
