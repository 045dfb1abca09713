//! Compiling what changed gives the same tables as compiling everything.

use proptest::prelude::*;

use super::*;
use crate::{
    dataplane::{Dataplane as _, memory::Memory},
    desired::{Allocatable, Override, compile, fixture, plan::Op, plan::diff},
    model::{Addresses, Balance, Drain, LocalityLevel, Ratio, SlowStart},
};

/// Number of services of the test worlds.
const SERVICES: u8 = 16;
const SECOND: Duration = Duration::from_secs(1);

/// One change to a world: the service, the kind of change, and its value.
type Edit = (u8, u8, u8);

fn name(number: u8) -> ServiceName {
    fixture::name(&format!("s{number}"))
}

fn target(number: u8, host: u8) -> Target {
    Target {
        service: name(number),
        address: [10, 1, number, host % 4].into(),
        port: 80,
    }
}

/// A service with the endpoints whose bits are set in `how`.
fn service(number: u8, how: u8) -> Service {
    let endpoints: Vec<String> = (0..4)
        .filter(|host| how >> host & 1 == 1)
        .map(|host| format!("10.1.{number}.{host}:80"))
        .collect();
    let weights = (1..).map(|at| at * u32::from(how >> 4) % 5);
    let endpoints: Vec<_> = endpoints.iter().map(String::as_str).zip(weights).collect();
    fixture::with(
        fixture::fixed(&format!("s{number}"), &format!("10.96.0.{number}")),
        &endpoints,
    )
}

fn edit(world: &mut World, (number, what, how): Edit, now: Duration) {
    let old = world
        .services
        .get(&name(number))
        .map(|service| Service::clone(service));
    let mut service = old.unwrap_or_else(|| service(number, how));
    match what {
        0 => {
            world.services.remove(&name(number));
            return;
        }
        1..=4 => service = self::service(number, how),
        5 => {
            service.ports[0].node_port =
                how.is_multiple_of(2).then_some(30_000 + u16::from(number));
        }
        // Where the next service may have its node port.
        6 => {
            service.addresses = Addresses::Fixed(vec![[192, 0, 2, 1].into()]);
            service.ports[0].port = 30_000 + u16::from((number + 1) % SERVICES);
        }
        7 => service.traffic.balance = [Balance::Random, Balance::RoundRobin][usize::from(how % 2)],
        8 => service.traffic.locality.order = vec![LocalityLevel::Zone],
        9 => {
            let target = target(number, how);
            if world.failing.remove(&target).is_none() {
                world.failing.insert(target, now);
            }
            service.traffic.health = Some(fixture::check());
        }
        10 => {
            let given = Override {
                draining_since: (how < 64).then_some(now),
                weight: (how > 32).then_some(3),
            };
            world.overrides.insert(target(number, how), given);
        }
        11 => world.overrides.clear(),
        12 => {
            service.traffic.slow_start = Some(SlowStart {
                alpha: Ratio(100_000),
                tick: SECOND,
            });
            service.traffic.drain = Some(Drain {
                beta: Ratio(500_000),
                tick: SECOND,
            });
            world.usable_since.insert(target(number, how), now);
        }
        13 => world.usable_since.clear(),
        14 => {
            service.addresses = Addresses::Auto;
            world
                .vips
                .insert(name(number), vec![[240, 0, number, how].into()]);
        }
        15 => {
            world.uncertain = world
                .uncertain
                .symmetric_difference(&[name(number)].into())
                .cloned()
                .collect();
        }
        16 => world.node_addresses = [[192, 0, 2, how % 2].into()].into(),
        _ => {}
    }
    world.services.insert(name(number), Arc::new(service));
}

fn world() -> World {
    let services = fixture::services((0..SERVICES).map(|number| service(number, 0x2f)));
    World {
        services,
        complete: true,
        node_addresses: [[192, 0, 2, 1].into()].into(),
        ..World::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn compiling_what_changed_is_compiling_everything(
        edits in prop::collection::vec(((0..SERVICES, 0_u8..18, any::<u8>()), any::<bool>()), 1..40),
        busy in prop::collection::btree_set(0_u32..24, 0..12),
    ) {
        let allocatable = Allocatable { busy: &busy, ..Memory::CAPACITY.into() };
        let (mut now, mut world, mut memory) = (SECOND, world(), Memory::default());
        let mut tables = compile(&world, now, &Tables::default(), Memory::CAPACITY).unwrap();
        memory.apply(&diff(&Tables::default(), &tables)).unwrap();
        for (change, frees) in edits {
            let before = world.clone();
            let at = now;
            // Unhealthy endpoints leave the slots after a while.
            now += if change.1 == 17 { SECOND * 40 } else { SECOND / 2 };
            edit(&mut world, change, now);
            let current = memory.dump().unwrap();
            let earlier = Some(Earlier { world: &before, at, tables: &tables });
            let base = Base { current: &current, earlier };
            let next = compile(&world, now, base, allocatable).unwrap();
            prop_assert_eq!(&next, &compile(&world, now, &current, allocatable).unwrap());
            let ops = diff(&current, &next);
            // Rows that nothing refers to any more may stay for a while.
            let ops: Vec<Op> = ops.into_iter().filter(|op| frees || !op.held_back()).collect();
            memory.apply(&ops).unwrap();
            tables = next;
        }
    }
}

#[test]
fn only_changed_services_are_compiled() {
    let before = world();
    let mut after = before.clone();
    assert_eq!(
        changed((&before, SECOND), (&after, SECOND)),
        Some(BTreeSet::new())
    );
    edit(&mut after, (3, 1, 0x13), SECOND);
    edit(&mut after, (5, 9, 1), SECOND);
    edit(&mut after, (7, 10, 1), SECOND);
    assert_eq!(
        changed((&before, SECOND), (&after, SECOND)),
        Some([&name(3), &name(5), &name(7)].into())
    );
    edit(&mut after, (8, 0, 0), SECOND);
    edit(&mut after, (9, 0, 0), SECOND);
    assert_eq!(
        changed((&before, SECOND), (&after, SECOND)),
        None,
        "starting anew costs less"
    );
    let mut after = before.clone();
    edit(&mut after, (3, 5, 0), SECOND);
    assert_eq!(
        changed((&before, SECOND), (&after, SECOND)),
        None,
        "a node port may be where another service is"
    );
}
