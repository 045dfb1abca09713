//! Finds out what can be seen from outside when no agent answers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mesh_core::doctor::{self, PathKind};
use mesh_files::{inspect, mounts};

use crate::api::{
    client::Error,
    types::{Diagnosis, Finding},
};

/// Returns the findings without an agent.
pub(super) fn diagnose(error: &Error, socket: &Path, pin_dir: &Path) -> Diagnosis {
    let cgroup = mounts::cgroup2().ok().flatten();
    let mut findings = vec![no_answer(error, socket), pinned(pin_dir)];
    if cgroup.is_none() {
        findings.push(Finding::error(
            "cgroup",
            "no cgroup2 filesystem is mounted",
            "mount one with `mount -t cgroup2 none /sys/fs/cgroup`",
        ));
    }
    let paths = [
        (PathKind::PinDirectory, pin_dir.to_owned()),
        (PathKind::Socket, socket.to_owned()),
    ];
    // A missing socket is the first finding.
    let there: Vec<(PathKind, PathBuf)> = paths
        .into_iter()
        .filter(|(_, path)| path.exists())
        .collect();
    let facts = inspect::node(&cgroup.unwrap_or_default(), &there, 0);
    findings.extend(doctor::node(&facts));
    Diagnosis {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        findings,
    }
}

fn no_answer(error: &Error, socket: &Path) -> Finding {
    let socket = socket.display();
    let start = "start it with `systemctl start mesh-agent` or `mesh-agent run`, or name its socket with --socket; what follows \
                 was seen from outside";
    let (what, remedy) = match error {
        Error::NoAgent { .. } | Error::Stopped { .. } => {
            (format!("no agent answers on {socket}"), start)
        }
        Error::Permission { .. } => (
            format!("no permission to open {socket}"),
            "run meshctl as root",
        ),
        Error::Timeout { .. } => (
            error.to_string(),
            "look at its process: `systemctl status mesh-agent`; a restart stops no traffic",
        ),
        Error::NotFound { .. } => (
            "the agent is older than meshctl and knows no doctor".to_owned(),
            "install both from one release, and restart the agent",
        ),
        Error::Broken { .. }
        | Error::Declined { .. }
        | Error::NotLoaded { .. }
        | Error::Refused { .. }
        | Error::Unreadable { .. } => (
            error.to_string(),
            "try again; if that does not help, restart the agent: no traffic stops",
        ),
    };
    Finding::error("agent", what, remedy)
}

fn pinned(pin_dir: &Path) -> Finding {
    let directory = pin_dir.join("links");
    let links = directory.display();
    match fs::read_dir(pin_dir.join("links")) {
        Ok(entries) => match entries.count() {
            0 => no_programs(pin_dir),
            count => Finding::ok(
                "programs",
                format!(
                    "{count} programs are pinned in {links}: connects are served as of the last configuration"
                ),
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => no_programs(pin_dir),
        Err(error) => Finding::warning(
            "programs",
            format!("cannot read {links}: {error}"),
            "run meshctl as root",
        ),
    }
}

fn no_programs(pin_dir: &Path) -> Finding {
    Finding::error(
        "programs",
        format!(
            "no programs are pinned in {}: services are not served",
            pin_dir.display()
        ),
        "start the agent, or name its directory with --pin-dir",
    )
}
