//! The agent of a node: a child process that logs to a file.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ExitStatus},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Node, PATIENCE};
use crate::wait;

/// Names of the hooks to which every agent attaches a program, in order.
pub const HOOKS: [&str; 10] = [
    "connect4",
    "connect6",
    "getpeername4",
    "getpeername6",
    "recvmsg4",
    "recvmsg6",
    "sendmsg4",
    "sendmsg6",
    "sock_ops",
    "sock_release",
];

/// A running agent; killed when dropped.
pub struct Agent {
    process: Child,
}

impl Agent {
    /// Sends `signal` and waits for the end.
    fn end(&mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_raw(
            self.process
                .id()
                .try_into()
                .expect("process ids are positive numbers of 31 bits"),
        );
        // It is this process's child, and not yet reaped: no other process can be hit.
        kill(pid, signal).expect("a child can be signalled until it is reaped");
        wait::until_some(
            &format!("end of the agent after {signal}"),
            PATIENCE,
            || self.ended(),
        )
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is this process's child")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    /// Starts the agent and waits until it is ready.
    pub fn start_agent(&mut self) {
        self.launch_agent();
        self.wait_until_ready(Duration::from_secs(30));
    }

    /// Starts the agent.
    pub fn launch_agent(&mut self) {
        assert!(self.agent.is_none(), "the agent of this node runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the directory is new");
        let mut words = self.command.iter();
        let mut command = self
            .place
            .command(words.next().expect("the command begins with the agent"));
        command.args(words).args(self.directories.run());
        command
            .args(&self.flags)
            .stdout(log.try_clone().expect("descriptors are left for a copy"))
            .stderr(log);
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start the agent: {error}"));
        self.agent = Some(Agent { process });
    }

    /// Stops the agent with SIGTERM; it must exit successfully.
    pub fn stop_agent(&mut self) {
        let status = self.take_agent().end(Signal::SIGTERM);
        assert!(
            status.success(),
            "the agent ended with {status} after SIGTERM"
        );
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) {
        let status = self.take_agent().end(Signal::SIGKILL);
        assert_eq!(
            status.signal(),
            Some(libc::SIGKILL),
            "the agent ended before it was killed"
        );
    }

    /// Waits until the agent has ended by itself.
    pub fn wait_until_agent_ended(&mut self) -> ExitStatus {
        let mut agent = self.take_agent();
        wait::until_some("end of the agent", PATIENCE, || agent.ended())
    }

    fn take_agent(&mut self) -> Agent {
        self.agent.take().expect("an agent runs")
    }

    /// Panics if the agent has ended by itself.
    pub(super) fn expect_agent_lives(&mut self) {
        if let Some(status) = self.agent.as_mut().and_then(Agent::ended) {
            panic!("the agent ended with {status}");
        }
    }

    /// Resident memory of the running agent, in KiB.
    pub fn agent_memory_kib(&self) -> u64 {
        kib(&self.agent_proc("status", "VmRSS:"))
    }

    /// Peak resident memory of the running agent, in KiB.
    pub fn agent_peak_memory_kib(&self) -> u64 {
        kib(&self.agent_proc("status", "VmHWM:"))
    }

    /// Process id of the running agent.
    pub fn agent_pid(&self) -> u32 {
        self.agent.as_ref().expect("an agent runs").process.id()
    }

    /// Returns the rest of a line in a file of `/proc` about the running agent.
    pub fn agent_proc(&self, file: &str, start: &str) -> String {
        let pid = self.agent.as_ref().expect("an agent runs").process.id();
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the agent lives");
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no {start} in {text}"))
            .trim()
            .to_owned()
    }

    /// Number of open descriptors of the running agent.
    pub fn agent_descriptors(&self) -> usize {
        let pid = self.agent.as_ref().expect("an agent runs").process.id();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("the agent lives");
        open.count()
    }

    /// Returns the CPU time of the running agent, with a resolution of 10 ms.
    pub fn agent_cpu(&self) -> Duration {
        let pid = self.agent.as_ref().expect("an agent runs").process.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the agent lives");
        // The fields after the name in brackets; utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(") ").expect("every process has a name");
        let ticks = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number of ticks"));
        // USER_HZ is 100 with every configuration of the kernel.
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Returns the log of all agents of this node.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("agent.log")
    }
}

/// Parses a number of `/proc/PID/status`.
fn kib(text: &str) -> u64 {
    text.strip_suffix(" kB")
        .expect("the kernel writes KiB")
        .parse()
        .expect("a number of KiB")
}
