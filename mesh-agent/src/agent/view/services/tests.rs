//! Services as the API shows them, over the tables of an owner.

use mesh_common::{
    agreement::{Agreement, Standing},
    ejection::{Health, State},
    occupancy::{CONNECTING, LIVE},
};

use super::*;
use crate::{
    agent::owner::Owner,
    dataplane::memory::Memory,
    desired::fixture,
    model::{InternalTraffic, LocalityLevel, Outlier, Update},
};

/// Returns an ejection by agreement.
fn agreed(until: u64, ejections: u8) -> Evidence {
    let agreement = Agreement {
        standing: Standing::Ejected,
        until,
        ejections,
        voter: 0,
    };
    Evidence {
        agreement,
        ..Evidence::default()
    }
}

/// Returns the only port of a service with an ejected endpoint in another zone, and one in this
/// zone.
fn shown(outlier: Outlier) -> types::ServicePort {
    let state = tempfile::tempdir().unwrap();
    let place = |zone: &str| Locality {
        zone: Some(zone.into()),
        ..Locality::default()
    };
    let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
    owner.set_locality(place("z1"));
    let mut cart = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
    );
    cart.ports[0].endpoints[0].locality = place("z2");
    cart.ports[0].endpoints[1].locality = place("z1");
    (cart.traffic.outlier, cart.traffic.locality.order) = (outlier, vec![LocalityLevel::Zone]);
    owner.accept(Update {
        services: fixture::services([cart.clone()]),
        complete: true,
        ..Update::default()
    });
    owner.reconcile(Duration::from_secs(1));
    let snapshot = owner.snapshot();
    let first = Addr::from(std::net::IpAddr::from([10, 0, 0, 1]));
    let ejected = snapshot
        .tables
        .backends
        .iter()
        .filter(|(_, row)| row.addr == first)
        .map(|(&index, _)| (index, agreed(9_000, 1)));
    let counters = Counters {
        evidence: ejected.collect(),
        ..Counters::default()
    };
    let rows = ServiceRows::new(
        &snapshot,
        &counters,
        &HealthReport::default(),
        Duration::from_secs(2),
    )
    .service(&cart);
    rows.ports.into_iter().next().unwrap()
}

#[test]
fn endpoints_have_a_tier_and_a_state() {
    let port = shown(Outlier::default());
    let states: Vec<_> = port
        .endpoints
        .iter()
        .map(|it| (it.tier, it.state()))
        .collect();
    assert_eq!(
        states,
        [
            (Some(2), "ejected 7s".to_owned()),
            (Some(1), "active".to_owned())
        ]
    );
    assert_eq!(
        (port.usable(), port.capacity.usable, port.capacity.total),
        (1, 1, 2)
    );
    let port = shown(Outlier {
        consecutive_failures: 0,
        ..Outlier::default()
    });
    assert_eq!(
        (port.usable(), port.capacity.usable),
        (2, 2),
        "the kernel ignores ejections that are switched off"
    );
}

#[test]
fn endpoints_out_of_reach_have_the_reason_and_do_not_count() {
    let state = tempfile::tempdir().unwrap();
    let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
    owner.set_node("n1", [].into());
    let endpoints = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("[fd00::1]:80", 1)];
    let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &endpoints);
    cart.internal_traffic = InternalTraffic::Local;
    cart.ports[0].endpoints[0].node = Some("n1".into());
    cart.ports[0].endpoints[1].node = Some("n2".into());
    owner.accept(Update {
        services: fixture::services([cart.clone()]),
        complete: true,
        ..Update::default()
    });
    owner.reconcile(Duration::from_secs(1));
    let (snapshot, counters, report) = (
        owner.snapshot(),
        Counters::default(),
        HealthReport::default(),
    );
    let shown =
        ServiceRows::new(&snapshot, &counters, &report, Duration::from_secs(2)).service(&cart);
    let states: Vec<String> = shown.ports[0]
        .endpoints
        .iter()
        .map(types::Endpoint::state)
        .collect();
    assert_eq!(
        states,
        ["active", "not on this node", "no IPv6 service address"]
    );
    let capacity = types::PortCapacity {
        usable: 1,
        total: 1,
        used: 0,
    };
    assert_eq!(
        (shown.ports[0].usable(), shown.ports[0].capacity),
        (1, capacity)
    );
    assert_eq!(
        shown.notes,
        ["[fd00::1]:80 takes no connection: the service has no IPv6 address"]
    );
}

