//! Sorts endpoints into locality tiers. The kernel fails over to the next tier only when the nearer
//! one lacks capacity.
//!
//! An endpoint's tier is the first locality level, in the service's order, that it shares with this
//! node. For a Kubernetes service without an order, the hints of EndpointSlices decide instead,
//! with the fallbacks of kube-proxy.

use std::collections::BTreeMap;

use super::{World, frontends::Reach};
use crate::model::{
    Condition, Endpoint, Locality, LocalityLevel, LocalityPolicy, SourcePreference,
};

/// Distance of an endpoint: first by its source, then by the first level that it shares with this
/// node.
type Distance = (bool, usize);

/// Ranks the endpoints of frontends of one address family and scope by distance.
pub(super) struct Proximity<'a> {
    world: &'a World,
    policy: &'a LocalityPolicy,
    /// Effect of the hints, by source. Sources without hints are missing.
    hinted: BTreeMap<Option<&'a str>, HintScope>,
    /// Whether endpoints without hints are ranked by the levels of the service.
    has_levels: bool,
}

/// Effect of one source's hints on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HintScope {
    /// Endpoints that hint at this node come first.
    Node,
    /// Endpoints that hint at this node's zone come first.
    Zone,
    /// All endpoints are equal: some have no hints, or none hints at this node or its zone.
    Alike,
}

impl<'a> Proximity<'a> {
    /// Ranks `endpoints`, all of one address family, while endpoints in condition `serving` take
    /// connects.
    ///
    /// As in kube-proxy, hints are ignored if traffic is restricted to the node, and if only
    /// terminating endpoints are left:
    /// <https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/proxy/topology.go>
    pub(super) fn of(
        world: &'a World,
        policy: &'a LocalityPolicy,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
        reach: Reach<'_>,
        serving: Condition,
    ) -> Self {
        let counts = reach == Reach::Everywhere && serving == Condition::Ready;
        let hinted = if policy.by_hints && counts {
            hinted(world, endpoints)
        } else {
            BTreeMap::new()
        };
        let has_levels = !policy.order.is_empty() && (counts || !policy.by_hints);
        Self {
            world,
            policy,
            hinted,
            has_levels,
        }
    }

    /// Whether endpoints can be in different tiers.
    pub(super) fn has_tiers(&self) -> bool {
        let by_hints = self
            .hinted
            .values()
            .any(|hinted| *hinted != HintScope::Alike);
        self.has_levels || by_hints || self.policy.sources != SourcePreference::None
    }

    /// Whether an endpoint that takes no connects counts as missing capacity of its tier.
    /// EndpointSlices give hints to ready endpoints only, so the tier of other hinted endpoints is
    /// unknown.
    pub(super) fn counts(&self, endpoint: &Endpoint) -> bool {
        endpoint.condition == Condition::Ready
            || !self.hinted.contains_key(&endpoint.source.as_deref())
    }

    /// Returns the positions by tier, from the nearest to the farthest.
    pub(super) fn tiers(
        &self,
        endpoints: &[Endpoint],
        positions: impl IntoIterator<Item = usize>,
    ) -> Vec<Vec<usize>> {
        let mut tiers: BTreeMap<Distance, Vec<usize>> = BTreeMap::new();
        for position in positions {
            tiers
                .entry(self.distance(&endpoints[position]))
                .or_default()
                .push(position);
        }
        tiers.into_values().collect()
    }

    fn distance(&self, endpoint: &Endpoint) -> Distance {
        let is_second = match self.policy.sources {
            SourcePreference::Local => endpoint.source.is_some(),
            SourcePreference::Remote => endpoint.source.is_none(),
            SourcePreference::None => false,
        };
        let hinted = self.hinted.get(&endpoint.source.as_deref());
        (
            is_second,
            hinted.map_or_else(
                || self.level(endpoint),
                |hinted| self.hinted_level(*hinted, endpoint),
            ),
        )
    }

