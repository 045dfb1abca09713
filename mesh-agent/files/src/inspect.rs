//! Reads the facts about the node from which `meshctl doctor` finds out what is wrong. What cannot
//! be read is left out.

use std::{
    collections::BTreeSet,
    fs,
    mem::zeroed,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use mesh_core::doctor::{self, CgroupFacts, ClockFacts, Neighbour, NodeFacts, PathKind};
use nix::net::if_::if_nameindex;

use crate::mounts;

/// Inode number of the root of the cgroup hierarchy.
const ROOT: u64 = 1;
/// Controllers of cgroup v1 that mark sockets.
const SOCKET_CONTROLLERS: [&str; 2] = ["net_cls", "net_prio"];
/// Where Cilium pins its maps, and where other programs pin theirs.
const PINS: [&str; 2] = ["/sys/fs/bpf", "/sys/fs/bpf/tc/globals"];

/// Names of neighbours, and how their processes, interfaces and pins start.
const PROCESSES: [(&str, &str); 3] = [
    ("kube-proxy", "kube-proxy"),
    ("cilium", "cilium-agent"),
    ("calico", "calico-node"),
];
const INTERFACES: [(&str, &str); 4] = [
    ("kube-proxy", "kube-ipvs0"),
    ("cilium", "cilium_host"),
    ("calico", "cali"),
    ("calico", "vxlan.calico"),
];
const PIN_NAMES: [(&str, &str); 3] = [("cilium", "cilium"), ("cilium", "cil_"), ("calico", "cali")];

/// Where neighbours pin programs that answer connects.
const SOCKET_PINS: [(&str, &str); 2] = [
    ("cilium", "/sys/fs/bpf/cilium/socketlb"),
    ("calico", "/sys/fs/bpf/ctlb"),
];

/// Reads the facts. `served` is the cgroup of the agent, `paths` are its files and directories.
pub fn node(served: &Path, paths: &[(PathKind, PathBuf)], jumped_seconds: i64) -> NodeFacts {
    NodeFacts {
        kernel: read("/proc/sys/kernel/osrelease"),
        clock: ClockFacts {
            is_synchronised: is_synchronised(),
            jumped_seconds,
        },
        paths: paths.iter().map(path).collect(),
        cgroups: cgroups(served),
        neighbours: neighbours().into_iter().collect(),
    }
}

/// Returns a file without the space around its text; nothing if it cannot be read.
fn read(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

fn path((kind, path): &(PathKind, PathBuf)) -> doctor::Path {
    let found = fs::symlink_metadata(path).ok();
    doctor::Path {
        kind: *kind,
        path: path.display().to_string(),
        owner_and_mode: found.map(|found| (found.uid(), found.mode())),
    }
}

/// Returns whether a time service disciplines the clock (adjtimex(2)).
fn is_synchronised() -> Option<bool> {
    // SAFETY: plain numbers, for which zero is valid; the kernel writes within the struct, and
    // without a mode it changes nothing.
    let (result, status) = unsafe {
        let mut clock: libc::timex = zeroed();
        (libc::adjtimex(&raw mut clock), clock.status)
    };
    (result >= 0).then_some(status & libc::STA_UNSYNC == 0)
}

fn cgroups(served: &Path) -> Option<CgroupFacts> {
    let mounts = mounts::read().ok()?;
    let v1 = mounts.iter().filter(|mount| mount.kind == b"cgroup");
    let names: Vec<String> = v1.map(|mount| mount.point.display().to_string()).collect();
    let is_mounted = |controller: &&str| names.iter().any(|name| name.contains(controller));
    let controllers = SOCKET_CONTROLLERS.into_iter().filter(is_mounted);
    Some(CgroupFacts {
        served: served.display().to_string(),
        is_root: fs::metadata(served).ok()?.ino() == ROOT,
        v1_socket_controllers: controllers.map(str::to_owned).collect(),
    })
}

fn neighbours() -> BTreeSet<Neighbour> {
    let processes = names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|pid| read(format!("/proc/{pid}/comm")));
    let list = if_nameindex().ok();
    let entries = list.iter().flat_map(nix::net::if_::Interfaces::to_slice);
    let interfaces = entries.map(|it| it.name().to_string_lossy().into_owned());
    let pins = PINS.into_iter().flat_map(names);
    let mut found = BTreeSet::new();
    found.extend(processes.filter_map(|name| trace("process", &name, &PROCESSES)));
    found.extend(interfaces.filter_map(|name| trace("interface", &name, &INTERFACES)));
    found.extend(pins.filter_map(|name| trace("pin", &name, &PIN_NAMES)));
    let pinned = |(_, path): &(_, &str)| !names(path).is_empty();
    found.extend(SOCKET_PINS.into_iter().filter(pinned).map(in_sockets));
    found
}

fn in_sockets((name, path): (&'static str, &str)) -> Neighbour {
    Neighbour {
        name,
        trace: format!("programs in {path}"),
        in_sockets: true,
    }
}

/// Returns the trace that a name is of, without the part that many names of one neighbour differ
/// in.
fn trace(kind: &str, name: &str, of: &[(&'static str, &str)]) -> Option<Neighbour> {
    let &(neighbour, start) = of.iter().find(|(_, start)| name.starts_with(start))?;
    let more = if name == start { "" } else { "*" };
    Some(Neighbour {
        name: neighbour,
        trace: format!("{kind} {start}{more}"),
        in_sockets: false,
    })
}

fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn facts_are_those_of_this_node() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let missing = directory.path().join("missing");
        let paths = [
            (PathKind::StateDirectory, directory.path().to_owned()),
            (PathKind::Socket, missing),
        ];
        let facts = node(directory.path(), &paths, 3);
        assert!(facts.kernel.contains('.'), "{facts:?}");
        assert_eq!(facts.clock.jumped_seconds, 3);
        let modes: Vec<_> = facts
            .paths
            .iter()
            .map(|path| path.owner_and_mode.map(|(_, mode)| mode & 0o777))
            .collect();
        assert_eq!(modes, [Some(0o700), None]);
        assert!(!facts.cgroups.expect("a directory").is_root);
    }

    #[test]
    fn traces_of_many_interfaces_are_one() {
        let seen = ["cali12ab", "cali34cd", "eth0", "cilium_host", "kube-ipvs0"];
        let found: BTreeSet<_> = seen
            .into_iter()
            .filter_map(|name| trace("interface", name, &INTERFACES))
            .map(|found| (found.name, found.trace))
            .collect();
        let of = |name, trace: &str| (name, format!("interface {trace}"));
        assert_eq!(
            found,
            [
                of("calico", "cali*"),
                of("cilium", "cilium_host"),
                of("kube-proxy", "kube-ipvs0")
            ]
            .into()
        );
    }
}
