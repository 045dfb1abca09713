//! What the rows of backends and services count.

use std::collections::BTreeMap;

use mesh_common::abi::{BackendEntry, ServiceLoad, ShareKey};

/// Backends and services at about one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By index.
    pub backends: Vec<BackendEntry>,
    /// By id.
    pub services: Vec<ServiceLoad>,
    /// By service and client, for services that limit, or limited, the share of a client.
    pub shares: BTreeMap<ShareKey, u64>,
}
