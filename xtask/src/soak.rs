//! Builds the soak, then replaces this process by it (`exec`).

use clap::Args;

use crate::{bench, run, setup};

/// Duration and seed.
#[derive(Args)]
pub struct Options {
    /// Time of the load
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seed of the order of changes, to repeat a run [default: random]
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds the agent and the soak, then replaces this process by the soak.
pub fn soak(options: &Options) -> anyhow::Result<()> {
    setup::ensure(setup::DEMO)?;
    let mut soak = bench::build()?;
    soak.args(["soak", "--minutes", &options.minutes.to_string()]);
    if let Some(seed) = options.seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    match run::replace(&mut soak)? {}
}
