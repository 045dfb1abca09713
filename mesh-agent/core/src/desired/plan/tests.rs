use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use mesh_common::connect::{Verdict, connect};
use proptest::prelude::*;

use super::*;
use crate::{
    dataplane::{Dataplane, memory::Memory},
    desired::{World, compile, fixture},
    model::{Balance, Service},
};

/// Endpoints by service name; each service has the address 10.0.0.x of its name.
type Config = BTreeMap<u8, Vec<(u8, u32)>>;

fn configs() -> impl Strategy<Value = Config> {
    let endpoints = prop::collection::btree_map(1_u8..9, 0_u32..4, 0..6);
    prop::collection::btree_map(
        1_u8..6,
        endpoints.prop_map(|map| map.into_iter().collect()),
        0..5,
    )
}

fn world(config: &Config) -> World {
    let service = |(name, endpoints): (&u8, &Vec<(u8, u32)>)| {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(host, w)| (format!("10.1.{name}.{host}:80"), *w))
            .collect();
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, weight)| (address.as_str(), *weight))
            .collect();
        random(fixture::with(
            fixture::fixed(&name.to_string(), &format!("10.0.0.{name}")),
            &endpoints,
        ))
    };
    World {
        services: fixture::services(config.iter().map(service)),
        complete: true,
        ..World::default()
    }
}

/// With this policy some draw reaches every endpoint, whatever the load.
fn random(mut service: Service) -> Service {
    service.traffic.balance = Balance::Random;
    service
}

fn tables(config: &Config, current: &Tables) -> Tables {
    compile(
        &world(config),
        Duration::from_secs(1),
        current,
        Memory::CAPACITY,
    )
    .unwrap()
}

/// Returns the endpoints that a connect to a frontend may reach, or nothing if the service is
/// not configured.
fn targets(config: &Config, name: u8) -> Option<BTreeSet<SocketAddr>> {
    let usable = config.get(&name)?.iter().filter(|(_, weight)| *weight > 0);
    Some(
        usable
            .map(|(host, _)| format!("10.1.{name}.{host}:80").parse().unwrap())
            .collect(),
    )
}

/// Checks that every frontend leads to the complete endpoints of the old or of the new
/// configuration.
fn assert_serves_one_of(memory: &Memory, old: &Config, new: &Config) -> Result<(), TestCaseError> {
    for name in 1..6_u8 {
        let mut reached = BTreeSet::new();
        let mut verdicts = BTreeSet::new();
        for draw in 0..256_u32 {
            memory.set_random(draw << 24);
            let key = fixture::key(&format!("10.0.0.{name}:80"));
            match connect(memory, &key) {
                Verdict::Backend { addr, port } => {
                    reached.insert(SocketAddr::new(addr.into(), u16::from_be(port)));
                    verdicts.insert("backend");
                }
                Verdict::Refused => _ = verdicts.insert("refused"),
                Verdict::Untouched => _ = verdicts.insert("untouched"),
            }
        }
        prop_assert_eq!(verdicts.len(), 1, "a frontend has one kind of verdict");
        let seen = if verdicts.contains("untouched") {
            None
        } else {
            Some(reached)
        };
        let allowed = [targets(old, name), targets(new, name)];
        prop_assert!(
            allowed.contains(&seen),
            "service {} reaches {:?}, allowed {:?}",
            name,
            seen,
            allowed
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_prefix_serves_the_old_or_the_new_services(old in configs(), new in configs()) {
        let mut memory = Memory::default();
        memory.apply(&diff(&Tables::default(), &tables(&old, &Tables::default()))).unwrap();
        let current = memory.dump().unwrap();
        let ops = diff(&current, &tables(&new, &current));
        assert_serves_one_of(&memory, &old, &new)?;
        for op in ops {
            memory.apply(&[op]).unwrap();
            assert_serves_one_of(&memory, &old, &new)?;
        }
        assert_serves_one_of(&memory, &new, &new)?;
    }

    #[test]
    fn applying_the_plan_gives_the_desired_tables(configs in prop::collection::vec(configs(), 1..6)) {
        let mut memory = Memory::default();
        for config in &configs {
            let current = memory.dump().unwrap();
            let desired = tables(config, &current);
            memory.apply(&diff(&current, &desired)).unwrap();
            prop_assert_eq!(memory.dump().unwrap(), desired.clone());
            prop_assert_eq!(diff(&desired, &desired), []);
            prop_assert_eq!(tables(config, &desired), desired, "compiling again changes nothing");
        }
    }
}

#[test]
fn frees_come_last_and_only_they_are_held_back() {
    let old = tables(
        &Config::from([(1, vec![(1, 1), (2, 2)]), (2, vec![(1, 1)])]),
        &Tables::default(),
    );
    let new = tables(&Config::from([(1, vec![(2, 1)])]), &old);
    let ops = diff(&old, &new);
    let first = ops.iter().position(Op::held_back).unwrap();
    assert!(ops[first..].iter().all(Op::held_back));
    let slots = ops
        .iter()
        .filter(|op| matches!(op, Op::Slot(_, Write::Free)))
        .count();
    let backends = ops
        .iter()
        .filter(|op| matches!(op, Op::Backend(_, Write::Free)))
        .count();
    let ids = ops
        .iter()
        .filter(|op| matches!(op, Op::Name(_, Write::Free)))
        .count();
    assert_eq!((slots, backends, ids), (2, 2, 1));
}
