//! What orders of operators mean for the owner.

use std::{fmt, sync::Arc, time::Duration};

use super::Owner;
use crate::{
    api::{
        suggestions::{no_service, told},
        types::Change,
        view::Refusal,
    },
    dataplane::Dataplane,
    desired::{Override, Target, World, active},
    model::{Service, ServiceName, ServicePort},
};

/// An order for an endpoint that is not configured now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::agent) struct UnusedOverride {
    /// Service, which may not be configured either.
    pub(in crate::agent) service: ServiceName,
    text: String,
}

impl fmt::Display for UnusedOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<D: Dataplane> Owner<D> {
    /// Writes an order down; [`reconcile`](Self::reconcile) puts it into effect. `now` is the
    /// monotonic clock.
    pub(in crate::agent) fn change_endpoint(
        &mut self,
        target: &Target,
        change: Change,
        force: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        if !self.accepted {
            return Err(Refusal::NotLoaded);
        }
        let given = decide(&self.world, target, change, force, now)?;
        let overrides = &mut Arc::make_mut(&mut self.world).overrides;
        match given == Override::default() {
            true => _ = overrides.remove(target),
            false => _ = overrides.insert(target.clone(), given),
        }
        self.needs_compile = true;
        self.problems.overrides = self.overrides.write(&self.world.overrides);
        Ok(())
    }

    /// Tries again to write orders down that could not be.
    pub(super) fn rewrite_overrides(&mut self) {
        if !self.overrides.is_written() {
            self.problems.overrides = self.overrides.write(&self.world.overrides);
        }
    }

    /// Why the next agent would not know of all orders.
    pub(in crate::agent) fn unwritten_overrides(&self) -> Option<String> {
        self.problems
            .overrides
            .clone()
            .filter(|_| !self.overrides.is_written())
    }

    /// Orders for endpoints that are not configured now.
    pub(super) fn unused_overrides(&self) -> Vec<UnusedOverride> {
        let orders = self
            .world
            .overrides
            .iter()
            .filter(|_| self.accepted && self.world.complete);
        orders
            .filter_map(|(target, given)| unused_override(&self.world, target, *given))
            .collect()
    }
}

/// What is said of the endpoint from now on.
fn decide(
    world: &World,
    target: &Target,
    change: Change,
    force: bool,
    now: Duration,
) -> Result<Override, Refusal> {
    let before = world.overrides.get(target).copied();
    let takes_back = matches!(change, Change::Undrain | Change::Weight(None));
    // What was said of an endpoint that is gone can still be taken back.
    if before.is_none() || !takes_back {
        let service = known(world, target)?;
        let leaves = matches!(change, Change::Drain | Change::Weight(Some(0)));
        if leaves && !force {
            service
                .ports
                .iter()
                .try_for_each(|port| leaves_others(world, service, port, target))?;
        }
    }
    let before = before.unwrap_or_default();
    Ok(match change {
        Change::Drain => Override {
            draining_since: before.draining_since.or(Some(now)),
            ..before
        },
        Change::Undrain => Override {
            draining_since: None,
            ..before
        },
        Change::Weight(weight) => Override { weight, ..before },
    })
}

/// The service, if it has the endpoint.
fn known<'a>(world: &'a World, target: &Target) -> Result<&'a Service, Refusal> {
    let Some(service) = world.services.get(&target.service) else {
        let all: Vec<ServiceName> = world.services.keys().cloned().collect();
        return Err(Refusal::Unknown(no_service(&target.service, &all)));
    };
    if has(service, target) {
        return Ok(service);
    }
    let mut all: Vec<String> = service
        .ports
        .iter()
        .flat_map(|port| &port.endpoints)
        .map(socket)
        .collect();
    all.sort_unstable();
    all.dedup();
    let there = told(all.into_iter());
    Err(Refusal::Unknown(format!(
        "service {} has no endpoint {}; it has: {there}",
        service.name,
        address(target)
    )))
}

fn has(service: &Service, target: &Target) -> bool {
    let mut endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
    endpoints.any(|it| (it.address, it.port) == (target.address, target.port))
}

/// Declines to take the last endpoint away that takes new connections of a port in one address
/// family.
fn leaves_others(
    world: &World,
    service: &Service,
    port: &ServicePort,
    target: &Target,
) -> Result<(), Refusal> {
    let leaving = |order: &Override| order.draining_since.is_some() || order.weight == Some(0);
    let named = |it: &crate::model::Endpoint| Target {
        service: service.name.clone(),
        address: it.address,
        port: it.port,
    };
    let endpoints = port
        .endpoints
        .iter()
        .zip(active(world, service, port))
        .filter(|(_, active)| *active);
    let taking = endpoints.map(|(endpoint, _)| named(endpoint));
    let taking = taking.filter(|it| !world.overrides.get(it).is_some_and(leaving));
    let family: Vec<Target> = taking
        .filter(|it| it.address.is_ipv4() == target.address.is_ipv4())
        .collect();
    match family.as_slice() {
        [last] if last == target => Err(Refusal::Declined(format!(
            "{} is the last active endpoint of {} port {}: without it connects are refused; --force does it all the same",
            address(target),
            service.name,
            port.label()
        ))),
        _ => Ok(()),
    }
}

