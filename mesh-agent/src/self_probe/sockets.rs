//! Makes sockets inside the covered cgroup. Programs run for the cgroup in which a socket was made,
//! so a child process goes there, unless the agent is in it. The child shares the descriptors of the
//! agent, makes the sockets and ends.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{AddressFamily, SockFlag, SockType, socket},
        wait::waitpid,
    },
    unistd::Pid,
};

use crate::mounts;

/// Inode number of the root of the cgroup hierarchy.
const ROOT: u64 = 1;
/// Most time for the child, which is done in microseconds unless its cgroup is frozen.
const CHILD: Duration = Duration::from_millis(500);
/// A cgroup with controllers for its children holds no processes, so the child goes one below.
const BELOW: &str = "mesh-agent-probe";

type Kinds = [(AddressFamily, SockType); 3];

/// Makes sockets inside `cgroup`.
pub(super) fn open(cgroup: &Path, kinds: Kinds) -> io::Result<[OwnedFd; 3]> {
    if contains_agent(cgroup)? {
        let [a, b, c] =
            kinds.map(|(family, kind)| socket(family, kind, SockFlag::SOCK_CLOEXEC, None));
        return Ok([a?, b?, c?]);
    }
    match by_child(cgroup, kinds) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => below(cgroup, kinds),
        done => done,
    }
}

fn below(cgroup: &Path, kinds: Kinds) -> io::Result<[OwnedFd; 3]> {
    let below = cgroup.join(BELOW);
    match fs::create_dir(&below) {
        // Left by an agent that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => done?,
    }
    let made = by_child(&below, kinds);
    // The sockets keep what they need of it.
    fs::remove_dir(&below)?;
    made
}

/// Returns whether the agent itself is in `cgroup` or below it.
fn contains_agent(cgroup: &Path) -> io::Result<bool> {
    let is_root = fs::metadata(cgroup)?.ino() == ROOT;
    Ok(is_root || own(cgroup).is_some_and(|own| own.starts_with(cgroup)))
}

/// Returns the directory of the agent's own cgroup in the mount that contains `cgroup`, if it is
/// visible there.
pub fn own(cgroup: &Path) -> Option<PathBuf> {
    let text = fs::read("/proc/self/cgroup").ok()?;
    let path = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))?;
    let mounts = mounts::read().ok()?.into_iter();
    let mount = mounts
        .filter(|mount| mount.kind == b"cgroup2" && cgroup.starts_with(&mount.point))
        .next_back()?;
    let below = Path::new(OsStr::from_bytes(path))
        .strip_prefix(OsStr::from_bytes(&mount.root))
        .ok()?;
    Some(mount.point.join(below))
}

/// What the child reports: an errno or zero, and its sockets.
type Report = [libc::c_int; 4];

fn by_child(cgroup: &Path, kinds: Kinds) -> io::Result<[OwnedFd; 3]> {
    let entrance = File::options()
        .write(true)
        .open(cgroup.join("cgroup.procs"))?;
    let (mut read, write) = UnixStream::pair()?;
    read.set_read_timeout(Some(CHILD))?;
    let kinds = kinds.map(|(family, kind)| (family as libc::c_int, kind as libc::c_int));
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: as fork(2); the child makes only system calls and never returns.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if child == 0 {
        make(entrance.as_raw_fd(), write.as_raw_fd(), kinds);
    }
    let child = i32::try_from(child).expect("process ids have 31 bits");
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut report = Report::default();
    let reported = read.read_exact(bytemuck::cast_slice_mut(&mut report));
    // It has ended or is frozen, and is not yet reaped: no other process can be hit.
    _ = kill(Pid::from_raw(child), Signal::SIGKILL);
    waitpid(Pid::from_raw(child), None)?;
    reported.map_err(|error| {
        let kind = error.kind();
        io::Error::new(
            kind,
            "the process that makes it does not go on; is the cgroup frozen?",
        )
    })?;
    let [errno, a, b, c] = report;
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    // SAFETY: the child made them for this process, which shares its descriptors.
    Ok([a, b, c].map(|socket| unsafe { OwnedFd::from_raw_fd(socket) }))
}

/// The child: moves into the cgroup, makes the sockets and reports them.
fn make(entrance: RawFd, report_to: RawFd, kinds: [(libc::c_int, libc::c_int); 3]) -> ! {
    let mut report = Report::default();
    let this_process = b"0";
    // SAFETY: system calls on open descriptors and buffers that are as long as said. Nothing
    // allocates or locks.
    unsafe {
        if libc::write(entrance, this_process.as_ptr().cast(), 1) < 0 {
            report[0] = *libc::__errno_location();
        }
        for ((family, kind), socket) in kinds.into_iter().zip(&mut report[1..]) {
            *socket = libc::socket(family, kind | libc::SOCK_CLOEXEC, 0);
        }
        if report[0] == 0 && report[1..].contains(&-1) {
            report[0] = *libc::__errno_location();
        }
        if report[0] != 0 {
            for &socket in report[1..].iter().filter(|socket| **socket >= 0) {
                libc::close(socket);
            }
        }
        libc::write(report_to, report.as_ptr().cast(), size_of::<Report>());
        libc::_exit(0)
    }
}
