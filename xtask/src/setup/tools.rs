//! Cargo subcommands that tests and lints use.

use std::process::Command;

use super::Step;
use crate::run;

/// Runs the tests.
pub const NEXTEST: Step = Step {
    name: "cargo-nextest",
    find: || find("cargo-nextest"),
    install: || run::check(&mut cargo_install("cargo-nextest", "0.9.151")),
};

/// Checks licences and sources of dependencies.
pub const DENY: Step = Step {
    name: "cargo-deny",
    find: || find("cargo-deny"),
    // An optimised build takes much longer than it ever saves.
    install: || run::check(cargo_install("cargo-deny", "0.20.2").arg("--debug")),
};

/// `cargo install` of one exact release with its own lock file, away from the target directory of this workspace.
pub fn cargo_install(package: &str, version: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["install", package, "--version", version, "--locked"]).env_remove("CARGO_TARGET_DIR");
    cargo
}

fn find(program: &str) -> Option<String> {
    run::which(program).map(|path| path.display().to_string())
}
