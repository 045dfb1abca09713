//! Decides which endpoints of a service port take connects at one moment, with which weight and in
//! which tier.

use std::time::Duration;

use super::{
    World,
    endpoint_state::{EndpointStates, Weight},
    frontends::{OutOfReach, Reach, has_family, out_of_reach, reaches, serving},
    ineligible::{Ineligible, row_state},
    locality::Proximity,
};
use crate::model::{Condition, Endpoint, Service, ServicePort};

/// One unit of weight in slots. It is finer than the weights in backend rows.
const UNIT: f64 = 65_536.0;
/// Most fraction bits of a weight in a backend row.
const MAX_SHIFT: u32 = 8;

/// The endpoints of a service port at one moment, by their position.
pub struct Eligibility<'a> {
    endpoints: &'a [Endpoint],
    weights: Vec<Weight>,
    /// Whether the endpoint has been unhealthy for long.
    long_unhealthy: Vec<bool>,
    /// Why each endpoint takes no new connections, in order; empty if it takes them.
    reasons: Vec<Vec<Ineligible>>,
    /// Fraction bits of the weights in backend rows.
    shift: u32,
}

impl<'a> Eligibility<'a> {
    /// Evaluates the endpoints of a port at `now`, by the monotonic clock.
    pub fn of(world: &World, now: Duration, service: &Service, port: &'a ServicePort) -> Self {
        let known = EndpointStates::of(world, service);
        let endpoints = &port.endpoints[..];
        let mut eligibility = Self {
            endpoints,
            weights: endpoints
                .iter()
                .map(|endpoint| known.weight(endpoint, now))
                .collect(),
            long_unhealthy: endpoints
                .iter()
                .map(|endpoint| known.is_long_unhealthy(endpoint, now))
                .collect(),
            reasons: Vec::new(),
            shift: 0,
        };
        eligibility.shift = if known.has_ramps(endpoints) {
            eligibility.spare_bits()
        } else {
            0
        };
        let takes = eligibility.takes(world, service, port);
        let weighed = endpoints.iter().zip(takes).zip(&eligibility.weights);
        let reasons = weighed.map(|((endpoint, takes), weight)| {
            let out = || out_of_reach(world, service, port, endpoint);
            reasons_of(endpoint, *weight, takes, known.works(endpoint), out)
        });
        eligibility.reasons = reasons.collect();
        eligibility
    }

    /// Returns for each endpoint whether it takes connects of some frontend, health aside.
    fn takes(&self, world: &World, service: &Service, port: &ServicePort) -> Vec<bool> {
        let mut takes = vec![false; self.endpoints.len()];
        for reach in reaches(world, service, port) {
            for is_v4 in [true, false] {
                if has_family(world, service, is_v4) {
                    self.takers(is_v4, reach)
                        .for_each(|position| takes[position] = true);
                }
            }
        }
        takes
    }

    /// Returns the unused high bits of the largest weight. Configured weights count as well, so
    /// that the result does not change during ramps.
    fn spare_bits(&self) -> u32 {
        let targets = self.weights.iter().map(|weight| u32::from(weight.target));
        let largest = targets
            .chain(self.endpoints.iter().map(|endpoint| endpoint.weight))
            .max()
            .unwrap_or(0);
        largest.leading_zeros().saturating_sub(16).min(MAX_SHIFT)
    }

    /// Returns the weight of each endpoint.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// Whether health checks take an endpoint out of service.
    pub fn is_unhealthy(&self, position: usize) -> bool {
        self.reasons[position].contains(&Ineligible::Unhealthy)
    }

    /// Returns why an endpoint takes no new connections from this node; nothing when it takes them.
    pub fn why_not(&self, position: usize) -> Option<Ineligible> {
        self.reasons[position].first().copied()
    }

    /// Returns for each endpoint whether it takes new connections from this node.
    pub fn active(&self) -> Vec<bool> {
        self.reasons.iter().map(Vec::is_empty).collect()
    }

    /// Returns the positions of the endpoints that take the new connections of a frontend, health
    /// aside: the ready endpoints of its family in its scope, or the serving terminating ones if
    /// none is ready (KEP-1669).
    pub fn takers(&self, is_v4: bool, reach: Reach<'_>) -> impl Iterator<Item = usize> {
        let serving = self.serving(is_v4, reach);
        (0..self.endpoints.len())
            .filter(move |&position| self.takes_in(position, serving, is_v4, reach))
    }

    /// Returns the condition in which endpoints take the new connections of a frontend.
    fn serving(&self, is_v4: bool, reach: Reach<'_>) -> Condition {
        let all = self.endpoints.iter().zip(&self.weights);
        let weighted = all.filter(|(_, weight)| weight.takes()).map(|(it, _)| it);
        serving(weighted, |it| is_within(it, is_v4, reach))
    }

    fn takes_in(&self, position: usize, serving: Condition, is_v4: bool, reach: Reach<'_>) -> bool {
        let endpoint = &self.endpoints[position];
        is_within(endpoint, is_v4, reach)
            && endpoint.condition == serving
            && self.weights[position].takes()
    }

