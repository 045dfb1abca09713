//! Tests of locality tiers.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::Hints;

const LEVELS: [LocalityLevel; 4] = [
    LocalityLevel::Node,
    LocalityLevel::Zone,
    LocalityLevel::Region,
    LocalityLevel::Cloud,
];

fn place([cloud, region, zone]: [Option<&str>; 3]) -> Locality {
    let [cloud, region, zone] = [cloud, region, zone].map(|place| place.map(Arc::from));
    Locality {
        cloud,
        region,
        zone,
    }
}

fn endpoint(locality: Locality) -> Endpoint {
    Endpoint {
        locality,
        ..Endpoint::new([10, 0, 0, 1].into(), 80)
    }
}

fn here() -> World {
    World {
        node_name: "n1".into(),
        locality: place([Some("c1"), Some("r1"), Some("z1")]),
        ..World::default()
    }
}

fn shared(endpoint: &Endpoint) -> Vec<LocalityLevel> {
    LEVELS
        .into_iter()
        .filter(|&level| shares(&here(), endpoint, level))
        .collect()
}

#[test]
fn unknown_levels_neither_match_nor_exclude() {
    use LocalityLevel::{Cloud, Region, Zone};
    assert_eq!(shared(&endpoint(place([None; 3]))), []);
    assert_eq!(shared(&endpoint(place([None, None, Some("z1")]))), [Zone]);
    assert_eq!(
        shared(&endpoint(place([None, Some("r1"), Some("z2")]))),
        [Region]
    );
    assert_eq!(
        shared(&endpoint(place([Some("c1"), Some("r1"), Some("z1")]))),
        [Zone, Region, Cloud]
    );
    assert_eq!(
        shared(&endpoint(place([Some("c1"), Some("r2"), Some("z1")]))),
        [Cloud],
        "another region's zone"
    );
    assert_eq!(
        shared(&endpoint(place([Some("c2"), Some("r1"), Some("z1")]))),
        [],
        "another cloud's region"
    );
    assert!(
        !shares(&World::default(), &endpoint(place([None; 3])), Zone),
        "neither the node nor the endpoint has a locality"
    );
}

/// An endpoint in zone z9, so that its zone does not match.
fn hinted(nodes: &[&str], zones: &[&str]) -> Endpoint {
    let names = |names: &[&str]| names.iter().map(|&name| Arc::from(name)).collect();
    let hints = Hints {
        nodes: names(nodes),
        zones: names(zones),
    };
    let hints = (hints != Hints::default()).then(|| Arc::new(hints));
    Endpoint {
        hints,
        ..endpoint(place([None, None, Some("z9")]))
    }
}

fn in_condition(condition: Condition, endpoint: Endpoint) -> Endpoint {
    Endpoint {
        condition,
        ..endpoint
    }
}

/// Tiers of a Kubernetes service without an order.
fn tiers_by_hints(world: &World, endpoints: &[Endpoint]) -> Vec<Vec<usize>> {
    let policy = LocalityPolicy {
        by_hints: true,
        ..LocalityPolicy::default()
    };
    tiers(world, &policy, endpoints)
}

fn tiers(world: &World, policy: &LocalityPolicy, endpoints: &[Endpoint]) -> Vec<Vec<usize>> {
    let near = Proximity::of(
        world,
        policy,
        endpoints,
        Reach::Everywhere,
        Condition::Ready,
    );
    near.tiers(
        endpoints,
        (0..endpoints.len()).filter(|&position| near.counts(&endpoints[position])),
    )
}

#[test]
fn hints_for_this_zone_decide_without_any_order() {
    let endpoints = [
        hinted(&[], &["z1", "z2"]),
        hinted(&[], &["z2"]),
        hinted(&[], &["z3", "z1"]),
    ];
    assert_eq!(tiers_by_hints(&here(), &endpoints), [vec![0, 2], vec![1]]);
    assert_eq!(
        tiers(&here(), &LocalityPolicy::default(), &endpoints),
        [[0, 1, 2]],
        "a native service has none"
    );
}

