//! Build, test and lint: cargo, after the setup steps that each needs.

use std::process::Command;

use crate::{run, setup, workspace};

/// The kernel programs are built by the agent's build script for their own target, never by these commands.
const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "mesh-ebpf"];

/// Builds `mesh-agent` and `meshctl`.
pub fn build() -> anyhow::Result<()> {
    setup::ensure(setup::BUILD)?;
    build_agent()
}

/// Builds everything, then becomes the test runner.
pub fn test(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(setup::TEST)?;
    // One build for the agent and the tests: apart, tests ask more of some dependencies, and much is built twice.
    run::check(cargo(&["build", "--release", "--bins", "--tests"]).args(HOST_CRATES))?;
    match run::replace(cargo(&["nextest", "run", "--release"]).args(HOST_CRATES).args(arguments))? {}
}

/// Format, lints, and the licences and sources of all dependencies.
pub fn lint() -> anyhow::Result<()> {
    setup::ensure(setup::LINT)?;
    run::check(&mut cargo(&["fmt", "--all", "--check"]))?;
    run::check(cargo(&["clippy"]).args(HOST_CRATES).args(["--all-targets", "--", "-D", "warnings"]))?;
    run::check(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

/// Builds the agent, for callers that have run their setup.
pub fn build_agent() -> anyhow::Result<()> {
    run::check(&mut cargo(&["build", "--release", "--package", "mesh-agent"]))
}

/// Cargo, at the top of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace::root());
    cargo
}
