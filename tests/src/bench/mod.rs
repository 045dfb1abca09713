//! Benchmarks: speed of connects compared with other implementations (`speed`), and quality of
//! balancing, on the real kernel with real servers (`quality`) and in a model with more endpoints
//! than this machine can run (`simulate`). Each contender has its own cgroup and network namespace.

mod client;
mod endpoint;
mod interrupt;
mod quality;
mod rows;
mod simulate;
mod speed;
mod stats;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::soak;

/// Command line of `mesh-bench`.
#[derive(Parser)]
#[command(
    name = "mesh-bench",
    bin_name = "cargo xtask",
    about = "Measures the speed of connects and the quality of balancing"
)]
enum Command {
    /// Measure costs, latency, throughput and changes, compared with other implementations (as root)
    Speed(speed::Options),
    /// Measure balancing on this machine's kernel, with real servers (as root)
    Quality(quality::Options),
    /// Compare policies in a model of endpoints, with the code that decides in the kernel
    Simulate(simulate::Options),
    /// Put load on an agent that is changed, killed and restarted all the time (as root)
    Soak(soak::Options),
    /// Connect in closed loops and print the results
    #[command(hide = true)]
    Client(client::Options),
    /// Connect in closed loops and print the times
    #[command(hide = true)]
    Drive(speed::load::drive::Options),
    /// Echo a byte of every connection
    #[command(hide = true)]
    Serve(speed::load::serve::Options),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let holds = match Command::parse() {
        Command::Speed(options) => speed::run(&options),
        Command::Quality(options) => quality::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Client(options) => client::run(&options),
        Command::Drive(options) => speed::load::drive::run(&options),
        Command::Serve(options) => speed::load::serve::run(&options),
    };
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
