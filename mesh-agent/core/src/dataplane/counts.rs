//! Counts in the rows of backends, services and clients.

use std::collections::BTreeMap;

use mesh_common::abi::{BackendEntry, ClientRows, ServiceLoad, ShareKey};

/// Backends, services and clients at about one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By index.
    pub backends: Vec<BackendEntry>,
    /// By id.
    pub services: Vec<ServiceLoad>,
    /// By service and client, for services that limit, or limited, the share of a client.
    pub shares: BTreeMap<ShareKey, u64>,
    /// By row of QUOTAS, for rows that are not zero.
    pub quotas: BTreeMap<u32, ClientRows>,
}