fn unused_override(world: &World, target: &Target, given: Override) -> Option<UnusedOverride> {
    let service = world.services.get(&target.service);
    if service.is_some_and(|service| has(service, target)) {
        return None;
    }
    let Override {
        draining_since,
        weight,
    } = given;
    let drains = draining_since.map(|_| "drains".to_owned());
    let weight = weight.map(|weight| format!("has weight {weight}"));
    let orders: Vec<String> = [drains, weight].into_iter().flatten().collect();
    let (endpoint, name) = (address(target), &target.service);
    let text = format!(
        "{endpoint} of {name} {} by an operator's order, but is not configured now",
        orders.join(" and ")
    );
    Some(UnusedOverride {
        service: name.clone(),
        text,
    })
}

fn address(target: &Target) -> String {
    std::net::SocketAddr::new(target.address, target.port).to_string()
}

fn socket(endpoint: &crate::model::Endpoint) -> String {
    std::net::SocketAddr::new(endpoint.address, endpoint.port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataplane::memory::Memory, desired::fixture, model::Update};

    const NOW: Duration = Duration::from_secs(100);

    fn target(service: &str, last: u8) -> Target {
        Target {
            service: fixture::name(service),
            address: [10, 0, 0, last].into(),
            port: 80,
        }
    }

    fn configure(owner: &mut Owner<Memory>, endpoints: &[(&str, u32)]) {
        let services = fixture::services([fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            endpoints,
        )]);
        owner.accept(Update {
            services,
            complete: true,
            ..Update::default()
        });
        owner.reconcile(NOW);
    }

    fn owner(state: &std::path::Path) -> Owner<Memory> {
        let mut owner = Owner::new(Memory::default(), vec![], state).unwrap();
        let early = owner.change_endpoint(&target("cart", 1), Change::Drain, false, NOW);
        assert_eq!(early, Err(Refusal::NotLoaded));
        configure(&mut owner, &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]);
        owner
    }

    #[test]
    fn orders_are_in_the_world_and_survive() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(state.path());
        owner
            .change_endpoint(&target("cart", 1), Change::Drain, false, NOW)
            .unwrap();
        assert!(!owner.is_applied(), "there is something to compile");
        owner
            .change_endpoint(&target("cart", 1), Change::Drain, false, NOW * 2)
            .unwrap();
        owner
            .change_endpoint(&target("cart", 1), Change::Weight(Some(5)), false, NOW)
            .unwrap();
        let expected = Override {
            draining_since: Some(NOW),
            weight: Some(5),
        };
        assert_eq!(
            owner.world.overrides[&target("cart", 1)],
            expected,
            "the first drain counts"
        );
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        assert_eq!(owner.world.overrides[&target("cart", 1)], expected);
        configure(&mut owner, &[("10.0.0.2:80", 1)]);
        let unused: Vec<String> = owner
            .unused_overrides()
            .iter()
            .map(ToString::to_string)
            .collect();
        let text = "10.0.0.1:80 of test/cart drains and has weight 5 by an operator's order, but is not configured now";
        assert_eq!(unused, [text]);
        owner
            .change_endpoint(&target("cart", 1), Change::Undrain, false, NOW)
            .unwrap();
        owner
            .change_endpoint(&target("cart", 1), Change::Weight(None), false, NOW)
            .unwrap();
        assert!(owner.world.overrides.is_empty());
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(state.path());
        let mut refusal = |target| {
            owner
                .change_endpoint(&target, Change::Drain, false, NOW)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal(target("card", 1)),
            "no service test/card; there is test/cart"
        );
        let expected =
            "service test/cart has no endpoint 10.0.0.9:80; it has: 10.0.0.1:80, 10.0.0.2:80";
        assert_eq!(refusal(target("cart", 9)), expected);
    }

    #[test]
    fn the_last_endpoint_drains_only_by_force() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(state.path());
        owner
            .change_endpoint(&target("cart", 1), Change::Drain, false, NOW)
            .unwrap();
        for change in [Change::Drain, Change::Weight(Some(0))] {
            let refusal = owner
                .change_endpoint(&target("cart", 2), change, false, NOW)
                .unwrap_err();
            let expected = "10.0.0.2:80 is the last active endpoint of test/cart port 80: without it connects are \
                            refused; --force does it all the same";
            assert_eq!(refusal, Refusal::Declined(expected.into()));
        }
        owner
            .change_endpoint(&target("cart", 2), Change::Drain, true, NOW)
            .unwrap();
        assert_eq!(owner.world.overrides.len(), 2);
    }

    #[test]
    fn a_state_directory_that_cannot_be_written_is_a_problem_until_it_can() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("state");
        std::fs::write(&directory, "").unwrap();
        let mut owner = owner(&directory);
        owner
            .change_endpoint(&target("cart", 1), Change::Drain, false, NOW)
            .unwrap();
        let unwritten = owner.unwritten_overrides().unwrap();
        let file = directory.join("overrides.json");
        let expected = format!(
            "cannot write {}, so drains and weights end when the agent does; it tries again: ",
            file.display()
        );
        assert!(unwritten.starts_with(&expected), "{unwritten}");
        assert!(owner.snapshot().problems.contains(&unwritten));
        std::fs::remove_file(&directory).unwrap();
        owner.resync();
        assert_eq!(owner.unwritten_overrides(), None);
        assert!(
            !owner
                .snapshot()
                .problems
                .iter()
                .any(|it| it.contains("overrides.json"))
        );
    }
}
