//! A node: a place of its own, an agent with directories of its own, and what a test does to them.

mod agent;
mod directories;
mod files;
mod setup;
mod view;

use std::{
    cell::Cell,
    ffi::OsString,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{Client, Server, binary, hole::Hole, outcome::Outcome, place::Place, server::Manner, turn::Turn};

pub use agent::Agent;
pub use directories::Directories;
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
    directories: Directories,
    scratch: TempDir,
    flags: Vec<String>,
    wrapper: Vec<String>,
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
        self.server_at(name, self.next_ip())
    }

    /// A server on an IPv4 loopback address of its own that keeps connections open and echoes.
    pub fn echo_server(&self, name: &str) -> Server {
        Server::start_as(Manner::Echoes, &self.place.netns, name, self.next_ip())
    }

    /// A server where one was before.
    pub fn server_again(&self, name: &str, at: SocketAddr) -> Server {
        Server::start_at(Manner::Closes, &self.place.netns, name, at)
    }

    /// An endpoint on an IPv4 loopback address of its own that answers no connect.
    pub fn hole(&self) -> Hole {
        Hole::dig(&self.place.netns, self.next_ip())
    }

    fn next_ip(&self) -> IpAddr {
        let last = self.servers.get() + 1;
        self.servers.set(last);
        Ipv4Addr::new(127, 0, 1, last).into()
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

    /// More words for the command line of the next agent, like [`Setup::flags`].
    pub fn add_flags(&mut self, line: &str) {
        self.flags.extend(line.split(' ').map(str::to_owned));
    }

    /// What the agent is told.
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// A directory for whatever else a test needs, gone with the node.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// `mesh-agent` with other words than its own.
    pub fn mesh_agent(&self, words: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = self.place.command(binary::find("mesh-agent"));
        command.args(words);
        command
    }

    /// `mesh-agent uninstall` of this node.
    pub fn uninstall(&self) -> Outcome {
        Outcome::of(&mut self.mesh_agent(self.directories.uninstall()), PATIENCE)
    }

    /// `meshctl` with the words of `line`, asked of this node's agent.
    pub fn meshctl(&self, line: &str) -> Outcome {
        let mut command = self.place.command(binary::find("meshctl"));
        Outcome::of(command.arg("--socket").arg(&self.directories.socket).args(line.split(' ')), PATIENCE)
    }

    /// What a reboot does to pins.
    pub fn forget_pins(&self) {
        let pins = &self.directories.pins;
        if pins.exists() {
            fs::remove_dir_all(pins).unwrap_or_else(|error| panic!("{}: {error}", pins.display()));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- agent log\n{}--- end of agent log", self.log());
        }
        drop(self.agent.take());
        // Whatever `uninstall` leaves is for its own test to find; here everything must only be gone.
        self.forget_pins();
    }
}
