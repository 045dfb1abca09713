//! The complete settings, with defaults for absent ones.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use mesh_common::abi::capacity;

use super::{
    empty,
    error::named,
    given::Given,
    text::{all_valid, valid},
};
use crate::{
    api::access::Access,
    desired::{Capacity, Quotas},
    metrics,
    model::{Admission, CheckPolicy, Locality},
    mounts,
    source::{Serve, ServiceDir, kubernetes::Cluster},
};

/// `--pin-dir` if not given.
pub(super) const PIN_DIR: &str = "/sys/fs/bpf/mesh-agent";
/// `--socket` if not given.
pub(super) const SOCKET: &str = "/run/mesh-agent/agent.sock";
/// `--state-dir` if not given.
pub(super) const STATE_DIR: &str = "/var/lib/mesh-agent";

/// Complete settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Directories of service files.
    pub services: Vec<ServiceDir>,
    /// Clusters whose services are watched.
    pub clusters: Vec<Cluster>,
    /// Cgroup whose processes are served.
    pub cgroup: PathBuf,
    /// Directory on a bpffs where links and maps are pinned.
    pub pin_dir: PathBuf,
    /// Control socket.
    pub socket: PathBuf,
    /// Address of the metrics; not served if absent.
    pub metrics: Option<metrics::Address>,
    /// File with the bearer token that scrapes must carry, if any.
    pub metrics_token_file: Option<PathBuf>,
    /// Directory for allocated addresses, overrides of operators and last good service files.
    pub state_dir: PathBuf,
    /// Name of this node.
    pub node_name: String,
    /// Location of this node.
    pub locality: Locality,
    /// Pools for services with `address: auto`.
    pub vip_pools: Vec<IpNet>,
    /// Addresses and node ports that services may have.
    pub admission: Admission,
    /// Shares of the maps that services may use.
    pub quotas: Quotas,
    /// Whether empty directories mean that there are no services.
    pub allow_empty: bool,
    /// Whether to start next to another agent of the same cgroup or state directory.
    pub allow_second_agent: bool,
    /// Which services are served.
    pub serve: Serve,
    /// Cgroups whose processes are not served.
    pub excluded_cgroups: Vec<PathBuf>,
    /// Network namespaces that are not served.
    pub excluded_netns: Vec<PathBuf>,
    /// Whether to close stale sockets in other network namespaces as well.
    pub enter_namespaces: bool,
    /// Interval at which the rows in the kernel are compared with the desired ones.
    pub resync_interval: Duration,
    /// Capacity of the maps.
    pub capacity: Capacity,
    /// Limits of health checks.
    pub check_policy: CheckPolicy,
    /// Groups that may use the API.
    pub access: Access,
    /// Whether system calls are filtered after the start.
    pub system_call_filter: bool,
}

impl Settings {
    /// Whether the socket may belong to an agent with another pin directory: exactly one of the two
    /// paths is the default.
    pub fn socket_may_be_anothers(&self) -> bool {
        (self.socket == Path::new(SOCKET)) != (self.pin_dir == Path::new(PIN_DIR))
    }

    /// Returns the command that uninstalls this agent, with every path that is not the default.
    pub fn uninstall_command(&self) -> String {
        let paths = [
            ("--pin-dir", &self.pin_dir, PIN_DIR),
            ("--state-dir", &self.state_dir, STATE_DIR),
            ("--socket", &self.socket, SOCKET),
        ];
        let given = paths
            .into_iter()
            .filter(|(_, path, default)| *path != Path::new(default));
        let words = given.map(|(flag, path, _)| format!(" {flag} {}", path.display()));
        words.fold("mesh-agent uninstall".to_owned(), |line, word| line + &word)
    }
}

/// Fills in absent settings. Invalid settings were reported before and count as absent.
pub(super) fn complete(given: Given, wrong: &mut Vec<String>) -> Option<Settings> {
    wrong.extend(empty::check(&given));
    let path = |given: Option<PathBuf>, default: &str| given.unwrap_or_else(|| default.into());
    let services = valid(given.max_services).unwrap_or(capacity::SERVICES);
    let backends = valid(given.max_backends).unwrap_or(capacity::BACKENDS);
    let sockets = valid(given.max_sockets).unwrap_or(capacity::SOCKETS);
    let within =
        |root: &Path, paths: Vec<PathBuf>| paths.into_iter().map(|path| root.join(path)).collect();
    let clusters = given.clusters.complete(wrong);
    let service_dirs = service_dirs(all_valid(given.services), !clusters.is_empty(), wrong);
    let cgroup = given
        .cgroup
        .or_else(|| cgroup2().map_err(|reason| wrong.push(reason)).ok())?;
    let given_pools = all_valid(given.vip_pool);
    let vip_pools = if given_pools.is_empty() {
        vec![default_pool()]
    } else {
        given_pools
    };
    Some(Settings {
        services: service_dirs,
        clusters,
        excluded_cgroups: within(&cgroup, given.exclude_cgroup),
        excluded_netns: within(Path::new("/run/netns"), given.exclude_netns),
        cgroup,
        pin_dir: path(given.pin_dir, PIN_DIR),
        socket: path(given.socket, SOCKET),
        metrics: valid(given.metrics),
        metrics_token_file: given.metrics_token_file,
        state_dir: path(given.state_dir, STATE_DIR),
        node_name: given.node_name.unwrap_or_else(host_name),
        locality: Locality {
            cloud: given.cloud.map(Into::into),
            region: given.region.map(Into::into),
            zone: given.zone.map(Into::into),
        },
        admission: given.bounds.admission(&vip_pools),
        quotas: given.bounds.quotas(),
        vip_pools,
        allow_empty: valid(given.allow_empty).unwrap_or(false),
        allow_second_agent: valid(given.allow_second_agent).unwrap_or(false),
        serve: valid(given.serve).unwrap_or_default(),
        enter_namespaces: valid(given.enter_namespaces).unwrap_or(true),
        resync_interval: valid(given.resync_interval).unwrap_or(Duration::from_secs(30)),
        capacity: Capacity {
            services,
            // The old and the new slots of a service exist side by side during a switch-over.
            slots: backends * 2,
            backends,
            sockets,
            sockets_per_client: valid(given.max_sockets_per_client).unwrap_or(sockets.div_ceil(4)),
        },
        check_policy: given.health_checks.complete(),
        access: given.confinement.access(),
        system_call_filter: given.confinement.filters(),
    })
}

/// Returns the directories of services. Without a cluster to watch there is a default.
fn service_dirs(
    given: Vec<ServiceDir>,
    has_cluster: bool,
    wrong: &mut Vec<String>,
) -> Vec<ServiceDir> {
    if let Err(error) = ServiceDir::check(&given) {
        wrong.push(named("services", &error.to_string()));
    }
    let default = || vec![PathBuf::from("/etc/mesh-agent/services.d").into()];
    if given.is_empty() && !has_cluster {
        default()
    } else {
        given
    }
}

/// Returns the cgroup2 mount point of this machine.
fn cgroup2() -> Result<PathBuf, String> {
    let found = mounts::cgroup2().map_err(|error| {
        format!("cannot read the mounts, so name the cgroup2 filesystem with --cgroup: {error}")
    })?;
    let none = "no cgroup2 filesystem is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name one with \
                --cgroup";
    found.ok_or_else(|| none.to_owned())
}

/// Returns a network in the range that is reserved for future use (RFC 1112 section 4), so that
/// nothing else answers there.
fn default_pool() -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::new(240, 96, 0, 0), 16).into()
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