#[test]
fn load_and_ejections_are_shown_in_the_state() {
    let load = BackendLoad {
        live: 3 * LIVE + CONNECTING,
        connects: 7,
        health: 1,
        handshake: 40,
        duration: 0,
    };
    let endpoint = types::Endpoint {
        active: true,
        condition: "ready".into(),
        ..types::Endpoint::default()
    };
    let known = agreed(9_500, 2);
    let shown = with_evidence(
        with_load(endpoint.clone(), &load),
        &known,
        Duration::from_millis(2_400),
    );
    let expected = types::Endpoint {
        connects: 7,
        connections: 3,
        connecting: 1,
        ejected_for_seconds: Some(8),
        ejections: 2,
        handshake_microseconds: Some(40),
        ..endpoint.clone()
    };
    assert_eq!((shown.state().as_str(), &shown), ("ejected 8s", &expected));
    let due = with_evidence(endpoint.clone(), &known, Duration::from_secs(10));
    assert_eq!(due.state(), "ejected, on trial");
    let agreement = Agreement {
        standing: Standing::Doubted,
        until: 90_000,
        ..Agreement::default()
    };
    let probation = Health {
        state: State::Probation,
        until: 0,
        streak: 1,
        ejections: 0,
    };
    let own = Health {
        state: State::Ejected,
        until: 19_500,
        streak: 0,
        ejections: 3,
    };
    let doubted = |records: &[(u32, Health)]| Evidence {
        agreement,
        records: records.iter().copied().collect(),
    };
    let well = with_evidence(
        endpoint.clone(),
        &doubted(&[(7, probation)]),
        Duration::from_secs(10),
    );
    assert_eq!(
        (well.state().as_str(), well.consecutive_failures),
        ("active", 1)
    );
    let one = with_evidence(
        endpoint.clone(),
        &doubted(&[(7, probation), (8, own)]),
        Duration::from_secs(10),
    );
    assert_eq!(
        (one.state().as_str(), one.ejected_by_clients, one.ejections),
        ("active, ejected by 1 client", 1, 3)
    );
    let forgotten = with_evidence(endpoint, &doubted(&[(8, own)]), Duration::from_secs(90));
    assert_eq!(forgotten.state(), "active");
}

#[test]
fn capacity_is_the_sum_over_endpoints_that_take_connections() {
    let one = types::Endpoint {
        active: true,
        capacity: 10,
        weight: 2,
        ..Default::default()
    };
    let draining = types::Endpoint {
        draining: true,
        ..one.clone()
    };
    let ejected = types::Endpoint {
        ejected_for_seconds: Some(1),
        ..one.clone()
    };
    let down = types::Endpoint {
        active: false,
        ..one.clone()
    };
    let weights = [Weight {
        target: 2,
        share: 0.2,
    }; 4];
    let expected = types::PortCapacity {
        usable: 4,
        total: 80,
        used: 5,
    };
    assert_eq!(
        capacity(
            &[one, draining.clone(), ejected.clone(), down.clone()],
            &weights,
            5
        ),
        expected
    );
    let last = [draining, ejected.clone(), down, ejected];
    let expected = types::PortCapacity {
        usable: 8,
        total: 80,
        used: 5,
    };
    assert_eq!(
        capacity(&last, &weights, 5),
        expected,
        "where none is usable, ejected ones take connects in turn"
    );
    assert_eq!(
        types::ServicePort {
            endpoints: last.into(),
            ..Default::default()
        }
        .usable(),
        2
    );
}
