//! How fast it is, beside others, in one interleaved run: `cargo xtask bench`.
//!
//! ```text
//! services ──► what every contender serves        load ──► clients and servers, processes of their own
//! stage ──► namespace and cgroups of a contender ──► mesh, …
//! kernel ──► empty programs, run times, CPU
//! programs, … ──► the parts; each adds to ──► figures ──► table
//! ```

mod figures;
mod kernel;
pub mod load;
mod mesh;
mod programs;
mod services;
mod stage;
mod table;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use self::figures::Figures;
use super::interrupt;

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Smaller sizes, fewer and shorter rounds: two minutes
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End with an error when a target is missed
    #[arg(long)]
    check: bool,
}

/// A part of the bench.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Cost of the kernel programs per call
    Programs,
}

/// How much is measured.
pub struct Scale {
    rounds: usize,
    /// Numbers of services of the agent.
    services: Vec<u32>,
    /// Time of one measurement of programs.
    program_time: Duration,
}

impl Scale {
    fn new(quick: bool) -> Self {
        let milliseconds = Duration::from_millis;
        if quick {
            Self { rounds: 3, services: vec![1, 1_000, 10_000], program_time: milliseconds(150) }
        } else {
            Self { rounds: 5, services: vec![1, 1_000, 10_000, 100_000], program_time: milliseconds(300) }
        }
    }
}

/// Measures, prints, and says whether all is as asked.
pub(super) fn run(options: &Options) -> bool {
    interrupt::guard(|| measure(options)).unwrap_or(false)
}

fn measure(options: &Options) -> bool {
    let (start, scale, mut figures) = (Instant::now(), Scale::new(options.quick), Figures::default());
    let asked = |part| options.only.is_empty() || options.only.contains(&part);
    if asked(Part::Programs) {
        println!("\nProgram costs: nanoseconds of connect4 per call, above an empty program");
        programs::run(&scale, &mut figures);
        table::print(&figures, programs::PART);
    }
    if let Some(path) = &options.json {
        let all: Vec<_> = figures.iter().collect();
        let text = serde_json::to_string_pretty(&all).expect("figures are JSON");
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    println!("\n{:.0} s", start.elapsed().as_secs_f64());
    true
}
