//! Limits of concurrent connections.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::Limits,
    source::{field::Field, setting::Plain, value::Whole},
};

/// A limit above zero; a service that should take no connections has no endpoints.
type Limit = Whole<NonZeroU32, 1, 4_294_967_295>;

/// Message about a percentage of a limit that is not given.
const WITHOUT_LIMIT: &str =
    "maxConnections or maxConnectionsPerEndpoint is missing, which it is a percentage of";

/// Limits of concurrent connections on this node.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(
    rename = "Limits",
    extend("dependencies" = serde_json::json!({
        "maxConnectionsPerClientPercent": {
            "anyOf": [
                {"required": ["maxConnections"], "errorMessage": WITHOUT_LIMIT},
                {"required": ["maxConnectionsPerEndpoint"], "errorMessage": WITHOUT_LIMIT}
            ]
        }
    }))
)]
pub struct LimitsForm {
    /// Connections of this node to the service.
    #[schemars(extend("x-annotation" = "max-connections"))]
    max_connections: Plain<Limit>,
    /// Connections of this node to each endpoint.
    #[schemars(extend("x-annotation" = "max-connections-per-endpoint"))]
    max_connections_per_endpoint: Plain<Limit>,
    /// Percent that one pod, unit or user may hold, rounded up: of `maxConnections`, or of
    /// `maxConnectionsPerEndpoint` times the number of usable endpoints, whichever is less.
    #[schemars(extend("x-annotation" = "max-connections-per-client-percent"))]
    max_connections_per_client_percent: Plain<Whole<u8, 1, 100>>,
}

impl LimitsForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Option<Field<'_>>) -> Option<Limits> {
        let connections = self.max_connections.optional();
        let connections_per_endpoint = self.max_connections_per_endpoint.optional();
        let percent = self.max_connections_per_client_percent.optional();
        if let (Some(None), Some(None), Some(Some(_))) =
            (connections, connections_per_endpoint, percent)
        {
            return field?
                .get("maxConnectionsPerClientPercent")?
                .error(WITHOUT_LIMIT);
        }
        Some(Limits {
            connections: connections?,
            connections_per_endpoint: connections_per_endpoint?,
            percent_per_client: percent?,
        })
    }
}
