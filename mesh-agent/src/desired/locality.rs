//! How near endpoints are: tiers, of which the kernel leaves one for the next only when it must.

use std::collections::BTreeMap;

use super::World;
use crate::model::{Endpoint, Locality, LocalityLevel, Nearness, SourcePreference};

/// How far away an endpoint is: by its source, then by the first level that it shares with this node.
type Distance = (bool, usize);

/// Whether endpoints are told apart at all.
pub(super) fn has_tiers(nearness: &Nearness) -> bool {
    !nearness.order.is_empty() || nearness.sources != SourcePreference::None
}

/// These endpoints (positions in `endpoints`), from the nearest to the farthest; in one tier while all are equally near.
pub(super) fn tiers(
    world: &World,
    nearness: &Nearness,
    endpoints: &[Endpoint],
    positions: impl IntoIterator<Item = usize>,
) -> Vec<Vec<usize>> {
    let mut tiers: BTreeMap<Distance, Vec<usize>> = BTreeMap::new();
    for position in positions {
        tiers.entry(distance(world, nearness, &endpoints[position])).or_default().push(position);
    }
    tiers.into_values().collect()
}

fn distance(world: &World, nearness: &Nearness, endpoint: &Endpoint) -> Distance {
    let is_second = match nearness.sources {
        SourcePreference::Local => endpoint.source.is_some(),
        SourcePreference::Remote => endpoint.source.is_none(),
        SourcePreference::None => false,
    };
    let shared = nearness.order.iter().position(|&level| shares(world, endpoint, level));
    (is_second, shared.unwrap_or(nearness.order.len()))
}

/// Whether the endpoint and this node have a level in common.
fn shares(world: &World, endpoint: &Endpoint, level: LocalityLevel) -> bool {
    let (here, there) = (&world.locality, &endpoint.locality);
    match level {
        LocalityLevel::Node => endpoint.node.as_deref() == Some(&*world.node_name),
        LocalityLevel::Zone if endpoint.zone_hints.is_empty() => {
            same(&here.zone, &there.zone) && may_share_region(here, there)
        }
        LocalityLevel::Zone => here.zone.as_ref().is_some_and(|zone| endpoint.zone_hints.contains(zone)),
        LocalityLevel::Region => same(&here.region, &there.region) && may_be_same(&here.cloud, &there.cloud),
        LocalityLevel::Cloud => same(&here.cloud, &there.cloud),
    }
}

/// What EndpointSlices say of an endpoint is its zone only.
fn may_share_region(here: &Locality, there: &Locality) -> bool {
    may_be_same(&here.cloud, &there.cloud) && may_be_same(&here.region, &there.region)
}

/// Both known and equal.
fn same<T: PartialEq>(here: &Option<T>, there: &Option<T>) -> bool {
    here.is_some() && here == there
}

/// Not known to differ.
fn may_be_same<T: PartialEq>(here: &Option<T>, there: &Option<T>) -> bool {
    here.is_none() || there.is_none() || here == there
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const LEVELS: [LocalityLevel; 4] =
        [LocalityLevel::Node, LocalityLevel::Zone, LocalityLevel::Region, LocalityLevel::Cloud];

    fn place([cloud, region, zone]: [Option<&str>; 3]) -> Locality {
        let [cloud, region, zone] = [cloud, region, zone].map(|place| place.map(Arc::from));
        Locality { cloud, region, zone }
    }

    fn endpoint(locality: Locality) -> Endpoint {
        Endpoint { locality, ..Endpoint::new([10, 0, 0, 1].into(), 80) }
    }

    fn here() -> World {
        World { node_name: "n1".into(), locality: place([Some("c1"), Some("r1"), Some("z1")]), ..World::default() }
    }

    fn shared(endpoint: &Endpoint) -> Vec<LocalityLevel> {
        LEVELS.into_iter().filter(|&level| shares(&here(), endpoint, level)).collect()
    }

    #[test]
    fn what_is_not_known_matches_nothing_and_hinders_nothing() {
        use LocalityLevel::{Cloud, Region, Zone};
        assert_eq!(shared(&endpoint(place([None; 3]))), []);
        assert_eq!(shared(&endpoint(place([None, None, Some("z1")]))), [Zone]);
        assert_eq!(shared(&endpoint(place([None, Some("r1"), Some("z2")]))), [Region]);
        assert_eq!(shared(&endpoint(place([Some("c1"), Some("r1"), Some("z1")]))), [Zone, Region, Cloud]);
        assert_eq!(shared(&endpoint(place([Some("c1"), Some("r2"), Some("z1")]))), [Cloud], "another region's zone");
        assert_eq!(shared(&endpoint(place([Some("c2"), Some("r1"), Some("z1")]))), [], "another cloud's region");
        assert!(!shares(&World::default(), &endpoint(place([None; 3])), Zone), "nobody knows where anything is");
    }

    #[test]
    fn hints_say_more_than_the_zone() {
        let hinted = |zone: &str, hints: &[&str]| Endpoint {
            zone_hints: hints.iter().map(|&hint| Arc::from(hint)).collect(),
            ..endpoint(place([None, None, Some(zone)]))
        };
        assert_eq!(shared(&hinted("z2", &["z1", "z3"])), [LocalityLevel::Zone]);
        assert_eq!(shared(&hinted("z1", &["z2"])), []);
        let mut lost = here();
        lost.locality.zone = None;
        assert!(!shares(&lost, &hinted("z1", &["z1"]), LocalityLevel::Zone));
    }

    #[test]
    fn sources_come_before_levels() {
        let near = Endpoint { node: Some("n1".into()), ..endpoint(place([None; 3])) };
        let remote = |near: &Endpoint| Endpoint { source: Some("east".into()), ..near.clone() };
        let far = endpoint(place([None; 3]));
        let endpoints = [near.clone(), far.clone(), remote(&near), remote(&far)];
        let tiers = |sources| {
            let nearness = Nearness { order: vec![LocalityLevel::Node], sources, ..Nearness::default() };
            tiers(&here(), &nearness, &endpoints, 0..4)
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
            let nearness = Nearness { order: order[..length].to_vec(), sources, ..Nearness::default() };
            let tiers = tiers(&here(), &nearness, &endpoints, 0..endpoints.len());
            prop_assert!(tiers.iter().all(|tier| !tier.is_empty()));
            let mut all: Vec<usize> = tiers.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..endpoints.len()).collect::<Vec<_>>());
            let key = |&position: &usize| {
                let endpoint = &endpoints[position];
                let levels = nearness.order.iter().map(|&level| !shares(&here(), endpoint, level));
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
}
