//! The BPF file system, where maps and links stay while no process holds them.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use nix::{
    mount::{MsFlags, mount},
    unistd::geteuid,
};

use super::Step;

pub const STEP: Step = Step {
    name: "BPF file system",
    find,
    install,
};

/// Where every tool expects it.
pub const PATH: &str = "/sys/fs/bpf";

fn find() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    is_mounted(&mounts).then(|| PATH.to_owned())
}

fn install() -> anyhow::Result<()> {
    if !geteuid().is_root() {
        bail!("as root: mount -t bpf bpf {PATH}");
    }
    mount(
        Some("bpf"),
        Path::new(PATH),
        Some("bpf"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("mount -t bpf bpf {PATH}"))
}

fn is_mounted(mounts: &str) -> bool {
    mounts
        .lines()
        .any(|line| line.split(' ').skip(1).take(2).eq([PATH, "bpf"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bpf_mount_in_its_place_counts() {
        assert!(is_mounted(
            "none /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"
        ));
        assert!(!is_mounted(
            "tmpfs /sys/fs/bpf tmpfs rw 0 0\nbpf /mnt bpf rw 0 0\n"
        ));
    }
}
