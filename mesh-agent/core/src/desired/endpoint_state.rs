//! State of a service's endpoints that is not configuration: health verdicts, operator overrides,
//! and when each endpoint became usable. Computes their present weights from it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{
    Override, World, ramp,
    unhealthy::{leaves_at, unhealthy},
    world::{AddressPort, of_service},
};
use crate::model::{Endpoint, Service, ServiceName, Traffic};

/// State of the endpoints of one service.
pub(super) struct EndpointStates<'a> {
    traffic: &'a Traffic,
    /// Unhealthy endpoints, and when they leave the slots.
    unhealthy: HashMap<AddressPort, Duration>,
    overrides: HashMap<AddressPort, Override>,
    usable_since: HashMap<AddressPort, Duration>,
}

/// Weight of an endpoint at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weight {
    /// As configured, or as an operator has set it.
    pub target: u16,
    /// Present part of the target, from 0 to 1. It is below 1 during slow start and drain.
    pub share: f64,
}

impl Weight {
    /// Returns the present weight.
    pub fn effective(self) -> f64 {
        f64::from(self.target) * self.share
    }

    /// Returns the present weight as a whole number; zero if it is below one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "weights are small and not negative"
    )]
    pub fn whole(self) -> u32 {
        let weight = self.effective();
        if weight < 1.0 {
            0
        } else {
            weight.round() as u32
        }
    }

    /// Whether the endpoint takes connects at all.
    pub fn takes(self) -> bool {
        self.target > 0 && self.share > 0.0
    }
}

impl<'a> EndpointStates<'a> {
    pub(super) fn of(world: &World, service: &'a Service) -> Self {
        let name = &service.name;
        let unhealthy = unhealthy(world, service).into_iter();
        Self {
            traffic: &service.traffic,
            unhealthy: unhealthy
                .map(|target| (target.place(), leaves_at(world.failing[&target])))
                .collect(),
            overrides: of_service(&world.overrides, name).collect(),
            usable_since: of_service(&world.usable_since, name).collect(),
        }
    }

    /// Whether health checks do not find the endpoint unhealthy.
    pub(super) fn works(&self, endpoint: &Endpoint) -> bool {
        !self
            .unhealthy
            .contains_key(&(endpoint.address, endpoint.port))
    }

    /// Whether the endpoint has been unhealthy for long.
    pub(super) fn is_long_unhealthy(&self, endpoint: &Endpoint, now: Duration) -> bool {
        let leaves = self.unhealthy.get(&(endpoint.address, endpoint.port));
        leaves.is_some_and(|leaves| *leaves <= now)
    }

    pub(super) fn weight(&self, endpoint: &Endpoint, now: Duration) -> Weight {
        let said = self.said(endpoint);
        let configured = || u16::try_from(endpoint.weight).expect("sources take no larger weight");
        let draining = said.draining_since.map(|since| now.saturating_sub(since));
        let falling = draining.map_or(1.0, |elapsed| {
            ramp::falling(self.traffic.drain.as_ref(), elapsed)
        });
        Weight {
            target: said.weight.unwrap_or_else(configured),
            share: self.rising(endpoint, now) * falling,
        }
    }

    fn rising(&self, endpoint: &Endpoint, now: Duration) -> f64 {
        match (&self.traffic.slow_start, self.since(endpoint)) {
            (Some(slow_start), Some(since)) => ramp::rising(slow_start, now.saturating_sub(since)),
            _ => 1.0,
        }
    }

    fn said(&self, endpoint: &Endpoint) -> Override {
        self.overrides
            .get(&(endpoint.address, endpoint.port))
            .copied()
            .unwrap_or_default()
    }

    fn since(&self, endpoint: &Endpoint) -> Option<Duration> {
        self.usable_since
            .get(&(endpoint.address, endpoint.port))
            .copied()
    }

    /// Whether weights may differ from the configured ones, now or later.
    pub(super) fn has_ramps(&self, endpoints: &[Endpoint]) -> bool {
        let said = |endpoint: &Endpoint| {
            self.overrides
                .contains_key(&(endpoint.address, endpoint.port))
        };
        self.traffic.slow_start.is_some()
            || self.traffic.drain.is_some()
            || endpoints.iter().any(said)
    }

    /// Returns when the weight of an endpoint changes next, or nothing if none of its ramps is
    /// under way.
    fn next_change(&self, endpoint: &Endpoint, now: Duration) -> Option<Duration> {
        let weight = self.weight(endpoint, now);
        if !weight.takes() {
            return None;
        }
        let drains = self
            .traffic
            .drain
            .as_ref()
            .zip(self.said(endpoint).draining_since);
        let falls = drains.map(|(drain, since)| ramp::next_tick(since, drain.tick, now));
        let ramp = self.traffic.slow_start.as_ref().zip(self.since(endpoint));
        let starts = ramp.filter(|_| self.rising(endpoint, now) < 1.0);
        let rises = starts.map(|(slow_start, since)| ramp::next_tick(since, slow_start.tick, now));
        falls.into_iter().chain(rises).min()
    }
}

/// Returns when the tables change next because time passes, by the monotonic clock: a ramp is under
/// way, or an unhealthy endpoint leaves the slots.
pub fn next_change(world: &World, now: Duration) -> Option<Duration> {
    next_step(world, now)
        .into_iter()
        .chain(next_leave(world, now))
        .min()
}

/// Returns when the next unhealthy endpoint leaves the slots.
fn next_leave(world: &World, now: Duration) -> Option<Duration> {
    let names: BTreeSet<&ServiceName> =
        world.failing.keys().map(|target| &target.service).collect();
    let services = names
        .into_iter()
        .filter_map(|name| world.services.get(name));
    let leaves = services.flat_map(|service| EndpointStates::of(world, service).unhealthy);
    let times = leaves.map(|(_, leaves)| leaves);
    times.filter(|at| *at > now && *at < Duration::MAX).min()
}

/// Returns when the next step of a ramp is due.
fn next_step(world: &World, now: Duration) -> Option<Duration> {
    if world.usable_since.is_empty() && world.overrides.is_empty() {
        return None;
    }
    let ramps = |service: &&Service| {
        service.traffic.slow_start.is_some() || service.traffic.drain.is_some()
    };
    let services = world.services.values().map(AsRef::as_ref).filter(ramps);
    let changes = services.flat_map(|service| {
        let known = EndpointStates::of(world, service);
        let is_idle = known.overrides.is_empty() && known.usable_since.is_empty();
        let ports = if is_idle { &[][..] } else { &service.ports };
        ports
            .iter()
            .flat_map(|port| &port.endpoints)
            .filter_map(|it| known.next_change(it, now))
            .min()
    });
    changes.min()
}