    /// Returns the positions of the endpoints in the slots of a frontend, from the nearest tier to
    /// the farthest.
    pub(super) fn tiers_of(
        &self,
        world: &World,
        service: &Service,
        is_v4: bool,
        reach: Reach<'_>,
    ) -> Vec<Vec<usize>> {
        let proximity = self.proximity(world, service, is_v4, reach);
        if !proximity.has_tiers() {
            return vec![self.drawn(is_v4, reach)];
        }
        let members = self.members(is_v4, reach).into_iter();
        proximity.tiers(
            self.endpoints,
            members.filter(|&position| proximity.counts(&self.endpoints[position])),
        )
    }

    /// Returns the [`takers`](Self::takers) in the slots of a frontend without tiers. An unhealthy
    /// endpoint keeps its slots for a while, so that a verdict costs one write to its row; after
    /// that it leaves them, so that connects need not skip it. In a service with tiers it stays,
    /// because it counts as missing capacity of its tier.
    fn drawn(&self, is_v4: bool, reach: Reach<'_>) -> Vec<usize> {
        let takers: Vec<usize> = self.takers(is_v4, reach).collect();
        let left: Vec<usize> = takers
            .iter()
            .copied()
            .filter(|&position| !self.long_unhealthy[position])
            .collect();
        if left.is_empty() { takers } else { left }
    }

    fn proximity(
        &self,
        world: &'a World,
        service: &'a Service,
        is_v4: bool,
        reach: Reach<'_>,
    ) -> Proximity<'a> {
        let family = self
            .endpoints
            .iter()
            .filter(move |endpoint| endpoint.address.is_ipv4() == is_v4);
        Proximity::of(
            world,
            &service.traffic.locality,
            family,
            reach,
            self.serving(is_v4, reach),
        )
    }

    /// Returns the [`takers`](Self::takers) and the endpoints that are down, which count as missing
    /// capacity of their tier. An endpoint that takes connects of another frontend only is left
    /// out.
    fn members(&self, is_v4: bool, reach: Reach<'_>) -> Vec<usize> {
        let mut members: Vec<usize> = self.takers(is_v4, reach).collect();
        let counts = |&position: &usize| {
            let is_down = !self.reasons[position].is_empty();
            is_down
                && self.weights[position].target > 0
                && is_within(&self.endpoints[position], is_v4, reach)
        };
        members.extend((0..self.endpoints.len()).filter(counts));
        members.sort_unstable();
        members.dedup();
        members
    }

    /// Returns the tier of each endpoint for frontends with scope
    /// [`Everywhere`](Reach::Everywhere), counted from one, or nothing without tiers.
    pub fn tiers(&self, world: &World, service: &Service) -> Vec<Option<u32>> {
        let mut numbers = vec![None; self.endpoints.len()];
        let has_tiers = |is_v4: &bool| {
            self.proximity(world, service, *is_v4, Reach::Everywhere)
                .has_tiers()
        };
        for is_v4 in [true, false].into_iter().filter(has_tiers) {
            for (number, tier) in (1..).zip(self.tiers_of(world, service, is_v4, Reach::Everywhere))
            {
                tier.into_iter()
                    .for_each(|position| numbers[position] = Some(number));
            }
        }
        numbers
    }

    /// Returns the state of an endpoint's row, one of [`backend_state`](mesh_common::abi::backend_state).
    pub(super) fn state(&self, position: usize) -> u16 {
        row_state(&self.reasons[position])
    }

    /// Returns the present weight, or the whole target if the endpoint takes no connects: then it
    /// is missing capacity.
    fn worth(&self, position: usize) -> f64 {
        let weight = self.weights[position];
        if weight.takes() {
            weight.effective()
        } else {
            weight.target.into()
        }
    }

    /// Returns the weight in slots, above zero.
    pub(super) fn share(&self, position: usize) -> u32 {
        clamped(self.worth(position) * UNIT)
    }

    /// Returns the weight in the backend row, above zero unless the target is zero.
    pub(super) fn row_weight(&self, position: usize) -> u16 {
        match self.weights[position].target {
            0 => 0,
            _ => u16::try_from(clamped(self.worth(position) * f64::from(1 << self.shift)))
                .unwrap_or(u16::MAX),
        }
    }
}

/// Returns why an endpoint takes no new connections: the only place that decides it. `takes` is
/// whether it takes connects of some frontend if it `works`.
fn reasons_of(
    endpoint: &Endpoint,
    weight: Weight,
    takes: bool,
    works: bool,
    out_of_reach: impl Fn() -> Option<OutOfReach>,
) -> Vec<Ineligible> {
    if takes && works {
        return Vec::new();
    }
    let reasons = [
        (weight.share <= 0.0).then_some(Ineligible::Drained),
        (!works).then_some(Ineligible::Unhealthy),
        out_of_reach().map(Ineligible::OutOfReach),
        (endpoint.condition == Condition::NotReady).then_some(Ineligible::NotReady),
        (endpoint.condition == Condition::Terminating && !takes).then_some(Ineligible::Terminating),
        (weight.target == 0).then_some(Ineligible::NoWeight),
    ];
    reasons.into_iter().flatten().collect()
}

/// Returns for each endpoint whether it takes new connections from this node after all ramps have
/// ended. Use
/// [`Eligibility::active`] for an earlier moment.
pub fn active(world: &World, service: &Service, port: &ServicePort) -> Vec<bool> {
    Eligibility::of(world, Duration::MAX, service, port).active()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn clamped(weight: f64) -> u32 {
    weight.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn is_within(endpoint: &Endpoint, is_v4: bool, reach: Reach<'_>) -> bool {
    endpoint.address.is_ipv4() == is_v4 && reach.has(endpoint)
}
