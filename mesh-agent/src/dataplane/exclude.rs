//! Cgroups and network namespaces that are not served, as the kernel knows them.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
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

/// `SO_NETNS_COOKIE`, `include/uapi/asm-generic/socket.h`, Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Something that is to be left out cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("cannot leave out {kind} {path}: {source}")]
pub struct Error {
    kind: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The rows of EXCLUDED for these directories and namespace files.
pub fn keys(cgroups: &[PathBuf], namespaces: &[PathBuf]) -> Result<Vec<ExcludedKey>, Error> {
    let cgroups = cgroups.iter().map(|path| key("cgroup", path, excluded_kind::CGROUP, cgroup_id));
    let namespaces = namespaces.iter().map(|path| key("network namespace", path, excluded_kind::NETNS, netns_cookie));
    cgroups.chain(namespaces).collect()
}

fn key(name: &'static str, path: &Path, kind: u64, id: fn(&Path) -> io::Result<u64>) -> Result<ExcludedKey, Error> {
    let id = id(path).map_err(|source| Error { kind: name, path: path.to_owned(), source })?;
    Ok(ExcludedKey { id, kind })
}

/// The inode number of the directory.
fn cgroup_id(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.ino())
}

/// The kernel tells the cookie of a namespace only to a socket in it, so a thread goes there and ends.
fn netns_cookie(path: &Path) -> io::Result<u64> {
    let namespace = File::open(path)?;
    let there = thread::spawn(move || {
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        cookie_of(socket.as_fd())
    });
    there.join().expect("a thread of system calls does not panic")
}

fn cookie_of(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).expect("a small number");
    // SAFETY: the kernel writes at most `length` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_has_the_cookie_of_own_sockets() {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let own = cookie_of(socket.as_fd()).unwrap();
        assert_ne!(own, 0);
        assert_eq!(netns_cookie(Path::new("/proc/self/ns/net")).unwrap(), own);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = keys(&["/no/such/cgroup".into()], &[]).unwrap_err();
        assert!(error.to_string().starts_with("cannot leave out cgroup /no/such/cgroup: No such file"), "{error}");
    }
}
