//! A service that does not fit affects no other service.

use super::*;
use crate::model::Wrong;

/// Returns the errors, and what is in force instead.
fn shown(scene: &Scene) -> (Vec<String>, Vec<String>) {
    let snapshot = scene.owner.snapshot();
    let line = |it: &Wrong| format!("{}: {}", it.name, it.effect);
    (scene.errors(), snapshot.wrong.iter().map(line).collect())
}

fn other(address: &str) -> Service {
    fixture::with(fixture::fixed("other", "10.96.0.2"), &[(address, 1)])
}

const NOTHING: (Vec<String>, Vec<String>) = (vec![], vec![]);

#[test]
fn frontends_that_are_being_replaced_count_as_used() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)])]);
    scene.owner.dataplane.capacity = Some(Capacity {
        services: 1,
        ..Memory::CAPACITY
    });
    scene.configure([fixture::with(
        fixture::fixed("cart", "10.96.0.9"),
        &[("10.0.0.1:80", 1)],
    )]);
    let error = "test.yaml:1: service test/cart does not fit: there is room for 1 service addresses with their ports of all \
                 services (those that are being replaced count until they are deleted); maxServices (--max-services) can \
                 raise that";
    let instead = "service test/cart: its last good version stays in force";
    assert_eq!(
        shown(&scene),
        (vec![error.to_owned()], vec![instead.to_owned()])
    );
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
}

#[test]
fn service_over_capacity_keeps_its_endpoints_while_all_others_apply() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)]), other("10.0.1.1:80")]);
    scene.owner.dataplane.capacity = Some(Capacity {
        backends: 4,
        ..Memory::CAPACITY
    });
    let three = [
        ("10.0.0.1:80", 1),
        ("10.0.0.2:80", 1),
        ("10.0.0.3:80", 1),
        ("10.0.0.4:80", 1),
    ];
    let wait = scene.configure([cart(&three), other("10.0.1.2:80")]);
    let instead = "service test/cart: the rest of it is in force";
    assert_eq!(shown(&scene).1, [instead]);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.1.2:80");
    assert_eq!(scene.owner.snapshot().problems, [""; 0]);
    scene.settle(wait);
    // The same for an agent that has only the kernel's rows.
    scene.restart();
    scene.owner.dataplane.capacity = Some(Capacity {
        backends: 4,
        ..Memory::CAPACITY
    });
    let wait = scene.configure([cart(&three), other("10.0.1.3:80")]);
    scene.settle(wait);
    assert_eq!(shown(&scene).1, [instead]);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.1.3:80");
    let wait = scene.configure([cart(&three[..2]), other("10.0.1.3:80")]);
    scene.settle(wait);
    assert_eq!(
        (
            shown(&scene),
            scene.owner.dataplane.dump().unwrap().backends.len()
        ),
        (NOTHING, 3)
    );
}

#[test]
fn service_without_common_rows_stays_as_it_was_when_the_new_version_does_not_fit() {
    let mut scene = Scene::new();
    scene.configure([cart(&[("10.0.0.1:80", 1)]), other("10.0.1.1:80")]);
    scene.owner.dataplane.capacity = Some(Capacity {
        backends: 2,
        ..Memory::CAPACITY
    });
    scene.configure([cart(&[("10.0.0.2:80", 1)]), other("10.0.1.1:80")]);
    assert_eq!(
        shown(&scene).1,
        ["service test/cart: its last good version stays in force"]
    );
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.1.1:80");
}

#[test]
fn service_over_capacity_is_served_when_rows_are_freed() {
    let mut scene = Scene::new();
    scene.owner.dataplane.capacity = Some(Capacity {
        backends: 2,
        ..Memory::CAPACITY
    });
    let two = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1)];
    scene.configure([other("10.0.1.1:80")]);
    scene.configure([other("10.0.1.1:80"), cart(&two)]);
    assert_eq!(
        shown(&scene).1,
        ["service test/cart: it is left out: no good version of it is known"]
    );
    assert_eq!(
        (
            scene.connect("10.96.0.1:80"),
            scene.connect("10.96.0.2:80").unwrap()
        ),
        (None, "10.0.1.1:80".to_owned())
    );
    // The other service is removed. Its row is freed after the grace period, without another
    // update.
    let wait = scene.configure([cart(&two)]);
    scene.settle(wait);
    assert_eq!(shown(&scene), NOTHING);
    assert!(
        ["10.0.0.1:80", "10.0.0.2:80"].contains(&scene.connect("10.96.0.1:80").unwrap().as_str())
    );
}

#[test]
fn service_with_too_many_endpoints_is_served_in_part() {
    let mut scene = Scene::new();
    scene.owner.dataplane.capacity = Some(Capacity {
        backends: 8,
        ..Memory::CAPACITY
    });
    scene.owner.set_quotas(Quotas::default());
    let three = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];
    scene.configure([cart(&three), other("10.0.1.1:80")]);
    let error = "test.yaml:1: 2 of 3 endpoints of service test/cart are served: one service may have 2, which quotaPerService \
                 (--quota-per-service) or maxBackends (--max-backends) can raise";
    let instead = "service test/cart: the rest of it is in force";
    assert_eq!(
        shown(&scene),
        (vec![error.to_owned()], vec![instead.to_owned()])
    );
    assert_eq!(scene.owner.dataplane.dump().unwrap().backends.len(), 3);
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.1.1:80");
}

#[test]
fn service_without_an_address_from_the_pool_is_left_out() {
    let mut scene = Scene::new();
    scene.owner.pools = vec!["240.96.0.0/30".parse().unwrap()];
    let auto = |name: &str| fixture::with(fixture::auto(name), &[("10.0.0.1:80", 1)]);
    scene.configure([auto("y"), auto("z")]);
    let vips = scene.owner.world.vips.clone();
    scene.configure([auto("a"), auto("y"), auto("z"), other("10.0.1.1:80")]);
    let error = "test.yaml:1: address: service test/a: no free address in pool 240.96.0.0/30; vipPool (--vip-pool) can name a \
                 larger one";
    let instead = "service test/a: it is left out: no good version of it is known";
    assert_eq!(
        shown(&scene),
        (vec![error.to_owned()], vec![instead.to_owned()])
    );
    assert_eq!(
        scene.owner.world.vips, vips,
        "services that were there before keep theirs"
    );
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.1.1:80");
}
