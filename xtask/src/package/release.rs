//! Version, commit and time of a package.

use std::{env, process::Command};

use anyhow::Context;

use crate::{run, workspace};

/// The sources of a package.
pub struct Release {
    /// As in `Cargo.toml`; all crates have the same.
    pub version: &'static str,
    /// Debian revision.
    pub revision: u32,
    /// Commit, with `-dirty` if files differ from it; absent where the sources are no git repository.
    pub commit: Option<String>,
    /// Time of all files, seconds since 1970.
    pub epoch: u64,
}

impl Release {
    /// Describes the sources of this workspace.
    pub fn of_sources(revision: u32) -> anyhow::Result<Self> {
        let commit = git(&[
            "describe",
            "--always",
            "--abbrev=40",
            "--dirty",
            "--exclude=*",
        ])
        .ok();
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => git(&["log", "-1", "--format=%ct"]).context(
                "the time of the sources is not known: set SOURCE_DATE_EPOCH, or package from a git repository",
            )?,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            revision,
            commit,
            epoch: epoch.parse().with_context(|| {
                format!("SOURCE_DATE_EPOCH is {epoch}, not a number of seconds")
            })?,
        })
    }

    /// Returns the time in RFC 3339.
    pub fn created(&self) -> anyhow::Result<String> {
        let time = format!("--date=@{}", self.epoch);
        let utc = run::read(Command::new("date").args(["--utc", &time, "+%Y-%m-%dT%H:%M:%SZ"]))?;
        Ok(utc.trim().to_owned())
    }
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = run::read(
        Command::new("git")
            .args(arguments)
            .current_dir(workspace::root()),
    )?;
    Ok(output.trim().to_owned())
}
