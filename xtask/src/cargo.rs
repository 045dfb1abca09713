//! Build, test and lint: cargo, after the setup steps that each needs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{run, setup, workspace};

/// The kernel programs are built by the agent's build script for their own target, never by these
/// commands.
const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "mesh-ebpf"];

/// Builds `mesh-agent` and `meshctl`.
pub fn build() -> anyhow::Result<()> {
    setup::ensure(setup::BUILD)?;
    build_agent()?;
    println!("built  {}", workspace::built().display());
    Ok(())
}

/// Builds everything, then replaces this process by the test runner. The agent under test is the one that packages
/// hold.
pub fn test(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(setup::TEST)?;
    build_all()?;
    match run::replace(
        optimised(&["nextest", "run"], "--cargo-profile")
            .args(HOST_CRATES)
            .args(arguments),
    )? {}
}

/// Builds the agent, and the tests with the programs that they need.
pub fn build_all() -> anyhow::Result<()> {
    build_agent_with_kernel_log()?;
    build_agent()?;
    run::check(&mut build_tests())
}

/// Builds the agent whose programs log, for the test of that log. The agent itself takes its place
/// in the directory afterwards.
fn build_agent_with_kernel_log() -> anyhow::Result<()> {
    let mut build = optimised(&["build", "--package", "mesh-agent"], "--profile");
    run::check(build.args(["--bins", "--features", "kernel-log"]))?;
    let [agent, with_log] =
        ["mesh-agent", "mesh-agent-kernel-log"].map(|name| workspace::built().join(name));
    replace(&agent, &with_log)
}

/// Returns the command that builds the tests.
pub fn build_tests() -> Command {
    let mut build = optimised(&["build", "--tests"], "--profile");
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

/// Checks dependencies against the advisory database. Prints a line instead if the database cannot be
/// fetched.
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

/// The agent and its command line.
pub const BINARIES: [&str; 2] = ["mesh-agent", "meshctl"];

/// Builds the agent and its command line, linked statically so that they run on any distribution,
/// for callers that have run their setup.
pub fn build_agent() -> anyhow::Result<()> {
    let mut build = optimised(&["build"], "--profile");
    run::check(build.args(BINARIES.map(|binary| format!("--package={binary}"))))
}

/// Cargo, for what packages hold and for all that is tested and measured with it: one profile, so
/// that dependencies are built once. `profile` is the option that names the profile.
pub fn optimised(arguments: &[&str], profile: &str) -> Command {
    let triple = workspace::triple();
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if packs_relocations() {
        // They take 1 MB of a static agent otherwise.
        flags.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
    }
    flags.extend(replaced_paths().map(|(path, name)| format!("--remap-path-prefix={path}={name}")));
    // Not in the environment: tests that call cargo would inherit it. A list of strings is the same in JSON and TOML.
    let flags = format!("target.{triple}.rustflags={}", serde_json::json!(flags));
    let mut cargo = cargo(arguments);
    cargo.args([profile, "dist", "--target", &triple, "--config", &flags]);
    cargo
}

/// Returns whether the C library of this machine, which is linked in, applies packed relocations: glibc
/// does from 2.36 on (Debian 12).
fn packs_relocations() -> bool {
    let version = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    version.is_ok_and(|it| is_recent(&String::from_utf8_lossy(&it.stdout)))
}

/// Reads `glibc 2.36`.
fn is_recent(text: &str) -> bool {
    let version = text.trim().strip_prefix("glibc ");
    let numbers = version.and_then(|it| it.split_once('.'));
    let parse = |text: &str| text.parse::<u32>().ok();
    numbers
        .and_then(|(major, minor)| Some((parse(major)?, parse(minor)?)))
        .is_some_and(|it| it >= (2, 36))
}

/// Directories of this machine, and what programs name instead, for instance where they panic: a build in other
/// directories gives the same programs. Of several that a path is in, the last counts.
fn replaced_paths() -> [(String, &'static str); 3] {
    let home = env::var_os("HOME").unwrap_or_default();
    let cargo =
        env::var_os("CARGO_HOME").map_or_else(|| Path::new(&home).join(".cargo"), PathBuf::from);
    [
        (workspace::root().into(), "/source"),
        (cargo, "/cargo"),
        (workspace::target(), "/target"),
    ]
    .map(|(path, name)| (path.display().to_string(), name))
}

/// Puts a copy in place of a program that may be running.
fn replace(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new)
        .with_context(|| format!("copy {} to {}", from.display(), new.display()))?;
    fs::rename(&new, to).with_context(|| to.display().to_string())
}

/// Returns a cargo command in the root directory of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace::root());
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_relocations_need_glibc_2_36() {
        for (text, expected) in [
            ("glibc 2.36\n", true),
            ("glibc 2.41\n", true),
            ("glibc 3.0\n", true),
            ("glibc 2.35\n", false),
            ("musl 1.2\n", false),
            ("", false),
        ] {
            assert_eq!(is_recent(text), expected, "{text}");
        }
    }
}
