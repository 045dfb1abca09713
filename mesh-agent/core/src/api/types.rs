//! Types of the API: camelCase JSON with the terms of Kubernetes. Stable: fields are added, never
//! renamed.

mod counters;
mod doctor;
mod endpoint;
mod explain;
mod health;
mod command;
mod self_probe;
mod service;
mod support;
mod wrong;

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::{
    command::{Change, CommandOptions, CommandResult},
    counters::ServiceCounters,
    doctor::{Diagnosis, Finding, Severity},
    endpoint::{Ejection, Endpoint, Locality, clients},
    explain::{
        Candidate, Destination, Explanation, Question, Share, Tier, candidate_status, verdict,
    },
    health::{EndpointHealth, health_state},
    self_probe::{HookProbe, probe_state},
    service::{
        FrontendStatus, HealthCheck, Limits, Outlier, PortCapacity, Service, ServicePort,
        frontend_state,
    },
    support::{MapLayout, ProgramsOfHook, Support},
    wrong::Wrong,
};
use crate::model;

/// `GET /v1/status`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Agent version.
    pub version: String,
    /// True when the kernel holds the configuration, except for single objects with errors.
    pub ready: bool,
    /// True when the configuration has no errors.
    #[serde(default)]
    pub config_valid: bool,
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
    /// What the agent's own connects found about each hook; empty until they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub self_probe: Vec<HookProbe>,
    /// Watched directories.
    pub sources: Vec<String>,
    /// Which addresses and node ports services may have; absent in answers of older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// Errors of the configuration: the first of each file, then a line with the number of the others.
    pub errors: Vec<ConfigProblem>,
    /// Number of all errors.
    #[serde(default)]
    pub errors_total: u64,
    /// What is not in force as written, and what is in force instead; the first of each file.
    #[serde(default)]
    pub wrong: Vec<Wrong>,
    /// Number of all such objects.
    #[serde(default)]
    pub wrong_total: u64,
    /// Notes on what was left out on purpose.
    pub notes: Vec<ConfigProblem>,
    /// Problems of the data plane.
    pub problems: Vec<String>,
    /// Features that are off because the agent lacks a capability.
    #[serde(default)]
    pub degraded: Vec<String>,
    /// What is different because the kernel lacks a feature; absent in answers of older agents.
    #[serde(default)]
    pub kernel_features: Vec<String>,
}

/// Which addresses and node ports services may have, as in the settings of the agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// Networks of service addresses.
    pub service_cidr: Vec<IpNet>,
    /// Networks of external and load balancer addresses.
    pub external_cidr: Vec<IpNet>,
    /// Pools of `address: auto`.
    pub vip_pool: Vec<IpNet>,
    /// First and last node port.
    pub node_port_range: (u16, u16),
}

impl From<model::Admission> for Admission {
    fn from(admission: model::Admission) -> Self {
        let model::Admission {
            service_cidrs,
            external_cidrs,
            vip_pools,
            node_ports,
        } = admission;
        let node_port_range = (*node_ports.start(), *node_ports.end());
        Self {
            service_cidr: service_cidrs,
            external_cidr: external_cidrs,
            vip_pool: vip_pools,
            node_port_range,
        }
    }
}

impl From<Admission> for model::Admission {
    fn from(admission: Admission) -> Self {
        let Admission {
            service_cidr,
            external_cidr,
            vip_pool,
            node_port_range: (first, last),
        } = admission;
        Self {
            service_cidrs: service_cidr,
            external_cidrs: external_cidr,
            vip_pools: vip_pool,
            node_ports: first..=last,
        }
    }
}

/// Rows of one map.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityUse {
    /// Map name.
    pub map: String,
    /// Rows in use.
    pub used: u64,
    /// Rows that the map can hold.
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
    /// Line, from one; 0 for an object of a cluster.
    pub line: u32,
    /// Path of the field, like `services[2].ports[0].port`; empty when the error is not about a field.
    #[serde(default)]
    pub field: String,
    /// The error or the note.
    pub reason: String,
}

impl From<&model::ConfigError> for ConfigProblem {
    fn from(error: &model::ConfigError) -> Self {
        let model::ConfigError {
            origin,
            field,
            reason,
        } = error;
        Self {
            field: field.clone(),
            reason: reason.clone(),
            ..Self::from(origin)
        }
    }
}

impl From<&model::ConfigNote> for ConfigProblem {
    fn from(note: &model::ConfigNote) -> Self {
        let model::ConfigNote { origin, message } = note;
        Self {
            reason: message.clone(),
            ..Self::from(origin)
        }
    }
}

impl From<&model::Origin> for ConfigProblem {
    fn from(origin: &model::Origin) -> Self {
        Self {
            file: origin.document().display().to_string(),
            line: origin.line(),
            field: String::new(),
            reason: String::new(),
        }
    }
}

impl fmt::Display for ConfigProblem {
    /// `file:line: field: reason`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            field,
            reason,
        } = self;
        let separator = if field.is_empty() { "" } else { ": " };
        let place = model::place(file, *line);
        write!(f, "{place}: {field}{separator}{reason}")
    }
}

/// The error of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// One sentence.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_problems_read_like_the_errors_they_come_from() {
        let origin = model::Origin::Line {
            file: std::sync::Arc::new("a.yaml".into()),
            line: 3,
        };
        let error = model::ConfigError {
            origin: origin.clone(),
            field: "services[0].name".into(),
            reason: "is empty".into(),
        };
        let note = model::ConfigNote {
            origin,
            message: "kind Pod is not served".into(),
        };
        assert_eq!(ConfigProblem::from(&error).to_string(), error.to_string());
        assert_eq!(ConfigProblem::from(&note).to_string(), note.to_string());
    }
}