    /// Returns the position of the first level that the endpoint shares with this node, or the
    /// number of levels if none.
    fn level(&self, endpoint: &Endpoint) -> usize {
        let order = if self.has_levels {
            &self.policy.order[..]
        } else {
            &[]
        };
        order
            .iter()
            .position(|&level| shares(self.world, endpoint, level))
            .unwrap_or(order.len())
    }

    fn hinted_level(&self, hinted: HintScope, endpoint: &Endpoint) -> usize {
        let is_near = match hinted {
            HintScope::Node => hints_at_node(self.world, endpoint),
            HintScope::Zone => hints_at_zone(self.world, endpoint),
            HintScope::Alike => true,
        };
        if is_near {
            0
        } else {
            self.policy.order.len().max(1)
        }
    }
}

/// Returns the effect of the hints of each source that has hints.
fn hinted<'a>(
    world: &World,
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> BTreeMap<Option<&'a str>, HintScope> {
    let mut sources: BTreeMap<Option<&str>, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints
        .into_iter()
        .filter(|endpoint| endpoint.condition == Condition::Ready)
    {
        sources
            .entry(endpoint.source.as_deref())
            .or_default()
            .push(endpoint);
    }
    sources.retain(|_, ready| ready.iter().any(|endpoint| endpoint.hints.is_some()));
    sources
        .into_iter()
        .map(|(source, ready)| (source, hinted_by(world, &ready)))
        .collect()
}

/// Returns the effect of one source's hints. They count if every ready endpoint has one and at
/// least one hints at this node; node hints come before zone hints.
fn hinted_by(world: &World, ready: &[&Endpoint]) -> HintScope {
    let hints = || ready.iter().map(|endpoint| endpoint.hints.as_deref());
    let all_name_nodes = hints().all(|hints| hints.is_some_and(|hints| !hints.nodes.is_empty()));
    let all_name_zones = hints().all(|hints| hints.is_some_and(|hints| !hints.zones.is_empty()));
    match () {
        () if all_name_nodes && ready.iter().any(|endpoint| hints_at_node(world, endpoint)) => {
            HintScope::Node
        }
        () if all_name_zones && ready.iter().any(|endpoint| hints_at_zone(world, endpoint)) => {
            HintScope::Zone
        }
        () => HintScope::Alike,
    }
}

fn hints_at_node(world: &World, endpoint: &Endpoint) -> bool {
    endpoint
        .hints
        .iter()
        .flat_map(|hints| &hints.nodes)
        .any(|node| **node == *world.node_name)
}

fn hints_at_zone(world: &World, endpoint: &Endpoint) -> bool {
    let is_here = |zone| world.locality.zone.as_ref() == Some(zone);
    endpoint
        .hints
        .iter()
        .flat_map(|hints| &hints.zones)
        .any(is_here)
}

/// Whether the endpoint and this node share a level.
fn shares(world: &World, endpoint: &Endpoint, level: LocalityLevel) -> bool {
    let (here, there) = (&world.locality, &endpoint.locality);
    match level {
        LocalityLevel::Node => endpoint.is_on(&world.node_name),
        LocalityLevel::Zone => same(&here.zone, &there.zone) && may_share_region(here, there),
        LocalityLevel::Region => {
            same(&here.region, &there.region) && may_be_same(&here.cloud, &there.cloud)
        }
        LocalityLevel::Cloud => same(&here.cloud, &there.cloud),
    }
}

/// EndpointSlices give only the zone of an endpoint, so an unknown region or cloud matches any.
fn may_share_region(here: &Locality, there: &Locality) -> bool {
    may_be_same(&here.cloud, &there.cloud) && may_be_same(&here.region, &there.region)
}

/// Whether both are known and equal.
fn same<T: PartialEq>(here: &Option<T>, there: &Option<T>) -> bool {
    here.is_some() && here == there
}

/// Whether the two are not known to differ.
fn may_be_same<T: PartialEq>(here: &Option<T>, there: &Option<T>) -> bool {
    here.is_none() || there.is_none() || here == there
}

#[cfg(test)]
mod tests;
