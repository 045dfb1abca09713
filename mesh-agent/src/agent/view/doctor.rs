//! Gathers the facts for `meshctl doctor`.

use std::time::{Instant, SystemTime};

use crate::{
    api::types::{Diagnosis, Finding, Status},
    dataplane::inspect,
    doctor::{self, AgentFacts, PathKind},
};
use mesh_files::inspect as node;

use super::AgentView;

/// When the agent started, by both clocks.
#[derive(Clone, Copy)]
pub(in crate::agent) struct Started {
    pub(in crate::agent) at: Instant,
    date: SystemTime,
}

impl Started {
    pub(in crate::agent) fn now() -> Self {
        Self {
            at: Instant::now(),
            date: SystemTime::now(),
        }
    }

    /// Returns by how many seconds the date was set forward since then.
    fn jumped(self) -> i64 {
        let seconds = |time: std::time::Duration| time.as_secs().cast_signed();
        let date = match SystemTime::now().duration_since(self.date) {
            Ok(forward) => seconds(forward),
            Err(backward) => -seconds(backward.duration()),
        };
        date - seconds(self.at.elapsed())
    }
}

impl AgentView {
    /// Returns the findings about agent and node for the state that `status` shows.
    pub(super) fn diagnose(&self, status: Status) -> Diagnosis {
        let settings = &self.context.settings;
        let own: Vec<u32> = status.hooks.iter().map(|hook| hook.program_id).collect();
        let programs = inspect::programs(&settings.cgroup, &own);
        let paths = [
            (PathKind::PinDirectory, settings.pin_dir.clone()),
            (PathKind::Socket, settings.socket.clone()),
            (PathKind::StateDirectory, settings.state_dir.clone()),
        ];
        let node = node::node(&settings.cgroup, &paths, self.started.jumped());
        let mut maps = status.capacity;
        let unread = match self.inspector.map_use() {
            Ok(more) => {
                maps.extend(more);
                None
            }
            Err(error) => Some(Finding::error(
                "map",
                format!("the maps cannot be read: {error}"),
                "restart the agent",
            )),
        };
        let facts = AgentFacts {
            cgroup: status.cgroup,
            attached: !status.hooks.is_empty(),
            probes: status.self_probe,
            programs,
            kernel_features: status.kernel_features,
            maps,
            abi: inspect::abi(),
            pinned_abis: self.inspector.pinned_abis(),
            problems: status.problems,
            errors: status.errors_total,
            degraded: status.degraded,
        };
        let mut findings = doctor::agent(&facts);
        findings.extend(unread);
        findings.extend(doctor::node(&node));
        Diagnosis {
            version: status.version,
            findings,
        }
    }
}
