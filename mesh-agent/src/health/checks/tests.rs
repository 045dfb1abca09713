//! Tests of targets that come and go, and of the timing of reports.

use std::{io, num::NonZeroU32};

use super::*;
use crate::{
    desired::fixture,
    health::{failure::Failure, hysteresis::HealthState},
    model::{HttpProbe, Probe},
};

pub(crate) fn target(number: u16) -> Target {
    let [high, low] = number.to_be_bytes();
    Target {
        service: fixture::name("cart"),
        address: [10, 0, high, low].into(),
        port: 80,
    }
}

pub(crate) fn check(probe: Probe) -> HealthCheck {
    HealthCheck {
        probe,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        jitter_percent: 10,
        rise: NonZeroU32::new(1).unwrap(),
        fall: NonZeroU32::new(2).unwrap(),
        allow_empty: false,
    }
}

fn http(path: &str) -> HealthCheck {
    check(Probe::Http(HttpProbe {
        tls: false,
        path: path.into(),
        headers: vec![],
        status: (200, 299),
        expect_header: None,
    }))
}

fn wanted(targets: impl IntoIterator<Item = u16>, check: HealthCheck) -> Wanted {
    let check = Arc::new(check);
    targets
        .into_iter()
        .map(|number| (target(number), Arc::clone(&check)))
        .collect()
}

fn refused() -> ProbeResult {
    Err(Failure::Io(io::Error::from_raw_os_error(
        libc::ECONNREFUSED,
    )))
}

/// Checks on a manual clock.
struct Scene {
    checks: Checks,
    now: Duration,
}

impl Scene {
    fn new(wanted: &Wanted) -> Self {
        let mut scene = Self {
            checks: Checks::new(1),
            now: Duration::from_secs(100),
        };
        scene.checks.set(wanted, scene.now);
        scene
    }

    /// Advances the clock to the next due probe, and starts it.
    fn next_probe(&mut self) -> Due {
        loop {
            if let Some(due) = self.checks.start(self.now) {
                return due;
            }
            self.now = self
                .checks
                .schedule
                .next()
                .expect("something is due")
                .max(self.now);
        }
    }

    /// Runs this number of probes.
    fn probe(&mut self, times: usize, outcome: impl Fn(&Target) -> ProbeResult) {
        for _ in 0..times {
            let due = self.next_probe();
            self.checks.record(due.id, &outcome(&due.target), self.now);
        }
    }

    fn state(&self, number: u16) -> HealthState {
        self.checks.entries[&self.checks.ids[&target(number)]]
            .state
            .status()
            .state
    }
}

#[test]
fn every_target_is_probed_and_its_state_is_its_own() {
    let mut scene = Scene::new(&wanted(0..10, check(Probe::Tcp)));
    scene.probe(40, |it| if *it == target(3) { refused() } else { Ok(()) });
    for number in 0..10 {
        assert_eq!(
            scene.state(number),
            if number == 3 {
                HealthState::Unhealthy
            } else {
                HealthState::Healthy
            }
        );
    }
}

#[test]
fn a_target_that_stays_keeps_its_state() {
    let mut scene = Scene::new(&wanted([1, 2], check(Probe::Tcp)));
    scene.probe(8, |_| refused());
    scene
        .checks
        .set(&wanted([2, 3], check(Probe::Tcp)), scene.now);
    assert_eq!(
        (scene.state(2), scene.state(3)),
        (HealthState::Unhealthy, HealthState::Unknown)
    );
    assert!(!scene.checks.ids.contains_key(&target(1)));
    let slower = HealthCheck {
        interval: Duration::from_secs(60),
        ..check(Probe::Tcp)
    };
    scene.checks.set(&wanted([2, 3], slower), scene.now);
    assert_eq!(scene.state(2), HealthState::Unhealthy);
    scene.checks.set(&wanted([2, 3], http("/")), scene.now);
    assert_eq!(
        scene.state(2),
        HealthState::Unknown,
        "another kind of question"
    );
    scene.probe(8, |_| refused());
    scene.checks.set(&wanted([2, 3], http("/ready")), scene.now);
    assert_eq!(scene.state(2), HealthState::Unhealthy, "the same kind");
    scene.checks.set(
        &wanted(
            [2, 3],
            HealthCheck {
                port: Some(81),
                ..http("/ready")
            },
        ),
        scene.now,
    );
    assert_eq!(
        scene.state(2),
        HealthState::Unknown,
        "another port may be another program"
    );
}

