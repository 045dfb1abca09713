//! A place: the cgroup and the network namespace in which a process runs. Programs run for the
//! sockets *created* in a cgroup, so a process must enter its place before it runs.

use std::{
    ffi::OsStr,
    io,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::Command,
    sync::Arc,
};

use crate::{cgroup::Cgroup, netns::Netns};

/// A cgroup and a network namespace.
#[derive(Clone)]
pub struct Place {
    /// The cgroup, which decides which programs see a socket.
    pub cgroup: Arc<Cgroup>,
    /// The network namespace, which decides what a socket can reach.
    pub netns: Arc<Netns>,
}

impl Place {
    /// A new cgroup and a new namespace.
    pub fn new() -> Self {
        Self {
            cgroup: Arc::new(Cgroup::new()),
            netns: Arc::new(Netns::new()),
        }
    }

    /// A cgroup below this one's, and a new namespace.
    pub fn child(&self) -> Self {
        Self {
            cgroup: Arc::new(self.cgroup.child()),
            netns: Arc::new(Netns::new()),
        }
    }

    /// A cgroup of this name below this one's, in the same namespace.
    pub fn below(&self, name: &str) -> Self {
        Self {
            cgroup: Arc::new(self.cgroup.below(name)),
            netns: Arc::clone(&self.netns),
        }
    }

    /// Returns a command that runs here, and dies with the thread that starts it, so that a killed
    /// test leaves no process.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let entrance = self.cgroup.entrance();
        let netns = Arc::clone(&self.netns);
        let settle = move || {
            die_with_parent()?;
            enter_cgroup(&entrance)?;
            netns.enter()
        };
        let mut command = Command::new(program);
        // SAFETY: three system calls on descriptors that are open already; nothing allocates or
        // locks.
        unsafe { command.pre_exec(settle) };
        command
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory.
    succeed(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }.into())
}

fn enter_cgroup(entrance: &impl AsRawFd) -> io::Result<()> {
    let this_process = b"0";
    // SAFETY: the buffer has the length that is passed.
    let written = unsafe {
        libc::write(
            entrance.as_raw_fd(),
            this_process.as_ptr().cast(),
            this_process.len(),
        )
    };
    succeed(written.try_into().unwrap_or(-1))
}

fn succeed(result: i64) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
