//! A connect is refused only when no endpoint of any tier can take it.

use mesh_common::{
    abi::{BackendLoad, OutcomeKey, OutcomeRow},
    agreement::{Agreement, Standing},
    counter::Counter,
    ejection::{Health, State},
    occupancy::{CONNECTING, LIVE},
};

use super::*;
use crate::model::Outlier;

pub(super) const CONNECTS: u64 = 1_000;

pub(super) fn with_policy(sizes: &[u8], balance: Balance) -> Service {
    let mut service = near_and_far(sizes);
    service.traffic.balance = balance;
    service
}

/// Returns a node whose kernel has this load for the endpoints; `what` is called for each.
pub(super) fn node(world: &World, what: impl Fn(SocketAddr) -> Option<BackendLoad>) -> Memory {
    let mut memory = Memory::default();
    let tables = configure(&mut memory, world, SECOND);
    for (&index, row) in tables.backends.iter() {
        if let Some(load) = what(SocketAddr::new(row.addr.into(), u16::from_be(row.port))) {
            let doubted = Agreement {
                standing: Standing::Doubted,
                until: 1 << 38,
                ..Agreement::default()
            };
            let health = if load.health == 0 { 0 } else { doubted.word() };
            memory.set_load(index, BackendLoad { health, ..load });
            let own = OutcomeRow {
                health: load.health,
                generation: row.generation,
                client: 0,
                backend: index,
                pad: 0,
            };
            memory.set_outcome(OutcomeKey::new(0, index), &own);
        }
    }
    memory.set_seed(7);
    memory.set_now(1_000_000_000);
    memory
}

/// Health of an endpoint as the only client sees it, stored in the field of the agreement of all
/// clients; see [`node`].
pub(super) fn healthy(health: Health) -> BackendLoad {
    BackendLoad {
        health: health.word(),
        ..BackendLoad::default()
    }
}

/// Returns the endpoints of many connects, each of another client and closed at once.
fn many(memory: &mut Memory) -> BTreeMap<Option<SocketAddr>, u64> {
    these(memory, CONNECTS)
}

fn these(memory: &mut Memory, connects: u64) -> BTreeMap<Option<SocketAddr>, u64> {
    let mut went = BTreeMap::new();
    for client in 0..connects {
        memory.set_client(client);
        *went.entry(ask(memory, client, true)).or_default() += 1;
    }
    went
}

