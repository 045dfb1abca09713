//! The daemon's own settings: a flag wins over the environment, the environment over the file, the file over the default.

mod service_dir;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use ipnet::{IpNet, Ipv4Net};
use jiff::SignedDuration;
use mesh_common::abi::capacity;
use serde::Deserialize;

pub use self::service_dir::{ServiceDir, ServiceDirError, Source};
use crate::{dataplane::Capacity, model::Locality};

/// 16 million rows of SLOTS are 256 MiB.
const MAX_ROWS: u32 = 1 << 23;

const DEFAULT_CONFIG: &str = "/etc/mesh-agent/agent.yaml";

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Settings file (YAML, the same names in camelCase) [default: /etc/mesh-agent/agent.yaml, if it is there]
    #[arg(long, env = "MESH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub given: Given,
}

/// Which services take part.
#[derive(clap::ValueEnum, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub enum Serve {
    /// All but those that say that they do not want to
    #[default]
    All,
    /// Those that say that they want to
    Annotated,
}

impl Serve {
    /// Why a service is left alone that says this of itself under that name.
    pub fn opted_out(self, enabled: Option<bool>, name: &str) -> Option<String> {
        match (self, enabled) {
            (_, Some(false)) => Some(format!("opted out ({name} is false)")),
            (Self::Annotated, None) => Some(format!("not opted in ({name} is not set, and `serve` is `annotated`)")),
            (Self::All | Self::Annotated, _) => None,
        }
    }
}

/// Settings as given by one of the sources; what is absent is left to the next.
#[derive(Args, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Given {
    /// Directory of service files; repeat for several, with a name for each source but the local one [default:
    /// /etc/mesh-agent/services.d]
    #[arg(long, env = "MESH_SERVICES", value_name = "[NAME=]DIR", value_delimiter = ',')]
    services: Vec<ServiceDir>,
    /// Cgroup whose processes are served [default: the cgroup2 mount in /proc/self/mounts]
    #[arg(long, env = "MESH_CGROUP", value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Directory on a bpf filesystem for links and maps [default: /sys/fs/bpf/mesh-agent]
    #[arg(long, env = "MESH_PIN_DIR", value_name = "PATH")]
    pin_dir: Option<PathBuf>,
    /// Socket that meshctl talks to [default: /run/mesh-agent/agent.sock]
    #[arg(long, env = "MESH_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve Prometheus metrics here [default: off]
    #[arg(long, env = "MESH_METRICS", value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Where allocated addresses and orders of operators (drains, weights) are kept [default: /var/lib/mesh-agent]
    #[arg(long, env = "MESH_STATE_DIR", value_name = "PATH")]
    state_dir: Option<PathBuf>,
    /// Name of this node [default: the host name]
    #[arg(long, env = "MESH_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// Cloud this node is in, for services with `locality`
    #[arg(long, env = "MESH_CLOUD", value_name = "NAME")]
    cloud: Option<String>,
    /// Region this node is in, for services with `locality`
    #[arg(long, env = "MESH_REGION", value_name = "NAME")]
    region: Option<String>,
    /// Zone this node is in, for services with `locality`
    #[arg(long, env = "MESH_ZONE", value_name = "NAME")]
    zone: Option<String>,
    /// Network for services with `address: auto`; repeat for one of each family [default: 240.96.0.0/16]
    #[arg(long, env = "MESH_VIP_POOL", value_name = "CIDR", value_delimiter = ',')]
    vip_pool: Vec<IpNet>,
    /// Take empty directories to mean that there are no services [default: false: keep the last good ones]
    #[arg(long, env = "MESH_ALLOW_EMPTY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    allow_empty: Option<bool>,
    /// Which services are served: all, or those with `mesh-agent.io/enabled: "true"` [default: all]
    #[arg(long, env = "MESH_SERVE", value_name = "WHICH")]
    serve: Option<Serve>,
    /// Cgroup whose processes are left out; a relative path starts at --cgroup; repeat for several
    #[arg(long, env = "MESH_EXCLUDE_CGROUP", value_name = "PATH", value_delimiter = ',')]
    exclude_cgroup: Vec<PathBuf>,
    /// Network namespace that is left out; a relative path starts at /run/netns; repeat for several
    #[arg(long, env = "MESH_EXCLUDE_NETNS", value_name = "PATH", value_delimiter = ',')]
    exclude_netns: Vec<PathBuf>,
    /// How often the kernel's rows are compared with what they should be, and repaired [default: 30s]
    #[arg(long, env = "MESH_RESYNC_INTERVAL", value_name = "DURATION")]
    resync_interval: Option<SignedDuration>,
    /// Rows for frontends and service ids
    #[arg(long, env = "MESH_MAX_SERVICES", value_name = "ROWS", help = format!("Rows for service addresses [default: {}]", capacity::SERVICES))]
    max_services: Option<u32>,
    /// Rows for endpoints
    #[arg(long, env = "MESH_MAX_BACKENDS", value_name = "ROWS", help = format!("Rows for endpoints [default: {}]", capacity::BACKENDS))]
    max_backends: Option<u32>,
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
    pub metrics: Option<SocketAddr>,
    /// Where allocated addresses and orders of operators are kept.
    pub state_dir: PathBuf,
    /// Name of this node.
    pub node_name: String,
    /// Where this node is.
    pub locality: Locality,
    /// Pools for services with `address: auto`.
    pub vip_pools: Vec<IpNet>,
    /// Whether empty directories mean that there are no services.
    pub allow_empty: bool,
    /// Which services are served.
    pub serve: Serve,
    /// Cgroups whose processes are left out.
    pub excluded_cgroups: Vec<PathBuf>,
    /// Network namespaces that are left out.
    pub excluded_netns: Vec<PathBuf>,
    /// How often rows are compared.
    pub resync_interval: Duration,
    /// Rows of the maps.
    pub capacity: Capacity,
}

