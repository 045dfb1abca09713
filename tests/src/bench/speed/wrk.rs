//! Runs wrk, which requests a page as fast as it can, and parses its output.

use std::{net::Ipv4Addr, process::Command, time::Duration};

use crate::{bench::interrupt, command_result::CommandResult};

/// Result of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Answers {
    /// Requests per second.
    pub rate: f64,
    /// 99th percentile of the latency, microseconds.
    pub p99: f64,
    /// Number of requests.
    pub requests: f64,
}

/// Runs wrk for some seconds with 16 connections. Without `keep`, each is closed after its request.
pub fn run(wrk: &mut Command, to: (Ipv4Addr, u16), keep: bool, seconds: u64) -> Answers {
    wrk.args([
        "--threads",
        "2",
        "--connections",
        "16",
        "--latency",
        "--duration",
        &format!("{seconds}s"),
    ]);
    if !keep {
        wrk.args(["--header", "Connection: close"]);
    }
    let (address, port) = to;
    let result = CommandResult::of(
        wrk.arg(format!("http://{address}:{port}/")),
        Duration::from_secs(seconds + 30),
    );
    interrupt::check();
    let outcome = result.expect_success();
    parse(&outcome.stdout).unwrap_or_else(|| panic!("wrk says {outcome:#?}"))
}

fn parse(text: &str) -> Option<Answers> {
    let after = |start: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(start))
            .map(str::trim)
    };
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))?
        .0
        .parse()
        .ok()?;
    // Up to one request in a thousand may be in progress when the time is over.
    let failed =
        after("Non-2xx or 3xx responses:").map_or(Some(0.0), |count| count.parse().ok())?;
    let answers = Answers {
        rate: after("Requests/sec:")?.parse().ok()?,
        p99: microseconds(after("99%")?)?,
        requests,
    };
    (failed * 1000.0 <= requests && requests > 0.0).then_some(answers)
}

fn microseconds(text: &str) -> Option<f64> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 1s test @ http://10.96.0.1:80/\n  2 threads and 16 connections\n  Latency Distribution\n     \
                        50%   96.00us\n     99%    1.25ms\n  185700 requests in 1.10s, 29.64MB read\nRequests/sec: 168818.18\n";

    #[test]
    fn units_of_wrk_are_converted() {
        assert_eq!(
            parse(TEXT),
            Some(Answers {
                rate: 168_818.18,
                p99: 1250.0,
                requests: 185_700.0
            })
        );
        assert_eq!(
            parse(&TEXT.replace("1.25ms", "20.5us")).map(|it| it.p99),
            Some(20.5)
        );
    }

    #[test]
    fn answers_with_an_error_status_do_not_count() {
        assert_eq!(
            parse(&format!("{TEXT}  Non-2xx or 3xx responses: 185700\n")),
            None
        );
    }
}
