//! Tracks since when endpoints with slow start are usable.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use mesh_common::{
    abi::{BackendRow, backend_state},
    addr::Addr,
};

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{Tables, Target, World, port_identity, unhealthy},
    model::{Condition, Service},
};

impl<D: Dataplane> Owner<D> {
    /// Updates [`World::usable_since`]. For an endpoint from an earlier agent the creation of its row
    /// counts.
    pub(super) fn note_usable(&mut self, now: Duration) {
        let slow = |service: &&Arc<Service>| service.traffic.slow_start.is_some();
        if !self.world.services.values().any(|service| slow(&service)) {
            return;
        }
        let created = if self.applied.is_none() {
            created(&self.current, now)
        } else {
            HashMap::new()
        };
        let mut since = BTreeMap::new();
        for service in self.world.services.values().filter(slow) {
            let unhealthy = unhealthy(&self.world, service);
            for port in &service.ports {
                let identity = port_identity(&service.name, port);
                for endpoint in port
                    .endpoints
                    .iter()
                    .filter(|endpoint| endpoint.takes(Condition::Ready))
                {
                    let target = Target {
                        service: service.name.clone(),
                        address: endpoint.address,
                        port: endpoint.port,
                    };
                    if unhealthy.contains(&target) || drains(&self.world, &target) {
                        continue;
                    }
                    let key = (
                        identity.as_str(),
                        Addr::from(endpoint.address),
                        endpoint.port.to_be(),
                    );
                    let known = self
                        .world
                        .usable_since
                        .get(&target)
                        .or_else(|| created.get(&key));
                    since.insert(target, known.copied().unwrap_or(now));
                }
            }
        }
        if self.world.usable_since != since {
            Arc::make_mut(&mut self.world).usable_since = since;
        }
    }
}

fn drains(world: &World, target: &Target) -> bool {
    let order = world.overrides.get(target);
    order.is_some_and(|it| it.draining_since.is_some())
}

/// Returns when the rows of active backends were created, by service port, address and port.
fn created(tables: &Tables, now: Duration) -> HashMap<(&str, Addr, u16), Duration> {
    let active = tables
        .backends
        .values()
        .filter(|row| row.state == backend_state::ACTIVE);
    let name = |row: &BackendRow| tables.names.get(&row.service).map(String::as_str);
    active
        .filter_map(|row| Some(((name(row)?, row.addr, row.port), since(row, now))))
        .collect()
}

/// Returns when a row was created. The generation is the low half of that time in milliseconds.
fn since(row: &BackendRow, now: Duration) -> Duration {
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    let age = (now.as_millis() as u32).wrapping_sub(row.generation);
    now.saturating_sub(Duration::from_millis(age.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::fixture,
        model::{Ratio, SlowStart, Update},
    };

    fn update(endpoints: &[(&str, u32)]) -> Update {
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints);
        cart.traffic.health = Some(fixture::check());
        cart.traffic.slow_start = Some(SlowStart {
            alpha: Ratio(100_000),
            tick: Duration::from_secs(1),
        });
        Update {
            services: fixture::services([cart]),
            complete: true,
            ..Update::default()
        }
    }

    fn since(owner: &Owner<Memory>) -> Vec<(u8, u64)> {
        let last = |target: &Target| match target.address {
            std::net::IpAddr::V4(address) => address.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        owner
            .world
            .usable_since
            .iter()
            .map(|(target, since)| (last(target), since.as_secs()))
            .collect()
    }

    #[test]
    fn slow_start_begins_when_an_endpoint_becomes_usable() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        owner.accept(update(&[("10.0.0.1:80", 1)]));
        owner.reconcile(Duration::from_secs(100));
        owner.accept(update(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]));
        owner.reconcile(Duration::from_secs(150));
        assert_eq!(since(&owner), [(1, 100), (2, 150)]);
        let target = Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, 1].into(),
            port: 80,
        };
        let mut check = |failing: &[Target], seconds| {
            let now = Duration::from_secs(seconds);
            let failing = failing.iter().map(|it| (it.clone(), now));
            owner.set_failing(failing.collect());
            owner.reconcile(now);
        };
        check(&[target], 160);
        check(&[], 170);
        assert_eq!(
            since(&owner),
            [(1, 170), (2, 150)],
            "a ramp starts again after a recovery"
        );
    }

    #[test]
    fn restarted_agent_reads_the_start_from_the_kernel_rows() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        owner.accept(update(&[("10.0.0.1:80", 1)]));
        owner.reconcile(Duration::from_secs(100));
        let mut owner = Owner::new(owner.dataplane, vec![], state.path()).unwrap();
        owner.accept(update(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)]));
        owner.reconcile(Duration::from_secs(130));
        assert_eq!(since(&owner), [(1, 100), (2, 130)]);
    }

    #[test]
    fn weight_of_a_new_endpoint_rises_step_by_step_without_updates() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        owner.accept(update(&[("10.0.0.1:80", 100)]));
        owner.reconcile(Duration::from_secs(100));
        owner.accept(update(&[("10.0.0.1:80", 100), ("10.0.0.2:80", 100)]));
        let mut now = Duration::from_secs(1000);
        let weight = |owner: &Owner<Memory>, host: u8| {
            let address = Addr::from(std::net::IpAddr::from([10, 0, 0, host]));
            owner
                .current
                .backends
                .values()
                .find(|row| row.addr == address)
                .unwrap()
                .weight
        };
        let mut shares = Vec::new();
        while let Some(wait) = owner.reconcile(now) {
            if owner.current.backends.len() == 2 {
                shares.push(f64::from(weight(&owner, 2)) / f64::from(weight(&owner, 1)));
            }
            now += wait;
        }
        assert!(
            (shares[0] - 0.1).abs() < 0.01,
            "the ramp starts at a tenth: {}",
            shares[0]
        );
        assert!(
            shares.is_sorted() && (shares.last().unwrap() - 1.0).abs() < 0.01,
            "{shares:?}"
        );
        assert!(
            now > Duration::from_secs(1040),
            "the ramp takes 40 s or more"
        );
    }
}
