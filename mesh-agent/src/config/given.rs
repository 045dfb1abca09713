//! Settings from one origin: flags and environment, or the file. Any of them may be absent.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use ipnet::IpNet;
use mesh_common::abi::capacity;

use super::{
    bounds::Bounds,
    clusters::Clusters,
    confinement::Confinement,
    error::{named, reason, reasons},
    health_checks::HealthChecks,
    text::{self, Parsed, parsed},
};
use crate::{
    metrics,
    source::{Serve, ServiceDir},
};

/// Settings from one origin. Absent ones come from the next origin, or have defaults.
#[derive(Args, Clone, Debug, Default)]
pub struct Given {
    /// Directory of service files; repeat for several, with a name for each source except the local
    /// one [default: /etc/mesh-agent/services.d]
    #[arg(long, env = "MESH_SERVICES", value_name = "[NAME=]DIR", value_delimiter = ',', value_parser = parsed(text::services))]
    pub(super) services: Vec<Parsed<ServiceDir>>,
    /// Clusters whose services are watched.
    #[command(flatten)]
    pub(super) clusters: Clusters,
    /// Serve the processes of this cgroup [default: the cgroup2 mount in /proc/self/mounts]
    #[arg(long, env = "MESH_CGROUP", value_name = "PATH", value_parser = text::path())]
    pub(super) cgroup: Option<PathBuf>,
    /// Directory on a bpffs where links and maps are pinned [default: /sys/fs/bpf/mesh-agent]
    #[arg(long, env = "MESH_PIN_DIR", value_name = "PATH", value_parser = text::path())]
    pub(super) pin_dir: Option<PathBuf>,
    /// Control socket, used by meshctl [default: /run/mesh-agent/agent.sock]
    #[arg(long, env = "MESH_SOCKET", value_name = "PATH", value_parser = text::path())]
    pub(super) socket: Option<PathBuf>,
    /// Serve Prometheus metrics at an address and port, or on a Unix socket with mode 0660
    /// [default: off]
    #[arg(long, env = "MESH_METRICS", value_name = "ADDR:PORT|unix:PATH", value_parser = parsed(text::metrics))]
    pub(super) metrics: Option<Parsed<metrics::Address>>,
    /// Require the bearer token in this file for /metrics; /healthz and /readyz need none [default:
    /// off]
    #[arg(long, env = "MESH_METRICS_TOKEN_FILE", value_name = "FILE", value_parser = text::path())]
    pub(super) metrics_token_file: Option<PathBuf>,
    /// Directory for allocated addresses, set drains and weights, last good service files [default:
    /// /var/lib/mesh-agent]
    #[arg(long, env = "MESH_STATE_DIR", value_name = "PATH", value_parser = text::path())]
    pub(super) state_dir: Option<PathBuf>,
    /// Name of this node [default: the host name]
    #[arg(long, env = "MESH_NODE_NAME", value_name = "NAME")]
    pub(super) node_name: Option<String>,
    /// Cloud of this node, for services with `locality`
    #[arg(long, env = "MESH_CLOUD", value_name = "NAME")]
    pub(super) cloud: Option<String>,
    /// Region of this node, for services with `locality`
    #[arg(long, env = "MESH_REGION", value_name = "NAME")]
    pub(super) region: Option<String>,
    /// Zone of this node, for services with `locality`
    #[arg(long, env = "MESH_ZONE", value_name = "NAME")]
    pub(super) zone: Option<String>,
    /// Network for services with `address: auto`; repeat for IPv4 and IPv6 [default: 240.96.0.0/16]
    #[arg(long, env = "MESH_VIP_POOL", value_name = "CIDR", value_delimiter = ',', value_parser = parsed(text::network))]
    pub(super) vip_pool: Vec<Parsed<IpNet>>,
    /// What services may have.
    #[command(flatten)]
    pub(super) bounds: Bounds,
    /// Serve no services when the directories are empty [default: false: keep the last good
    /// services]
    #[arg(long, env = "MESH_ALLOW_EMPTY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    pub(super) allow_empty: Option<Parsed<bool>>,
    /// Start even if another agent serves the same cgroup or uses the same state directory; the
    /// programs of the other agent run first [default: false: report it and exit]
    #[arg(long, env = "MESH_ALLOW_SECOND_AGENT", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    pub(super) allow_second_agent: Option<Parsed<bool>>,
    /// Services to serve: `all`, or `annotated` for those with `mesh-agent.io/enabled: "true"`
    /// [default: all]
    #[arg(long, env = "MESH_SERVE", value_name = "WHICH", value_parser = parsed(text::serve))]
    pub(super) serve: Option<Parsed<Serve>>,
    /// Do not serve the processes of this cgroup; a relative path starts at --cgroup; repeat for
    /// several
    #[arg(long, env = "MESH_EXCLUDE_CGROUP", value_name = "PATH", value_delimiter = ',', value_parser = text::path())]
    pub(super) exclude_cgroup: Vec<PathBuf>,
    /// Do not serve this network namespace (needs CAP_SYS_ADMIN); a relative path starts at
    /// /run/netns; repeat for several
    #[arg(long, env = "MESH_EXCLUDE_NETNS", value_name = "PATH", value_delimiter = ',', value_parser = text::path())]
    pub(super) exclude_netns: Vec<PathBuf>,
    /// Enter the network namespaces of pods and containers to close their sockets to removed
    /// endpoints; needs CAP_SYS_ADMIN, CAP_SYS_PTRACE and the host's process ids. With `false`,
    /// only sockets in the agent's own namespace are closed [default: true]
    #[arg(long, env = "MESH_ENTER_NAMESPACES", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    pub(super) enter_namespaces: Option<Parsed<bool>>,
    /// Interval at which the rows in the kernel are compared with the desired ones and repaired
    /// [default: 30s]
    #[arg(long, env = "MESH_RESYNC_INTERVAL", value_name = "DURATION", value_parser = parsed(text::interval))]
    pub(super) resync_interval: Option<Parsed<Duration>>,
    /// Rows for frontends and service ids
    #[arg(long, env = "MESH_MAX_SERVICES", value_name = "ROWS", value_parser = parsed(text::rows), help = format!("Rows for service addresses [default: {}]", capacity::SERVICES))]
    pub(super) max_services: Option<Parsed<u32>>,
    /// Rows for endpoints
    #[arg(long, env = "MESH_MAX_BACKENDS", value_name = "ROWS", value_parser = parsed(text::rows), help = format!("Rows for endpoints [default: {}]", capacity::BACKENDS))]
    pub(super) max_backends: Option<Parsed<u32>>,
    /// Rows for open sockets that were answered with an endpoint
    #[arg(long, env = "MESH_MAX_SOCKETS", value_name = "ROWS", value_parser = parsed(text::rows), help = format!("Rows for open sockets; further sockets are balanced but not recorded [default: {}]", capacity::SOCKETS))]
    pub(super) max_sockets: Option<Parsed<u32>>,
    /// Rows for open sockets of one pod, unit or user, and the same number of UDP sockets and
    /// session affinity bindings; further sockets are balanced but not recorded [default: a quarter
    /// of --max-sockets]
    #[arg(long, env = "MESH_MAX_SOCKETS_PER_CLIENT", value_name = "ROWS", value_parser = parsed(text::rows))]
    pub(super) max_sockets_per_client: Option<Parsed<u32>>,
    #[command(flatten)]
    pub(super) health_checks: HealthChecks,
    /// Users of the API, and what the agent may do.
    #[command(flatten)]
    pub(super) confinement: Confinement,
}

