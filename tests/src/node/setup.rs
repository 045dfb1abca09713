//! Setup of a node.

use std::{cell::Cell, ffi::OsString, fs};

use tempfile::TempDir;

use super::{Directories, Node};
use crate::{binary, machine_lock::MachineLock, name, place::Place, requirements, sweep};

/// Settings of a new node.
#[derive(Default)]
pub struct Setup {
    alone: bool,
    flags: Vec<String>,
    wrapper: Vec<String>,
}

impl Setup {
    /// Runs the test alone, for tests that measure time.
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

    /// Starts the node with an agent that is ready.
    pub fn start(self) -> Node {
        let mut node = self.prepare();
        node.start_agent();
        node
    }

    /// Prepares the node without an agent.
    pub fn prepare(self) -> Node {
        requirements::privilege();
        sweep::sweep();
        let turn = if self.alone {
            MachineLock::alone()
        } else {
            MachineLock::shared()
        };
        let name = name::unique();
        let scratch =
            TempDir::with_prefix(format!("{name}-")).expect("room for a temporary directory");
        let place = Place::new();
        let directories = Directories {
            cgroup: place.cgroup.path().into(),
            pins: requirements::bpffs().join(name),
            services: scratch.path().join("services"),
            state: scratch.path().join("state"),
            socket: scratch.path().join("agent.sock"),
        };
        for directory in [&directories.services, &directories.state] {
            fs::create_dir(directory)
                .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        }
        let Self {
            alone: _,
            flags,
            wrapper,
        } = self;
        let program = binary::find("mesh-agent").into();
        let words = wrapper.into_iter().map(OsString::from).chain([program]);
        let command = words.collect();
        Node {
            agent: None,
            place,
            directories,
            scratch,
            flags,
            command,
            servers: Cell::new(0),
            _turn: turn,
        }
    }
}
