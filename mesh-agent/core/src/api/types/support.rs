//! The facts of a bug report, except for status, services and diagnosis.

use serde::{Deserialize, Serialize};

/// `GET /v1/support`
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Support {
    /// Effective settings, one in each line.
    pub settings: String,
    /// Metrics, as Prometheus reads them, or why there are none.
    pub metrics: String,
    /// Last warnings and errors of the log, oldest first.
    pub log: Vec<String>,
    /// Kernel maps.
    pub maps: Vec<MapLayout>,
    /// Programs on the served cgroup, by hook, in the order in which they run.
    pub programs: Vec<ProgramsOfHook>,
}

/// Layout of a kernel map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapLayout {
    /// Name.
    pub map: String,
    /// Kind, like `Hash`.
    pub kind: String,
    /// Size of a key, bytes.
    pub key_size: u32,
    /// Size of a row, bytes.
    pub row_size: u32,
    /// Rows that the map can hold; zero where the kernel keeps rows with sockets.
    pub rows: u32,
}

/// Programs of a hook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramsOfHook {
    /// Hook name, like `connect4`.
    pub hook: String,
    /// Kernel id and name of each.
    pub programs: Vec<(u32, String)>,
}