#[test]
fn hints_for_this_node_come_before_those_for_its_zone() {
    let endpoints = [hinted(&["n1"], &["z1"]), hinted(&["n2"], &["z1"])];
    assert_eq!(tiers_by_hints(&here(), &endpoints), [[0], [1]]);
    let other_nodes = [hinted(&["n3"], &["z1"]), hinted(&["n2"], &["z2"])];
    assert_eq!(
        tiers_by_hints(&here(), &other_nodes),
        [[0], [1]],
        "no node hint for n1: its zone counts"
    );
    let partly = [hinted(&["n1"], &["z2"]), hinted(&[], &["z1"])];
    assert_eq!(
        tiers_by_hints(&here(), &partly),
        [[1], [0]],
        "an endpoint lacks a node hint: zones count"
    );
    let nodes_only = [hinted(&["n1"], &[]), hinted(&["n2"], &[])];
    assert_eq!(tiers_by_hints(&here(), &nodes_only), [[0], [1]]);
}

#[test]
fn unusable_hints_make_all_endpoints_equal() {
    let lacking = [hinted(&[], &["z1"]), hinted(&[], &[])];
    assert_eq!(
        tiers_by_hints(&here(), &lacking),
        [[0, 1]],
        "an endpoint lacks hints"
    );
    let elsewhere = [hinted(&[], &["z2"]), hinted(&[], &["z3"])];
    assert_eq!(
        tiers_by_hints(&here(), &elsewhere),
        [[0, 1]],
        "no hint names the zone"
    );
    let mut lost = here();
    lost.locality.zone = None;
    let here_and_there = [hinted(&[], &["z1"]), hinted(&[], &["z2"])];
    assert_eq!(
        tiers_by_hints(&lost, &here_and_there),
        [[0, 1]],
        "the node has no zone"
    );
    let order = LocalityPolicy {
        order: vec![LocalityLevel::Zone],
        by_hints: true,
        ..LocalityPolicy::default()
    };
    let mut near = hinted(&[], &[]);
    near.locality.zone = Some("z1".into());
    assert_eq!(
        tiers(&here(), &order, &[near.clone(), hinted(&[], &["z2"])]),
        [[0, 1]],
        "whatever the order says"
    );
    assert_eq!(
        tiers(&here(), &order, &[near, hinted(&[], &[])]),
        [[0], [1]],
        "without any hint the order counts"
    );
}

#[test]
fn endpoints_that_are_not_ready_need_no_hints_and_are_no_missing_capacity() {
    for condition in [Condition::Terminating, Condition::NotReady] {
        let gone = in_condition(condition, hinted(&[], &[]));
        let endpoints = [hinted(&[], &["z1"]), gone, hinted(&[], &["z2"])];
        assert_eq!(
            tiers_by_hints(&here(), &endpoints),
            [[0], [2]],
            "{condition}"
        );
        let leads = in_condition(condition, hinted(&[], &["z1"]));
        let endpoints = [leads, hinted(&[], &["z2"])];
        assert_eq!(
            tiers_by_hints(&here(), &endpoints),
            [[1]],
            "{condition}: its hint does not count"
        );
    }
}

#[test]
fn hints_are_ignored_among_terminating_endpoints_and_within_the_node() {
    let policy = LocalityPolicy {
        order: vec![LocalityLevel::Zone],
        by_hints: true,
        ..LocalityPolicy::default()
    };
    let endpoints = [
        endpoint(place([None, None, Some("z1")])),
        hinted(&[], &["z2"]),
    ];
    let world = here();
    let has_tiers = |policy, reach, serving| {
        Proximity::of(&world, policy, &endpoints, reach, serving).has_tiers()
    };
    assert!(has_tiers(&policy, Reach::Everywhere, Condition::Ready));
    assert!(!has_tiers(
        &policy,
        Reach::Everywhere,
        Condition::Terminating
    ));
    assert!(!has_tiers(&policy, Reach::Node("n1"), Condition::Ready));
    let own = LocalityPolicy {
        by_hints: false,
        ..policy.clone()
    };
    assert!(
        has_tiers(&own, Reach::Everywhere, Condition::Terminating),
        "its own order holds"
    );
}

