//! Cgroups and network namespaces that are not served, with the keys that the kernel programs use
//! for them.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    thread,
};

use mesh_common::abi::{ExcludedKey, excluded_kind};
use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{pin::is_cgroup2, sys};
use crate::safe_open;

/// `SO_NETNS_COOKIE`, `include/uapi/asm-generic/socket.h`, Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// A cgroup or network namespace that is to be left out cannot be found now.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {path} cannot be left out: {reason}")]
pub struct Error {
    kind: &'static str,
    path: PathBuf,
    reason: io::Error,
}

impl Error {
    /// Reason, without the name of the object.
    pub fn reason(&self) -> &io::Error {
        &self.reason
    }
}

/// Returns the rows of EXCLUDED for these directories and namespace files, and those that cannot be
/// found.
/// `netns_cookie` returns the cookie of the namespace at a path.
pub fn keys(
    cgroups: &[PathBuf],
    namespaces: &[PathBuf],
    netns_cookie: impl Fn(&Path) -> io::Result<u64>,
) -> (Vec<ExcludedKey>, Vec<Error>) {
    let cgroups = cgroups
        .iter()
        .map(|path| key("cgroup", path, excluded_kind::CGROUP, cgroup_id));
    let namespaces = namespaces.iter().map(|path| {
        key(
            "network namespace",
            path,
            excluded_kind::NETNS,
            &netns_cookie,
        )
    });
    let (found, missing): (Vec<_>, Vec<_>) = cgroups.chain(namespaces).partition(Result::is_ok);
    (
        found.into_iter().flatten().collect(),
        missing.into_iter().filter_map(Result::err).collect(),
    )
}

fn key(
    name: &'static str,
    path: &Path,
    kind: u64,
    id: impl Fn(&Path) -> io::Result<u64>,
) -> Result<ExcludedKey, Error> {
    let id = id(path).map_err(|reason| Error {
        kind: name,
        path: path.to_owned(),
        reason,
    })?;
    Ok(ExcludedKey { id, kind })
}

/// Returns the inode number of the directory.
fn cgroup_id(path: &Path) -> io::Result<u64> {
    if !is_cgroup2(path) {
        return Err(io::Error::other("not a cgroup2 directory"));
    }
    let found = fs::metadata(path)?;
    // The files of a cgroup, like cgroup.procs, are not cgroups.
    if found.is_dir() {
        Ok(found.ino())
    } else {
        Err(io::Error::other("not a cgroup2 directory"))
    }
}

/// Returns the cookie of a namespace. The kernel reports it only to a socket in the namespace, so a
/// thread enters it and ends.
pub fn netns_cookie_at(path: &Path) -> io::Result<u64> {
    let namespace = safe_open::network_namespace(path)?;
    let there = thread::spawn(move || {
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let socket = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        netns_cookie(socket.as_fd())
    });
    there
        .join()
        .expect("a thread of system calls does not panic")
}

/// Returns the cookie of the agent's own network namespace.
pub fn own_netns() -> io::Result<u64> {
    netns_cookie(
        socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?
        .as_fd(),
    )
}

/// Returns the cookie of the network namespace of a socket.
pub fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    sys::socket_word(socket, SO_NETNS_COOKIE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_has_the_cookie_of_own_sockets() {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        let own = netns_cookie(socket.as_fd()).unwrap();
        assert_ne!(own, 0);
        assert_eq!(
            netns_cookie_at(Path::new("/proc/self/ns/net")).unwrap(),
            own
        );
    }

    #[test]
    fn missing_paths_and_paths_that_are_no_cgroups_are_named() {
        let (found, missing) = keys(
            &["/no/such/cgroup".into(), "/tmp".into()],
            &["/proc/self/ns/net".into()],
            netns_cookie_at,
        );
        assert_eq!(found.len(), 1);
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let expected = "not a cgroup2 directory";
        assert_eq!(
            missing,
            ["/no/such/cgroup", "/tmp"]
                .map(|path| format!("cgroup {path} cannot be left out: {expected}"))
        );
    }
}
