//! Measures HTTP: wrk with 16 connections to nginx, with keep-alive or with one request each.

use super::{BenchReport, Scale, contenders::Contender, process::find, wrk};

/// Name of this part.
pub const PART: &str = "http";

/// Measure: requests per second with keep-alive.
pub const KEEP: &str = "keep-alive requests";

/// Measure: requests per second with one connection for each.
pub const CLOSE: &str = "close requests";

/// Measures all lanes, round by round.
pub fn run(scale: &Scale, contenders: &mut [Contender], report: &mut BenchReport) {
    let Some(program) = find("wrk") else {
        return report.miss("HTTP: wrk is not installed");
    };
    if !contenders.iter_mut().all(Contender::serve_http) {
        return report.miss("HTTP: nginx is not installed");
    }
    for round in 0..scale.http_rounds {
        println!("  round {} of {}", round + 1, scale.http_rounds);
        for contender in &*contenders {
            for lane in &contender.lanes {
                let Some(to) = lane.http else { continue };
                for (keep, name) in [(true, "keep-alive"), (false, "close")] {
                    let mut command = contender.stage.clients.command(&program);
                    let (answers, cpu) = contender
                        .stage
                        .metered(|| wrk::run(&mut command, to, keep, scale.http_seconds));
                    let mut add = |measure: &str, unit, value| {
                        report.figures.add(
                            PART,
                            &lane.name,
                            &format!("{name} {measure}"),
                            unit,
                            value,
                        );
                    };
                    add("requests", "/s", answers.rate);
                    add("p99", "µs", answers.p99);
                    add("CPU per request", "µs", cpu / answers.requests);
                }
            }
        }
    }
}
