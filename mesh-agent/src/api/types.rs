//! What goes over the socket: camelCase JSON with Kubernetes words. Stable: fields are added, never renamed.

mod health;

use std::fmt;

use mesh_common::{abi, counter::Counter};
use serde::{Deserialize, Serialize};

pub use self::health::EndpointHealth;
use crate::model;

/// `GET /v1/status`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Agent version.
    pub version: String,
    /// True when the kernel holds what the configuration says and no error is known.
    pub ready: bool,
    /// Host name or `--node-name`.
    pub node_name: String,
    /// Process id of the agent.
    pub pid: u32,
    /// Seconds since the agent started.
    pub uptime_seconds: u64,
    /// Cgroup the programs are attached to.
    pub cgroup: String,
    /// Where links and maps are pinned.
    pub pin_dir: String,
    /// Number of the last applied set of tables, from one in each run of the agent.
    pub revision: u64,
    /// Seconds since that set was applied; absent before the first.
    pub applied_seconds_ago: Option<u64>,
    /// Milliseconds that compiling and writing that set took; absent before the first.
    pub apply_milliseconds: Option<u64>,
    /// Rows used and available, by map.
    pub capacity: Vec<CapacityUse>,
    /// Attached hooks.
    pub hooks: Vec<Hook>,
    /// Watched directories.
    pub sources: Vec<String>,
    /// Everything wrong with the configuration.
    pub errors: Vec<ConfigProblem>,
    /// What was left out on purpose.
    pub notes: Vec<ConfigProblem>,
    /// What is wrong with the data plane; empty when nothing is.
    pub problems: Vec<String>,
}

/// Rows of one map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityUse {
    /// Map name.
    pub map: String,
    /// Rows in use.
    pub used: u64,
    /// Rows there are.
    pub capacity: u64,
}

/// One attached program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Hook name, like `connect4`.
    pub name: String,
    /// Kernel id of the program.
    pub program_id: u32,
    /// Kernel id of the link.
    pub link_id: u32,
}

/// An error or a note about the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigProblem {
    /// File.
    pub file: String,
    /// Line, from one.
    pub line: u32,
    /// Path of the field, like `services[2].ports[0].port`; empty when no field is to blame.
    #[serde(default)]
    pub field: String,
    /// What is the matter.
    pub reason: String,
}

impl From<&model::ConfigError> for ConfigProblem {
    fn from(error: &model::ConfigError) -> Self {
        let model::ConfigError { origin, field, reason } = error;
        Self { field: field.clone(), reason: reason.clone(), ..Self::from(origin) }
    }
}

impl From<&model::ConfigNote> for ConfigProblem {
    fn from(note: &model::ConfigNote) -> Self {
        let model::ConfigNote { origin, message } = note;
        Self { reason: message.clone(), ..Self::from(origin) }
    }
}

impl From<&model::Origin> for ConfigProblem {
    fn from(origin: &model::Origin) -> Self {
        let model::Origin { file, line } = origin;
        Self { file: file.display().to_string(), line: *line, field: String::new(), reason: String::new() }
    }
}

impl fmt::Display for ConfigProblem {
    /// `file:line: field: reason`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, reason } = self;
        let separator = if field.is_empty() { "" } else { ": " };
        write!(f, "{file}:{line}: {field}{separator}{reason}")
    }
}

/// One service. `GET /v1/services` gives a list, `GET /v1/services/{namespace}/{name}` one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Where it is written, `file:line`.
    pub origin: String,
    /// Addresses at which it answers.
    pub addresses: Vec<String>,
    /// Ports and their endpoints.
    pub ports: Vec<ServicePort>,
    /// Where programs ask for it, and whether they get it.
    #[serde(default)]
    pub frontends: Vec<Frontend>,
    /// Why the service is left alone, where it is; then there is nothing else to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// One address and port of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frontend {
    /// Address; the name of a load balancer that has none.
    pub address: String,
    /// Port.
    pub port: u16,
    /// `TCP` or `UDP`; `SCTP`, which is left alone.
    pub protocol: String,
    /// `ClusterIP`, `address`, `ExternalIP`, `LoadBalancer` or `NodePort`.
    pub kind: String,
    /// `served`, `refused`, `left alone`, `taken` by another service, or `pending` while the kernel does not have it.
    pub state: String,
    /// Why, unless it is served.
    #[serde(default)]
    pub reason: String,
}

impl Frontend {
    /// `10.96.0.1:80/TCP` or `[fd00::1]:80/TCP`
    pub fn label(&self) -> String {
        let Self { address, port, protocol, .. } = self;
        format!("{}/{protocol}", socket_address(address, *port))
    }
}

