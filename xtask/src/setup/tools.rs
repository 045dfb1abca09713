//! Cargo subcommands that tests and lints use.

use std::process::Command;

use super::Step;
use crate::run;

/// Runs the tests. Built without its default features, for tracing and updating itself.
pub const NEXTEST: Step = Step {
    name: "cargo-nextest",
    find: || find("cargo-nextest"),
    install: || install("cargo-nextest", "0.9.151", &["--no-default-features"]),
};

/// Checks licences and sources of dependencies.
pub const DENY: Step = Step {
    name: "cargo-deny",
    find: || find("cargo-deny"),
    install: || install("cargo-deny", "0.20.2", &[]),
};

/// Finds dependencies that are not used.
pub const MACHETE: Step = Step {
    name: "cargo-machete",
    find: || find("cargo-machete"),
    install: || install("cargo-machete", "0.9.2", &[]),
};

/// Returns the command that installs one exact release with its own lock file, in another target
/// directory than that of this workspace.
pub fn cargo_install(package: &str, version: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", package, "--version", version, "--locked"])
        .env_remove("CARGO_TARGET_DIR");
    cargo
}

/// Installs a debug build, which takes half the time of an optimised one.
fn install(package: &str, version: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run::check(
        cargo_install(package, version)
            .arg("--debug")
            .args(arguments)
            .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )
}

fn find(program: &str) -> Option<String> {
    run::which(program).map(|path| path.display().to_string())
}
