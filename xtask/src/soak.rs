//! Load on an agent that is changed, killed and restarted all the time: built first, then this
//! process becomes it.

use clap::Args;

use crate::{bench, run, setup};

/// How long, and what is chosen.
#[derive(Args)]
pub struct Options {
    /// Time of the load
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Number that decides the order of acts, to repeat a run; another one each time by default
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds the agent and the soak, then becomes the soak. Fails when anything is not as it must be.
pub fn soak(options: &Options) -> anyhow::Result<()> {
    setup::ensure(setup::DEMO)?;
    let mut soak = bench::build()?;
    soak.args(["soak", "--minutes", &options.minutes.to_string()]);
    if let Some(seed) = options.seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    match run::replace(&mut soak)? {}
}
