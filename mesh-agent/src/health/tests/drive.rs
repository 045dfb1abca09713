//! Tests of the task, with fake probes on a paused clock and with real ones.

use std::{io, sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep};

use super::*;

const CLOCK: Duration = Duration::from_secs(1000);

fn many(number: u16) -> Wanted {
    let check = Arc::new(check(Probe::Tcp));
    (0..number)
        .map(|number| (checks::tests::target(number), Arc::clone(&check)))
        .collect()
}

/// Input and output of the task.
struct Scene {
    wanted: watch::Sender<Arc<Wanted>>,
    reports: watch::Receiver<Arc<HealthReport>>,
    stop: CancellationToken,
    task: task::JoinHandle<()>,
}

impl Scene {
    fn start<P, F>(wanted: Wanted, probe: P) -> Self
    where
        P: Fn(Due) -> F + Send + 'static,
        F: Future<Output = ProbeResult> + Send + 'static,
    {
        let (wanted, receiver) = watch::channel(Arc::new(wanted));
        let (sender, reports) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(Driver::new(7, CLOCK, probe).run(receiver, sender, stop.clone()));
        Self {
            wanted,
            reports,
            stop,
            task,
        }
    }

    /// Waits until a report fulfils the condition.
    async fn until(&mut self, what: impl Fn(&HealthReport) -> bool) -> Arc<HealthReport> {
        let report = self.reports.wait_for(|report| what(report));
        let report = tokio::time::timeout(Duration::from_secs(60), report).await;
        Arc::clone(
            &report
                .expect("the report says so at some time")
                .expect("the task runs"),
        )
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn has(report: &HealthReport, state: HealthState) -> usize {
    report
        .targets
        .values()
        .filter(|status| status.state == state)
        .count()
}

fn refused() -> ProbeResult {
    Err(Failure::Io(io::Error::from_raw_os_error(
        libc::ECONNREFUSED,
    )))
}

#[tokio::test(start_paused = true)]
async fn probes_of_two_thousand_endpoints_are_spread() {
    let starts = Arc::new(Mutex::new(vec![]));
    let noted = Arc::clone(&starts);
    let scene = Scene::start(many(2000), move |_| {
        noted.lock().unwrap().push(Instant::now());
        async {
            sleep(Duration::from_millis(3)).await;
            Ok(())
        }
    });
    sleep(Duration::from_secs(60)).await;
    scene.end().await;
    let starts = starts.lock().unwrap();
    assert!(
        (22_800..=24_200).contains(&starts.len()),
        "{} starts in 60 s",
        starts.len()
    );
    let within =
        |first: usize, window| starts.partition_point(|at| *at < starts[first] + window) - first;
    let most = |window| {
        (0..starts.len())
            .map(|first| within(first, window))
            .max()
            .unwrap()
    };
    let (short, long) = (
        most(Duration::from_millis(1)),
        most(Duration::from_millis(100)),
    );
    assert!(
        short <= 33 && long <= 80,
        "{short} starts in 1 ms, {long} in 100 ms; 40 would be even"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_reported_and_so_is_its_return() {
    let fails = Arc::new(Mutex::new(true));
    let state = Arc::clone(&fails);
    let mut scene = Scene::start(many(3), move |due| {
        let fails = due.target.address.to_string() == "10.0.0.1" && *state.lock().unwrap();
        async move { if fails { refused() } else { Ok(()) } }
    });
    let target = checks::tests::target(1);
    let report = scene
        .until(|report| has(report, HealthState::Unhealthy) == 1)
        .await;
    let status = &report.targets[&target];
    assert_eq!(
        (status.state, &*status.reason, status.streak),
        (HealthState::Unhealthy, "connection refused", 2)
    );
    assert!(status.changed_at > CLOCK && Some(status.changed_at) == status.checked_at);
    *fails.lock().unwrap() = false;
    let report = scene
        .until(|report| has(report, HealthState::Healthy) == 3)
        .await;
    assert_eq!(&*report.targets[&target].reason, "");
    scene.wanted.send_replace(Arc::new(many(1)));
    let report = scene.until(|report| report.targets.len() == 1).await;
    assert_eq!(has(&report, HealthState::Healthy), 1, "its state is kept");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_endpoint_is_asked_twice_at_the_same_time() {
    let under_way = Arc::new(Mutex::new(BTreeSet::new()));
    let most = Arc::new(Mutex::new(0));
    let (set, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let scene = Scene::start(many(2000), move |due| {
        let (set, peak) = (Arc::clone(&set), Arc::clone(&peak));
        async move {
            assert!(
                set.lock().unwrap().insert(Arc::clone(&due.target)),
                "asked twice"
            );
            let now = set.lock().unwrap().len();
            let most = now.max(*peak.lock().unwrap());
            *peak.lock().unwrap() = most;
            sleep(Duration::from_secs(5)).await;
            set.lock().unwrap().remove(&due.target);
            Err(Failure::NoAnswer(Duration::from_secs(5)))
        }
    });
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*most.lock().unwrap(), schedule::queues::UNDER_WAY / 3 + 1);
    assert_eq!(
        has(&scene.reports.borrow(), HealthState::Unknown)
            + has(&scene.reports.borrow(), HealthState::Unhealthy),
        2000
    );
    assert!(
        scene
            .reports
            .borrow()
            .targets
            .values()
            .all(|status| !status.reason.starts_with("not known"))
    );
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_does_not_end_the_others() {
    let mut scene = Scene::start(many(2), |due| async move {
        assert_ne!(
            due.target.address.to_string(),
            "10.0.0.0",
            "this is the one that panics"
        );
        Ok(())
    });
    let report = scene
        .until(|report| {
            has(report, HealthState::Healthy) == 1
                && report
                    .targets
                    .values()
                    .all(|status| status.checked_at.is_some())
        })
        .await;
    let lost = &report.targets[&checks::tests::target(0)];
    assert_eq!(
        (lost.state, &*lost.reason),
        (
            HealthState::Unknown,
            "not known: the probe has ended without a result"
        )
    );
    scene.end().await;
}

#[tokio::test]
async fn real_endpoints_are_told_apart() {
    let (listener, well) = server::listener().await;
    let gone = server::refusing().await;
    let often = Arc::new(HealthCheck {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(50),
        ..check(Probe::Tcp)
    });
    let wanted = [well, gone].map(|address| (target(address), Arc::clone(&often)));
    let (_wanted, receiver) = watch::channel(Arc::new(Wanted::from(wanted)));
    let (sender, mut reports) = watch::channel(Arc::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(receiver, sender, BTreeSet::new(), CLOCK, stop.clone()));
    let told = |report: &Arc<HealthReport>| {
        has(report, HealthState::Healthy) == 1 && has(report, HealthState::Unhealthy) == 1
    };
    let report = tokio::time::timeout(Duration::from_secs(5), reports.wait_for(told)).await;
    let report = Arc::clone(&*report.expect("both are told apart").unwrap());
    assert_eq!(&*report.targets[&target(gone)].reason, "connection refused");
    stop.cancel();
    task.await.unwrap();
    drop(listener);
}
