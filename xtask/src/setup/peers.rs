//! The others that the bench measures. A machine without them still runs it: what is missing is
//! named there.

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

/// Packages that would start a daemon when installed, and with the machine.
const DAEMONS: [&str; 3] = ["haproxy", "nginx", "nftables"];

/// A script that forbids packages to start daemons: `man 8 invoke-rc.d`.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, where that is possible.
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

/// No daemon is started while this is held.
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
            // It forbids what the owner of the machine may want.
            _ = fs::remove_file(POLICY);
        }
    }
}
