//! Services stay while their configuration cannot be read.

use super::*;

#[test]
fn incomplete_update_removes_nothing_that_an_earlier_agent_left() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    scene.restart();
    let other = fixture::with(fixture::fixed("pay", "10.96.0.2"), &[("10.0.0.9:80", 1)]);
    let wait = scene.configure_as(false, [other.clone()]);
    scene.settle(wait);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.0.9:80");
    let wait = scene.configure([other]);
    scene.settle(wait);
    assert_eq!(scene.connect("10.96.0.1:80"), None);
}

#[test]
fn incomplete_update_removes_services_that_were_known_before() {
    let mut scene = Scene::new();
    let other = fixture::with(fixture::fixed("pay", "10.96.0.2"), &[("10.0.0.9:80", 1)]);
    scene.configure([cart(&[("10.0.0.1:80", 1)]), other.clone()]);
    scene.restart();
    let wait = scene.configure_as(false, [cart(&[("10.0.0.1:80", 1)]), other.clone()]);
    scene.settle(wait);
    let wait = scene.configure_as(false, [other]);
    scene.settle(wait);
    assert_eq!(
        (
            scene.connect("10.96.0.1:80"),
            scene.connect("10.96.0.2:80").is_some()
        ),
        (None, true)
    );
}

#[test]
fn uncertain_service_stays_as_the_kernel_has_it() {
    let mut scene = Scene::new();
    let other = fixture::with(fixture::fixed("pay", "10.96.0.2"), &[("10.0.0.9:80", 1)]);
    scene.configure([cart(&[("10.0.0.1:80", 1)]), other]);
    scene.restart();
    let mut accept = |services: Vec<Service>, uncertain: &[ServiceName]| {
        let uncertain = uncertain.iter().cloned().collect();
        let services = fixture::services(services);
        scene.owner.accept(Update {
            services,
            complete: true,
            uncertain,
            ..Update::default()
        });
        let wait = scene.owner.reconcile(scene.now);
        scene.settle(wait);
        scene.connect("10.96.0.1:80")
    };
    let name = fixture::name("cart");
    // First without its endpoints, then without the service.
    assert_eq!(
        accept(vec![cart(&[])], std::slice::from_ref(&name)).unwrap(),
        "10.0.0.1:80"
    );
    assert_eq!(
        accept(vec![], std::slice::from_ref(&name)).unwrap(),
        "10.0.0.1:80"
    );
    assert_eq!(
        accept(vec![cart(&[("10.0.0.2:80", 1)])], &[]).unwrap(),
        "10.0.0.2:80"
    );
    assert_eq!(accept(vec![], &[name]), None, "it was known, so it is gone");
    assert_eq!(
        scene.connect("10.96.0.2:80"),
        None,
        "nothing was wrong with the other one"
    );
}
