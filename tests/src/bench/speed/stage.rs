//! Where a contender runs: a network namespace of its own, a cgroup for clients and another for
//! everything else.

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

/// Settings of the namespace. A client's port is free again as soon as its connection is over, else
/// a closed loop runs out of ports in a second; what netfilter tracks goes as soon.
const SYSCTLS: [(&str, &str); 7] = [
    ("net/ipv4/tcp_max_tw_buckets", "0"),
    ("net/ipv4/ip_local_port_range", "1024 65000"),
    ("net/core/somaxconn", "4096"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_last_ack", "1"),
    ("net/netfilter/nf_conntrack_tcp_timeout_fin_wait", "1"),
];

/// Ports that servers listen on must not be taken by clients before they start.
const RESERVED: (&str, &str) = ("net/ipv4/ip_local_reserved_ports", "80,8080-8089");

/// Server at the port of endpoints.
#[expect(dead_code, reason = "held, not read")]
enum Served {
    Nothing,
    Echo(Server),
    Others(Vec<Process>),
}

/// Gone when dropped, with all processes in it.
pub struct Stage {
    served: Served,
    /// Clients run here, and programs are attached here.
    pub clients: Place,
    /// Servers and proxies run here.
    pub servers: Place,
}

impl Stage {
    /// At a place that may have an agent; the server stays on a processor, or does not.
    pub fn around(clients: &Place, cpu: Option<usize>) -> Self {
        let servers = Place {
            cgroup: Arc::new(Cgroup::new()),
            netns: Arc::clone(&clients.netns),
        };
        let mut ip = servers.command("ip");
        let ip = ip.args(["address", "add", "10.0.0.1/8", "dev", "lo"]);
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

    /// Ends what answers.
    pub fn serve_nothing(&mut self) {
        self.served = Served::Nothing;
    }

    /// Keeps other processes that answer.
    pub fn serve_by(&mut self, others: Vec<Process>) {
        self.served = Served::Others(others);
    }

    /// Settings that this kernel has not, it need not have.
    pub fn set(&self, settings: &[(&str, &str)]) {
        self.servers.netns.run(|| {
            for (name, value) in settings {
                _ = fs::write(format!("/proc/sys/{name}"), value);
            }
        });
    }

    /// The settings of connection tracking are there only once something tracks.
    pub fn tracks(&self) {
        self.set(&SYSCTLS);
    }

    /// Runs clients; microseconds of CPU that everything of this contender used are beside what
    /// came of it.
    pub fn drive(&self, clients: Clients) -> (LoadResult, f64) {
        self.metered(|| drive(&self.clients, clients))
    }

    /// What `work` leads to, and the microseconds of CPU that everything of this contender used
    /// meanwhile.
    pub fn metered<T>(&self, work: impl FnOnce() -> T) -> (T, f64) {
        let used =
            || cpu::microseconds(&self.clients.cgroup) + cpu::microseconds(&self.servers.cgroup);
        let before = used();
        let result = work();
        (result, (used() - before) as f64)
    }
}
