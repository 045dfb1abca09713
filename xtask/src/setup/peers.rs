//! Programs with which the bench compares the agent. It also runs without them, and names those that
//! are missing.

use std::{fs, path::Path, process::Command};

use super::{debian, programs};
use crate::run;

/// Name of the program and the Debian package that has it.
const PROGRAMS: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("iptables-legacy-restore", "iptables"),
    ("nft", "nftables"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
];

/// Packages that would start a daemon when they are installed, and at each boot.
const DAEMONS: [&str; 3] = ["haproxy", "nginx", "nftables"];

/// A script that keeps packages from starting daemons: `man 8 invoke-rc.d`.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs missing programs where possible.
pub fn offer() {
    let missing = programs::missing(&PROGRAMS);
    if missing.is_empty() {
        println!(
            "ok          programs to compare with: {}",
            PROGRAMS.map(|(program, _)| program).join(", ")
        );
        return;
    }
    println!(
        "installing  programs to compare with: {}",
        missing.join(", ")
    );
    if let Err(error) = install(&missing) {
        println!("missing     {error:#}");
    }
}

fn install(missing: &[&str]) -> anyhow::Result<()> {
    let policy = Policy::set()?;
    let installed = debian::install(missing);
    drop(policy);
    if Path::new("/run/systemd/system").exists() {
        for daemon in DAEMONS
            .into_iter()
            .filter(|daemon| missing.iter().any(|package| package.starts_with(daemon)))
        {
            run::check(Command::new("systemctl").args(["disable", daemon]))?;
        }
    }
    installed
}

/// Keeps daemons from starting until it is dropped.
struct Policy {
    is_ours: bool,
}

impl Policy {
    fn set() -> anyhow::Result<Self> {
        let is_ours = debian::is_ours() && !Path::new(POLICY).exists();
        if is_ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            run::read(Command::new("chmod").args(["755", POLICY]))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.is_ours {
            // The owner of the machine may want to start daemons.
            _ = fs::remove_file(POLICY);
        }
    }
}
