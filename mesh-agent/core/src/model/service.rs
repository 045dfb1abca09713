//! A service and its ports.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    check_policy::CheckOrigin,
    endpoint::Endpoint,
    frontend::{Addresses, External, InternalTraffic, Unserved},
    name::{Origin, ServiceName},
    traffic::{Balance, Drain, HealthCheck, Limits, LocalityPolicy, Outlier, SlowStart},
    words::Words as _,
};
use crate::table::Table;

/// Services by name.
pub type Services = Table<ServiceName, Arc<Service>>;

/// A service and its endpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Unique among all sources.
    pub name: ServiceName,
    /// Where it is written.
    pub origin: Origin,
    /// Addresses inside the cluster.
    pub addresses: Addresses,
    /// External addresses, without duplicates.
    pub external: Vec<External>,
    /// At least one port. Ports are distinct by number and protocol, and by name.
    pub ports: Vec<ServicePort>,
    /// Scope of the endpoints that `addresses` lead to.
    pub internal_traffic: InternalTraffic,
    /// Session affinity.
    pub affinity: Option<Affinity>,
    /// How long TCP connections to a removed endpoint may go on, in whole seconds below 65,536;
    /// without limit if absent. Connected UDP sockets are closed at once.
    pub close_stale_tcp: Option<Duration>,
    /// Traffic settings.
    pub traffic: Traffic,
    /// Frontends that are not served.
    pub unserved: Vec<Unserved>,
}

/// Traffic settings of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Balancing policy.
    pub balance: Balance,
    /// Outlier detection: when connect failures eject an endpoint.
    pub outlier: Outlier,
    /// Limits of concurrent connections.
    pub limits: Limits,
    /// Locality order of endpoints.
    pub locality: LocalityPolicy,
    /// Ramp of new endpoints; none if absent.
    pub slow_start: Option<SlowStart>,
    /// Ramp of draining endpoints; none if absent.
    pub drain: Option<Drain>,
    /// Health check; none if absent. Most services have none, so it takes no room in them.
    pub health: Option<Box<HealthCheck>>,
    /// Origin of the health check.
    pub health_origin: CheckOrigin,
}

/// Session affinity: a client's connects go to the same endpoint while it is usable and the client
/// connects again in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity {
    /// Attribute that identifies a client.
    pub client: AffinityClient,
    /// Time after the last connect of a client until its binding expires; at least one second.
    pub timeout: Duration,
}

/// Attribute that identifies a client for session affinity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AffinityClient {
    /// The network namespace, which is the pod.
    NetworkNamespace,
    /// The cgroup, which is the container.
    Cgroup,
}

/// A port of a service and its endpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Port name; empty if the only port of the service has no name.
    pub name: String,
    /// Never zero.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on every address of the node; distinct by number and protocol within a service.
    pub node_port: Option<u16>,
    /// Endpoints, distinct by address and port.
    pub endpoints: Vec<Endpoint>,
}

impl ServicePort {
    /// Returns the port's name, or its number if it has none.
    pub fn label(&self) -> String {
        if self.name.is_empty() {
            self.port.to_string()
        } else {
            self.name.clone()
        }
    }
}

/// Transport protocol of a service port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// TCP and MPTCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Returns the protocol with an IP protocol number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|protocol| protocol.number() == number)
    }

    /// Returns the IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => mesh_common::abi::protocol::TCP,
            Self::Udp => mesh_common::abi::protocol::UDP,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
