//! Commands for developers of this repository: `cargo xtask --help`.
//!
//! ```text
//! setup ──► installs what is missing: compiler and linker for the kernel programs, bpffs, tools
//! cargo ──► build, test, lint: each runs the setup steps it needs first
//! package ──► a Debian package, an OCI image and a static archive
//! bench ──► speed of connects compared with others, and quality of balancing
//! simulate ──► quality of balancing, in a model
//! vm    ──► programs and tests on older kernels, in an emulated machine
//! fuzz  ──► readers of files, requests and maps, with arbitrary bytes
//! soak  ──► load with changes, kills and restarts, for any time
//! upgrade ──► switches between the agent of an earlier revision and this one, under load
//! demo  ──► a small shop on loopback, served by the agent that was just built
//! ```

mod bench;
mod cargo;
#[cfg(test)]
mod checks;
mod demo;
#[cfg(test)]
mod documents;
mod fuzz;
#[cfg(test)]
mod hardening;
/// Included by its path: a dependency on its crate would make every command build that crate first.
#[path = "../../mesh-agent/files/src/mounts.rs"]
mod mounts;
mod package;
mod run;
mod setup;
mod soak;
mod upgrade;
mod vm;
mod workspace;

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Setup, build, tests, lints and the demo"
)]
enum Command {
    /// Install what building and testing needs; changes nothing when all is installed
    Setup,
    /// Build the agent and its command line, optimised and static
    Build,
    /// Make the packages to install from: Debian package, OCI image, static archive
    Package(package::Options),
    /// Build the agent and run all tests, those on the real kernel included (as root)
    Test {
        /// Passed on to `cargo nextest run`, for instance a test name or `--no-capture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        nextest: Vec<String>,
    },
    /// Check format and lints, and find dependencies that are unused, of unknown licence or source,
    /// or vulnerable
    ///
    /// Plain words, circles of modules and lengths of files are checked by tests: run `cargo nextest
    /// run -p xtask checks`.
    Lint,
    /// Run a demo of the mesh on this machine, then remove everything (as root)
    Demo {
        /// Keep running at the end until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Measure the speed of connects on this machine, compared with iptables, nftables and HAProxy
    /// (as root)
    Bench(bench::Options),
    /// Compare policies in a model of endpoints, with the code that decides in the kernel; `--help`
    /// lists its settings
    #[command(disable_help_flag = true)]
    Simulate {
        /// Arguments of the simulator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        model: Vec<String>,
    },
    /// Fuzz the readers of files, requests and maps, guided by coverage
    Fuzz(fuzz::Options),
    /// Put load on a node while its configuration changes and its agent is killed and restarted;
    /// check that nothing fails or grows (as root)
    Soak(soak::Options),
    /// Switch between the agent of an earlier revision and this one, under load, and check that
    /// nothing fails (as root)
    Upgrade(upgrade::Options),
    /// Load the programs and run a smoke test, or other kernel tests, on other kernels of Debian
    /// and Ubuntu, each in an emulated machine
    Vm(vm::Options),
    /// Connect in a loop and print which endpoint answers, until standard input ends
    #[command(hide = true)]
    Traffic { to: SocketAddr },
}

fn main() -> ExitCode {
    let Err(error) = run(Command::parse()) else {
        return ExitCode::SUCCESS;
    };
    #[expect(clippy::print_stderr, reason = "the user's terminal")]
    for (depth, cause) in error.chain().enumerate() {
        eprintln!(
            "{}{cause}",
            if depth == 0 {
                "\nerror: "
            } else {
                "  because: "
            }
        );
    }
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup => setup::ensure(setup::MACHINE),
        Command::Build => cargo::build(),
        Command::Package(options) => package::package(&options),
        Command::Test { nextest } => cargo::test(&nextest),
        Command::Lint => cargo::lint(),
        Command::Demo { keep } => demo::run(keep),
        Command::Bench(options) => bench::bench(&options),
        Command::Simulate { model } => bench::simulate(&model),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Soak(options) => soak::soak(&options),
        Command::Upgrade(options) => upgrade::upgrade(&options),
        Command::Vm(options) => vm::vm(&options),
        Command::Traffic { to } => demo::traffic::generate(to),
    }
}