#[test]
fn each_source_is_judged_by_its_own_hints() {
    let of_east = |endpoint: Endpoint| Endpoint {
        source: Some("east".into()),
        ..endpoint
    };
    let endpoints = [
        hinted(&[], &["z1"]),
        hinted(&[], &["z2"]),
        of_east(hinted(&[], &[])),
        of_east(hinted(&[], &["z2"])),
    ];
    assert_eq!(
        tiers_by_hints(&here(), &endpoints),
        [vec![0, 2, 3], vec![1]]
    );
}

#[test]
fn sources_come_before_levels() {
    let near = Endpoint {
        node: Some("n1".into()),
        ..endpoint(place([None; 3]))
    };
    let remote = |near: &Endpoint| Endpoint {
        source: Some("east".into()),
        ..near.clone()
    };
    let far = endpoint(place([None; 3]));
    let endpoints = [near.clone(), far.clone(), remote(&near), remote(&far)];
    let tiers = |sources| {
        let policy = LocalityPolicy {
            order: vec![LocalityLevel::Node],
            sources,
            ..LocalityPolicy::default()
        };
        tiers(&here(), &policy, &endpoints)
    };
    assert_eq!(tiers(SourcePreference::Local), [[0], [1], [2], [3]]);
    assert_eq!(tiers(SourcePreference::Remote), [[2], [3], [0], [1]]);
    assert_eq!(tiers(SourcePreference::None), [[0, 2], [1, 3]]);
}

fn places() -> impl Strategy<Value = Locality> {
    let one = |names: [&'static str; 2]| prop::option::of(prop::sample::select(names.to_vec()));
    (one(["c1", "c2"]), one(["r1", "r2"]), one(["z1", "z2"])).prop_map(|(c, r, z)| place([c, r, z]))
}

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let node = prop::option::of(prop::sample::select(vec!["n1", "n2"]));
    let source = prop::option::of(Just("east"));
    let endpoint = (places(), node, source).prop_map(|(locality, node, source)| Endpoint {
        node: node.map(Arc::from),
        source: source.map(Arc::from),
        ..endpoint(locality)
    });
    prop::collection::vec(endpoint, 0..20)
}

proptest! {
    #[test]
    fn every_endpoint_is_in_one_tier_and_nearer_ones_come_first(
        endpoints in endpoints(),
        order in Just(LEVELS.to_vec()).prop_shuffle(),
        length in 0..=4_usize,
        sources in prop::sample::select(vec![
            SourcePreference::Local, SourcePreference::Remote, SourcePreference::None,
        ]),
    ) {
        let policy = LocalityPolicy { order: order[..length].to_vec(), sources, ..LocalityPolicy::default() };
        let tiers = tiers(&here(), &policy, &endpoints);
        prop_assert!(tiers.iter().all(|tier| !tier.is_empty()));
        let mut all: Vec<usize> = tiers.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..endpoints.len()).collect::<Vec<_>>());
        let key = |&position: &usize| {
            let endpoint = &endpoints[position];
            let levels = policy.order.iter().map(|&level| !shares(&here(), endpoint, level));
            let first = levels.take_while(|far| *far).count();
            (sources != SourcePreference::None
                && endpoint.source.is_some() == (sources == SourcePreference::Local), first)
        };
        for tier in &tiers {
            prop_assert!(tier.iter().all(|position| key(position) == key(&tier[0])));
        }
        prop_assert!(tiers.windows(2).all(|pair| key(&pair[0][0]) < key(&pair[1][0])));
    }
}
