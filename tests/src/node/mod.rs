//! A node: a place of its own, an agent with directories of its own, and what a test does to them.

mod agent;
mod files;
mod setup;
mod view;

use std::{
    cell::Cell,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{Client, Server, binary, outcome::Outcome, place::Place, turn::Turn};

pub use agent::Agent;
pub use setup::Setup;

/// Longest time a change may take to be served.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Longest time for what should be immediate but is not what the test is about.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Taken down when dropped: agent stopped, everything uninstalled, cgroup and directories removed.
pub struct Node {
    // In the order in which they must go.
    agent: Option<Agent>,
    place: Place,
    pin_dir: PathBuf,
    directory: TempDir,
    flags: Vec<String>,
    servers: Cell<u8>,
    _turn: Turn,
}

impl Node {
    /// A node whose agent is ready and has no services, beside other tests.
    pub fn start() -> Self {
        Self::setup().start()
    }

    /// A node about to be.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// A server on an IPv4 loopback address of its own.
    pub fn server(&self, name: &str) -> Server {
        let last = self.servers.get() + 1;
        self.servers.set(last);
        self.server_at(name, Ipv4Addr::new(127, 0, 1, last).into())
    }

    /// A server on the one IPv6 loopback address.
    pub fn server6(&self, name: &str) -> Server {
        self.server_at(name, Ipv6Addr::LOCALHOST.into())
    }

    fn server_at(&self, name: &str, ip: IpAddr) -> Server {
        Server::start(&self.place.netns, name, ip)
    }

    /// A client process whose sockets the node's programs see.
    pub fn client(&self) -> Client {
        Client::start(&self.place)
    }

    /// Cgroup and network namespace.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// On the bpffs, for links, programs and maps.
    pub fn pin_dir(&self) -> &Path {
        &self.pin_dir
    }

    /// Watched by the agent.
    pub fn services_dir(&self) -> PathBuf {
        self.directory.path().join("services")
    }

    /// What the agent remembers over a reboot.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Of the API.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    /// A directory for whatever else a test needs, gone with the node.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// `mesh-agent uninstall` of this node.
    pub fn uninstall(&self) -> Outcome {
        let mut command = self.place.command(binary::find("mesh-agent"));
        Outcome::of(self.with_directories(command.arg("uninstall")), PATIENCE)
    }

    /// `meshctl` with the words of `line`, asked of this node's agent.
    pub fn meshctl(&self, line: &str) -> Outcome {
        let mut command = self.place.command(binary::find("meshctl"));
        command.arg("--socket").arg(self.socket()).args(line.split(' '));
        Outcome::of(&mut command, PATIENCE)
    }

    /// What a reboot does to pins.
    pub fn forget_pins(&self) {
        match fs::remove_dir_all(&self.pin_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("cannot remove {}: {error}", self.pin_dir.display())
            }
            _ => {}
        }
    }

    fn with_directories<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("--cgroup").arg(self.place.cgroup.path());
        command.arg("--pin-dir").arg(&self.pin_dir);
        command.arg("--state-dir").arg(self.state_dir())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- agent log\n{}--- end of agent log", self.log());
        }
        drop(self.agent.take());
        // Whatever uninstall leaves is what its own test is about; here it must only be gone.
        if self.pin_dir.exists() {
            let _ = fs::remove_dir_all(&self.pin_dir);
        }
    }
}
