//! An agent whose system calls are observed, and that is killed right before one of them.

use std::{
    io,
    mem::MaybeUninit,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use mesh_tests::Node;
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Commands of `bpf(2)` whose effect outlives the process, `enum bpf_cmd`. Maps and programs that
/// are created but not pinned end with it.
const BPF_COMMANDS: [(u64, &str); 8] = [
    (2, "BPF_MAP_UPDATE_ELEM"),
    (3, "BPF_MAP_DELETE_ELEM"),
    (6, "BPF_OBJ_PIN"),
    (10, "BPF_PROG_TEST_RUN"),
    (26, "BPF_MAP_UPDATE_BATCH"),
    (28, "BPF_LINK_CREATE"),
    (29, "BPF_LINK_UPDATE"),
    (8, "BPF_PROG_ATTACH"),
];
/// Calls that create, rename, remove or sync files or pins.
const FILE_CALLS: [(i64, &str); 14] = [
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_link, "link"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_bind, "bind"),
];
/// The call that creates or empties a file.
const OPEN: &str = "openat";
/// Calls that change the content of a file, if their descriptor is a file of the state directory.
const WRITES: [(i64, &str); 5] = [
    (libc::SYS_write, "write"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
];

/// Returns the names of all these calls.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let commands = BPF_COMMANDS.iter().map(|(_, name)| *name);
    let calls = FILE_CALLS.iter().chain(&WRITES).map(|(_, name)| *name);
    commands.chain(calls).chain([OPEN])
}

/// Returns the system call at which a thread is stopped. `nix` has a function for this that passes no
/// size, so the kernel writes nothing.
fn syscall_info(thread: Pid) -> Option<libc::ptrace_syscall_info> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: the kernel writes at most this number of bytes, and all bytes are a valid value.
    unsafe {
        let request = libc::PTRACE_GET_SYSCALL_INFO;
        let written = libc::ptrace(request, thread.as_raw(), size, info.as_mut_ptr());
        (written > 0).then(|| info.assume_init())
    }
}

/// Returns the name of the call that a stopped thread is about to make, if it has an effect outside
/// of the process.
fn effect(thread: Pid, state: &Path) -> Option<&'static str> {
    let info = syscall_info(thread)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: the kernel filled in the part of the union that `op` names.
    let entry = unsafe { info.u.entry };
    let call = i64::try_from(entry.nr).ok()?;
    let is = |(number, _): &&(i64, &str)| *number == call;
    let writes = || {
        let file = format!("/proc/{thread}/fd/{}", entry.args[0]);
        std::fs::read_link(file).is_ok_and(|file| file.starts_with(state))
    };
    let creates = libc::O_CREAT | libc::O_TRUNC;
    match call {
        libc::SYS_bpf => BPF_COMMANDS
            .iter()
            .find(|(command, _)| *command == entry.args[0])
            .map(|(_, name)| *name),
        libc::SYS_openat if entry.args[2] & u64::from(creates.cast_unsigned()) != 0 => Some(OPEN),
        _ => FILE_CALLS
            .iter()
            .find(is)
            .or_else(|| WRITES.iter().find(is).filter(|_| writes()))
            .map(|(_, name)| *name),
    }
}

/// How a run ended.
#[derive(PartialEq, Debug)]
pub enum End {
    /// The agent was killed right before the call.
    Killed,
    /// The agent made fewer calls, and was killed after it had applied the change.
    Done,
}

/// An agent whose system calls are observed.
pub struct Traced {
    agent: Pid,
    state: PathBuf,
    kind: &'static str,
}

impl Traced {
    #[expect(clippy::zombie_processes, reason = "`run` waits for it")]
    pub fn start(node: &Node, flags: &str, kind: &'static str) -> Self {
        let mut command = node.mesh_agent(node.directories().run());
        command
            .args(flags.split(' '))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: one system call.
        unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
        let child: Child = command.spawn().expect("the agent starts");
        let agent = Pid::from_raw(child.id().try_into().expect("31 bits"));
        waitpid(agent, None).expect("a traced process stops at exec");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(agent, options).expect("the agent is stopped");
        ptrace::syscall(agent, None).expect("the agent is stopped");
        Self {
            agent,
            state: node.directories().state.clone(),
            kind,
        }
    }

    /// Runs until call number `number` of the kind, counted from zero, or until `is_done`.
    pub fn run(&self, number: usize, is_done: &AtomicBool) -> End {
        let mut seen = 0;
        let mut end = End::Done;
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let mut is_killed = false;
        loop {
            let stopped = waitpid(None, Some(flags)).expect("the agent is a child");
            if is_done.load(SeqCst) && !is_killed {
                is_killed = true;
                kill(self.agent, Signal::SIGKILL).expect("the agent is not yet reaped");
            }
            let (thread, signal) = match stopped {
                WaitStatus::Signaled(process, ..) | WaitStatus::Exited(process, _)
                    if process == self.agent =>
                {
                    assert!(is_killed, "the agent ended by itself: {stopped:?}");
                    return end;
                }
                WaitStatus::PtraceSyscall(thread) => {
                    let call = effect(thread, &self.state).filter(|_| !is_killed);
                    if call == Some(self.kind) {
                        if seen == number {
                            (is_killed, end) = (true, End::Killed);
                            kill(self.agent, Signal::SIGKILL).expect("the agent is not yet reaped");
                        }
                        seen += 1;
                    }
                    (thread, None)
                }
                WaitStatus::Stopped(thread, Signal::SIGSTOP) => (thread, None),
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                _ => continue,
            };
            match ptrace::syscall(thread, signal) {
                // A killed process has no threads left.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("cannot continue {thread}: {error}"),
            }
        }
    }
}
