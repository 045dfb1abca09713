//! How near endpoints are: tiers, of which the kernel leaves one for the next only when it must.
//!
//! Near is what shares a level with this node, in the order of the service. Where a Kubernetes service has no order of
//! its own, the hints of EndpointSlices count instead, with the fallbacks of kube-proxy.

use std::collections::BTreeMap;

use super::{World, frontends::Reach};
use crate::model::{Condition, Endpoint, Locality, LocalityLevel, Nearness, SourcePreference};

/// How far away an endpoint is: by its source, then by the first level that it shares with this node.
type Distance = (bool, usize);

/// How near the endpoints are that the front ends of one address family and reach lead to.
pub(super) struct Near<'a> {
    world: &'a World,
    nearness: &'a Nearness,
    /// By source. Sources without any hint are not here.
    hinted: BTreeMap<Option<&'a str>, Hinted>,
    /// Whether endpoints without hints are told apart by the levels of the service.
    has_levels: bool,
}

/// What the hints of one source say to this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hinted {
    /// Endpoints with this node among their hints come first.
    Node,
    /// Endpoints with this node's zone among their hints come first.
    Zone,
    /// All endpoints are alike: some have no hints, or none has one for this node or its zone.
    Alike,
}

impl<'a> Near<'a> {
    /// Judges `endpoints`, which are all of the address family, while those in condition `serving` are given connects.
    ///
    /// As in kube-proxy, hints do not count within a node, and where only terminating endpoints are left all of them
    /// serve: <https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/proxy/topology.go>
    pub(super) fn of(
        world: &'a World,
        nearness: &'a Nearness,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
        reach: Reach<'_>,
        serving: Condition,
    ) -> Self {
        let counts = reach == Reach::Everywhere && serving == Condition::Ready;
        let hinted = if nearness.by_hints && counts { hinted(world, endpoints) } else { BTreeMap::new() };
        let has_levels = !nearness.order.is_empty() && (counts || !nearness.by_hints);
        Self { world, nearness, hinted, has_levels }
    }

    /// Whether endpoints are told apart at all.
    pub(super) fn has_tiers(&self) -> bool {
        let by_hints = self.hinted.values().any(|hinted| *hinted != Hinted::Alike);
        self.has_levels || by_hints || self.nearness.sources != SourcePreference::None
    }

    /// Whether an endpoint that takes no connects counts as missing in its tier. EndpointSlices give hints to ready
    /// endpoints only, so of the others it is not known which tier they are missing in.
    pub(super) fn counts(&self, endpoint: &Endpoint) -> bool {
        endpoint.condition == Condition::Ready || !self.hinted.contains_key(&endpoint.source.as_deref())
    }

    /// Endpoints by their position, from the nearest to the farthest; in one tier while all are equally near.
    pub(super) fn tiers(&self, endpoints: &[Endpoint], positions: impl IntoIterator<Item = usize>) -> Vec<Vec<usize>> {
        let mut tiers: BTreeMap<Distance, Vec<usize>> = BTreeMap::new();
        for position in positions {
            tiers.entry(self.distance(&endpoints[position])).or_default().push(position);
        }
        tiers.into_values().collect()
    }

    fn distance(&self, endpoint: &Endpoint) -> Distance {
        let is_second = match self.nearness.sources {
            SourcePreference::Local => endpoint.source.is_some(),
            SourcePreference::Remote => endpoint.source.is_none(),
            SourcePreference::None => false,
        };
        let hinted = self.hinted.get(&endpoint.source.as_deref());
        (is_second, hinted.map_or_else(|| self.level(endpoint), |hinted| self.hinted_level(*hinted, endpoint)))
    }

    /// Position of the first level that the endpoint shares with this node, or the one after the last.
    fn level(&self, endpoint: &Endpoint) -> usize {
        let order = if self.has_levels { &self.nearness.order[..] } else { &[] };
        order.iter().position(|&level| shares(self.world, endpoint, level)).unwrap_or(order.len())
    }

    fn hinted_level(&self, hinted: Hinted, endpoint: &Endpoint) -> usize {
        let is_near = match hinted {
            Hinted::Node => hints_at_node(self.world, endpoint),
            Hinted::Zone => hints_at_zone(self.world, endpoint),
            Hinted::Alike => true,
        };
        if is_near { 0 } else { self.nearness.order.len().max(1) }
    }
}

/// What the hints of each source say, if it has any.
fn hinted<'a>(world: &World, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> BTreeMap<Option<&'a str>, Hinted> {
    let mut sources: BTreeMap<Option<&str>, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints.into_iter().filter(|endpoint| endpoint.condition == Condition::Ready) {
        sources.entry(endpoint.source.as_deref()).or_default().push(endpoint);
    }
    sources.retain(|_, ready| ready.iter().any(|endpoint| endpoint.hints.is_some()));
    sources.into_iter().map(|(source, ready)| (source, hinted_by(world, &ready))).collect()
}

/// Hints count where every ready endpoint has one and at least one hint is for here; those for nodes before those for
/// zones.
fn hinted_by(world: &World, ready: &[&Endpoint]) -> Hinted {
    let hints = || ready.iter().map(|endpoint| endpoint.hints.as_deref());
    let all_name_nodes = hints().all(|hints| hints.is_some_and(|hints| !hints.nodes.is_empty()));
    let all_name_zones = hints().all(|hints| hints.is_some_and(|hints| !hints.zones.is_empty()));
    match () {
        () if all_name_nodes && ready.iter().any(|endpoint| hints_at_node(world, endpoint)) => Hinted::Node,
        () if all_name_zones && ready.iter().any(|endpoint| hints_at_zone(world, endpoint)) => Hinted::Zone,
        () => Hinted::Alike,
    }
}

fn hints_at_node(world: &World, endpoint: &Endpoint) -> bool {
    endpoint.hints.iter().flat_map(|hints| &hints.nodes).any(|node| **node == *world.node_name)
}

fn hints_at_zone(world: &World, endpoint: &Endpoint) -> bool {
    let is_here = |zone| world.locality.zone.as_ref() == Some(zone);
    endpoint.hints.iter().flat_map(|hints| &hints.zones).any(is_here)
}

/// Whether the endpoint and this node have a level in common.
fn shares(world: &World, endpoint: &Endpoint, level: LocalityLevel) -> bool {
    let (here, there) = (&world.locality, &endpoint.locality);
    match level {
        LocalityLevel::Node => endpoint.is_on(&world.node_name),
        LocalityLevel::Zone => same(&here.zone, &there.zone) && may_share_region(here, there),
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
mod tests;