/// Tiers of more slots than a sample has, and connects: a lookup table has a hundred slots or more
/// for each endpoint, all of which each connect looks at.
fn large_tiers(balance: Balance) -> [(&'static [u8], u64); 5] {
    match balance {
        Balance::ConsistentHash(_) => [
            (&[100], 5),
            (&[3], 100),
            (&[10, 10], 50),
            (&[7, 7, 7], 50),
            (&[7, 7, 7, 7], 50),
        ],
        _ => [
            (&[100], 200),
            (&[30], 200),
            (&[100, 100], 200),
            (&[70, 70, 70], 200),
            (&[70, 70, 70, 70], 200),
        ],
    }
}

/// All but one endpoint down: every connect goes to the one.
#[test]
fn the_only_usable_endpoint_takes_every_connect() {
    for &balance in Balance::ALL {
        for (sizes, connects) in large_tiers(balance) {
            let service = with_policy(sizes, balance);
            let endpoints = service.ports[0].endpoints.iter();
            let all: Vec<SocketAddr> = endpoints
                .map(|it| SocketAddr::new(it.address, it.port))
                .collect();
            for left in [all[0], all[all.len() / 2], all[all.len() - 1]] {
                let mut world = world(service.clone());
                let down = all
                    .iter()
                    .filter(|it| **it != left)
                    .map(|it| target(&it.to_string()));
                fixture::fail(&mut world, down);
                let mut memory = node(&world, |_| None);
                assert_eq!(
                    these(&mut memory, connects),
                    [(Some(left), connects)].into(),
                    "{balance:?} {sizes:?}"
                );
            }
        }
    }
}

#[test]
fn the_only_endpoint_that_is_not_ejected_takes_every_connect() {
    let ejected = Health {
        state: State::Ejected,
        until: 1 << 30,
        streak: 0,
        ejections: 1,
    };
    for &balance in Balance::ALL {
        for sizes in [&[100][..], &[20, 20, 20, 20]] {
            let left: SocketAddr = format!("10.0.{}.7:80", sizes.len() - 1).parse().unwrap();
            let world = world(with_policy(sizes, balance));
            let mut memory = node(&world, |it| (it != left).then(|| healthy(ejected)));
            assert_eq!(
                many(&mut memory),
                [(Some(left), CONNECTS)].into(),
                "{balance:?} {sizes:?}"
            );
        }
    }
}

#[test]
fn the_only_endpoint_below_its_limit_takes_every_connect() {
    for &balance in Balance::ALL {
        for sizes in [&[100][..], &[20, 20, 20, 20]] {
            let left: SocketAddr = format!("10.0.{}.7:80", sizes.len() - 1).parse().unwrap();
            let mut service = with_policy(sizes, balance);
            service.traffic.limits.connections_per_endpoint = std::num::NonZeroU32::new(5);
            let full = BackendLoad {
                live: 5 * LIVE,
                ..BackendLoad::default()
            };
            let mut memory = node(&world(service), |it| (it != left).then_some(full));
            assert_eq!(
                many(&mut memory),
                [(Some(left), CONNECTS)].into(),
                "{balance:?} {sizes:?}"
            );
        }
    }
}

/// The endpoints have a failure or two, and as many connects under way as probation allows.
#[test]
fn a_service_on_probation_takes_every_connect() {
    let probation = Health {
        state: State::Probation,
        until: 1 << 30,
        streak: 2,
        ejections: 0,
    };
    let bounded = BackendLoad {
        live: 2 * (LIVE + CONNECTING),
        ..healthy(probation)
    };
    for &balance in Balance::ALL {
        for sizes in [&[1][..], &[3], &[2, 2]] {
            let mut memory = node(&world(with_policy(sizes, balance)), |_| Some(bounded));
            let went = many(&mut memory);
            assert_eq!(went.get(&None), None, "{balance:?} {sizes:?}: {went:?}");
        }
    }
}

#[test]
fn a_backend_on_probation_takes_no_connects_beyond_its_bound() {
    let probation = Health {
        state: State::Probation,
        until: 1 << 30,
        streak: 1,
        ejections: 0,
    };
    let one = "10.0.0.1:80".parse().unwrap();
    let load = |connecting| BackendLoad {
        live: connecting * (LIVE + CONNECTING),
        ..healthy(probation)
    };
    let world = world(with_policy(&[2], Balance::Random));
    let mut memory = node(&world, |it| (it == one).then(|| load(2)));
    assert_eq!(many(&mut memory).get(&Some(one)), None);
    let mut memory = node(&world, |it| (it == one).then(|| load(1)));
    assert!(many(&mut memory)[&Some(one)] > CONNECTS / 3);
    let over = Health {
        until: 999,
        ..probation
    };
    let mut memory = node(&world, |it| {
        (it == one).then(|| BackendLoad {
            health: over.word(),
            ..load(2)
        })
    });
    assert!(
        many(&mut memory)[&Some(one)] > CONNECTS / 3,
        "probation ends by itself"
    );
}

#[test]
fn connects_without_a_syn_do_not_fill_a_bound() {
    let probation = Health {
        state: State::Probation,
        until: 1 << 30,
        streak: 1,
        ejections: 0,
    };
    let memory = node(&world(with_policy(&[1], Balance::Random)), |_| {
        Some(healthy(probation))
    });
    // The kernel refuses what follows the hook: the socket stays open and never sends a SYN.
    for socket in 0..1_000 {
        memory.set_socket(socket);
        assert!(matches!(
            connect(&memory, &fixture::key(VIP)),
            Verdict::Backend { .. }
        ));
    }
    assert_eq!(
        memory
            .counters()
            .backends
            .values()
            .map(|load| load.live & (CONNECTING - 1))
            .sum::<u64>(),
        0
    );
}

/// Tier 0 is down, and the endpoints of tier 1 are ejected briefly.
#[test]
fn an_ejected_endpoint_of_a_farther_tier_is_tried_when_its_ejection_ends() {
    let short = Health {
        state: State::Ejected,
        until: 2_000,
        streak: 0,
        ejections: 1,
    };
    for &balance in Balance::ALL {
        let mut world = world(with_policy(&[2, 2], balance));
        unhealthy(&mut world, ["10.0.0.1:80", "10.0.0.2:80"]);
        let one = "10.0.1.1:80".parse().unwrap();
        let mut memory = node(&world, |it| (it == one).then(|| healthy(short)));
        assert_eq!(many(&mut memory).get(&Some(one)), None, "{balance:?}");
        memory.set_now(2_000_000_000);
        // One connect is the trial; its success brings the endpoint back.
        let tried = (0..CONNECTS).find(|&socket| {
            memory.set_client(socket);
            ask(&mut memory, socket, false) == Some(one)
        });
        socket::established(&memory, tried.unwrap(), 1, || true);
        assert!(many(&mut memory)[&Some(one)] > CONNECTS / 4, "{balance:?}");
    }
}

/// All endpoints are ejected: the one whose trial is due first is chosen, in any tier, and the
/// others after it fails.
#[test]
fn the_last_resort_is_the_best_of_all_tiers() {
    let ejected = |until| {
        healthy(Health {
            state: State::Ejected,
            until,
            streak: 0,
            ejections: 1,
        })
    };
    for &balance in Balance::ALL {
        let mut service = with_policy(&[2, 2], balance);
        service.traffic.outlier = Outlier {
            base_ejection: SECOND * 60,
            ..service.traffic.outlier
        };
        let best: SocketAddr = "10.0.1.2:80".parse().unwrap();
        let mut memory = node(&world(service), |it| {
            Some(ejected(if it == best {
                5_000
            } else {
                60_000 + u64::from(it.port())
            }))
        });
        assert_eq!(ask(&mut memory, 1, false), Some(best), "{balance:?}");
        socket::closed(&memory, 1, true);
        let next = ask(&mut memory, 2, false);
        assert_ne!(next, Some(best), "{balance:?}: it has just failed");
        socket::established(&memory, 2, 1, || true);
        let went = many(&mut memory);
        assert_eq!(went, [(next, CONNECTS)].into(), "{balance:?}: it works");
        assert_eq!(memory.counters().services[&0][Counter::Panics.index()], 2);
    }
}

/// The last endpoint is not ejected and fails, another one is ejected for long and works.
#[test]
fn a_failing_last_endpoint_does_not_hide_one_that_works() {
    let (ejected, failing): (SocketAddr, SocketAddr) = (
        "10.0.0.1:80".parse().unwrap(),
        "10.0.0.2:80".parse().unwrap(),
    );
    for &balance in Balance::ALL {
        let world = world(with_policy(&[2], balance));
        let long = Health {
            state: State::Ejected,
            until: 160_000,
            streak: 0,
            ejections: 5,
        };
        let last = Health {
            state: State::Failing,
            until: 10_900,
            streak: 3,
            ejections: 0,
        };
        let mut memory = node(&world, |it| {
            Some(healthy(if it == ejected { long } else { last }))
        });
        let mut asked = Vec::new();
        for socket in 0..3 {
            asked.push(ask(&mut memory, socket, false).unwrap());
            if asked[asked.len() - 1] == ejected {
                socket::established(&memory, socket, 1, || true);
                break;
            }
            socket::closed(&memory, socket, true);
        }
        assert_eq!(
            asked.last(),
            Some(&ejected),
            "{balance:?}: {asked:?}, {failing} fails"
        );
        assert_eq!(many(&mut memory).get(&None), None);
    }
}

#[test]
fn a_near_tier_below_its_threshold_serves_when_no_other_can() {
    for &balance in Balance::ALL {
        let mut world = world(with_policy(&[10, 3], balance));
        let down = (2..=10)
            .map(|it| format!("10.0.0.{it}:80"))
            .chain((1..=3).map(|it| format!("10.0.1.{it}:80")));
        fixture::fail(&mut world, down.map(|it| target(&it)));
        let went = many(&mut node(&world, |_| None));
        assert_eq!(
            went,
            [(Some("10.0.0.1:80".parse().unwrap()), CONNECTS)].into(),
            "{balance:?}"
        );
    }
}
