//! The daemon's own settings: a flag wins over the environment, the environment over the file, the
//! file over the default.

mod bounds;
mod cgroup2;
mod empty;
mod file;
mod health_checks;
mod paths;
mod text;
mod wrong;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use ipnet::{IpNet, Ipv4Net};
use mesh_common::abi::capacity;

use self::{
    bounds::Bounds,
    paths::{PIN_DIR, SOCKET, STATE_DIR},
    text::{Said, said},
    wrong::{named, reason},
};
pub use self::{health_checks::HealthChecks, wrong::Wrong};
use crate::{
    desired::{Capacity, Quotas},
    metrics,
    model::{Admission, CheckPolicy, Locality},
    source::{Serve, ServiceDir},
};

/// 16 million rows of SLOTS are 256 MiB.
pub(crate) const MAX_ROWS: u32 = 1 << 23;

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Settings file, YAML: flags except --log, with camelCase names [default:
    /// /etc/mesh-agent/agent.yaml, if it exists]
    #[arg(long, env = "MESH_CONFIG", value_name = "FILE", value_parser = text::path())]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub given: Given,
}

/// Settings as given by one of the sources; what is absent is left to the next.
#[derive(Args, Clone, Debug, Default)]
pub struct Given {
    /// Directory of service files; repeat for several, with a name for each source except the local
    /// one [default: /etc/mesh-agent/services.d]
    #[arg(long, env = "MESH_SERVICES", value_name = "[NAME=]DIR", value_delimiter = ',', value_parser = said(text::services))]
    services: Vec<Said<ServiceDir>>,
    /// Serve the processes of this cgroup [default: the cgroup2 mount in /proc/self/mounts]
    #[arg(long, env = "MESH_CGROUP", value_name = "PATH", value_parser = text::path())]
    cgroup: Option<PathBuf>,
    /// Directory on a bpffs where links and maps are pinned [default: /sys/fs/bpf/mesh-agent]
    #[arg(long, env = "MESH_PIN_DIR", value_name = "PATH", value_parser = text::path())]
    pin_dir: Option<PathBuf>,
    /// Control socket, used by meshctl [default: /run/mesh-agent/agent.sock]
    #[arg(long, env = "MESH_SOCKET", value_name = "PATH", value_parser = text::path())]
    socket: Option<PathBuf>,
    /// Serve Prometheus metrics at an address and port, or on a Unix socket with mode 0660
    /// [default: off]
    #[arg(long, env = "MESH_METRICS", value_name = "ADDR:PORT|unix:PATH", value_parser = said(text::metrics))]
    metrics: Option<Said<metrics::Address>>,
    /// Require the bearer token in this file for /metrics; /healthz and /readyz need none [default:
    /// off]
    #[arg(long, env = "MESH_METRICS_TOKEN_FILE", value_name = "FILE", value_parser = text::path())]
    metrics_token_file: Option<PathBuf>,
    /// Directory for allocated addresses, set drains and weights, last good service files [default:
    /// /var/lib/mesh-agent]
    #[arg(long, env = "MESH_STATE_DIR", value_name = "PATH", value_parser = text::path())]
    state_dir: Option<PathBuf>,
    /// Name of this node [default: the host name]
    #[arg(long, env = "MESH_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// Cloud of this node, for services with `locality`
    #[arg(long, env = "MESH_CLOUD", value_name = "NAME")]
    cloud: Option<String>,
    /// Region of this node, for services with `locality`
    #[arg(long, env = "MESH_REGION", value_name = "NAME")]
    region: Option<String>,
    /// Zone of this node, for services with `locality`
    #[arg(long, env = "MESH_ZONE", value_name = "NAME")]
    zone: Option<String>,
    /// Network for services with `address: auto`; repeat for IPv4 and IPv6 [default: 240.96.0.0/16]
    #[arg(long, env = "MESH_VIP_POOL", value_name = "CIDR", value_delimiter = ',', value_parser = said(text::network))]
    vip_pool: Vec<Said<IpNet>>,
    /// What services may have.
    #[command(flatten)]
    bounds: Bounds,
    /// Serve no services when the directories are empty [default: false: keep the last good
    /// services]
    #[arg(long, env = "MESH_ALLOW_EMPTY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = said(text::boolean))]
    allow_empty: Option<Said<bool>>,
    /// Start even if another agent serves the same cgroup or uses the same state directory; the
    /// programs of the other agent run first [default: false: report it and exit]
    #[arg(long, env = "MESH_ALLOW_SECOND_AGENT", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = said(text::boolean))]
    allow_second_agent: Option<Said<bool>>,
    /// Services to serve: `all`, or `annotated` for those with `mesh-agent.io/enabled: "true"`
    /// [default: all]
    #[arg(long, env = "MESH_SERVE", value_name = "WHICH", value_parser = said(text::serve))]
    serve: Option<Said<Serve>>,
    /// Do not serve the processes of this cgroup; a relative path starts at --cgroup; repeat for
    /// several
    #[arg(long, env = "MESH_EXCLUDE_CGROUP", value_name = "PATH", value_delimiter = ',', value_parser = text::path())]
    exclude_cgroup: Vec<PathBuf>,
    /// Do not serve this network namespace (needs CAP_SYS_ADMIN); a relative path starts at
    /// /run/netns; repeat for several
    #[arg(long, env = "MESH_EXCLUDE_NETNS", value_name = "PATH", value_delimiter = ',', value_parser = text::path())]
    exclude_netns: Vec<PathBuf>,
    /// Enter the network namespaces of pods and containers to close their sockets to removed
    /// endpoints; needs CAP_SYS_ADMIN, CAP_SYS_PTRACE and the host's process ids. With `false`,
    /// only sockets in the agent's own namespace are closed [default: true]
    #[arg(long, env = "MESH_ENTER_NAMESPACES", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = said(text::boolean))]
    enter_namespaces: Option<Said<bool>>,
    /// Interval at which the rows in the kernel are compared with the desired ones and repaired
    /// [default: 30s]
    #[arg(long, env = "MESH_RESYNC_INTERVAL", value_name = "DURATION", value_parser = said(text::interval))]
    resync_interval: Option<Said<Duration>>,
    /// Rows for frontends and service ids
    #[arg(long, env = "MESH_MAX_SERVICES", value_name = "ROWS", value_parser = said(text::rows), help = format!("Rows for service addresses [default: {}]", capacity::SERVICES))]
    max_services: Option<Said<u32>>,
    /// Rows for endpoints
    #[arg(long, env = "MESH_MAX_BACKENDS", value_name = "ROWS", value_parser = said(text::rows), help = format!("Rows for endpoints [default: {}]", capacity::BACKENDS))]
    max_backends: Option<Said<u32>>,
    /// Rows for open sockets that were answered with an endpoint
    #[arg(long, env = "MESH_MAX_SOCKETS", value_name = "ROWS", value_parser = said(text::rows), help = format!("Rows for open sockets; further sockets are balanced but not recorded [default: {}]", capacity::SOCKETS))]
    max_sockets: Option<Said<u32>>,
    /// Rows for open sockets of one pod, unit or user, and the same number of UDP sockets and
    /// session affinity bindings; further sockets are balanced but not recorded [default: a quarter
    /// of --max-sockets]
    #[arg(long, env = "MESH_MAX_SOCKETS_PER_CLIENT", value_name = "ROWS", value_parser = said(text::rows))]
    max_sockets_per_client: Option<Said<u32>>,
    #[command(flatten)]
    health_checks: HealthChecks,
}

