//! Puts load on a node for any time while endpoints, services and drains change, and agents are
//! killed at any moment. Panics at the first unexpected result.
//!
//! ```text
//! round: load (closed loops over TCP and UDP, streams that beat) ∥ acts, chosen at random
//!        └──► rest: counters equal what clients saw, rows and descriptors are back, memory is flat
//! ```
//!
//! The first and the last third of the time have kills. Between them one agent lives for the whole
//! third, so that its memory can be compared.

mod acts;
mod load;
mod rest;
mod rows;

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;

use self::{
    acts::{Acts, Made},
    load::Load,
    rest::{Life, Rest},
};

/// Time of one round.
const ROUND: Duration = Duration::from_secs(5);

/// Duration and seed.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// Time of the load
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seed of the order of changes [default: random]
    #[arg(long)]
    seed: Option<u64>,
}

/// Numbers of events during a soak.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    rounds: u32,
    /// Connects that were answered, over TCP and UDP.
    answered: u64,
    /// UDP sockets that were closed because their endpoint left before it answered.
    closed: u64,
    /// Connects refused while there was no endpoint.
    refused: u64,
    /// Numbers that were sent over streams and came back.
    beats: u64,
    made: Made,
    rest: Rest,
}

/// Runs a soak for the command line; false is a failure.
pub fn run(options: &Options) -> bool {
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = options
        .seed
        .unwrap_or_else(|| now.map_or(1, |it| it.as_secs()));
    println!("seed {seed}");
    // The panic has printed the reason.
    std::panic::catch_unwind(|| soak(time, seed)).is_ok()
}

/// Runs for this time, and panics when something is wrong.
pub fn soak(time: Duration, seed: u64) -> Figures {
    let mut acts = Acts::start(seed);
    let mut load = Load::start(&acts);
    let (mut figures, mut life) = (Figures::default(), Life::default());
    let base = Rest::of(&acts.node);
    let start = Instant::now();
    while start.elapsed() < time {
        let third = start.elapsed().as_secs_f64() * 3.0 / time.as_secs_f64();
        let one_life = (1.0..2.0).contains(&third);
        let until = Instant::now() + ROUND.min(time / 6);
        let round = load.round(&mut acts, |acts| {
            acts.one(!one_life);
            Instant::now() < until
        });
        figures.rounds += 1;
        figures.answered += round.answered;
        figures.closed += round.closed;
        figures.refused += round.refused;
        figures.beats += round.beats;
        figures.made = acts.made;
        figures.rest = rest::expect(&acts, &load, base);
        if one_life {
            life.note(figures.rest);
        }
        println!("{:>5} s  {figures}", start.elapsed().as_secs());
    }
    life.expect_flat();
    drop(load);
    acts.expect_base();
    println!("{life}");
    figures
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            answered,
            closed,
            refused,
            beats,
            made,
            rest,
        } = self;
        write!(
            f,
            "{rounds} rounds: {answered} connects answered, {closed} UDP sockets closed with their endpoint, {refused} refused \
             without an endpoint, {beats} beats; \
             {made}; {rest}"
        )
    }
}
