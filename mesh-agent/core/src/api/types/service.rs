//! A service with its frontends and ports.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Endpoint, ServiceCounters};

/// One service. `GET /v1/services` gives a list, `GET /v1/services/{namespace}/{name}` one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Where it is defined, `file:line`.
    pub origin: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Ports and their endpoints.
    pub ports: Vec<ServicePort>,
    /// Its frontends, and whether each is served.
    #[serde(default)]
    pub frontends: Vec<FrontendStatus>,
    /// Notes on overrides for endpoints that the service does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why the service is left alone; absent when it is not. All other fields are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// [`FrontendStatus::state`]
pub mod frontend_state {
    /// Its connects get an endpoint.
    pub const SERVED: &str = "served";
    /// Its connects are refused.
    pub const REFUSED: &str = "refused";
    /// Its connects are not touched.
    pub const LEFT_ALONE: &str = "left alone";
    /// Another service has it.
    pub const TAKEN: &str = "taken";
    /// The kernel does not have it yet.
    pub const PENDING: &str = "pending";
}

/// One address and port of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendStatus {
    /// Address; the host name of a load balancer without one.
    pub address: String,
    /// Port.
    pub port: u16,
    /// `TCP`, `UDP`, or `SCTP`, which is left alone.
    pub protocol: String,
    /// `ClusterIP`, `address`, `ExternalIP`, `LoadBalancer` or `NodePort`.
    pub kind: String,
    /// One of [`frontend_state`].
    pub state: String,
    /// The reason, unless it is served.
    #[serde(default)]
    pub reason: String,
}

impl FrontendStatus {
    /// `10.96.0.1:80/TCP` or `[fd00::1]:80/TCP`
    pub fn label(&self) -> String {
        let Self {
            address,
            port,
            protocol,
            ..
        } = self;
        format!("{}/{protocol}", socket_address(address, *port))
    }
}

/// Joins address and port. Only an IPv6 address has colons.
fn socket_address(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// One port of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Port name; absent when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub port_name: String,
    /// Port.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// Connects answered and refused since the service exists.
    pub counters: ServiceCounters,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// `leastConnections`, `latencyAware`, `random`, `roundRobin` or `consistentHash`.
    #[serde(default)]
    pub balance: String,
    /// Client attribute that is hashed: `namespace`, `cgroup` or `sourceAddress`; absent for other
    /// policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    /// Connections of this node to its endpoints now.
    #[serde(default)]
    pub connections: u64,
    /// Connections that its endpoints can serve.
    #[serde(default)]
    pub capacity: PortCapacity,
    /// Limits of connections; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// When connect failures eject an endpoint; absent where nothing differs from the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<Outlier>,
    /// Health check of its endpoints, including defaults; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

impl ServicePort {
    /// Returns the number of endpoints that take new connections.
    pub fn usable(&self) -> usize {
        Endpoint::takers(&self.endpoints)
            .filter(|takes| *takes)
            .count()
    }

    /// Returns its name, or its number when it has none.
    pub fn name_or_number(&self) -> Cow<'_, str> {
        if self.port_name.is_empty() {
            self.port.to_string().into()
        } else {
            (&*self.port_name).into()
        }
    }

    /// `80/TCP`, or `http:80/TCP` when the port has a name.
    pub fn label(&self) -> String {
        let Self {
            port_name,
            port,
            protocol,
            ..
        } = self;
        if port_name.is_empty() {
            format!("{port}/{protocol}")
        } else {
            format!("{port_name}:{port}/{protocol}")
        }
    }
}

/// Connections that the endpoints of a port can serve: Σ capacity × weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortCapacity {
    /// Of endpoints that take new connections now.
    pub usable: u64,
    /// Of all endpoints.
    pub total: u64,
    /// Connections of this node now.
    pub used: u64,
}

/// Most concurrent connections on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// To all endpoints together; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// To each endpoint; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections_per_endpoint: Option<u32>,
    /// Percent of `max_connections` that one client may hold; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections_per_client_percent: Option<u8>,
}

/// When connect failures eject an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlier {
    /// False when nothing is ejected.
    pub enabled: bool,
    /// Failed connects in a row.
    pub consecutive_failures: u32,
    /// Length of the first ejection.
    pub base_ejection_milliseconds: u64,
    /// Longest ejection.
    pub max_ejection_milliseconds: u64,
    /// Share of the capacity that may be ejected.
    pub max_ejected_percent: u32,
    /// Ejections are ignored while less than this share of the capacity is usable.
    pub panic_percent: u32,
    /// A connect without an answer fails after this time.
    pub connect_timeout_milliseconds: u64,
}

/// How the agent checks endpoints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// The probe: `tcp`, `http /healthz`, `https /`, `grpc` or `grpc NAME`.
    pub probe: String,
    /// Port of the probe; absent for the port of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Time from one probe to the next.
    pub interval_milliseconds: u64,
    /// A probe without an answer fails after this time.
    pub timeout_milliseconds: u64,
    /// Random deviation of the interval, in both directions.
    pub jitter_percent: u32,
    /// Successes in a row that make an endpoint healthy.
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    pub fall: u32,
    /// Whether all endpoints may be taken out when all fail.
    pub allow_empty: bool,
}
