//! Rows are freed when their grace period is over.

use super::*;

#[test]
fn rows_are_freed_after_the_grace_period_and_not_before() {
    let mut scene = Scene::new();
    // Different weights need slots.
    let wait = scene.configure([cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 2)])]);
    assert_eq!(wait, None);
    let wait = scene.configure([cart(&[("10.0.0.2:80", 1), ("10.0.0.3:80", 2)])]);
    assert_eq!(wait, Some(GRACE));
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
    let tables = scene.owner.dataplane.dump().unwrap();
    assert_eq!((tables.slots.len(), tables.backends.len()), (4, 3));
    scene.now += GRACE / 2;
    assert_eq!(scene.owner.reconcile(scene.now), Some(GRACE / 2));
    scene.settle(Some(GRACE / 2));
    let tables = scene.owner.dataplane.dump().unwrap();
    assert_eq!((tables.slots.len(), tables.backends.len()), (2, 2));
}

#[test]
fn draining_backend_is_freed_after_its_deadline() {
    let mut scene = Scene::new();
    let drained = |mut service: Service| {
        service.close_stale_tcp = Some(Duration::from_secs(30));
        service
    };
    scene.configure([drained(cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]))]);
    let mut wait = scene.configure([drained(cart(&[("10.0.0.2:80", 1)]))]);
    let left = scene.now;
    while let Some(time) = wait {
        assert_eq!(scene.owner.backends().len(), 2);
        scene.now += time;
        wait = scene.owner.reconcile(scene.now);
    }
    assert_eq!(
        (scene.now - left, scene.owner.backends().len()),
        (Duration::from_secs(30), 1)
    );
}

#[test]
fn nothing_is_freed_while_the_switch_away_from_it_fails() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    scene.owner.dataplane.stuck = true;
    let mut wait = scene.configure([cart(&[("10.0.0.2:80", 1)])]);
    for _ in 0..5 {
        scene.now += wait.expect("there is still something to do");
        wait = scene.owner.reconcile(scene.now);
        assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
        assert_eq!(scene.owner.snapshot().problems.len(), 1);
    }
    scene.owner.dataplane.stuck = false;
    wait = scene.owner.reconcile(scene.now);
    assert_eq!(wait, Some(GRACE), "the grace period starts with the switch");
    scene.settle(wait);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
}

#[test]
fn endpoint_that_returns_within_the_grace_period_keeps_its_index() {
    let mut scene = Scene::new();
    let both = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1)];
    scene.configure([cart(&both)]);
    let before = scene.owner.dataplane.dump().unwrap().backends;
    scene.configure([cart(&both[..1])]);
    let wait = scene.configure([cart(&both)]);
    scene.settle(wait);
    assert_eq!(scene.owner.dataplane.dump().unwrap().backends, before);
}
