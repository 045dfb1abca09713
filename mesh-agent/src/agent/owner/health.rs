//! Keeps the verdicts of health checks, as given. What follows from them is derived in `compile`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mesh_common::abi::{BackendRow, backend_state};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{Target, identified},
    health::{self, HealthReport, HealthState},
    model::CheckPolicy,
};

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

    /// Takes the results of health checks; returns whether that needs a compile. Inherited endpoints
    /// that the report does not cover still fail.
    pub(super) fn take_report(&mut self, report: &HealthReport) -> bool {
        self.inherited
            .retain(|target| !report.targets.contains_key(target));
        let failing = report
            .targets
            .iter()
            .filter(|(_, status)| status.state == HealthState::Unhealthy)
            .map(|(target, status)| (Target::clone(target), status.changed_at));
        self.set_failing(failing.chain(unknown(&self.inherited)).collect())
    }

    /// Forgets inherited endpoints that are not checked any more. An incomplete configuration may
    /// still bring the missing ones.
    pub(super) fn forget_inherited(&mut self) {
        if !self.world.complete {
            return;
        }
        let (wanted, services) = (&self.checks.wanted, &self.world.services);
        let is_gone = |target: &Target| {
            !wanted.contains_key(target) && services.contains_key(&target.service)
        };
        let gone: BTreeSet<Target> = self.inherited.extract_if(.., |it| is_gone(it)).collect();
        if !gone.is_empty() {
            let world = Arc::make_mut(&mut self.world);
            world.failing.retain(|target, _| !gone.contains(target));
        }
    }

    pub(super) fn set_failing(&mut self, failing: BTreeMap<Target, Duration>) -> bool {
        if self.world.failing == failing {
            return false;
        }
        Arc::make_mut(&mut self.world).failing = failing;
        self.needs_compile = self.accepted;
        self.accepted
    }
}

/// Returns endpoints that fail since an unknown time.
pub(super) fn unknown(targets: &BTreeSet<Target>) -> impl Iterator<Item = (Target, Duration)> {
    targets.iter().map(|it| (it.clone(), Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::event::Event, dataplane::memory::Memory, desired::fixture, health::HealthStatus,
        model::Service, source::SourceUpdate,
    };

    const TWO: [(&str, u32); 2] = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1)];

    fn target(last: u8) -> Target {
        Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, last].into(),
            port: 80,
        }
    }

    fn cart() -> Service {
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &TWO);
        cart.traffic.health = Some(fixture::check());
        cart
    }

    fn update(service: Service) -> SourceUpdate {
        SourceUpdate::of(fixture::services([service]))
    }

    /// A report on both endpoints, of which these are unhealthy since `at` seconds.
    fn report(unhealthy: &[u8], at: u64) -> Event {
        let status = |last: u8| HealthStatus {
            state: if unhealthy.contains(&last) {
                HealthState::Unhealthy
            } else {
                HealthState::Healthy
            },
            reason: "".into(),
            changed_at: Duration::from_secs(at),
            checked_at: None,
            streak: 1,
        };
        let targets = [1, 2].map(|last| (Arc::new(target(last)), status(last)));
        Event::Health(Arc::new(HealthReport {
            targets: targets.into(),
            changes: 1,
        }))
    }

    #[test]
    fn endpoint_unhealthy_for_a_minute_leaves_the_slots_until_it_is_healthy() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let mut slots = |event, seconds| {
            let effects = owner.handle(event, Duration::from_secs(seconds));
            let row = owner.current.services[&fixture::key("10.96.0.1:80")];
            (row.slot_count, effects.wake.map(|it| it.as_secs()))
        };
        assert_eq!(slots(Event::Source(update(cart())), 100).0, 2);
        let first = slots(report(&[1], 101), 101);
        assert_eq!(first, (2, Some(161)), "a health change is one write");
        assert_eq!(slots(Event::Tick, 160), (2, Some(161)));
        assert_eq!(slots(Event::Tick, 161).0, 1);
        assert_eq!(slots(report(&[], 170), 170).0, 2);
    }

    #[test]
    fn verdicts_take_effect_and_only_news_is_published() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let now = Duration::from_secs(100);
        owner.handle(Event::Source(update(cart())), now);
        assert!(!owner.handle(report(&[], 100), now).publish);
        assert!(owner.handle(report(&[1], 100), now).publish);
        assert!(owner.is_applied());
        assert_eq!(owner.down(), BTreeSet::from([target(1)]));
        assert!(!owner.handle(report(&[1], 100), now).publish);
        owner.handle(report(&[1, 2], 100), now);
        assert_eq!(owner.down(), BTreeSet::new(), "all fail, so all are kept");
    }

    #[test]
    fn endpoint_that_was_unhealthy_for_an_earlier_agent_is_out_until_there_is_a_report() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let now = Duration::from_secs(100);
        owner.handle(Event::Source(update(cart())), now);
        owner.handle(report(&[1], 100), now);
        let restart = |dataplane| Owner::new(dataplane, vec![], state.path()).unwrap();
        let mut owner = restart(owner.dataplane);
        assert_eq!(
            owner.down(),
            BTreeSet::from([target(1)]),
            "the rows hold it"
        );
        owner.handle(Event::Source(update(cart())), now);
        assert_eq!(owner.down(), BTreeSet::from([target(1)]));
        owner.handle(report(&[], 101), now);
        assert_eq!(owner.down(), BTreeSet::new());
    }

    #[test]
    fn endpoint_that_is_not_checked_any_more_is_not_out() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        let now = Duration::from_secs(100);
        owner.handle(Event::Source(update(cart())), now);
        owner.handle(report(&[1], 100), now);
        let mut owner = Owner::new(owner.dataplane, vec![], state.path()).unwrap();
        let mut unready = cart();
        unready.ports[0].endpoints[0].condition = crate::model::Condition::NotReady;
        owner.handle(Event::Source(update(unready)), now);
        assert_eq!(owner.world.failing, BTreeMap::new());
    }
}
