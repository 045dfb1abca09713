//! The stage on which a contender runs: its own network namespace, a cgroup for clients, and a
//! cgroup for servers and proxies.

use std::{fs, sync::Arc, time::Duration};

use super::{
    kernel::cpu,
    load::{
        drive::{Clients, LoadResult, drive},
        serve::Server,
    },
    process::Process,
    services::ENDPOINT_PORT,
};
use crate::{cgroup::Cgroup, command_result, place::Place};

/// Settings of the namespace. Ports of closed connections, and their entries in netfilter, are
/// reused at once: otherwise a closed loop would run out of ports within a second.
const SYSCTLS: [(&str, &str); 7] = [
    ("net/ipv4/tcp_max_tw_buckets", "0"),
    ("net/ipv4/ip_local_port_range", "1024 65000"),
    ("net/core/somaxconn", "4096"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_last_ack", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_fin_wait", "1"),
];

/// Keeps clients from taking the ports of servers that start later.
const RESERVED: (&str, &str) = ("net/ipv4/ip_local_reserved_ports", "80,8080-8089");

/// The server at the port of the endpoints.
#[expect(dead_code, reason = "held, not read")]
enum Served {
    Nothing,
    Echo(Server),
    Others(Vec<Process>),
}

/// Removed when dropped, with all processes in it.
pub struct Stage {
    served: Served,
    /// Place of clients, to whose cgroup programs are attached.
    pub clients: Place,
    /// Place of servers and proxies.
    pub servers: Place,
}

impl Stage {
    /// Creates a stage at a place that may have an agent. `cpu` binds the server to a processor.
    pub fn around(clients: &Place, cpu: Option<usize>) -> Self {
        let servers = Place {
            cgroup: Arc::new(Cgroup::new()),
            netns: Arc::clone(&clients.netns),
        };
        let mut command = servers.command("ip");
        let ip = command.args(["address", "add", "10.0.0.1/8", "dev", "lo"]);
        command_result::CommandResult::of(ip, Duration::from_secs(10)).expect_success();
        let stage = Self {
            served: Served::Echo(Server::start(&servers, ENDPOINT_PORT, cpu)),
            clients: clients.clone(),
            servers,
        };
        stage.set(&SYSCTLS);
        stage.set(&[RESERVED]);
        stage
    }

    /// Ends the server.
    pub fn serve_nothing(&mut self) {
        self.served = Served::Nothing;
    }

    /// Uses these processes as the server.
    pub fn serve_by(&mut self, others: Vec<Process>) {
        self.served = Served::Others(others);
    }

    /// Sets these sysctls. Ignores those that this kernel does not have.
    pub fn set(&self, settings: &[(&str, &str)]) {
        self.servers.netns.run(|| {
            for (name, value) in settings {
                _ = fs::write(format!("/proc/sys/{name}"), value);
            }
        });
    }

    /// Sets the sysctls of connection tracking, which exist once a rule uses it.
    pub fn tracks(&self) {
        self.set(&SYSCTLS);
    }

    /// Runs clients. Returns their result, and the CPU time of this contender, microseconds.
    pub fn drive(&self, clients: Clients) -> (LoadResult, f64) {
        self.metered(|| drive(&self.clients, clients))
    }

    /// Runs `work`. Returns its result, and the CPU time of this contender meanwhile, microseconds.
    pub fn metered<T>(&self, work: impl FnOnce() -> T) -> (T, f64) {
        let used =
            || cpu::microseconds(&self.clients.cgroup) + cpu::microseconds(&self.servers.cgroup);
        let before = used();
        let result = work();
        (result, (used() - before) as f64)
    }
}
