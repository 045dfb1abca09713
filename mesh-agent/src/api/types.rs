//! What goes over the socket: camelCase JSON with Kubernetes words. Stable: fields are added, never renamed.

use serde::{Deserialize, Serialize};

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
    /// Row in BACKENDS; absent while it has none.
    pub index: Option<u32>,
    /// Connects answered with it.
    pub connects: u64,
}

/// What went wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// One sentence.
    pub error: String,
}
