//! Measures connections (connect, one byte echoed, close): rate, latency and processor time.

use super::{
    BenchReport, Scale,
    contenders::Contender,
    load::drive::{Clients, Way},
};

/// Name of this part.
pub const PART: &str = "cycle";

/// Measure: connections per second.
pub const RATE: &str = "connections";

/// Measure: 99th percentile of the time of a cycle.
pub const P99: &str = "cycle p99";

/// Number of concurrent clients.
const THREADS: usize = 2;

/// Measures all lanes, round by round.
pub fn run(scale: &Scale, contenders: &[Contender], report: &mut BenchReport) {
    for round in 0..scale.cycle_rounds {
        println!("  round {} of {}", round + 1, scale.cycle_rounds);
        for contender in contenders {
            for lane in &contender.lanes {
                let Some(targets) = lane.echo else { continue };
                let clients = Clients {
                    way: Way::Tcp,
                    targets,
                    time: scale.cycle_time,
                    threads: THREADS,
                    cpu: None,
                };
                let (outcome, cpu) = contender.stage.drive(clients);
                let mut add = |measure: &str, unit, value| {
                    report.figures.add(PART, &lane.name, measure, unit, value);
                };
                let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
                add(RATE, "/s", outcome.ok as f64 / outcome.seconds);
                add("CPU per connection", "µs", cpu / outcome.ok as f64);
                add("connect p50", "µs", microseconds(outcome.connect[0]));
                add("connect p99", "µs", microseconds(outcome.connect[1]));
                add("cycle p50", "µs", microseconds(outcome.turn[0]));
                add(P99, "µs", microseconds(outcome.turn[1]));
            }
        }
    }
}
