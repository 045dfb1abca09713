//! A clean Debian with systemd, on which the tests install the package. Its files are kept; the
//! tests write to a layer above them.

use std::{fs, path::PathBuf, process::Command};

use super::{Step, programs};
use crate::{run, workspace};

pub const STEP: Step = Step {
    name: "clean Debian",
    find,
    install,
};

/// Debian 12: the oldest with a kernel that is supported.
const SUITE: &str = "bookworm";

fn directory() -> PathBuf {
    workspace::target().join("debian-12")
}

fn find() -> Option<String> {
    directory()
        .exists()
        .then(|| directory().display().to_string())
}

fn install() -> anyhow::Result<()> {
    super::ensure(&[programs::PACKAGES])?;
    // Renamed at the end, so that an interrupted run leaves no incomplete directory under this name.
    let partial = directory().with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(workspace::target())?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--mode=root", "--variant=essential", "--include=systemd"])
        .args(["--quiet", SUITE])
        .arg(&partial);
    run::check(&mut make)?;
    Ok(fs::rename(partial, directory())?)
}
