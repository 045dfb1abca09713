//! The agent as a contender: a node with a number of services.

use std::time::Duration;

use super::{kernel::stats::Programs, services::Writing, stage::Stage};
use crate::Node;

/// Services in one file, where they are in several.
pub const SERVICES_A_FILE: u32 = 100;

/// A running agent and its stage.
pub struct Mesh {
    /// The stage first: what runs in a cgroup must be gone before the cgroup.
    pub stage: Stage,
    /// The agent.
    pub node: Node,
    /// How many services it has.
    pub services: u32,
}

impl Mesh {
    /// An agent that serves this number of services, read from files of 100.
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

    /// Ids of its programs.
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

/// A node without an agent and without files, with room for this number of services.
pub fn prepare(services: u32, writing: Writing) -> Node {
    let mut node = Node::setup().prepare();
    // All of them are of one namespace.
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
