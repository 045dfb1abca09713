//! Tiers: which of them take connects, and where their slots are.

use super::*;

/// Returns the share of short connects that go to each tier.
fn shares(memory: &mut Memory) -> BTreeMap<u8, f64> {
    const CONNECTS: u32 = 20_000;
    memory.set_seed(7);
    let mut counts = BTreeMap::new();
    for socket in 0..CONNECTS.into() {
        *counts
            .entry(tier(ask(memory, socket, true).unwrap()))
            .or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(tier, count): (u8, u32)| (tier, f64::from(count) / f64::from(CONNECTS)))
        .collect()
}

#[test]
fn connects_go_to_the_nearest_healthy_tier() {
    for balance in [
        Balance::LeastConnections,
        Balance::Random,
        Balance::RoundRobin,
    ] {
        let mut service = near_and_far(&[2, 2, 3]);
        service.traffic.balance = balance;
        let (mut world, mut memory) = (world(service), Memory::default());
        let before = configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(0, 1.0)].into());
        unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
        let after = configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(1, 1.0)].into());
        assert_eq!(
            (before.slots, before.services),
            (after.slots, after.services),
            "only two rows are written"
        );
        unhealthy(
            &mut world,
            ["10.0.0.1:80", "10.0.0.2:80", "10.0.1.1:80", "10.0.1.2:80"],
        );
        configure(&mut memory, &world, SECOND);
        assert_eq!(shares(&mut memory), [(2, 1.0)].into());
    }
}

#[test]
fn a_tier_keeps_connects_in_proportion_to_its_usable_capacity() {
    let policies = [
        Balance::LeastConnections,
        Balance::Random,
        Balance::RoundRobin,
    ];
    for balance in policies
        .into_iter()
        .chain([Balance::ConsistentHash(HashKey::NetworkNamespace)])
    {
        let mut service = near_and_far(&[4, 4]);
        service.traffic.balance = balance;
        let (mut world, mut memory) = (world(service), Memory::default());
        unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
        configure(&mut memory, &world, SECOND);
        let kept = kept(&mut memory);
        assert!((kept - 0.5 / 0.7).abs() < 0.02, "{balance:?} keeps {kept}");
        unhealthy(&mut world, ["10.0.0.1:80"]);
        configure(&mut memory, &world, SECOND);
        // The search samples a lookup table, and a sample may hold too few usable endpoints.
        assert!(shares(&mut memory)[&0] > 0.98, "three of four are enough");
    }
}

/// Returns the share of many clients that go to tier 0.
fn kept(memory: &mut Memory) -> f64 {
    memory.set_seed(7);
    let stays = |client: u64| {
        memory.set_client(client);
        tier(ask(memory, client, true).unwrap()) == 0
    };
    (0..20_000).map(stays).filter(|stays| *stays).count() as f64 / 20_000.0
}

#[test]
fn unready_and_drained_endpoints_are_missing_capacity() {
    let mut service = near_and_far(&[4, 4]);
    service.ports[0].endpoints[0].condition = Condition::NotReady;
    let mut world = world(service);
    world.overrides.insert(
        target("10.0.0.2:80"),
        Override {
            draining_since: Some(SECOND),
            weight: None,
        },
    );
    let mut memory = Memory::default();
    let tables = configure(&mut memory, &world, SECOND);
    let states: Vec<u16> = tables
        .backends
        .values()
        .take(3)
        .map(|row| row.state)
        .collect();
    assert_eq!(
        states,
        [
            backend_state::DOWN,
            backend_state::DRAINING,
            backend_state::ACTIVE
        ]
    );
    let kept = kept(&mut memory);
    assert!((kept - 0.5 / 0.7).abs() < 0.02, "{kept}");
}

#[test]
fn a_tier_that_is_much_busier_spills() {
    let mut service = near_and_far(&[2, 2]);
    service.traffic.locality.spill = Some(300);
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    memory.set_seed(7);
    let mut counts = [0; 2];
    for socket in 0..4000 {
        counts[usize::from(tier(ask(&mut memory, socket, false).unwrap()))] += 1;
    }
    let ratio = f64::from(counts[0]) / f64::from(counts[1]);
    assert!((2.7..3.3).contains(&ratio), "{counts:?}");
}

#[test]
fn all_tiers_of_an_uncertain_service_are_retained() {
    let current = configure(
        &mut Memory::default(),
        &world(near_and_far(&[2, 1, 3])),
        SECOND,
    );
    assert_eq!(current.slots.len(), 2 + 1 + 1 + 1 + 3);
    let row: &ServiceRow = &current.services[&fixture::key(VIP)];
    assert_eq!(
        (row.slot_count, row.flags & service_flags::TIERS),
        (2, service_flags::TIERS)
    );
    let uncertain = current
        .names
        .values()
        .filter_map(|name| identified(name))
        .collect();
    let lost = World {
        uncertain,
        ..World::default()
    };
    assert_eq!(
        compile(&lost, SECOND, &current, Memory::CAPACITY).unwrap(),
        current
    );
}

#[test]
fn an_unchanged_range_of_tiers_stays_and_a_changed_one_moves_as_a_whole() {
    let mut memory = Memory::default();
    let first = configure(&mut memory, &world(near_and_far(&[2, 2])), SECOND);
    assert_eq!(
        configure(&mut memory, &world(near_and_far(&[2, 2])), SECOND),
        first
    );
    let mut changed = near_and_far(&[2, 2]);
    changed.ports[0].endpoints[3].weight = 9;
    let second = configure(&mut memory, &world(changed), SECOND);
    assert_eq!(
        second.services[&fixture::key(VIP)].slot_base,
        5,
        "the far tier changed, the near one follows"
    );
}
