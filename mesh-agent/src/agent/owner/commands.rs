//! Checks and records operators' commands.

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

/// An override for an endpoint that is not configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::agent) struct UnusedOverride {
    /// The service, which may not be configured either.
    pub(in crate::agent) service: ServiceName,
    text: String,
}

impl fmt::Display for UnusedOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<D: Dataplane> Owner<D> {
    /// Records a command as an override; [`reconcile`](Self::reconcile) puts it into effect. `now`
    /// is the monotonic clock.
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

    /// Retries to write overrides after a failed write.
    pub(super) fn rewrite_overrides(&mut self) {
        if !self.overrides.is_written() {
            self.problems.overrides = self.overrides.write(&self.world.overrides);
        }
    }

    /// Returns why the next agent would not know of all overrides; nothing when it would.
    pub(in crate::agent) fn unwritten_overrides(&self) -> Option<String> {
        self.problems
            .overrides
            .clone()
            .filter(|_| !self.overrides.is_written())
    }

    /// Returns the overrides for endpoints that are not configured.
    pub(super) fn unused_overrides(&self) -> Vec<UnusedOverride> {
        let overrides = self
            .world
            .overrides
            .iter()
            .filter(|_| self.accepted && self.world.complete);
        overrides
            .filter_map(|(target, given)| unused_override(&self.world, target, *given))
            .collect()
    }
}

/// Returns the new override of the endpoint, or why the command is refused.
fn decide(
    world: &World,
    target: &Target,
    change: Change,
    force: bool,
    now: Duration,
) -> Result<Override, Refusal> {
    let present = world.overrides.get(target).copied();
    let is_reset = matches!(change, Change::Undrain | Change::Weight(None));
    // The override of an endpoint that is gone can still be reset.
    if present.is_none() || !is_reset {
        let service = service_of(world, target)?;
        let removes = matches!(change, Change::Drain | Change::Weight(Some(0)));
        if removes && !force {
            service
                .ports
                .iter()
                .try_for_each(|port| check_others_active(world, service, port, target))?;
        }
    }
    let before = present.unwrap_or_default();
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

/// Returns the service if it has the endpoint.
fn service_of<'a>(world: &'a World, target: &Target) -> Result<&'a Service, Refusal> {
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
    let known = told(all.into_iter());
    Err(Refusal::Unknown(format!(
        "service {} has no endpoint {}; it has: {known}",
        service.name,
        address(target)
    )))
}

fn has(service: &Service, target: &Target) -> bool {
    let mut endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
    endpoints.any(|it| (it.address, it.port) == (target.address, target.port))
}

/// Refuses to remove the last active endpoint of a port in one address family.
fn check_others_active(
    world: &World,
    service: &Service,
    port: &ServicePort,
    target: &Target,
) -> Result<(), Refusal> {
    let is_removed = |it: &Override| it.draining_since.is_some() || it.weight == Some(0);
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
    let others = endpoints.map(|(endpoint, _)| named(endpoint));
    let taking = others.filter(|it| !world.overrides.get(it).is_some_and(is_removed));
    let family: Vec<Target> = taking
        .filter(|it| it.address.is_ipv4() == target.address.is_ipv4())
        .collect();
    match family.as_slice() {
        [last] if last == target => Err(Refusal::Declined(format!(
            "{} is the last active endpoint of {} port {}: without it connects are refused; --force does it anyway",
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
    let drained = draining_since.map(|_| "drained".to_owned());
    let weight = weight.map(|weight| format!("set to weight {weight}"));
    let changes: Vec<String> = [drained, weight].into_iter().flatten().collect();
    let (endpoint, name) = (address(target), &target.service);
    let text = format!(
        "{endpoint} of {name} is {} by an operator, but not configured",
        changes.join(" and ")
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
    fn commands_take_effect_and_survive_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = owner(state.path());
        owner
            .change_endpoint(&target("cart", 1), Change::Drain, false, NOW)
            .unwrap();
        assert!(!owner.is_applied(), "a compile is due");
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
            "the first drain sets the start"
        );
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        assert_eq!(owner.world.overrides[&target("cart", 1)], expected);
        configure(&mut owner, &[("10.0.0.2:80", 1)]);
        let unused: Vec<String> = owner
            .unused_overrides()
            .iter()
            .map(ToString::to_string)
            .collect();
        let text = "10.0.0.1:80 of test/cart is drained and set to weight 5 by an operator, but not configured";
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
    fn unknown_service_or_endpoint_is_refused_with_the_known_ones() {
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
    fn last_active_endpoint_drains_only_with_force() {
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
                            refused; --force does it anyway";
            assert_eq!(refusal, Refusal::Declined(expected.into()));
        }
        owner
            .change_endpoint(&target("cart", 2), Change::Drain, true, NOW)
            .unwrap();
        assert_eq!(owner.world.overrides.len(), 2);
    }

    #[test]
    fn unwritable_state_directory_is_a_problem_until_a_write_succeeds() {
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
