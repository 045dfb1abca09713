//! Tests of which endpoints are checked and taken out of service.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    desired::{Override, fixture},
    health::{checks, hysteresis::Hysteresis, plan},
    model::Probe,
};

/// A service with a check and these endpoints.
fn cart(endpoints: &[(&str, u32)]) -> Service {
    let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints);
    cart.traffic.health = Some(checks::tests::check(Probe::Tcp));
    cart
}

fn world(service: Service) -> World {
    World {
        services: fixture::services([service]),
        node_name: "n1".into(),
        ..World::default()
    }
}

fn targets(addresses: &[&str]) -> BTreeSet<Target> {
    let target = |address: &&str| Target {
        service: fixture::name("cart"),
        address: address.parse().unwrap(),
        port: 80,
    };
    addresses.iter().map(target).collect()
}

/// A report on all checked endpoints of a world, in which these fail.
fn report(world: &World, failing: &[&str]) -> HealthReport {
    let failing = targets(failing);
    let status = |target: &Target| {
        let state = if failing.contains(target) {
            HealthState::Unhealthy
        } else {
            HealthState::Healthy
        };
        HealthStatus {
            state,
            ..Hysteresis::new(Duration::ZERO).status().clone()
        }
    };
    let wanted = plan(world).wanted;
    let targets = wanted
        .keys()
        .map(|target| (Arc::new(target.clone()), status(target)));
    HealthReport {
        targets: targets.collect(),
        changes: 1,
    }
}

/// Returns the endpoints that are taken out of a service with these failing ones.
fn out(service: Service, failing: &[&str]) -> BTreeSet<Target> {
    let world = world(service);
    unhealthy(&report(&world, failing), &BTreeSet::new(), &world)
}

const THREE: [(&str, u32); 3] = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];

#[test]
fn endpoints_that_may_take_connections_are_checked() {
    let mut cart = cart(&THREE);
    cart.ports[0].endpoints[1].condition = Condition::Terminating;
    cart.ports[0].endpoints[2].condition = Condition::NotReady;
    let mut udp = cart.ports[0].clone();
    (udp.protocol, udp.endpoints) = (Protocol::Udp, vec![Endpoint::new([10, 0, 0, 9].into(), 80)]);
    cart.ports.push(udp);
    let unchecked = fixture::with(fixture::fixed("web", "10.96.0.2"), &[("10.0.1.1:80", 1)]);
    let world = World {
        services: fixture::services([cart, unchecked]),
        ..World::default()
    };
    assert_eq!(
        plan(&world).wanted.keys().cloned().collect::<BTreeSet<_>>(),
        targets(&["10.0.0.1", "10.0.0.2"])
    );
}

#[test]
fn failing_endpoints_are_taken_out_but_not_the_last_one() {
    assert_eq!(out(cart(&THREE), &[]), targets(&[]));
    assert_eq!(out(cart(&THREE), &["10.0.0.1"]), targets(&["10.0.0.1"]));
    assert_eq!(
        out(cart(&THREE), &["10.0.0.1", "10.0.0.3"]),
        targets(&["10.0.0.1", "10.0.0.3"])
    );
    assert_eq!(
        out(cart(&THREE), &["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        targets(&[])
    );
}

#[test]
fn an_endpoint_that_failed_before_is_out_until_there_is_a_report() {
    let world = world(cart(&THREE));
    let before = targets(&["10.0.0.1"]);
    assert_eq!(unhealthy(&HealthReport::default(), &before, &world), before);
    assert_eq!(
        unhealthy(&report(&world, &[]), &before, &world),
        targets(&[])
    );
    let all = targets(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(
        unhealthy(&HealthReport::default(), &all, &world),
        targets(&[]),
        "they are kept"
    );
}

#[test]
fn the_last_one_is_taken_out_where_the_service_says_so() {
    let mut empty = cart(&THREE[..1]);
    empty.traffic.health.as_mut().unwrap().allow_empty = true;
    assert_eq!(out(empty, &["10.0.0.1"]), targets(&["10.0.0.1"]));
}

#[test]
fn each_address_family_keeps_an_endpoint() {
    let dual = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("[fd00::1]:80", 1)]);
    assert_eq!(out(dual, &["10.0.0.1", "fd00::1"]), targets(&["10.0.0.1"]));
}

#[test]
fn endpoints_that_take_none_do_not_count() {
    assert_eq!(
        out(
            cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 0)]),
            &["10.0.0.1"]
        ),
        targets(&[])
    );
    let mut leaving = cart(&THREE);
    leaving.ports[0].endpoints[2].condition = Condition::Terminating;
    let ready = ["10.0.0.1", "10.0.0.2"];
    assert_eq!(
        out(leaving.clone(), &ready),
        targets(&[]),
        "the terminating one is not asked while there are ready ones"
    );
    assert_eq!(out(leaving.clone(), &["10.0.0.3"]), targets(&["10.0.0.3"]));
    leaving.ports[0]
        .endpoints
        .iter_mut()
        .for_each(|endpoint| endpoint.condition = Condition::Terminating);
    assert_eq!(
        out(leaving, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        targets(&[])
    );
}

#[test]
fn drained_endpoints_do_not_count() {
    let mut world = world(cart(&THREE[..2]));
    let report = report(&world, &["10.0.0.1"]);
    let healthy = targets(&["10.0.0.2"]).pop_first().unwrap();
    assert_eq!(
        unhealthy(&report, &BTreeSet::new(), &world),
        targets(&["10.0.0.1"])
    );
    let drained = Override {
        draining_since: Some(Duration::ZERO),
        weight: None,
    };
    world.overrides.insert(healthy.clone(), drained);
    assert_eq!(unhealthy(&report, &BTreeSet::new(), &world), targets(&[]));
    world.overrides.insert(
        healthy,
        Override {
            draining_since: None,
            weight: Some(0),
        },
    );
    assert_eq!(unhealthy(&report, &BTreeSet::new(), &world), targets(&[]));
}

#[test]
fn this_node_keeps_an_endpoint_if_traffic_is_local() {
    let mut near = cart(&THREE);
    near.ports[0].endpoints[0].node = Some("n1".into());
    near.ports[0].endpoints[1].node = Some("n1".into());
    assert_eq!(
        out(near.clone(), &["10.0.0.1", "10.0.0.2"]),
        targets(&["10.0.0.1", "10.0.0.2"])
    );
    near.internal_traffic = InternalTraffic::Local;
    assert_eq!(out(near.clone(), &["10.0.0.1", "10.0.0.2"]), targets(&[]));
    assert_eq!(
        out(near, &["10.0.0.1", "10.0.0.3"]),
        targets(&["10.0.0.1", "10.0.0.3"])
    );
}

#[test]
fn kept_endpoints_are_reported_as_kept() {
    let mut world = world(cart(&THREE[..1]));
    let report = report(&world, &["10.0.0.1"]);
    let target = targets(&["10.0.0.1"]).pop_first().unwrap();
    world.unhealthy = unhealthy(&report, &BTreeSet::new(), &world);
    assert!(is_kept(&report.targets[&target], &world, &target));
    world.unhealthy.insert(target.clone());
    assert!(!is_kept(&report.targets[&target], &world, &target));
}
