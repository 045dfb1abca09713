//! Bounds of health checks on this node. Checks are requests by root whose content the author of a
//! service chooses.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

/// Values of the settings `healthChecks`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckPolicy {
    /// Most probes of this node per second, at least one.
    pub max_per_second: u32,
    /// Shortest interval between probes of an endpoint.
    pub min_interval: Duration,
    /// Networks in which loopback, link-local and node addresses may be checked.
    pub allowed_networks: Vec<IpNet>,
    /// Whether annotations may set headers that carry credentials.
    pub allow_credentials: bool,
    /// Whether annotations may name a port that no endpoint of the service has.
    pub allow_other_ports: bool,
}

impl Default for CheckPolicy {
    fn default() -> Self {
        Self {
            max_per_second: 1000,
            min_interval: Duration::from_secs(1),
            allowed_networks: Vec::new(),
            allow_credentials: false,
            allow_other_ports: false,
        }
    }
}

impl CheckPolicy {
    /// Returns whether an address is in one of the allowed networks.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allowed_networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Origin of a health check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckOrigin {
    /// Line, from one.
    pub line: u32,
    /// Path of the field.
    pub field: String,
    /// Whether the check is an annotation, which the author of the service controls; service files
    /// belong to the administrator.
    pub is_annotation: bool,
}