impl Flags {
    /// Reads the file and fills in what is absent.
    pub fn resolve(self) -> anyhow::Result<Settings> {
        let file = read_file(self.config.as_deref())?;
        complete(self.given.or(file))
    }
}

fn read_file(path: Option<&Path>) -> anyhow::Result<Given> {
    let text = match fs::read_to_string(path.unwrap_or(Path::new(DEFAULT_CONFIG))) {
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Given::default()),
        text => text,
    };
    let name = path.unwrap_or(Path::new(DEFAULT_CONFIG)).display();
    let text = text.with_context(|| format!("cannot read settings file {name}"))?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow!("settings file {name}: {}", error.without_snippet()))
}

impl Given {
    fn or(self, other: Self) -> Self {
        let list = |ours: Vec<PathBuf>, others: Vec<PathBuf>| if ours.is_empty() { others } else { ours };
        Self {
            services: if self.services.is_empty() { other.services } else { self.services },
            cgroup: self.cgroup.or(other.cgroup),
            pin_dir: self.pin_dir.or(other.pin_dir),
            socket: self.socket.or(other.socket),
            metrics: self.metrics.or(other.metrics),
            state_dir: self.state_dir.or(other.state_dir),
            node_name: self.node_name.or(other.node_name),
            cloud: self.cloud.or(other.cloud),
            region: self.region.or(other.region),
            zone: self.zone.or(other.zone),
            vip_pool: if self.vip_pool.is_empty() { other.vip_pool } else { self.vip_pool },
            allow_empty: self.allow_empty.or(other.allow_empty),
            serve: self.serve.or(other.serve),
            exclude_cgroup: list(self.exclude_cgroup, other.exclude_cgroup),
            exclude_netns: list(self.exclude_netns, other.exclude_netns),
            resync_interval: self.resync_interval.or(other.resync_interval),
            max_services: self.max_services.or(other.max_services),
            max_backends: self.max_backends.or(other.max_backends),
        }
    }
}

fn complete(given: Given) -> anyhow::Result<Settings> {
    let path = |given: Option<PathBuf>, default: &str| given.unwrap_or_else(|| default.into());
    let services = rows("--max-services", given.max_services.unwrap_or(capacity::SERVICES))?;
    let backends = rows("--max-backends", given.max_backends.unwrap_or(capacity::BACKENDS))?;
    let within = |root: &Path, paths: Vec<PathBuf>| paths.into_iter().map(|path| root.join(path)).collect();
    let cgroup = given.cgroup.map_or_else(find_cgroup2, Ok)?;
    Ok(Settings {
        services: service_dirs(given.services)?,
        excluded_cgroups: within(&cgroup, given.exclude_cgroup),
        excluded_netns: within(Path::new("/run/netns"), given.exclude_netns),
        cgroup,
        pin_dir: path(given.pin_dir, "/sys/fs/bpf/mesh-agent"),
        socket: path(given.socket, "/run/mesh-agent/agent.sock"),
        metrics: given.metrics,
        state_dir: path(given.state_dir, "/var/lib/mesh-agent"),
        node_name: given.node_name.unwrap_or_else(host_name),
        locality: Locality {
            cloud: given.cloud.map(Into::into),
            region: given.region.map(Into::into),
            zone: given.zone.map(Into::into),
        },
        vip_pools: if given.vip_pool.is_empty() { vec![default_pool()] } else { given.vip_pool },
        allow_empty: given.allow_empty.unwrap_or(false),
        serve: given.serve.unwrap_or_default(),
        resync_interval: resync_interval(given.resync_interval)?,
        capacity: Capacity {
            services,
            // Old and new slots of a service stand side by side while it switches.
            slots: backends * 2,
            backends,
        },
    })
}

