//! Kills the agent at each system call by which it changes something outside of itself, one run for
//! each: during its start with maps of other sizes, and while it applies a change.

use std::{
    env, io,
    mem::MaybeUninit,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mesh_core::api::types;
use mesh_tests::{
    Node, Server, api, binary,
    client::protocol::counts,
    node::{PATIENCE, SETTLE},
    service, wait,
};
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

const VIP: &str = "10.96.0.10:80";
/// Every map of a configurable size changes from one to the other.
const CAPACITIES: [&str; 2] = [
    "--max-services 1000 --max-backends 2000 --max-sockets 20000",
    "--max-services 1100 --max-backends 3000 --max-sockets 30000",
];

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
/// Calls that change names in a file system, of files or pins, or sync them.
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
/// Calls that change the content of a file, if their descriptor is a file of the state directory.
const WRITES: [(i64, &str); 5] = [
    (libc::SYS_write, "write"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
];
/// What runs in CI: the calls that decide which programs and maps serve.
const DECISIVE: [&str; 3] = ["BPF_LINK_CREATE", "BPF_LINK_UPDATE", "rename"];

/// Returns what the kernel says of a stopped thread. The `nix` function passes no size, and gets
/// nothing.
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
        libc::SYS_openat if entry.args[2] & u64::from(creates.cast_unsigned()) != 0 => {
            Some("openat")
        }
        _ => FILE_CALLS
            .iter()
            .find(is)
            .or_else(|| WRITES.iter().find(is).filter(|_| writes()))
            .map(|(_, name)| *name),
    }
}

/// How a run ended.
#[derive(PartialEq, Debug)]
enum End {
    /// It was killed right before this call.
    KilledAt(&'static str),
    /// It made fewer calls, and was killed when it had applied the change.
    Done,
}

/// An agent whose system calls are observed.
struct Traced {
    agent: Pid,
    state: PathBuf,
    counts: fn(&str) -> bool,
}

impl Traced {
    #[expect(clippy::zombie_processes, reason = "`run` waits for it")]
    fn start(node: &Node, flags: &str, counts: fn(&str) -> bool) -> Self {
        let mut command = node.mesh_agent(node.directories().run());
        command
            .args(flags.split(' '))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: one system call.
        unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
        let child: Child = command.spawn().expect("the agent starts");
        let agent = Pid::from_raw(child.id().try_into().expect("31 bits"));
        waitpid(agent, None).expect("it stops when it is executed");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(agent, options).expect("it is stopped");
        ptrace::syscall(agent, None).expect("it is stopped");
        Self {
            agent,
            state: node.directories().state.clone(),
            counts,
        }
    }

