//! Tracks unhealthy endpoints in the owner's world.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mesh_common::abi::{BackendRow, backend_state};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{Target, World, identified},
    health::{self, HealthReport},
    model::CheckPolicy,
};

/// An endpoint that is unhealthy for this long leaves the slots.
const LEAVES_AFTER: Duration = Duration::from_secs(60);

/// Since when endpoints are unhealthy, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct UnhealthySince(BTreeMap<Target, Duration>);

impl UnhealthySince {
    /// Updates [`World::long_unhealthy`]. Returns when the next endpoint leaves the slots.
    pub(super) fn note(&mut self, world: &mut Arc<World>, now: Duration) -> Option<Duration> {
        self.0.retain(|target, _| world.unhealthy.contains(target));
        for target in &world.unhealthy {
            self.0.entry(target.clone()).or_insert(now);
        }
        let leaves = |since: &Duration| *since + LEAVES_AFTER;
        let long = self
            .0
            .iter()
            .filter(|(_, since)| leaves(since) <= now)
            .map(|(target, _)| target.clone())
            .collect();
        if world.long_unhealthy != long {
            Arc::make_mut(world).long_unhealthy = long;
        }
        self.0.values().map(leaves).filter(|due| *due > now).min()
    }
}

impl<D: Dataplane> Owner<D> {
    /// Returns the TCP endpoints that are down in the data plane. Before the first update these are
    /// the endpoints that were unhealthy or not ready for an earlier agent.
    pub(in crate::agent) fn down(&self) -> BTreeSet<Target> {
        let tables = &self.current;
        let down = tables
            .backends
            .values()
            .filter(|row| row.state == backend_state::DOWN);
        let target = |row: &BackendRow| {
            let identity = tables
                .names
                .get(&row.service)
                .filter(|identity| identity.ends_with("/TCP"))?;
            let service = identified(identity)?;
            Some(Target {
                service,
                address: row.addr.into(),
                port: u16::from_be(row.port),
            })
        };
        down.filter_map(target).collect()
    }

    /// Sets what health checks may do. Call it once, before the first update.
    pub(in crate::agent) fn set_check_policy(&mut self, policy: CheckPolicy) {
        Arc::make_mut(&mut self.world).check_policy = Arc::new(policy);
    }

    /// Plans the health checks again.
    pub(super) fn plan_checks(&mut self) {
        self.checks = Arc::new(health::plan(&self.world));
    }

    /// Takes the results of health checks; returns whether that needs a compile.
    pub(super) fn take_report(&mut self, report: &Arc<HealthReport>) -> bool {
        self.report = Arc::clone(report);
        self.inherited
            .retain(|target| !report.targets.contains_key(target));
        self.weigh_health()
    }

    /// Forgets inherited endpoints that are not checked any more. An incomplete configuration may
    /// still bring the missing ones.
    pub(super) fn forget_inherited(&mut self) {
        let (world, wanted) = (&self.world, &self.checks.wanted);
        if world.complete {
            self.inherited.retain(|target| {
                wanted.contains_key(target) || !world.services.contains_key(&target.service)
            });
        }
    }

    /// Decides which endpoints are unhealthy; returns whether that needs a compile.
    pub(super) fn weigh_health(&mut self) -> bool {
        let unhealthy = health::unhealthy(&self.report, &self.inherited, &self.world);
        self.set_unhealthy(unhealthy)
    }

    /// Sets the unhealthy endpoints; returns whether that needs a compile.
    pub(super) fn set_unhealthy(&mut self, unhealthy: BTreeSet<Target>) -> bool {
        if self.world.unhealthy == unhealthy {
            return false;
        }
        Arc::make_mut(&mut self.world).unhealthy = unhealthy;
        self.needs_compile = self.accepted;
        self.accepted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{dataplane::memory::Memory, desired::fixture, model::Update};

    #[test]
    fn endpoint_unhealthy_for_a_minute_leaves_the_slots_until_it_is_healthy() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let target = Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, 1].into(),
            port: 80,
        };
        let cart = fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
        );
        owner.accept(Update {
            services: fixture::services([cart]),
            complete: true,
            ..Update::default()
        });
        let slots = |owner: &mut Owner<Memory>, seconds| {
            let wait = owner.reconcile(Duration::from_secs(seconds));
            (
                owner.current.services[&fixture::key("10.96.0.1:80")].slot_count,
                wait.map(|it| it.as_secs()),
            )
        };
        assert_eq!(slots(&mut owner, 100).0, 2);
        owner.set_unhealthy([target].into());
        assert_eq!(
            slots(&mut owner, 101),
            (2, Some(60)),
            "a health change is one write"
        );
        assert_eq!(slots(&mut owner, 160), (2, Some(1)));
        assert_eq!(slots(&mut owner, 161).0, 1);
        owner.set_unhealthy([].into());
        assert_eq!(slots(&mut owner, 170).0, 2);
    }

    #[test]
    fn change_of_unhealthy_endpoints_takes_effect() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let target = Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, 1].into(),
            port: 80,
        };
        let cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:80", 1)]);
        let services = fixture::services([cart]);
        owner.accept(Update {
            services,
            complete: true,
            ..Update::default()
        });
        owner.reconcile(Duration::from_secs(100));
        assert!(owner.is_applied());
        assert!(!owner.set_unhealthy(BTreeSet::new()));
        assert!(owner.is_applied());
        assert!(owner.set_unhealthy(BTreeSet::from([target.clone()])));
        assert!(!owner.is_applied(), "a compile is due");
        owner.reconcile(Duration::from_secs(101));
        assert!(owner.is_applied() && owner.snapshot().world.unhealthy.contains(&target));
        assert_eq!(owner.down(), BTreeSet::from([target.clone()]));
        assert!(!owner.set_unhealthy(BTreeSet::from([target.clone()])));
        let restarted = Owner::new(owner.dataplane, vec![], state.path()).unwrap();
        assert_eq!(
            restarted.down(),
            BTreeSet::from([target]),
            "the rows hold the state"
        );
    }
}
