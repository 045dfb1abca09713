//! Filters of system calls (seccomp(2)), for after the start.
//!
//! ```text
//! call ──► kill filter ──► clone3 filter ──► allow list ──► kernel
//!             │ SIGSYS         │ ENOSYS         │ EPERM, logged by the kernel's audit
//! ```
//!
//! The lists of calls were made by running the tests under the filter. A call of a later C library that
//! is missing fails with EPERM and is in the kernel's log; `--system-call-filter=false` turns the
//! filter off.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::system_call_lists::{
    BPF_COMMANDS, DAEMON, DAEMON_OLD, EVERY, EVERY_OLD, FAMILIES, HELPER, HELPER_FAMILIES, IOCTLS,
    KILLED,
};

/// The filters cannot be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not for this processor.
    #[error("there is no system call filter for this processor: {0}")]
    Compile(#[from] BackendError),
    /// The kernel refused a filter.
    #[error(
        "the kernel refuses a system call filter (it needs CONFIG_SECCOMP_FILTER): {0}; start with \
         --system-call-filter=false to run without one"
    )]
    Install(io::Error),
}

/// Filters of one process, in the order in which they are installed, with flags.
pub struct Filters([(BpfProgram, libc::c_ulong); 3]);

const LOGGED: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_LOG;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl Filters {
    /// Returns the filters of the daemon.
    pub fn daemon() -> Result<Self, BackendError> {
        let mut allowed = calls(&[EVERY, EVERY_OLD, DAEMON, DAEMON_OLD]);
        allowed.insert(libc::SYS_socket, one_of(0, FAMILIES)?);
        allowed.insert(libc::SYS_bpf, one_of(0, BPF_COMMANDS)?);
        Self::allowing(allowed)
    }

    /// Returns the filters of the namespace helper.
    pub fn helper() -> Result<Self, BackendError> {
        let mut allowed = calls(&[EVERY, EVERY_OLD, HELPER]);
        // Reads only.
        let writes = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
        allowed.insert(libc::SYS_openat, without(2, writes)?);
        #[cfg(target_arch = "x86_64")]
        allowed.insert(libc::SYS_open, without(1, writes)?);
        allowed.insert(libc::SYS_socket, one_of(0, HELPER_FAMILIES)?);
        Self::allowing(allowed)
    }

    fn allowing(mut allowed: Rules) -> Result<Self, BackendError> {
        allowed.insert(libc::SYS_ioctl, one_of(1, IOCTLS)?);
        allowed.insert(libc::SYS_clone, threads()?);
        // Memory that can be executed is mapped before the filter is installed.
        let not_executable = || without(2, libc::PROT_EXEC);
        allowed.insert(libc::SYS_mmap, not_executable()?);
        allowed.insert(libc::SYS_mprotect, not_executable()?);
        let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let allow = SeccompAction::Allow;
        let hostile = compile(calls(&[KILLED]), allow.clone(), SeccompAction::KillProcess)?;
        // Its flags are in memory, which filters cannot read. Without it, clone(2) is used.
        let clone3 = compile(calls(&[&[libc::SYS_clone3]]), allow.clone(), missing)?;
        let list = compile(allowed, refused, allow)?;
        // The list is the last one, because it does not allow to install more.
        Ok(Self([(hostile, LOGGED), (clone3, 0), (list, LOGGED)]))
    }

    /// Installs the filters on all threads of this process, for good.
    pub fn install(&self) -> Result<(), Error> {
        self.0
            .iter()
            .try_for_each(|(program, flags)| install(program, *flags).map_err(Error::Install))
    }
}

/// Allows these calls with any arguments.
fn calls(lists: &[&[i64]]) -> Rules {
    let calls = lists.iter().copied().flatten();
    calls.map(|&call| (call, Vec::new())).collect()
}

/// Matches calls whose argument is one of these values.
fn one_of(argument: u8, values: &[libc::c_int]) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |value: &libc::c_int| {
        let is = condition(argument, SeccompCmpOp::Eq, value.unsigned_abs().into())?;
        SeccompRule::new(vec![is])
    };
    values.iter().map(rule).collect()
}

/// Matches calls whose argument has none of these bits.
fn without(argument: u8, bits: libc::c_int) -> Result<Vec<SeccompRule>, BackendError> {
    let mask = SeccompCmpOp::MaskedEq(bits.unsigned_abs().into());
    Ok(vec![SeccompRule::new(vec![condition(argument, mask, 0)?])?])
}

/// Matches clone(2) that starts a thread: neither a process nor a namespace.
fn threads() -> Result<Vec<SeccompRule>, BackendError> {
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let is_thread = condition(0, SeccompCmpOp::MaskedEq(thread), thread)?;
    Ok(vec![SeccompRule::new(vec![is_thread])?])
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let processor = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, processor)?.try_into()
}

/// Like [`seccompiler::apply_filter_all_threads`], with more flags.
fn install(program: &BpfProgram, flags: libc::c_ulong) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: program.len().try_into().expect("at most 4096 instructions"),
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the kernel copies `len` instructions, which have the layout of `struct sock_filter`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC | flags,
            &raw const filter,
        )
    };
    match result {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!(
            "thread {thread} has another filter"
        ))),
    }
}

#[cfg(test)]
mod tests;
