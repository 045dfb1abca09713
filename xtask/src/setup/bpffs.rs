//! The BPF file system, where maps and links are pinned.

use std::path::Path;

use anyhow::{Context, bail};
use nix::{
    mount::{MsFlags, mount},
    unistd::geteuid,
};

use super::Step;
use crate::mounts;

pub const STEP: Step = Step {
    name: "BPF file system",
    find,
    install,
};

/// Its usual mount point.
pub const PATH: &str = "/sys/fs/bpf";

fn find() -> Option<String> {
    let is_mounted = mounts::is_mounted("bpf", Path::new(PATH)).ok()?;
    is_mounted.then(|| PATH.to_owned())
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
