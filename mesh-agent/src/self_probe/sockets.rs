//! Makes sockets inside the covered cgroup. Programs run for the cgroup in which a socket was made,
//! so an agent outside of it cannot probe.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::mounts;

/// Inode number of the root of the cgroup hierarchy.
const ROOT: u64 = 1;

type Kinds = [(AddressFamily, SockType); 3];

/// Makes sockets.
pub(super) fn open(kinds: Kinds) -> io::Result<[OwnedFd; 3]> {
    let [a, b, c] = kinds.map(|(family, kind)| socket(family, kind, SockFlag::SOCK_CLOEXEC, None));
    Ok([a?, b?, c?])
}

/// Returns whether the agent itself is in `cgroup` or below it.
pub fn contains_agent(cgroup: &Path) -> bool {
    let is_root = fs::metadata(cgroup).is_ok_and(|found| found.ino() == ROOT);
    is_root || own(cgroup).is_some_and(|own| own.starts_with(cgroup))
}

/// Returns the directory of the agent's own cgroup in the mount that contains `cgroup`, if it is
/// visible there.
pub fn own(cgroup: &Path) -> Option<PathBuf> {
    let text = fs::read("/proc/self/cgroup").ok()?;
    let path = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))?;
    let mut mounts = mounts::read().ok()?.into_iter();
    let mount =
        mounts.rfind(|mount| mount.kind == b"cgroup2" && cgroup.starts_with(&mount.point))?;
    let below = Path::new(OsStr::from_bytes(path))
        .strip_prefix(OsStr::from_bytes(&mount.root))
        .ok()?;
    Some(mount.point.join(below))
}
