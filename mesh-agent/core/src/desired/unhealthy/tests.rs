//! Tests of which endpoints are taken out of service.

use std::time::Duration;

use super::*;
use crate::{
    desired::{Override, fixture},
    model::Condition,
};

/// A service with a check and these endpoints.
fn cart(endpoints: &[(&str, u32)]) -> Service {
    let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints);
    cart.traffic.health = Some(fixture::check());
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

/// The same world, in which the checks of these endpoints fail.
fn failing(world: &World, failing: &[&str]) -> World {
    let failing = targets(failing).into_iter();
    World {
        failing: failing.map(|target| (target, Duration::ZERO)).collect(),
        ..world.clone()
    }
}

/// Returns the endpoints of the service that are out.
fn out_of(world: &World) -> BTreeSet<Target> {
    unhealthy(world, &world.services[&fixture::name("cart")])
}

/// Returns the endpoints that are taken out of a service with these failing ones.
fn out(service: Service, fail: &[&str]) -> BTreeSet<Target> {
    out_of(&failing(&world(service), fail))
}

const THREE: [(&str, u32); 3] = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];

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
    let mut world = failing(&world(cart(&THREE[..2])), &["10.0.0.1"]);
    let healthy = targets(&["10.0.0.2"]).pop_first().unwrap();
    assert_eq!(out_of(&world), targets(&["10.0.0.1"]));
    let drained = Override {
        draining_since: Some(Duration::ZERO),
        weight: None,
    };
    world.overrides.insert(healthy.clone(), drained);
    assert_eq!(out_of(&world), targets(&[]));
    world.overrides.insert(
        healthy,
        Override {
            draining_since: None,
            weight: Some(0),
        },
    );
    assert_eq!(out_of(&world), targets(&[]));
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
