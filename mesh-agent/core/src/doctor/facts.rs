//! The facts that findings follow from.

use crate::api::types::{CapacityUse, HookProbe};

/// What only the agent knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgentFacts {
    /// Served cgroup.
    pub cgroup: String,
    /// Whether the programs are attached.
    pub attached: bool,
    /// What the self-probe found; empty until it ran.
    pub probes: Vec<HookProbe>,
    /// Attached programs, by hook.
    pub programs: Vec<HookPrograms>,
    /// What is different because the kernel lacks a feature, as in `meshctl status`.
    pub kernel_features: Vec<String>,
    /// Rows used and available, by map.
    pub maps: Vec<CapacityUse>,
    /// Version of the row layout of this agent.
    pub abi: u32,
    /// Versions of the row layouts of all pinned maps.
    pub pinned_abis: Vec<u32>,
    /// Problems of the data plane, as in `meshctl status`.
    pub problems: Vec<String>,
    /// Number of errors in the configuration.
    pub errors: u64,
    /// Features that are off because the agent lacks a capability.
    pub degraded: Vec<String>,
}

/// The programs of one hook on the served cgroup, in the order in which they run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookPrograms {
    /// Hook name.
    pub hook: String,
    /// Its programs; nothing if the kernel does not tell.
    pub programs: Option<Vec<Program>>,
}

/// An attached program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Kernel id.
    pub id: u32,
    /// Whether it is this agent's.
    pub is_own: bool,
}

/// What every process of the node can see.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeFacts {
    /// Release of the kernel, like `6.12.0-1-amd64`.
    pub kernel: String,
    /// Clocks.
    pub clock: ClockFacts,
    /// Files and directories of the agent.
    pub paths: Vec<Path>,
    /// Cgroup hierarchies; nothing if they cannot be read.
    pub cgroups: Option<CgroupFacts>,
    /// Traces of other programs that handle service addresses.
    pub neighbours: Vec<Neighbour>,
}

/// Clocks of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockFacts {
    /// Whether the kernel's clock is disciplined, by NTP or PTP; nothing if the kernel does not tell.
    pub is_synchronised: Option<bool>,
    /// Seconds by which the date was set forward since the agent started, negative for backward.
    pub jumped_seconds: i64,
}

/// A file or directory of the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// What it is.
    pub kind: PathKind,
    /// Where it is.
    pub path: String,
    /// Owner and mode; nothing if it does not exist.
    pub owner_and_mode: Option<(u32, u32)>,
}

/// What a file or directory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathKind {
    /// Links and maps.
    PinDirectory,
    /// Control socket.
    Socket,
    /// State that outlives a reboot.
    StateDirectory,
}

/// The cgroup hierarchies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CgroupFacts {
    /// Served cgroup.
    pub served: String,
    /// Whether that is the root of the hierarchy, and not a part.
    pub is_root: bool,
    /// Controllers of cgroup v1 that mark sockets, mounted beside.
    pub v1_socket_controllers: Vec<String>,
}

/// A trace of another program that handles service addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Neighbour {
    /// `kube-proxy`, `cilium` or `calico`.
    pub name: &'static str,
    /// What was seen, like `interface cilium_host`.
    pub trace: String,
    /// Whether it answers connects by programs, too.
    pub in_sockets: bool,
}
