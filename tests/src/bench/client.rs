//! Clients of a measurement: a process in the node's cgroup, with many threads that connect in
//! closed loops.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::stats::percentile;
use crate::place::Place;

/// Timeout of a connect: longer than a connect that succeeds, and than the connect timeout of services.
const PATIENCE: Duration = Duration::from_secs(3);

/// The work of the clients.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// Service address
    to: SocketAddr,
    /// Number of concurrent clients
    threads: usize,
    /// Duration of the load, milliseconds
    milliseconds: u64,
    /// Keep each connection open for about this number of milliseconds
    #[arg(long, default_value_t = 0)]
    hold: u64,
}

/// Result of the clients of a measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientResult {
    /// Connections that were answered.
    pub ok: u64,
    /// Connects that failed.
    pub failed: u64,
    /// Connections that ended without an answer.
    pub broken: u64,
    /// Connects that took longer than 0.9 s, or failed after that.
    pub stalled: u64,
    /// Answered connections per second.
    pub rate: f64,
    /// From the connect to the end, microseconds.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// As `p50`.
    pub p99: u64,
}

/// Runs clients in a place until they are done.
pub fn connect(
    place: &Place,
    to: &str,
    threads: usize,
    time: Duration,
    hold: Duration,
) -> ClientResult {
    let mut command = place.command(std::env::current_exe().expect("this program has a path"));
    let number = |duration: Duration| duration.as_millis().to_string();
    command.args([
        "client",
        to,
        &threads.to_string(),
        &number(time),
        "--hold",
        &number(hold),
    ]);
    let output = command.output().expect("this program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("clients print JSON")
}

/// The client process.
pub(super) fn run(options: &Options) -> bool {
    let (start, time) = (Instant::now(), Duration::from_millis(options.milliseconds));
    let threads: Vec<_> = (0..options.threads as u64)
        .map(|seed| {
            let options = *options;
            let work = move || work(&options, seed, start + time);
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(work)
                .expect("room for a small stack")
        })
        .collect();
    let (mut took, mut outcome) = (Vec::new(), ClientResult::default());
    for thread in threads {
        let (mut ok, [failed, broken, stalled]) = thread.join().expect("clients do not panic");
        took.append(&mut ok);
        outcome.failed += failed;
        outcome.broken += broken;
        outcome.stalled += stalled;
    }
    took.sort_unstable();
    outcome.ok = took.len() as u64;
    outcome.rate = outcome.ok as f64 / start.elapsed().as_secs_f64();
    [outcome.p50, outcome.p95, outcome.p99] =
        [0.5, 0.95, 0.99].map(|share| percentile(&took, share));
    println!(
        "{}",
        serde_json::to_string(&outcome).expect("numbers are JSON")
    );
    true
}

/// Returns the microseconds of each answered connection, and the numbers of failed connects, broken
/// connections and stalled connects.
fn work(options: &Options, seed: u64, end: Instant) -> (Vec<u64>, [u64; 3]) {
    let (mut took, mut failed, mut broken, mut stalled, mut chance) =
        (Vec::new(), 0, 0, 0, seed * 2 + 1);
    while Instant::now() < end {
        let start = Instant::now();
        let answer = TcpStream::connect_timeout(&options.to, PATIENCE);
        stalled += u64::from(start.elapsed() > Duration::from_millis(900));
        let Ok(mut stream) = answer else {
            failed += 1;
            continue;
        };
        if options.hold > 0 {
            // Uniform between zero and twice the time, from a linear congruential generator.
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            thread::sleep(Duration::from_millis((chance >> 33) % (2 * options.hold)));
        }
        // A listener that closes before the last packet of a handshake arrives leaves a connection
        // without an answer.
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout that is not zero");
        if stream.read(&mut [0]).is_ok_and(|read| read == 1) {
            took.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            broken += 1;
        }
    }
    (took, [failed, broken, stalled])
}