impl Given {
    /// Returns the errors of flags and environment.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut note = |flag: &str, reasons: Vec<&String>| {
            wrong.extend(reasons.into_iter().map(|reason| named(flag, reason)));
        };
        note("services", reasons(&self.services));
        self.clusters.wrong(&mut note);
        note("metrics", reason(self.metrics.as_ref()));
        note("vip-pool", reasons(&self.vip_pool));
        self.bounds.wrong(&mut note);
        note("allow-empty", reason(self.allow_empty.as_ref()));
        note(
            "allow-second-agent",
            reason(self.allow_second_agent.as_ref()),
        );
        note("serve", reason(self.serve.as_ref()));
        note("enter-namespaces", reason(self.enter_namespaces.as_ref()));
        note("resync-interval", reason(self.resync_interval.as_ref()));
        note("max-services", reason(self.max_services.as_ref()));
        note("max-backends", reason(self.max_backends.as_ref()));
        note("max-sockets", reason(self.max_sockets.as_ref()));
        note(
            "max-sockets-per-client",
            reason(self.max_sockets_per_client.as_ref()),
        );
        self.confinement.wrong(&mut note);
        wrong.extend(self.health_checks.wrong());
        wrong
    }

    pub(super) fn or(self, other: Self) -> Self {
        let list =
            |ours: Vec<PathBuf>, others: Vec<PathBuf>| if ours.is_empty() { others } else { ours };
        Self {
            services: if self.services.is_empty() {
                other.services
            } else {
                self.services
            },
            clusters: self.clusters.or(other.clusters),
            cgroup: self.cgroup.or(other.cgroup),
            pin_dir: self.pin_dir.or(other.pin_dir),
            socket: self.socket.or(other.socket),
            metrics: self.metrics.or(other.metrics),
            metrics_token_file: self.metrics_token_file.or(other.metrics_token_file),
            state_dir: self.state_dir.or(other.state_dir),
            node_name: self.node_name.or(other.node_name),
            cloud: self.cloud.or(other.cloud),
            region: self.region.or(other.region),
            zone: self.zone.or(other.zone),
            vip_pool: if self.vip_pool.is_empty() {
                other.vip_pool
            } else {
                self.vip_pool
            },
            bounds: self.bounds.or(other.bounds),
            allow_empty: self.allow_empty.or(other.allow_empty),
            allow_second_agent: self.allow_second_agent.or(other.allow_second_agent),
            serve: self.serve.or(other.serve),
            exclude_cgroup: list(self.exclude_cgroup, other.exclude_cgroup),
            exclude_netns: list(self.exclude_netns, other.exclude_netns),
            enter_namespaces: self.enter_namespaces.or(other.enter_namespaces),
            resync_interval: self.resync_interval.or(other.resync_interval),
            max_services: self.max_services.or(other.max_services),
            max_backends: self.max_backends.or(other.max_backends),
            max_sockets: self.max_sockets.or(other.max_sockets),
            max_sockets_per_client: self.max_sockets_per_client.or(other.max_sockets_per_client),
            health_checks: self.health_checks.or(other.health_checks),
            confinement: self.confinement.or(other.confinement),
        }
    }
}
