//! How a node begins.

use std::{cell::Cell, fs};

use tempfile::TempDir;

use super::Node;
use crate::{name, need, place::Place, sweep, turn::Turn};

/// Settings of a node about to be.
#[derive(Default)]
pub struct Setup {
    alone: bool,
    flags: Vec<String>,
}

impl Setup {
    /// No other test runs beside it: for tests that measure time.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// More words for the agent's command line, like `--resync-interval 1s`.
    #[must_use]
    pub fn flags(mut self, line: &str) -> Self {
        self.flags.extend(line.split(' ').map(str::to_owned));
        self
    }

    /// With an agent that is ready.
    pub fn start(self) -> Node {
        let mut node = self.prepare();
        node.start_agent();
        node
    }

    /// Without an agent yet.
    pub fn prepare(self) -> Node {
        need::privilege();
        sweep::sweep();
        let turn = if self.alone { Turn::alone() } else { Turn::shared() };
        let name = name::unique();
        let directory = TempDir::with_prefix(format!("{name}-")).expect("room for a temporary directory");
        let node = Node {
            agent: None,
            place: Place::new(),
            pin_dir: need::bpffs().join(name),
            directory,
            flags: self.flags,
            servers: Cell::new(0),
            _turn: turn,
        };
        for directory in [node.services_dir(), node.state_dir()] {
            fs::create_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        }
        node
    }
}
