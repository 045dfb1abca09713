//! Session affinity.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{Affinity, AffinityClient},
    source::{
        setting::Plain,
        value::{Seconds, Word},
    },
};

/// Affinity timeout in the range that Kubernetes allows.
pub type Timeout = Seconds<1, 86_400>;

/// Session affinity: a client stays with its endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "Affinity")]
pub struct AffinityForm {
    /// What a client is: a network namespace (a pod) or a cgroup (a container).
    #[schemars(extend("x-annotation" = "affinity-client"))]
    pub client: Plain<Word<AffinityClient>>,
    /// A binding ends when it is unused for this time.
    pub timeout_seconds: Plain<Timeout>,
}

impl AffinityForm {
    /// Default timeout, as in Kubernetes.
    pub const TIMEOUT: Duration = Duration::from_secs(10_800);
}

impl Default for AffinityForm {
    fn default() -> Self {
        Self {
            client: Plain::default_to(AffinityClient::NetworkNamespace),
            timeout_seconds: Plain::default_to(Self::TIMEOUT),
        }
    }
}

impl AffinityForm {
    /// Converts to the model.
    pub fn model(self) -> Option<Affinity> {
        Some(Affinity {
            client: self.client.value()?,
            timeout: self.timeout_seconds.value()?,
        })
    }
}
