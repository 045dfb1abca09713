//! The upgrade from an earlier agent and the roll-back to it: both agents are built, then this process
//! becomes the test that switches between them under load.
//!
//! ```text
//! git: revision ──archive──► target/upgrade/<revision> ──cargo──► earlier agent ─┐
//! this workspace ──cargo──► present agent, tests ────────────────────────────────┴──► switches under load
//! ```
//!
//! Both agents are built in one target directory with one profile, so that dependencies are built once.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::{cargo, run, setup, workspace};

/// File with the version of the layout of the maps.
const LAYOUT: &str = "mesh-common/src/abi.rs";
const VERSION: &str = "pub const ABI_VERSION: ";
const TEST: &str = "test(agents_of_two_releases_follow_each_other_under_load)";

/// Between which agents, and how often.
#[derive(Args)]
pub struct Options {
    /// Revision of the earlier agent; by default the last one with another layout of the maps
    #[arg(long)]
    from: Option<String>,
    /// Number of switches, an even one
    #[arg(long, default_value_t = 50)]
    switches: u32,
}

/// Builds both agents, then becomes the test.
pub fn upgrade(options: &Options) -> anyhow::Result<()> {
    ensure!(
        options.switches.is_multiple_of(2),
        "--switches must be even"
    );
    setup::ensure(setup::UPGRADE)?;
    let from = options.from.clone();
    let revision = from.map_or_else(last_with_other_layout, Ok)?;
    let earlier = build(&revision)?;
    cargo::build_agent()?;
    let mut test = cargo::optimised(&["nextest", "run"], "--cargo-profile");
    test.args(["--package", "mesh-tests", "--test", "kernel"])
        .args(["--run-ignored", "only", "--no-capture", "-E", TEST])
        .env("MESH_PREVIOUS_AGENT", earlier)
        .env("MESH_SWITCHES", options.switches.to_string());
    match run::replace(&mut test)? {}
}

/// Returns the last revision whose maps have another layout than those of this workspace.
fn last_with_other_layout() -> anyhow::Result<String> {
    let layout = fs::read_to_string(workspace::root().join(LAYOUT))?;
    let present = version(&layout).context("no version of the layout in this workspace")?;
    let changes = run::read(git().args(["log", "--format=%H", "--", LAYOUT]))?;
    for revision in changes.lines() {
        let then = run::read(git().arg("show").arg(format!("{revision}:{LAYOUT}")))?;
        if version(&then).is_some_and(|then| then != present) {
            return Ok(revision.to_owned());
        }
    }
    anyhow::bail!(
        "the history has no other layout than {present}: fetch all of it, or name a revision with --from"
    )
}

/// Returns the version of the layout that a file defines.
fn version(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix(VERSION))
}

/// Builds the agent of a revision from a copy of its sources, unless it is there. Returns its program.
fn build(revision: &str) -> anyhow::Result<PathBuf> {
    let directory = workspace::target().join("upgrade").join(revision);
    let agent = directory.join("mesh-agent");
    if agent.exists() {
        return Ok(agent);
    }
    let sources = directory.join("sources");
    fs::create_dir_all(&sources)?;
    let archive = directory.join("sources.tar");
    let mut write = git();
    run::check(
        write
            .args(["archive", "--output"])
            .arg(&archive)
            .arg(revision),
    )?;
    let mut extract = Command::new("tar");
    run::check(extract.arg("-xf").arg(&archive).arg("-C").arg(&sources))?;
    let mut build = cargo::optimised(&["build", "--package", "mesh-agent"], "--profile");
    // The revision may not have this profile.
    for setting in ["inherits=\"release\"", "debug=false", "strip=\"symbols\""] {
        build.args(["--config".into(), format!("profile.dist.{setting}")]);
    }
    build
        .current_dir(&sources)
        .arg("--target-dir")
        .arg(workspace::target());
    run::check(&mut build)?;
    // The agent of this workspace takes its place.
    let built = workspace::built().join("mesh-agent");
    fs::copy(&built, &agent).with_context(|| built.display().to_string())?;
    Ok(agent)
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_this_workspace_has_a_version() {
        let text = fs::read_to_string(workspace::root().join(LAYOUT)).expect("it is there");
        let version = version(&text).expect("a line with the version");
        assert!(version.starts_with("u32 = "), "{version}");
    }
}
