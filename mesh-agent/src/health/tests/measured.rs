//! Measures the CPU time of checks.

use std::{thread, time::Duration};

use nix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

use super::*;

/// Together 400 probes per second, as 2,000 endpoints every 5 s.
const ENDPOINTS: u16 = 200;
const INTERVAL: Duration = Duration::from_millis(500);
const PER_SECOND: f64 = 400.0;
/// Rounds that are measured.
const ROUNDS: u64 = 8;
/// Share of one core, with room for other tests that run; the bench measures it by itself.
const ALLOWED: f64 = if cfg!(debug_assertions) { 0.15 } else { 0.1 };

/// Only the thread that checks is measured. On loopback the connecting thread does the endpoint's
/// part of the handshake, too.
#[test]
fn measured_cost_of_four_hundred_tcp_checks_per_second() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = Arc::new(HealthCheck {
        interval: INTERVAL,
        timeout: INTERVAL,
        ..check(Probe::Tcp)
    });
    // Every address of 127/8 is this machine, so every endpoint has its own.
    let wanted = (0..ENDPOINTS).map(|number| {
        let [high, low] = number.to_be_bytes();
        (
            target(SocketAddr::from(([127, 1, high, low], port))),
            Arc::clone(&check),
        )
    });
    let (_wanted, receiver) = watch::channel(Arc::new(Wanted::from_iter(wanted)));
    let (sender, mut reports) = watch::channel(Arc::<HealthReport>::default());
    let stop = CancellationToken::new();
    let checks = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(run(receiver, sender, BTreeSet::new(), Duration::ZERO, stop));
        runtime.block_on(async {
            // The first round reports new endpoints and is not measured.
            let before = (rounds(&mut reports, 2).await, used());
            let after = (rounds(&mut reports, 2 + ROUNDS).await, used());
            (after.0 - before.0, after.1 - before.1)
        })
    });
    let (probes, used) = checks.join().unwrap();
    let cost = used.as_secs_f64() / probes as f64;
    let share = cost * PER_SECOND;
    println!(
        "{probes} TCP probes: {:.1} µs each, {:.2} % of one core at 400 per second",
        cost * 1e6,
        share * 100.0
    );
    assert!(share < ALLOWED, "{share} of one core");
}

/// Waits until all endpoints have answered this often, and returns how often they did together.
async fn rounds(reports: &mut watch::Receiver<Arc<HealthReport>>, rounds: u64) -> u64 {
    let all = |report: &Arc<HealthReport>| {
        let mut streaks = report.targets.values().map(|verdict| verdict.streak);
        report.targets.len() == usize::from(ENDPOINTS)
            && streaks.all(|streak| u64::from(streak) >= rounds)
    };
    let report = timeout(Duration::from_secs(60), reports.wait_for(all))
        .await
        .expect("all answer")
        .expect("it runs");
    report
        .targets
        .values()
        .map(|verdict| u64::from(verdict.streak))
        .sum()
}

/// Processor time of this thread, its work in the kernel too.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}
