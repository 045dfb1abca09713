//! Reasons and weights that only the agent knows: commands, health checks, ramps, errors.

use super::*;

/// Compiles a world, and explains connects to the service.
fn explained(world: &World) -> Explanation {
    let tables = compile(world, NOW, &Tables::default(), Memory::CAPACITY).unwrap();
    let scene = Scene {
        tables,
        counters: Counters::default(),
    };
    scene.ask(VIP)
}

#[test]
fn backend_taken_out_by_an_operator_or_health_check_has_the_reason() {
    let mut scene = Scene::of(cart(&[
        ("10.0.0.1:80", 1),
        ("10.0.0.2:80", 1),
        ("10.0.0.3:80", 1),
    ]));
    for last in [1, 2] {
        let index = scene.index(last);
        scene.tables.backends.get_mut(&index).unwrap().state = backend_state::DRAINING;
    }
    let target = |last: u8| Target {
        service: fixture::name("cart"),
        address: [10, 0, 0, last].into(),
        port: 80,
    };
    let drained = Override {
        draining_since: Some(NOW),
        weight: None,
    };
    let overrides = [(target(1), drained), (target(3), drained)].into();
    let mut world = World {
        services: fixture::services([cart(&[("10.0.0.2:80", 1)])]),
        overrides,
        ..World::default()
    };
    fixture::fail(&mut world, [target(2)]);
    let mut explanation = scene.ask(VIP);
    agent_state::add(&world, NOW, &mut explanation);
    let expected = [
        "10.0.0.1:80: drained by an operator",
        "10.0.0.2:80: its health check fails",
        "10.0.0.3:80: usable; drained by an operator",
    ];
    assert_eq!(reasons(&explanation), expected);
}

#[test]
fn endpoint_on_another_node_has_its_own_reason() {
    let mut service = cart(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
    service.internal_traffic = InternalTraffic::Local;
    service.ports[0].endpoints[0].node = Some("n1".into());
    let world = World {
        services: fixture::services([service]),
        complete: true,
        node_name: "n1".into(),
        ..World::default()
    };
    let mut explanation = explained(&world);
    agent_state::add(&world, NOW, &mut explanation);
    assert_eq!(
        reasons(&explanation),
        ["10.0.0.1:80: usable", "10.0.0.2:80: not on this node"]
    );
}

#[test]
fn services_left_out_are_named_when_no_service_matches() {
    let (bad, good) = (
        fixture::fixed("bad", "10.96.0.9"),
        fixture::fixed("good", "10.96.0.8"),
    );
    let wrong = [
        Wrong::service(&bad, Effect::LeftOut),
        Wrong::service(&good, Effect::Kept),
    ];
    let scene = Scene::of(two());
    let mut explanation = scene.ask("10.96.0.9:80");
    reasons::name_left_out(&wrong, &mut explanation);
    assert_eq!(
        explanation.notes,
        [format!(
            "left out because of errors: service test/bad ({})",
            bad.origin
        )]
    );
    let mut explanation = scene.ask(VIP);
    reasons::name_left_out(&wrong, &mut explanation);
    assert_eq!(explanation.notes, [""; 0]);
}

#[test]
fn weights_are_shown_in_configured_units_during_ramps() {
    let mut service = cart(&[("10.0.0.1:80", 3), ("10.0.0.2:80", 1)]);
    service.traffic.drain = Some(Drain {
        beta: Ratio(500_000),
        tick: Duration::from_secs(1),
    });
    let target = Target {
        service: fixture::name("cart"),
        address: [10, 0, 0, 2].into(),
        port: 80,
    };
    let drained = Override {
        draining_since: Some(NOW - Duration::from_secs(2)),
        weight: None,
    };
    let services = fixture::services([service]);
    let world = World {
        services,
        complete: true,
        overrides: [(target, drained)].into(),
        ..World::default()
    };
    let mut explanation = explained(&world);
    let weights = |explanation: &Explanation| -> Vec<(u32, Option<u32>)> {
        let backends = explanation.tiers.iter().flat_map(|tier| &tier.backends);
        backends
            .map(|it| (it.effective_weight, it.weight))
            .collect()
    };
    assert_eq!(
        weights(&explanation),
        [(768, None), (64, None)],
        "kernel weights have 8 fractional bits"
    );
    agent_state::add(&world, NOW, &mut explanation);
    assert_eq!(
        weights(&explanation),
        [(3, Some(3)), (0, Some(1))],
        "a quarter is shown as zero"
    );
}
