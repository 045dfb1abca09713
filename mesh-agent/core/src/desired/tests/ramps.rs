//! Weights of endpoints with slow start and drain.

use super::*;

/// A service with two endpoints, of which the first became usable at second 1.
fn ramping() -> World {
    let mut service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 10), ("10.0.0.2:80", 10)],
    );
    service.traffic.slow_start = Some(SlowStart {
        alpha: Ratio(500_000),
        tick: SECOND,
    });
    service.traffic.drain = Some(Drain {
        beta: Ratio(500_000),
        tick: SECOND,
    });
    let mut world = world(service);
    world.usable_since.insert(target("10.0.0.1:80"), SECOND);
    world
}

fn rows(world: &World, now: Duration) -> Vec<BackendRow> {
    compile(world, now, &Tables::default(), Memory::CAPACITY)
        .unwrap()
        .backends
        .values()
        .copied()
        .collect()
}

#[test]
fn a_new_endpoint_begins_slowly() {
    let world = ramping();
    let weights = |now: u32| {
        rows(&world, SECOND * now)
            .iter()
            .map(|row| row.weight)
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(1), [5 << 8, 10 << 8]);
    assert_eq!(weights(2), [(75 << 8) / 10, 10 << 8]);
    assert_eq!(weights(60), [10 << 8, 10 << 8]);
    assert_eq!(next_change(&world, SECOND * 5 / 2), Some(SECOND * 3));
    assert_eq!(next_change(&world, SECOND * 60), None);
}

#[test]
fn a_drained_endpoint_ends_slowly_and_leaves_the_slots() {
    let mut world = ramping();
    world.usable_since.clear();
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: Some(SECOND),
            weight: Some(20),
        },
    );
    let row = |now| rows(&world, SECOND * now)[1];
    assert_eq!(
        (row(1).weight, row(1).state),
        (20 << 8, backend_state::ACTIVE)
    );
    assert_eq!(
        (row(3).weight, row(3).state),
        (5 << 8, backend_state::ACTIVE)
    );
    assert_eq!(
        row(8).state,
        backend_state::DRAINING,
        "0.8 % of the target count as zero"
    );
    assert_eq!(
        (
            next_change(&world, SECOND * 7),
            next_change(&world, SECOND * 8)
        ),
        (Some(SECOND * 8), None)
    );
    let tables = |now| compile(&world, SECOND * now, &Tables::default(), Memory::CAPACITY).unwrap();
    let slots = |now| tables(now).services[&fixture::key(VIP)].slot_count;
    assert_eq!((slots(7), slots(8)), (2, 1));
}

#[test]
fn without_ramps_weights_are_as_configured() {
    let service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 3), ("10.0.0.2:80", 65_535)],
    );
    let mut world = world(service);
    let weights = |world: &World| {
        rows(world, SECOND)
            .iter()
            .map(|row| row.weight)
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&world), [3, 65_535]);
    assert_eq!(next_change(&world, SECOND), None);
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: None,
            weight: Some(0),
        },
    );
    assert_eq!(weights(&world), [3, 0], "no fraction bits are left");
    assert_eq!(rows(&world, SECOND)[1].state, backend_state::DRAINING);
}
