//! Errors of searching for sockets and of closing them.

use std::io;

use nix::errno::Errno;

/// Why sockets could not be searched for or closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("stale sockets stay open: this kernel is built without CONFIG_INET_DIAG_DESTROY")]
    KernelCannotDestroy,
    #[error("stale {0} sockets stay open: this kernel is built without CONFIG_INET_{0}_DIAG")]
    KernelCannotList(&'static str),
    #[error("stale sockets stay open: closing them needs CAP_NET_ADMIN")]
    NetAdminMissing,
    #[error(
        "stale sockets outside the agent's own network namespace stay open: entering another namespace needs \
         CAP_SYS_ADMIN"
    )]
    SysAdminMissing,
    #[error(
        "network namespaces of some processes cannot be searched for stale sockets: that needs CAP_SYS_PTRACE"
    )]
    PtraceMissing,
    #[error("cannot open network namespace {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("cannot enter network namespace {path}: {source}")]
    Enter { path: String, source: Errno },
    #[error("cannot tell which network namespace this is: {0}")]
    Netns(io::Error),
    #[error("cannot {action} sockets: {source}")]
    Netlink { action: &'static str, source: Errno },
    #[error("cannot start a thread that searches for stale sockets: {0}")]
    Thread(io::Error),
}