/// An IPv6 address is the only kind that has colons.
fn socket_address(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// One port of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Port name, or its number where it has none.
    pub name: String,
    /// Port.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// Connects answered and refused since the service exists.
    pub counters: ServiceCounters,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl ServicePort {
    /// `80/TCP`, or `http:80/TCP` when the port has a name.
    pub fn label(&self) -> String {
        let Self { name, port, protocol, .. } = self;
        if *name == port.to_string() { format!("{port}/{protocol}") } else { format!("{name}:{port}/{protocol}") }
    }
}

/// What the kernel counted for a service port. One field per counter of `mesh_common::counter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounters {
    /// Connects answered with a backend.
    pub connects: u64,
    /// Connects refused because no backend was usable.
    pub refused_no_backend: u64,
    /// Connects refused because the maps contradict each other.
    pub refused_broken: u64,
    /// Connects answered without a socket record.
    pub unrecorded: u64,
    /// Connects refused because of a limit of connections.
    #[serde(default)]
    pub refused_limit: u64,
    /// Connects that failed at the backend.
    #[serde(default)]
    pub failures: u64,
    /// Ejections of backends.
    #[serde(default)]
    pub ejections: u64,
    /// Connects let through to an ejected backend to try it.
    #[serde(default)]
    pub probes: u64,
    /// Connects that went elsewhere because the first choice was full.
    #[serde(default)]
    pub overflows: u64,
    /// Connects that went to a farther tier than the first.
    #[serde(default)]
    pub failovers: u64,
    /// Connects to ejected backends because too few others were left.
    #[serde(default)]
    pub panics: u64,
}

impl ServiceCounters {
    /// The field of `counter`.
    pub fn get(&self, counter: Counter) -> u64 {
        match counter {
            Counter::Connects => self.connects,
            Counter::RefusedNoBackend => self.refused_no_backend,
            Counter::RefusedBroken => self.refused_broken,
            Counter::Unrecorded => self.unrecorded,
            Counter::RefusedLimit => self.refused_limit,
            Counter::Failures => self.failures,
            Counter::Ejections => self.ejections,
            Counter::Probes => self.probes,
            Counter::Overflows => self.overflows,
            Counter::Failovers => self.failovers,
            Counter::Panics => self.panics,
        }
    }

    /// Connects refused for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused_no_backend.saturating_add(self.refused_broken).saturating_add(self.refused_limit)
    }
}

impl From<abi::ServiceCounters> for ServiceCounters {
    fn from(row: abi::ServiceCounters) -> Self {
        let value = |counter: Counter| row[counter.index()];
        Self {
            connects: value(Counter::Connects),
            refused_no_backend: value(Counter::RefusedNoBackend),
            refused_broken: value(Counter::RefusedBroken),
            unrecorded: value(Counter::Unrecorded),
            refused_limit: value(Counter::RefusedLimit),
            failures: value(Counter::Failures),
            ejections: value(Counter::Ejections),
            probes: value(Counter::Probes),
            overflows: value(Counter::Overflows),
            failovers: value(Counter::Failovers),
            panics: value(Counter::Panics),
        }
    }
}

/// One endpoint of a service port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Configured weight.
    pub weight: u32,
    /// `ready`, `terminating` or `not-ready`.
    pub condition: String,
    /// Whether new connections are sent there now.
    pub active: bool,
    /// Name of the node it runs on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What health checks say of it; absent where its service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<EndpointHealth>,
    /// Row in BACKENDS; absent while it has none.
    pub index: Option<u32>,
    /// Connects answered with it.
    pub connects: u64,
}

impl Endpoint {
    /// `10.0.0.1:80` or `[fd00::1]:80`
    pub fn socket_address(&self) -> String {
        socket_address(&self.address, self.port)
    }

    /// The address family, as far as there are two.
    pub fn is_ipv6(&self) -> bool {
        self.address.contains(':')
    }
}

/// What went wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// One sentence.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counter_has_its_field() {
        let row = std::array::from_fn(|place| place as u64 + 1);
        let counters = ServiceCounters::from(row);
        for counter in Counter::ALL {
            assert_eq!(counters.get(counter), row[counter.index()], "{counter:?}");
        }
    }

    #[test]
    fn counter_fields_are_called_like_the_counters() {
        let fields = serde_json::to_value(ServiceCounters::default()).unwrap();
        let names: BTreeSet<_> = fields.as_object().unwrap().keys().map(|name| snake_case(name)).collect();
        let expected: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.name().to_owned()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn problems_read_like_the_errors_they_come_from() {
        let origin = model::Origin { file: std::sync::Arc::new("a.yaml".into()), line: 3 };
        let error =
            model::ConfigError { origin: origin.clone(), field: "services[0].name".into(), reason: "is empty".into() };
        let note = model::ConfigNote { origin, message: "kind Pod is not served".into() };
        assert_eq!(ConfigProblem::from(&error).to_string(), error.to_string());
        assert_eq!(ConfigProblem::from(&note).to_string(), note.to_string());
    }

    fn snake_case(camel: &str) -> String {
        camel.chars().flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase())).collect()
    }
}
