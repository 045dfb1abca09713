//! What it costs.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use super::*;

const ENDPOINTS: u16 = 2000;
const WINDOW: Duration = Duration::from_secs(10);
/// Share of one core, with room for other tests that run; the bench measures it by itself.
const ALLOWED: f64 = if cfg!(debug_assertions) { 0.15 } else { 0.1 };

/// Only the thread that checks is measured: those who accept are other machines, in truth.
#[test]
fn measured_cost_of_two_thousand_tcp_checks_every_five_seconds() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    thread::spawn(move || {
        // Not woken by each of them: on loopback, whoever connects pays for that.
        listener.set_nonblocking(true).unwrap();
        loop {
            while listener.accept().is_ok() {
                count.fetch_add(1, Relaxed);
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let check = Arc::new(check(Probe::Tcp));
    // Every address of 127/8 is this machine, so every endpoint has one of its own.
    let wanted = (0..ENDPOINTS).map(|number| {
        let [high, low] = number.to_be_bytes();
        (target(SocketAddr::from(([127, 1, high, low], port))), Arc::clone(&check))
    });
    let (_wanted, receiver) = watch::channel(Arc::new(Wanted::from_iter(wanted)));
    let (sender, reports) = watch::channel(Arc::default());
    let stop = CancellationToken::new();
    let end = stop.clone();
    let checks = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.spawn(run(receiver, sender, BTreeSet::new(), Duration::ZERO, end));
        // The first report, of 2,000 new endpoints, is not what goes on for ever.
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(500)).await });
        let before = used();
        runtime.block_on(async { tokio::time::sleep(WINDOW).await });
        used() - before
    });
    let used = checks.join().unwrap();
    stop.cancel();
    let share = used.as_secs_f64() / WINDOW.as_secs_f64();
    let probes = accepted.load(Relaxed);
    println!("{ENDPOINTS} TCP checks every 5 s: {probes} probes, {:.2} % of one core", share * 100.0);
    assert!((3600..=4600).contains(&probes), "{probes} probes in {WINDOW:?}");
    assert_eq!(reports.borrow().targets.len(), usize::from(ENDPOINTS));
    assert!(share < ALLOWED, "{share} of one core");
}

/// Processor time of this thread, its work in the kernel too.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}