    /// Runs until the `number`th call from zero on, or until `is_done`.
    fn run(&self, number: usize, is_done: &AtomicBool) -> End {
        let mut seen = 0;
        let mut end = End::Done;
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let mut is_killed = false;
        loop {
            let stopped = waitpid(None, Some(flags)).expect("the agent is a child");
            if is_done.load(SeqCst) && !is_killed {
                is_killed = true;
                kill(self.agent, Signal::SIGKILL).expect("it is not yet reaped");
            }
            let (thread, signal) = match stopped {
                WaitStatus::Signaled(process, ..) | WaitStatus::Exited(process, _)
                    if process == self.agent =>
                {
                    assert!(is_killed, "the agent ended by itself: {stopped:?}");
                    return end;
                }
                WaitStatus::PtraceSyscall(thread) => {
                    let call = effect(thread, &self.state).filter(|call| (self.counts)(call));
                    if let Some(call) = call.filter(|_| !is_killed) {
                        if seen == number {
                            (is_killed, end) = (true, End::KilledAt(call));
                            kill(self.agent, Signal::SIGKILL).expect("it is not yet reaped");
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
                // It is gone when the process was killed.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("cannot continue {thread}: {error}"),
            }
        }
    }
}

/// Changes the configuration when the agent is ready, and waits until that is served.
struct Change {
    is_over: Arc<AtomicBool>,
    is_done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Change {
    fn start(node: &Node, content: String, expected: usize) -> Self {
        let [is_over, is_done] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (over, done) = (Arc::clone(&is_over), Arc::clone(&is_done));
        let (socket, file) = (node.directories().socket.clone(), node.file("cart.yaml"));
        let new = node.file(".cart.yaml.new");
        let look = move |path: &str| api::get(&socket, path).ok().filter(|it| it.code == 200);
        let wait = move |holds: &dyn Fn() -> bool| {
            let ended = || over.load(SeqCst) || holds();
            wait::until("the traced agent", Duration::from_secs(60), ended);
            !over.load(SeqCst)
        };
        let thread = thread::spawn(move || {
            let is_ready = || look("/v1/status").is_some_and(|it| it.json::<types::Status>().ready);
            if !wait(&is_ready) {
                return;
            }
            std::fs::write(&new, content).expect("there is room");
            std::fs::rename(&new, &file).expect("it is there");
            let is_served = || {
                let service = look("/v1/services/shop/cart");
                service.is_some_and(|it| {
                    let service: types::Service = it.json();
                    let endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
                    endpoints.filter(|endpoint| endpoint.active).count() == expected
                })
            };
            done.store(wait(&is_served), SeqCst);
        });
        Self {
            is_over,
            is_done,
            thread,
        }
    }

    fn end(self) {
        self.is_over.store(true, SeqCst);
        self.thread.join().expect("no deadline is over");
    }
}

/// Kills an agent at call after call of the kinds that `is_counted`, and starts the next one.
fn kill_at_each(is_counted: fn(&str) -> bool) {
    let mut node = Node::setup().prepare();
    let agent = binary::find("mesh-agent");
    node.next_agent(&agent, CAPACITIES[1]);
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let manifest = |servers: &[Server]| {
        let cart = service("shop/cart").address("10.96.0.10").tcp(80);
        String::from(cart.endpoints(servers))
    };
    node.write("cart.yaml", manifest(&servers[..2]));
    node.start_agent();
    let mut client = node.client();
    let (mut connects, mut slowest) = (0, Duration::ZERO);
    let mut calls: Vec<&str> = Vec::new();
    loop {
        let number = calls.len();
        node.kill_agent();
        let flags = CAPACITIES[number % 2];
        let load = client.tcp(VIP).again_and_again();
        let change = Change::start(&node, manifest(&servers), 3);
        let traced = Traced::start(&node, flags, is_counted);
        let end = traced.run(number, &change.is_done);
        change.end();
        node.write("cart.yaml", manifest(&servers[..2]));
        node.next_agent(&agent, flags);
        let start = Instant::now();
        node.start_agent();
        node.wait_until_served_within("shop/cart", &[&servers[0], &servers[1]], PATIENCE);
        slowest = slowest.max(start.elapsed());
        let report = load.stop();
        assert_eq!(report.errors, counts([]), "killed at {number}: {end:?}");
        assert_eq!(
            node.status().problems,
            [""; 0],
            "killed at {number}: {end:?}"
        );
        connects += report.total_answers();
        match end {
            End::KilledAt(call) => calls.push(call),
            End::Done => break,
        }
    }
    println!(
        "{} kills, {connects} connects, slowest start {slowest:?}: {calls:?}",
        calls.len()
    );
    assert!(calls.len() > 10, "{calls:?}");
    // A build without optimisation takes longer to check the programs.
    assert!(slowest < SETTLE || cfg!(debug_assertions), "{slowest:?}");
}

#[test]
fn agent_killed_at_any_decisive_call_leaves_a_node_that_serves() {
    kill_at_each(match env::var("MESH_KILLS").as_deref() {
        Ok("all") => |_| true,
        _ => |call| DECISIVE.contains(&call),
    });
}