/// Settings, complete.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Directories of service files.
    pub services: Vec<ServiceDir>,
    /// Cgroup whose processes are served.
    pub cgroup: PathBuf,
    /// Where links and maps are pinned.
    pub pin_dir: PathBuf,
    /// The API's socket.
    pub socket: PathBuf,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<metrics::Address>,
    /// File with the bearer token that scrapes must carry, if any.
    pub metrics_token_file: Option<PathBuf>,
    /// Where allocated addresses and orders of operators are kept.
    pub state_dir: PathBuf,
    /// Name of this node.
    pub node_name: String,
    /// Where this node is.
    pub locality: Locality,
    /// Pools for services with `address: auto`.
    pub vip_pools: Vec<IpNet>,
    /// Which addresses and node ports services may have.
    pub admission: Admission,
    /// How much of the maps services may have.
    pub quotas: Quotas,
    /// Whether empty directories mean that there are no services.
    pub allow_empty: bool,
    /// Whether to start beside another agent of the same cgroup or state directory.
    pub allow_second_agent: bool,
    /// Which services are served.
    pub serve: Serve,
    /// Cgroups whose processes are left out.
    pub excluded_cgroups: Vec<PathBuf>,
    /// Network namespaces that are left out.
    pub excluded_netns: Vec<PathBuf>,
    /// Whether to close stale sockets in other network namespaces, too.
    pub enter_namespaces: bool,
    /// How often rows are compared.
    pub resync_interval: Duration,
    /// Rows of the maps.
    pub capacity: Capacity,
    /// What health checks may do.
    pub check_policy: CheckPolicy,
}

impl Flags {
    /// Reads the file and fills in what is absent.
    pub fn resolve(self) -> Result<Settings, Wrong> {
        let (file, mut wrong) = file::given(self.config.as_deref());
        wrong.extend(self.given.wrong());
        let settings = complete(self.given.or(file), &mut wrong);
        settings.filter(|_| wrong.is_empty()).ok_or(Wrong(wrong))
    }
}

