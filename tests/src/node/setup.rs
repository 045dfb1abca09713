//! How a node begins.

use std::{cell::Cell, fs};

use tempfile::TempDir;

use super::{Directories, Node};
use crate::{name, need, place::Place, sweep, turn::Turn};

/// Settings of a node about to be.
#[derive(Default)]
pub struct Setup {
    alone: bool,
    flags: Vec<String>,
    wrapper: Vec<String>,
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

    /// The agent is run by this command, like `setpriv --no-new-privs`.
    #[must_use]
    pub fn wrapped(mut self, line: &str) -> Self {
        self.wrapper = line.split(' ').map(str::to_owned).collect();
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
        let scratch = TempDir::with_prefix(format!("{name}-")).expect("room for a temporary directory");
        let place = Place::new();
        let directories = Directories {
            cgroup: place.cgroup.path().into(),
            pins: need::bpffs().join(name),
            services: scratch.path().join("services"),
            state: scratch.path().join("state"),
            socket: scratch.path().join("agent.sock"),
        };
        for directory in [&directories.services, &directories.state] {
            fs::create_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        }
        let Self { alone: _, flags, wrapper } = self;
        Node { agent: None, place, directories, scratch, flags, wrapper, servers: Cell::new(0), _turn: turn }
    }
}
