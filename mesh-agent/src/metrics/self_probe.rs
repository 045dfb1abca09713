//! Metrics of the self-probe.

use std::fmt;

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::{Reading, family};
use crate::api::types::{HookProbe, probe_state};

impl Reading {
    /// Hooks that cannot be probed have no value.
    pub(super) fn encode_self_probe(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let probes = &self.status.self_probe;
        if probes.is_empty() {
            return Ok(());
        }
        let help = "1 when the agent's own connect through the hook was served, 0 when it was not";
        let mut success = family(
            encoder,
            "mesh_agent_self_probe_success",
            help,
            MetricType::Gauge,
        )?;
        let known = |probe: &&HookProbe| probe.state != probe_state::UNKNOWN;
        for probe in probes.iter().filter(known) {
            success
                .encode_family(&[("hook", probe.hook.as_str())])?
                .encode_gauge(&u32::from(probe.state == probe_state::WORKS))?;
        }
        let last_help = "Time at which the agent's own connect through the hook was served last";
        let name = "mesh_agent_self_probe_last_success_timestamp_seconds";
        let mut last = family(encoder, name, last_help, MetricType::Gauge)?;
        for probe in probes {
            if let Some(at) = probe.last_success_unix_seconds {
                last.encode_family(&[("hook", probe.hook.as_str())])?
                    .encode_gauge(&at)?;
            }
        }
        Ok(())
    }
}