#[test]
fn an_endpoint_that_failed_before_the_agent_started_fails_until_a_probe_succeeds() {
    let mut scene = Scene::new(&Wanted::new());
    scene.checks.remember([1, 2].map(target).into());
    scene.checks.set(&Wanted::new(), scene.now);
    scene
        .checks
        .set(&wanted([1, 3], check(Probe::Tcp)), scene.now);
    assert_eq!(
        (scene.state(1), scene.state(3)),
        (HealthState::Unhealthy, HealthState::Unknown)
    );
    scene.probe(2, |_| Ok(()));
    assert_eq!(
        (scene.state(1), scene.state(3)),
        (HealthState::Healthy, HealthState::Healthy)
    );
    scene
        .checks
        .set(&wanted([1, 2], check(Probe::Tcp)), scene.now);
    assert_eq!(
        scene.state(2),
        HealthState::Unknown,
        "it was not ready, which is something else"
    );
}

#[test]
fn results_of_old_probes_are_ignored() {
    let mut scene = Scene::new(&wanted([1], check(Probe::Tcp)));
    let old = scene.next_probe();
    scene.checks.set(&wanted([1], http("/")), scene.now);
    scene.checks.record(old.id, &Ok(()), scene.now);
    assert_eq!(scene.state(1), HealthState::Unknown);
    let old = scene.next_probe();
    scene.checks.set(&Wanted::new(), scene.now);
    assert_eq!(scene.checks.record(old.id, &Ok(()), scene.now), None);
    assert_eq!(scene.checks.schedule.next(), None);
}

#[test]
fn changes_are_reported_soon_and_details_once_a_second() {
    let mut scene = Scene::new(&wanted([1], check(Probe::Tcp)));
    let first = scene
        .checks
        .report(scene.now)
        .expect("there is a new target");
    assert_eq!(first.targets[&target(1)].state, HealthState::Unknown);
    assert_eq!(scene.checks.report(scene.now), None);
    scene.probe(2, |_| refused());
    let fallen = scene
        .checks
        .report(scene.now)
        .expect("the state has changed");
    assert!(fallen.changes > first.changes);
    assert_eq!(
        (
            fallen.targets[&target(1)].state,
            fallen.targets[&target(1)].streak
        ),
        (HealthState::Unhealthy, 2)
    );
    scene.probe(1, |_| Ok(()));
    let mut at = scene.now;
    let risen = scene.checks.report(at).expect("the state has changed");
    assert!(risen.changes > fallen.changes);
    assert_eq!(
        (
            risen.targets[&target(1)].state,
            risen.targets[&target(1)].streak
        ),
        (HealthState::Healthy, 1)
    );
    scene.now = at;
    let due = scene.next_probe();
    let same = |scene: &mut Scene, id| scene.checks.record(id, &Ok(()), at + CHANGES).map(|_| ());
    assert_eq!(same(&mut scene, due.id), None);
    assert_eq!(scene.checks.report(at + DETAILS / 2), None);
    at += DETAILS;
    let details = scene.checks.report(at).expect("a second has passed");
    assert_eq!(
        (details.changes, details.targets[&target(1)].streak),
        (risen.changes, 2)
    );
    assert_eq!(scene.checks.report(at + DETAILS), None, "nothing new");
}

#[test]
fn a_zone_that_fails_makes_few_reports() {
    let mut scene = Scene::new(&wanted(0..2000, check(Probe::Tcp)));
    let (start, mut reports) = (scene.now, 0);
    while scene.now < start + Duration::from_secs(20) {
        scene.probe(1, |_| refused());
        reports += usize::from(scene.checks.report(scene.now).is_some());
    }
    // For one interval, ten a second; for the others, one.
    assert!((60..=80).contains(&reports), "{reports} reports in 20 s");
    assert!((0..2000).all(|number| scene.state(number) == HealthState::Unhealthy));
}
