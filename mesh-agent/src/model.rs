//! What a service is, after parsing: every value here is valid. Sources write it, [`desired`](crate::desired) reads it.

mod admission;
mod checking;
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
    checking::{CheckPlace, CheckPolicy},
    frontend::{Addresses, External, FrontendKind, InternalTraffic, Unserved},
    refused::Refused,
    traffic::{
        Balance, Drain, HashKey, HealthCheck, Hints, HttpProbe, Limits, Locality, LocalityLevel, MAX_EJECTED_PERCENT,
        Nearness, Outlier, PANIC_PERCENT, Probe, Ratio, SlowStart, SourcePreference,
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
    /// Path as the source was told of it.
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
    /// Addresses at which programs ask for it.
    pub addresses: Addresses,
    /// Further addresses, no duplicates.
    pub external: Vec<External>,
    /// At least one; no two with the same port and protocol, no two with the same name.
    pub ports: Vec<ServicePort>,
    /// Which endpoints `addresses` lead to.
    pub internal_traffic: InternalTraffic,
    /// Keeps a client with its endpoint.
    pub affinity: Option<Affinity>,
    /// How long TCP connections to an endpoint go on after it left the configuration, in whole seconds below 65,536;
    /// for ever when absent. Connected UDP sockets are closed at once.
    pub close_stale_tcp: Option<Duration>,
    /// Which endpoint takes a connect, and the rest of how connects are spread.
    pub traffic: Traffic,
    /// What of it is left alone.
    pub unserved: Vec<Unserved>,
}

/// How connects are spread over the endpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Which endpoint takes a connect.
    pub balance: Balance,
    /// When connect failures eject an endpoint.
    pub outlier: Outlier,
    /// How many connections at the same time.
    pub limits: Limits,
    /// Which endpoints come first.
    pub nearness: Nearness,
    /// How new endpoints begin; at once where absent.
    pub slow_start: Option<SlowStart>,
    /// How draining endpoints end; at once where absent.
    pub drain: Option<Drain>,
    /// How the agent finds out whether endpoints work; where absent it believes the configuration.
    pub health: Option<HealthCheck>,
    /// Where that is written.
    pub health_place: CheckPlace,
}

/// Session affinity: a client's connects go to one endpoint as long as it lives and the client comes back in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity {
    /// Who counts as one client.
    pub client: AffinityClient,
    /// How long after its last connect a client is remembered, at least one second.
    pub timeout: Duration,
}

/// Who counts as one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AffinityClient {
    /// A network namespace, which is a pod.
    NetworkNamespace,
    /// A cgroup, which is a container.
    Cgroup,
}

/// One port of a service and who serves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Port name, empty when the service has only one port and does not name it.
    pub name: String,
    /// Never zero.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on every address of the node; no two of a service with the same one and protocol.
    pub node_port: Option<u16>,
    /// No two with the same address and port.
    pub endpoints: Vec<Endpoint>,
}

impl ServicePort {
    /// The port's name, or its number where it has none.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.port.to_string() } else { self.name.clone() }
    }
}

/// Transport protocol of a service port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// TCP, and MPTCP, which looks like it here.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// IP protocol number.
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

/// One address and port that serves a service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Never unspecified.
    pub address: IpAddr,
    /// Never zero.
    pub port: u16,
    /// Share of new connections relative to the other endpoints; zero takes none.
    pub weight: u32,
    /// May it be given connections.
    pub condition: Condition,
    /// Name of the node it runs on, where that is known.
    pub node: Option<Arc<str>>,
    /// Further nodes on which it is: several EndpointSlices may list it, each with another node.
    pub other_nodes: Arc<[Arc<str>]>,
    /// Where it is.
    pub locality: Locality,
    /// Which nodes and zones should send their connects here, where its EndpointSlice says so.
    pub hints: Option<Arc<Hints>>,
    /// Connections it is made for, for display; one where nothing is said.
    pub capacity: u32,
    /// Which source it comes from; absent for the local one.
    pub source: Option<Arc<str>>,
}

impl Endpoint {
    /// A ready endpoint of weight one, of which nothing else is known.
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
        self.node.iter().chain(&*self.other_nodes).any(|name| **name == *node)
    }

    /// Whether it takes new connections while endpoints in condition `serving` do.
    pub fn takes(&self, serving: Condition) -> bool {
        self.condition == serving && self.weight > 0
    }
}

/// Endpoint conditions of `discovery.k8s.io/v1`, folded into what they mean for new connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// Takes connections.
    Ready,
    /// Shutting down but still serving: takes connections only when no endpoint is ready.
    Terminating,
    /// Takes none.
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

/// Everything one source knows, whole: an update may be lost or repeated without harm.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// All services of the source.
    pub services: Services,
    /// False while a file could not be read and no earlier good version of it is known: then services that are
    /// missing here may exist, and must not be removed.
    pub complete: bool,
    /// Services of which a part is not known, for no good version of it is: what an earlier agent made of them may be
    /// right.
    pub uncertain: BTreeSet<ServiceName>,
    /// What is wrong: of each file the first errors, and how many more there are.
    pub errors: Vec<ConfigError>,
    /// How many errors there are, those included of which only the number is told.
    pub errors_total: usize,
    /// What is not in force as it is written, and what is in force instead.
    pub wrong: Vec<Wrong>,
    /// What was left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// Services that are left alone.
    pub left_out: BTreeMap<ServiceName, LeftOut>,
}

/// A service that is left alone, on purpose or because a connect has nothing to do with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is written.
    pub origin: Origin,
    /// Why.
    pub reason: String,
}

/// One thing wrong with the configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigError {
    /// File and line; the line is 1 when the whole file is meant.
    pub origin: Origin,
    /// Path of the field, like `services[2].ports[0].port`; empty when no field is to blame.
    pub field: String,
    /// What is wrong and, where it helps, what would be right.
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

/// Something in the configuration that is not served, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigNote {
    /// Where it is written.
    pub origin: Origin,
    /// What is left out and why.
    pub message: String,
}

impl fmt::Display for ConfigNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}
