//! Addresses and ids of one service are not given to another.

use std::num::NonZeroU32;

use mesh_common::socket;

use super::*;
use crate::model::{Addresses, Wrong};

#[test]
fn address_taken_by_another_frontend_is_noted() {
    let mut scene = Scene::new();
    scene
        .owner
        .set_node("n1", BTreeSet::from(["192.0.2.1".parse().unwrap()]));
    let mut service = cart(&[("10.0.0.1:80", 1)]);
    service.ports[0].node_port = Some(80);
    scene.configure([service.clone(), fixture::fixed("other", "192.0.2.1")]);
    let notes = |scene: &Scene| {
        scene
            .owner
            .snapshot()
            .notes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let note = "test.yaml:1: node port 80/TCP of service test/cart is not served at 192.0.2.1: \
                service test/other asks for that address and port, in test.yaml:1";
    assert_eq!(notes(&scene), [note]);
    scene.configure([service]);
    assert_eq!(notes(&scene), [""; 0]);
}

/// Returns what is not in force as written, and what is instead.
fn wrong(scene: &Scene) -> Vec<String> {
    let line = |it: &Wrong| format!("{}: {}: {}", it.origin, it.name, it.effect);
    scene.owner.snapshot().wrong.iter().map(line).collect()
}

#[test]
fn new_service_that_claims_an_allocated_address_is_left_out() {
    let mut scene = Scene::new();
    scene.owner.pools = vec!["240.96.0.0/30".parse().unwrap()];
    let auto = fixture::with(fixture::auto("auto"), &[("10.0.0.1:80", 1)]);
    scene.configure([auto.clone()]);
    let address = scene.owner.world.vips[&auto.name][0];
    scene.configure([auto, fixture::fixed("thief", &address.to_string())]);
    assert_eq!(
        wrong(&scene),
        ["test.yaml:1: service test/thief: it is left out: no good version of it is known"]
    );
}

#[test]
fn allocated_address_stays_with_its_service() {
    let mut scene = Scene::new();
    scene.owner.pools = vec!["240.96.0.0/30".parse().unwrap()];
    let auto = fixture::with(fixture::auto("auto"), &[("10.0.0.1:80", 1)]);
    let other = fixture::with(fixture::fixed("other", "10.96.0.2"), &[("10.0.0.2:80", 1)]);
    scene.configure([auto.clone(), other.clone()]);
    let address = scene.owner.world.vips[&auto.name][0];
    let held = format!("{address}:80");
    assert_eq!(scene.connect(&held).unwrap(), "10.0.0.1:80");
    let mut thief = other;
    thief.addresses = Addresses::Fixed(vec![address, "10.96.0.3".parse().unwrap()]);
    let wait = scene.configure([auto.clone(), thief.clone()]);
    scene.settle(wait);
    assert_eq!(scene.connect(&held).unwrap(), "10.0.0.1:80");
    assert_eq!(
        scene.connect("10.96.0.2:80").unwrap(),
        "10.0.0.2:80",
        "as it was before"
    );
    assert_eq!(scene.connect("10.96.0.3:80"), None);
    let errors = scene.errors();
    let blamed = format!(
        "test.yaml:1: services test/auto and test/other both ask for {address} port 80/TCP: "
    );
    assert!(
        matches!(&errors[..], [error] if error.starts_with(&blamed)),
        "{errors:?}"
    );
    assert_eq!(
        wrong(&scene),
        ["test.yaml:1: service test/other: its last good version stays in force"]
    );
    let wait = scene.configure([thief]);
    scene.settle(wait);
    assert_eq!(wrong(&scene), [""; 0]);
    assert_eq!(scene.connect(&held).unwrap(), "10.0.0.2:80", "free by now");
    assert_eq!(scene.owner.snapshot().errors, []);
}

#[test]
fn new_service_is_not_charged_for_a_removed_one() {
    let mut scene = Scene::new();
    let limited = |name: &str, address: &str| {
        let mut service = fixture::with(fixture::fixed(name, address), &[("10.0.0.1:80", 1)]);
        service.traffic.limits.connections = NonZeroU32::new(1);
        service
    };
    scene.configure([limited("old", "10.96.0.1")]);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    socket::syn_sent(&scene.owner.dataplane.memory, 0);
    let wait = scene.configure([]);
    scene.settle(wait);
    assert_eq!(
        scene.owner.dataplane.dump().unwrap().names.len(),
        0,
        "its id is free, its connection is open"
    );
    scene.configure([limited("new", "10.96.0.2")]);
    scene.owner.dataplane.memory.set_socket(1);
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.0.1:80");
    let wait = scene.configure([limited("new", "10.96.0.2"), limited("newer", "10.96.0.3")]);
    scene.settle(wait);
    scene.owner.dataplane.memory.set_socket(2);
    assert_eq!(scene.connect("10.96.0.3:80").unwrap(), "10.0.0.1:80");
    let ids: Vec<u32> = scene
        .owner
        .dataplane
        .dump()
        .unwrap()
        .names
        .keys()
        .copied()
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn endpoint_at_an_allocated_address_is_left_out() {
    let mut scene = Scene::new();
    scene.owner.pools = vec!["240.96.0.0/30".parse().unwrap()];
    let auto = fixture::with(fixture::auto("auto"), &[("10.0.0.1:80", 1)]);
    scene.configure([auto.clone()]);
    let address = format!("{}:80", scene.owner.world.vips[&auto.name][0]);
    let wait = scene.configure([auto.clone(), cart(&[(&address, 1), ("10.0.0.2:80", 1)])]);
    scene.settle(wait);
    let endpoints: BTreeSet<_> = (0..20)
        .filter_map(|_| scene.connect("10.96.0.1:80"))
        .collect();
    assert_eq!(endpoints, BTreeSet::from(["10.0.0.2:80".to_owned()]));
    let errors = scene.errors();
    let expected = format!(
        "test.yaml:1: endpoint {address} of service test/cart is the address of service test/auto (in test.yaml:1), \
         where no server listens: list the servers behind it instead"
    );
    assert_eq!(errors, [expected]);
    assert_eq!(
        wrong(&scene),
        ["test.yaml:1: service test/cart: the rest of it is in force"]
    );
}

#[test]
fn uncertain_service_without_frontends_in_the_kernel_is_not_kept() {
    let mut scene = Scene::new();
    scene.configure([
        cart(&[("10.0.0.1:80", 1)]),
        fixture::fixed("gone", "10.96.0.2"),
    ]);
    // The name of the removed service is kept for the grace period.
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    assert_eq!(scene.owner.dataplane.dump().unwrap().names.len(), 2);
    scene.restart();
    let names = ["cart", "gone"].map(fixture::name);
    let origin = cart(&[]).origin;
    let wrong = |name: &ServiceName| Wrong {
        origin: origin.clone(),
        name: format!("service {name}"),
        scope: crate::model::Scope::Object,
        effect: crate::model::Effect::LeftOut,
    };
    let wrong = names.iter().map(wrong).collect();
    scene.owner.accept(Update {
        uncertain: names.into(),
        wrong,
        complete: true,
        ..Update::default()
    });
    let wait = scene.owner.reconcile(scene.now);
    scene.settle(wait);
    let told = crate::agent::view::wrong(&scene.owner.snapshot());
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.name.as_str(), it.in_force.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("service test/cart", "kernel"),
            ("service test/gone", "nothing")
        ]
    );
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    assert_eq!(
        scene.owner.dataplane.dump().unwrap().names.len(),
        1,
        "nothing of the other one is kept"
    );
}
