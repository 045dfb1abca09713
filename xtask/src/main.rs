//! Everything that is done with this repository besides editing it: `cargo xtask --help`.
//!
//! ```text
//! setup ──► what the machine lacks: compiler and linker for the kernel programs, bpffs, tools
//! cargo ──► build, test, lint: each runs the setup steps it needs first
//! package ──► what is built, in a Debian package, an OCI image and an archive
//! bench ──► how fast connects are beside other ways, and how well they are spread
//! simulate ──► how well they are spread, in a model
//! vm    ──► programs and tests on older kernels, in an emulated machine
//! fuzz  ──► what reads files, requests and maps, with any bytes
//! soak  ──► load, changes, kills and restarts for as long as one likes
//! upgrade ──► the agent of an earlier revision and the present one, by turns, under load
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
/// By its path, because the crate of the file would make every task wait for its dependencies.
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
    /// Make this machine ready: install what is missing, change nothing when all is there
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
    /// Show the mesh at work on this machine, then remove every trace of it (as root)
    Demo {
        /// Stay up at the end, to play with, until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Measure how fast connects are, beside iptables, nftables and HAProxy, on this machine's
    /// kernel (as root)
    Bench(bench::Options),
    /// Compare policies in a model of endpoints, with the code that decides in the kernel; `--help`
    /// lists its settings
    #[command(disable_help_flag = true)]
    Simulate {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        model: Vec<String>,
    },
    /// Give any bytes to what reads files, requests and maps, guided by coverage
    Fuzz(fuzz::Options),
    /// Put load on an agent that is changed, killed and restarted all the time, and check that
    /// nothing fails or grows (as root)
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
