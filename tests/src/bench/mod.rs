//! How well connects are spread: on the real kernel with real servers (`quality`), and in a model of endpoints that this
//! machine could not host (`simulate`). Every contender has its own node, with its own cgroup and network namespace.

mod client;
mod endpoint;
mod quality;
mod rows;
mod simulate;
mod stats;
mod table;

use std::process::ExitCode;

use clap::Parser;

/// Command line of `mesh-bench`.
#[derive(Parser)]
#[command(name = "mesh-bench", bin_name = "cargo xtask", about = "How well connects are spread")]
enum Command {
    /// Measure balancing on this machine's kernel, with real servers (as root)
    Quality(quality::Options),
    /// Compare policies in a model of endpoints, with the code that decides in the kernel
    Simulate(simulate::Options),
    /// Connect in closed loops and print what came of it
    #[command(hide = true)]
    Client(client::Options),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let holds = match Command::parse() {
        Command::Quality(options) => quality::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Client(options) => client::run(&options),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
