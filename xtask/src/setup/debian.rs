//! Installs packages with `apt-get`, as root on Debian only: other systems name them differently.

use std::{fs, process::Command};

use anyhow::{Context, bail};
use nix::unistd::geteuid;

use crate::run;

/// Returns whether packages can be installed on this machine.
pub fn is_ours() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    geteuid().is_root() && is_debian(&release)
}

/// Installs packages, or fails with the command that installs them.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_ours() {
        bail!("on Debian as root: {by_hand}");
    }
    // Goes on after an error: the packages may be in the lists of other archives.
    let update = run::check(&mut apt(&["update"]));
    for package in packages {
        run::read(Command::new("apt-cache").args(["show", package]))
            .with_context(|| unknown(package, &update))?;
    }
    run::check(apt(&["install", "-y", "--no-install-recommends"]).args(packages))
}

fn unknown(package: &str, update: &anyhow::Result<()>) -> String {
    match update {
        Ok(()) => format!(
            "apt knows no package {package}: compiler and LLVM come from Debian 12's security archive"
        ),
        Err(error) => format!(
            "apt knows no package {package}, and its lists could not be brought up to date: {error}"
        ),
    }
}

fn apt(arguments: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn is_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| line == "ID=debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_not_debian() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!is_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }
}