fn service_dirs(given: Vec<ServiceDir>) -> anyhow::Result<Vec<ServiceDir>> {
    ServiceDir::check(&given).context("--services")?;
    let default = || vec![PathBuf::from("/etc/mesh-agent/services.d").into()];
    Ok(if given.is_empty() { default() } else { given })
}

/// Rows of a map: some, and no more than a node can have memory for.
fn rows(flag: &str, rows: u32) -> anyhow::Result<u32> {
    ensure!((1..=MAX_ROWS).contains(&rows), "{flag} must be from 1 to {MAX_ROWS}, not {rows}");
    Ok(rows)
}

fn resync_interval(given: Option<SignedDuration>) -> anyhow::Result<Duration> {
    let interval = given.map_or(Ok(Duration::from_secs(30)), Duration::try_from);
    interval.ok().filter(|interval| !interval.is_zero()).context("--resync-interval must be longer than zero")
}

/// In the range that is reserved for future use (RFC 1112 section 4), so nothing else answers there.
fn default_pool() -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::new(240, 96, 0, 0), 16).into()
}

/// The cgroup2 mount, which in a hybrid hierarchy is not at `/sys/fs/cgroup`.
fn find_cgroup2() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    cgroup2_mount(&mounts)
        .context("no cgroup2 filesystem is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name one with --cgroup")
}

fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.get(2) == Some(&"cgroup2")).map(|fields| PathBuf::from(fields[1]))
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        fs::write(&file, "cgroup: /from/file\npinDir: /from/file\nvipPool: [10.0.0.0/8]\nresyncInterval: 2s\n")
            .unwrap();
        let given = Given { pin_dir: Some("/from/flag".into()), ..Given::default() };
        let settings = Flags { config: Some(file), given }.resolve().unwrap();
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
        let text = "cgroup: /cg\nserve: annotated\nexcludeCgroup: [kubepods/nfs, /other/x]\nexcludeNetns: [dns]\n";
        fs::write(&file, text).unwrap();
        let resolve = |given: Given| Flags { config: Some(file.clone()), given }.resolve().unwrap();
        let settings = resolve(Given::default());
        assert_eq!(settings.serve, Serve::Annotated);
        assert_eq!(settings.excluded_cgroups, [Path::new("/cg/kubepods/nfs"), Path::new("/other/x")]);
        assert_eq!(settings.excluded_netns, [Path::new("/run/netns/dns")]);
        let settings = resolve(Given {
            serve: Some(Serve::All),
            exclude_netns: vec!["/proc/1/ns/net".into()],
            ..Given::default()
        });
        assert_eq!((settings.serve, settings.excluded_netns), (Serve::All, vec!["/proc/1/ns/net".into()]));
    }

    #[test]
    fn directories_may_be_of_a_named_source() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        let resolve = |services: &str| {
            fs::write(&file, format!("cgroup: /cg\nservices: {services}\n")).unwrap();
            Flags { config: Some(file.clone()), given: Given::default() }.resolve()
        };
        let names =
            |services: &str| resolve(services).unwrap().services.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("[]"), ["/etc/mesh-agent/services.d"]);
        assert_eq!(names("[/here, east=/there]"), ["/here", "east=/there"]);
        let error = |services: &str| format!("{:#}", resolve(services).unwrap_err());
        assert_eq!(error("[/here, east=/here]"), "--services: directory /here is given for two sources");
        assert!(error("[east=]").contains("source east names no directory: write east=DIR"));
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        fs::write(&file, "cgruop: /x\n").unwrap();
        let error = Flags { config: Some(file.clone()), given: Given::default() }.resolve().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(&file.display().to_string()) && text.contains("cgruop"), "{text}");
    }

    #[test]
    fn cgroup2_is_found_in_a_hybrid_hierarchy() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mount(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2_mount("proc /proc proc rw 0 0\n"), None);
    }
}
