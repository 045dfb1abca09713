//! The agent as a contender: a node with a number of services.

use std::time::Duration;

use super::{kernel::stats::Programs, services::Writing, stage::Stage};
use crate::Node;

/// Services in each file when there are several files.
pub const SERVICES_A_FILE: u32 = 100;

/// A running agent and its stage.
pub struct Mesh {
    /// Dropped first: processes must end before their cgroup is removed.
    pub stage: Stage,
    /// The agent.
    pub node: Node,
    /// Number of services.
    pub services: u32,
}

impl Mesh {
    /// Starts an agent that serves this number of services, from files of 100.
    pub fn start(services: u32, writing: Writing, cpu: Option<usize>) -> Self {
        let mut node = prepare(services, writing);
        for first in (0..services).step_by(SERVICES_A_FILE as usize) {
            let file = first..services.min(first + SERVICES_A_FILE);
            node.write(
                &format!("{}.yaml", first / SERVICES_A_FILE),
                writing.file(file),
            );
        }
        node.launch_agent();
        node.wait_until_ready(Duration::from_secs(180));
        Self {
            stage: Stage::around(node.place(), cpu),
            node,
            services,
        }
    }

    /// Returns the ids of the agent's programs.
    pub fn programs(&self) -> Programs {
        Programs::new(
            self.node
                .status()
                .hooks
                .into_iter()
                .map(|hook| (hook.name, hook.program_id)),
        )
    }
}

/// Prepares a node for this number of services, without an agent and without files.
pub fn prepare(services: u32, writing: Writing) -> Node {
    let mut node = Node::setup().prepare();
    // All services are in one namespace.
    node.add_flags("--quota-per-namespace 100");
    let frontends = services + writing.udp.min(services);
    if frontends > 60_000 {
        let rows = frontends.next_power_of_two();
        node.add_flags(&format!(
            "--max-services {rows} --max-backends {}",
            10 * rows
        ));
    }
    node
}
