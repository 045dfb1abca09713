//! What health checks may do on this node. They are requests by root, and the author of a service says what is asked.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

/// The settings `healthChecks`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckPolicy {
    /// Probes of this node per second, at least one.
    pub max_per_second: u32,
    /// Shortest time from one probe of an endpoint to the next.
    pub min_interval: Duration,
    /// Where endpoints may be checked although they are on loopback, link-local or addresses of the node.
    pub allowed_networks: Vec<IpNet>,
    /// Whether annotations may have headers sent that carry credentials.
    pub allow_credentials: bool,
    /// Whether annotations may name a port that is none of the service's endpoints.
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
        self.allowed_networks.iter().any(|network| network.contains(&address))
    }
}

/// Where a health check is written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckPlace {
    /// Line, from one.
    pub line: u32,
    /// Path of the field.
    pub field: String,
    /// Whether it is an annotation, which the author of the service writes; service files are the administrator's.
    pub is_annotation: bool,
}
