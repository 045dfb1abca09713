//! Measures the quality of balancing. Rounds are interleaved: each measures every contender once.

use std::{fs, path::PathBuf, time::Instant};

use clap::Args;

use super::{
    rows::{self, Scale},
    table::Row,
};

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End with an error when a target is missed
    #[arg(long)]
    check: bool,
}

/// Runs the bench; returns whether all targets are met.
pub(super) fn run(options: &Options) -> bool {
    let (start, scale) = (Instant::now(), Scale::new(options.quick));
    let mut all: Vec<Row> = Vec::new();
    for (title, measure) in rows::ALL {
        println!("\n{title}");
        let rows = measure(&scale);
        rows.iter().for_each(|row| println!("  {row}"));
        all.extend(rows);
    }
    let missed = all.iter().filter(|row| !row.holds()).count();
    println!(
        "\n{} figures, {missed} missed their target, in {:.0} s",
        all.len(),
        start.elapsed().as_secs_f64()
    );
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&all).expect("rows are JSON");
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    !options.check || missed == 0
}
