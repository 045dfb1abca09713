//! A node: a place, and an agent with its own directories.

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

use crate::{
    ApiServer, Client, Server, binary, blackhole::Blackhole, command_result::CommandResult,
    machine_lock::MachineLock, place::Place, server::Manner,
};

pub use agent::{Agent, HOOKS};
pub use directories::Directories;
pub use setup::Setup;

/// Longest time a change may take to be served.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Longest time for steps whose speed is not under test.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Removed when dropped: stops the agent, uninstalls everything, removes cgroup and directories.
pub struct Node {
    // In the order in which they must be dropped.
    agent: Option<Agent>,
    place: Place,
    directories: Directories,
    scratch: TempDir,
    flags: Vec<String>,
    /// The agent's program, after the words of its wrapper.
    command: Vec<OsString>,
    servers: Cell<u8>,
    _turn: MachineLock,
}

impl Node {
    /// Starts a node whose agent is ready and has no services, concurrently with other tests.
    pub fn start() -> Self {
        Self::setup().start()
    }

    /// Prepares a node.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// A server on its own IPv4 loopback address.
    pub fn server(&self, name: &str) -> Server {
        self.server_at(name, self.next_ip())
    }

    /// A server on its own IPv4 loopback address that keeps connections open and echoes.
    pub fn echo_server(&self, name: &str) -> Server {
        Server::start_as(Manner::Echoes, &self.place.netns, name, self.next_ip())
    }

    /// A server at the address of an earlier one.
    pub fn server_again(&self, name: &str, at: SocketAddr) -> Server {
        Server::start_at(Manner::Closes, &self.place.netns, name, at)
    }

    /// An API server of a cluster, on an IPv4 loopback address of its own. The next agent watches
    /// it.
    pub fn api_server(&mut self) -> ApiServer {
        let api = ApiServer::start(&self.place.netns, (self.next_ip(), 6443).into());
        let kubeconfig = api.kubeconfig(self.scratch.path());
        self.add_flags(&format!("--kubeconfig {}", kubeconfig.display()));
        api
    }

    /// Opens an endpoint, on its own IPv4 loopback address, that never answers.
    pub fn blackhole(&self) -> Blackhole {
        Blackhole::open(&self.place.netns, self.next_ip())
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

    /// The next agent serves this cgroup instead of the node's own.
    pub fn serve(&mut self, cgroup: &Path) {
        self.directories.cgroup = cgroup.into();
    }

    /// The next agent is `program`, with these flags instead of the earlier ones.
    pub fn next_agent(&mut self, program: &Path, line: &str) {
        self.command.pop();
        self.command.push(program.into());
        self.flags = line.split_whitespace().map(str::to_owned).collect();
    }

    /// Directories of the agent.
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Returns a temporary directory that is removed with the node.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// `mesh-agent` with other arguments than those of the node.
    pub fn mesh_agent(&self, words: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = self.place.command(binary::find("mesh-agent"));
        command.args(words);
        command
    }

    /// `mesh-agent uninstall` of this node.
    pub fn uninstall(&self) -> CommandResult {
        CommandResult::of(&mut self.mesh_agent(self.directories.uninstall()), PATIENCE)
    }

    /// `meshctl` with the words of `line` as arguments, for the agent of this node.
    pub fn meshctl(&self, line: &str) -> CommandResult {
        let mut command = self.place.command(binary::find("meshctl"));
        CommandResult::of(
            command
                .arg("--socket")
                .arg(&self.directories.socket)
                .args(line.split(' ')),
            PATIENCE,
        )
    }

    /// Removes all pins, as a reboot does.
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
        // Leftovers of `uninstall` are found by its own test; here everything is just removed.
        self.forget_pins();
    }
}