impl Given {
    /// What is wrong with flags and environment.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut note = |flag: &str, reasons: Vec<&String>| {
            wrong.extend(reasons.into_iter().map(|reason| named(flag, reason)));
        };
        note(
            "services",
            self.services
                .iter()
                .filter_map(|said| said.as_ref().err())
                .collect(),
        );
        note("metrics", reason(self.metrics.as_ref()));
        note(
            "vip-pool",
            self.vip_pool
                .iter()
                .filter_map(|said| said.as_ref().err())
                .collect(),
        );
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
        wrong.extend(self.health_checks.wrong());
        wrong
    }

    fn or(self, other: Self) -> Self {
        let list =
            |ours: Vec<PathBuf>, others: Vec<PathBuf>| if ours.is_empty() { others } else { ours };
        Self {
            services: if self.services.is_empty() {
                other.services
            } else {
                self.services
            },
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
        }
    }
}

/// Settings without what was said wrong, which is reported already.
fn complete(given: Given, wrong: &mut Vec<String>) -> Option<Settings> {
    wrong.extend(empty::check(&given));
    let path = |given: Option<PathBuf>, default: &str| given.unwrap_or_else(|| default.into());
    let services = right(given.max_services).unwrap_or(capacity::SERVICES);
    let backends = right(given.max_backends).unwrap_or(capacity::BACKENDS);
    let sockets = right(given.max_sockets).unwrap_or(capacity::SOCKETS);
    let within =
        |root: &Path, paths: Vec<PathBuf>| paths.into_iter().map(|path| root.join(path)).collect();
    let service_dirs = service_dirs(all_right(given.services), wrong);
    let cgroup = given
        .cgroup
        .or_else(|| cgroup2::find().map_err(|reason| wrong.push(reason)).ok())?;
    let vip_pools = all_right(given.vip_pool);
    let vip_pools = if vip_pools.is_empty() {
        vec![default_pool()]
    } else {
        vip_pools
    };
    Some(Settings {
        services: service_dirs,
        excluded_cgroups: within(&cgroup, given.exclude_cgroup),
        excluded_netns: within(Path::new("/run/netns"), given.exclude_netns),
        cgroup,
        pin_dir: path(given.pin_dir, PIN_DIR),
        socket: path(given.socket, SOCKET),
        metrics: right(given.metrics),
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
        allow_empty: right(given.allow_empty).unwrap_or(false),
        allow_second_agent: right(given.allow_second_agent).unwrap_or(false),
        serve: right(given.serve).unwrap_or_default(),
        enter_namespaces: right(given.enter_namespaces).unwrap_or(true),
        resync_interval: right(given.resync_interval).unwrap_or(Duration::from_secs(30)),
        capacity: Capacity {
            services,
            // Old and new slots of a service stand side by side while it switches.
            slots: backends * 2,
            backends,
            sockets,
            sockets_per_client: right(given.max_sockets_per_client).unwrap_or(sockets.div_ceil(4)),
        },
        check_policy: given.health_checks.complete(),
    })
}

fn right<T>(said: Option<Said<T>>) -> Option<T> {
    said.and_then(Result::ok)
}

fn all_right<T>(said: Vec<Said<T>>) -> Vec<T> {
    said.into_iter().filter_map(Result::ok).collect()
}

fn service_dirs(given: Vec<ServiceDir>, wrong: &mut Vec<String>) -> Vec<ServiceDir> {
    if let Err(error) = ServiceDir::check(&given) {
        wrong.push(named("services", &error.to_string()));
    }
    let default = || vec![PathBuf::from("/etc/mesh-agent/services.d").into()];
    if given.is_empty() { default() } else { given }
}

