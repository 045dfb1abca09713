//! Build, test and lint: cargo, after the setup steps that each needs.

use std::process::Command;

use crate::{run, setup, workspace};

/// The kernel programs are built by the agent's build script for their own target, never by these
/// commands.
const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "mesh-ebpf"];

/// Builds `mesh-agent` and `meshctl`.
pub fn build() -> anyhow::Result<()> {
    setup::ensure(setup::BUILD)?;
    build_agent()
}

/// Builds everything, then becomes the test runner.
pub fn test(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(setup::TEST)?;
    run::check(&mut build_all())?;
    match run::replace(
        cargo(&["nextest", "run", "--release"])
            .args(HOST_CRATES)
            .args(arguments),
    )? {}
}

/// One build for the agent and the tests: apart, tests ask more of some dependencies, and much is
/// built twice.
pub fn build_all() -> Command {
    let mut build = cargo(&["build", "--release", "--bins", "--tests"]);
    build.args(HOST_CRATES);
    build
}

/// Format, lints, unused dependencies, and the licences, sources and advisories of all dependencies.
pub fn lint() -> anyhow::Result<()> {
    setup::ensure(setup::LINT)?;
    run::check(&mut cargo(&["fmt", "--all", "--check"]))?;
    run::check(cargo(&["clippy"]).args(HOST_CRATES).args([
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    let with_log = [
        "-p",
        "mesh-agent",
        "--features",
        "kernel-log",
        "--all-targets",
    ];
    run::check(
        cargo(&["clippy"])
            .args(with_log)
            .args(["--", "-D", "warnings"]),
    )?;
    unused_dependencies()?;
    run::check(&mut cargo(&[
        "deny", "check", "licenses", "bans", "sources",
    ]))?;
    advisories()
}

/// Looks for dependencies that are not used, those of tests included. By its own name: below `cargo
/// run` it does not recognise that cargo called it.
fn unused_dependencies() -> anyhow::Result<()> {
    let mut machete = Command::new("cargo-machete");
    run::check(
        machete
            .arg("--with-metadata")
            .current_dir(workspace::root()),
    )
}

/// Checks dependencies against the advisory database where that can be fetched, and says where it
/// cannot.
fn advisories() -> anyhow::Result<()> {
    let mut fetch = Command::new("timeout");
    match run::read(
        fetch
            .args(["60", "cargo", "deny", "fetch", "db"])
            .current_dir(workspace::root()),
    ) {
        Ok(_) => run::check(&mut cargo(&[
            "deny",
            "check",
            "--disable-fetch",
            "advisories",
        ])),
        Err(error) => {
            let reason = error.to_string();
            println!(
                "not checked  advisories, because their database cannot be fetched: {}",
                last_line(&reason)
            );
            println!(
                "             run `cargo deny check advisories` where github.com can be reached"
            );
            Ok(())
        }
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
}

/// Builds the agent and its command line, for callers that have run their setup.
pub fn build_agent() -> anyhow::Result<()> {
    run::check(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "mesh-agent",
        "--package",
        "meshctl",
    ]))
}

/// Cargo, at the top of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace::root());
    cargo
}
