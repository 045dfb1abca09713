//! The agent of the demo, and its `meshctl`.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use super::{interrupt::Interrupt, site::Site};
use crate::{run, workspace};

/// Longest time until the agent is ready, and until it ends.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A running agent. Stopped when dropped; programs and maps stay in the kernel.
pub struct Agent(Child);

impl Agent {
    /// Starts the agent and waits until it is ready. Also returns the time that took.
    pub fn start(site: &Site, interrupt: &Interrupt) -> anyhow::Result<(Self, Duration)> {
        let start = Instant::now();
        let mut agent = Self(command(site)?.spawn().context("start mesh-agent")?);
        while !is_ready(site)? {
            if agent.0.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                bail!(
                    "mesh-agent is not ready:\n{}",
                    fs::read_to_string(log(site))?
                );
            }
            interrupt.wait(POLL)?;
        }
        Ok((agent, start.elapsed()))
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.0.id().try_into()?), Signal::SIGTERM)?;
        let start = Instant::now();
        while self.0.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                self.0.kill()?;
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}

/// Returns a `meshctl` command for the agent of this demo.
pub fn meshctl(site: &Site, arguments: &[&str]) -> Command {
    let mut meshctl = Command::new(workspace::built().join("meshctl"));
    meshctl.arg("--socket").arg(site.socket()).args(arguments);
    meshctl
}

/// Returns the connects that the kernel counted for a service, over all its addresses and ports.
pub fn counted_connects(site: &Site, service: &str) -> anyhow::Result<u64> {
    let json = run::read(&mut meshctl(
        site,
        &["-o", "json", "-n", "shop", "service", "get", service],
    ))?;
    connects_in(&json).with_context(|| format!("no counters in {json}"))
}

fn connects_in(service: &str) -> Option<u64> {
    let service: serde_json::Value = serde_json::from_str(service).ok()?;
    service["ports"]
        .as_array()?
        .iter()
        .map(|port| port["counters"]["connects"].as_u64())
        .sum()
}

fn command(site: &Site) -> anyhow::Result<Command> {
    let log = File::options().create(true).append(true).open(log(site))?;
    let mut agent = Command::new(workspace::built().join("mesh-agent"));
    // The settings of an agent of this machine must not affect this one.
    agent
        .env_clear()
        .arg("run")
        .arg("--config")
        .arg(site.settings());
    agent
        .arg("--services")
        .arg(site.services())
        .arg("--cgroup")
        .arg(&site.cgroup);
    agent
        .arg("--pin-dir")
        .arg(&site.pins)
        .arg("--socket")
        .arg(site.socket())
        .arg("--state-dir")
        .arg(site.state());
    // Ctrl-C must reach only the demo, which stops the agent.
    agent
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // SAFETY: prctl is one system call; nothing is allocated or locked between fork and exec.
    unsafe { agent.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
    Ok(agent)
}

fn is_ready(site: &Site) -> anyhow::Result<bool> {
    let status = meshctl(site, &["status"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(status.context("start meshctl")?.success())
}

fn log(site: &Site) -> std::path::PathBuf {
    site.run.join("agent.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_are_summed_over_ports() {
        let service =
            r#"{"name":"a","ports":[{"counters":{"connects":2}},{"counters":{"connects":3}}]}"#;
        assert_eq!(connects_in(service), Some(5));
        assert_eq!(connects_in("{}"), None);
    }
}