/// In the range that is reserved for future use (RFC 1112 section 4), so nothing else answers
/// there.
fn default_pool() -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::new(240, 96, 0, 0), 16).into()
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        fs::write(
            &file,
            "cgroup: /from/file\npinDir: /from/file\nvipPool: [10.0.0.0/8]\nresyncInterval: 2s\n",
        )
        .unwrap();
        let given = Given {
            pin_dir: Some("/from/flag".into()),
            ..Given::default()
        };
        let settings = Flags {
            config: Some(file),
            given,
        }
        .resolve()
        .unwrap();
        assert_eq!(settings.cgroup, Path::new("/from/file"));
        assert_eq!(settings.pin_dir, Path::new("/from/flag"));
        assert_eq!(settings.vip_pools, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(settings.resync_interval, Duration::from_secs(2));
        assert_eq!(settings.socket, Path::new("/run/mesh-agent/agent.sock"));
    }

    #[test]
    fn what_takes_part_is_a_setting() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        let text = "cgroup: /cg\nserve: annotated\nallowSecondAgent: true\nexcludeCgroup: [kubepods/nfs, /other/x]\nexcludeNetns: [dns]\n\
                    enterNamespaces: false\n";
        fs::write(&file, text).unwrap();
        let resolve = |given: Given| {
            Flags {
                config: Some(file.clone()),
                given,
            }
            .resolve()
            .unwrap()
        };
        let settings = resolve(Given::default());
        assert_eq!(
            (settings.serve, settings.allow_second_agent),
            (Serve::Annotated, true)
        );
        assert!(!settings.enter_namespaces);
        assert_eq!(
            settings.excluded_cgroups,
            [Path::new("/cg/kubepods/nfs"), Path::new("/other/x")]
        );
        assert_eq!(settings.excluded_netns, [Path::new("/run/netns/dns")]);
        let settings = resolve(Given {
            serve: Some(Ok(Serve::All)),
            exclude_netns: vec!["/proc/1/ns/net".into()],
            ..Given::default()
        });
        assert_eq!(
            (settings.serve, settings.excluded_netns),
            (Serve::All, vec!["/proc/1/ns/net".into()])
        );
    }

    #[test]
    fn directories_may_be_of_a_named_source() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        let resolve = |services: &str| {
            fs::write(&file, format!("cgroup: /cg\nservices: {services}\n")).unwrap();
            Flags {
                config: Some(file.clone()),
                given: Given::default(),
            }
            .resolve()
        };
        let names = |services: &str| {
            resolve(services)
                .unwrap()
                .services
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("[]"), ["/etc/mesh-agent/services.d"]);
        assert_eq!(names("[/here, east=/there]"), ["/here", "east=/there"]);
        let error = |services: &str| format!("{:#}", resolve(services).unwrap_err());
        let twice = "--services (or MESH_SERVICES): directory /here is given for two sources";
        assert_eq!(error("[/here, east=/here]"), twice);
        let named = format!(
            "{}:2: services[1]: source east names no directory: write east=DIR",
            file.display()
        );
        assert_eq!(error("[/here, east=]"), named);
    }

    #[test]
    fn everything_wrong_is_named_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        let text = "cgruop: /x\nmaxServices: \"80\"\nservices: /one\nresyncInterval: 5\nvipPool:\n- 10.0.0.0/8\n- ten\n";
        fs::write(&file, text).unwrap();
        let given = Given {
            cgroup: Some("/cg".into()),
            metrics: Some(text::metrics("9090")),
            vip_pool: vec![text::network("10.0.0.0/33")],
            max_backends: Some(text::rows("0")),
            ..Given::default()
        };
        let Wrong(lines) = Flags {
            config: Some(file.clone()),
            given,
        }
        .resolve()
        .unwrap_err();
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.replace(&file.display().to_string(), "agent.yaml"))
            .collect();
        let known = "config, services, cgroup, pinDir, socket, metrics, stateDir, nodeName, cloud, region, zone, vipPool, \
                     serviceCidr, externalCidr, nodePortRange, quotaPerService, quotaPerNamespace, allowEmpty, \
                     allowSecondAgent, serve, excludeCgroup, excludeNetns, enterNamespaces, resyncInterval, \
                     maxServices, maxBackends, maxSockets, maxSocketsPerClient, healthChecks, metricsTokenFile";
        let expected = [
            &format!(
                "agent.yaml:1: cgruop: unknown field; known here: {}",
                known.strip_prefix("config, ").unwrap()
            ),
            "agent.yaml:2: maxServices: expected a whole number from 1 to 8388608, found the text `\"80\"`",
            "agent.yaml:3: services: expected a list, found `/one`",
            "agent.yaml:4: resyncInterval: expected a duration with its unit, like 500ms, 10s or 5m, found `5`",
            "agent.yaml:7: vipPool[1]: expected a network, like 10.96.0.0/16, found `ten`",
            "--metrics (or MESH_METRICS): expected an address and a port, like 127.0.0.1:9090, or like \
             unix:/run/mesh-agent/metrics.sock, found `9090`",
            "--vip-pool (or MESH_VIP_POOL): expected a network, like 10.96.0.0/16, found `10.0.0.0/33`",
            "--max-backends (or MESH_MAX_BACKENDS): expected a whole number from 1 to 8388608, found `0`",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = Flags {
            config: Some("/nonexistent/agent.yaml".into()),
            given: Given::default(),
        };
        let Wrong(lines) = missing.resolve().unwrap_err();
        assert_eq!(
            lines,
            ["/nonexistent/agent.yaml:1: cannot be read: No such file or directory (os error 2)"]
        );
    }
}
