//! The model of services. All values are valid: sources parse and check them, and
//! [`desired`](crate::desired) compiles them.

mod admission;
mod check_policy;
mod frontend;
mod refused;
mod traffic;
mod wrong;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::table::Table;

pub use self::{
    admission::{Admission, NODE_PORTS, field, refusal},
    check_policy::{CheckOrigin, CheckPolicy},
    frontend::{Addresses, External, FrontendKind, InternalTraffic, Unserved},
    refused::Refused,
    traffic::{
        Balance, Drain, HashKey, HealthCheck, Hints, HttpProbe, Limits, Locality, LocalityLevel,
        LocalityPolicy, MAX_EJECTED_PERCENT, Outlier, PANIC_PERCENT, Probe, Ratio, SlowStart,
        SourcePreference,
    },
    wrong::{Effect, Scope, Wrong},
};

/// `namespace/name` of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceName {
    /// Kubernetes namespace; `default` where none is given.
    pub namespace: String,
    /// Name within the namespace.
    pub name: String,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A file and a line in it, counted from one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin {
    /// Path as configured.
    pub file: Arc<PathBuf>,
    /// Line, from one.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

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
    /// Front ends that are not served.
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
    /// Health check; none if absent.
    pub health: Option<HealthCheck>,
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
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// An address and port that serves a service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Never unspecified.
    pub address: IpAddr,
    /// Never zero.
    pub port: u16,
    /// Weight relative to the other endpoints; an endpoint of weight zero takes no connections.
    pub weight: u32,
    /// Whether it may take connections.
    pub condition: Condition,
    /// Name of its node, if known.
    pub node: Option<Arc<str>>,
    /// Further nodes: several EndpointSlices may list the endpoint, each with another node.
    pub other_nodes: Arc<[Arc<str>]>,
    /// Location.
    pub locality: Locality,
    /// Nodes and zones whose connects should go here, if its EndpointSlice has hints.
    pub hints: Option<Arc<Hints>>,
    /// Capacity in connections, for display; one by default.
    pub capacity: u32,
    /// Source; absent for the local one.
    pub source: Option<Arc<str>>,
}

impl Endpoint {
    /// Creates a ready endpoint of weight one.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self {
            address,
            port,
            weight: 1,
            condition: Condition::Ready,
            node: None,
            other_nodes: Arc::default(),
            locality: Locality::default(),
            hints: None,
            capacity: 1,
            source: None,
        }
    }

    /// Whether it runs on this node.
    pub fn is_on(&self, node: &str) -> bool {
        self.node
            .iter()
            .chain(&*self.other_nodes)
            .any(|name| **name == *node)
    }

    /// Whether it takes new connections while endpoints in condition `serving` do.
    pub fn takes(&self, serving: Condition) -> bool {
        self.condition == serving && self.weight > 0
    }
}

/// Endpoint conditions of `discovery.k8s.io/v1`, reduced to their meaning for new connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// Takes new connections.
    Ready,
    /// Shutting down but still serving: takes new connections only if no endpoint is ready.
    Terminating,
    /// Takes no new connections.
    NotReady,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Terminating => "terminating",
            Self::NotReady => "notReady",
        })
    }
}

/// A whole snapshot of a source. An update may be lost or repeated without harm.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// All services of the source.
    pub services: Services,
    /// False while a file without a known good version cannot be read. Then services that are
    /// missing here may exist and must not be removed.
    pub complete: bool,
    /// Services of which a part has no known good version. The rows of an earlier agent may be
    /// right.
    pub uncertain: BTreeSet<ServiceName>,
    /// Errors: the first of each file, and a count of the others.
    pub errors: Vec<ConfigError>,
    /// How many errors there are, those included of which only the number is told.
    pub errors_total: usize,
    /// What is not in force as it is written, and what is in force instead.
    pub wrong: Vec<Wrong>,
    /// Notes about objects that are left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// Services that are left alone.
    pub left_out: BTreeMap<ServiceName, LeftOut>,
}

/// A service that is left alone: it opted out, or connects to it need no translation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is written.
    pub origin: Origin,
    /// Reason.
    pub reason: String,
}

/// An error in the configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigError {
    /// File and line; line 1 if the error is about the whole file.
    pub origin: Origin,
    /// Path of the field, like `services[2].ports[0].port`; empty if the error is not in a field.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.origin, self.reason)
        } else {
            write!(f, "{}: {}: {}", self.origin, self.field, self.reason)
        }
    }
}

/// A note about a part of the configuration that is not served.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigNote {
    /// Where it is written.
    pub origin: Origin,
    /// What is left out, and the reason.
    pub message: String,
}

impl fmt::Display for ConfigNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}
