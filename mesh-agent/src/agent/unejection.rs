//! Ends ejections agreed on by clients when the agent's own health check passes (Envoy: unejection).

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mesh_common::agreement::Standing;

use crate::{
    dataplane::Evidence,
    desired::{Tables, Target, identified},
    health::{HealthReport, HealthState},
};

/// When each backend was first seen ejected by agreement, by the monotonic clock.
#[derive(Default)]
pub(super) struct Unejections(BTreeMap<u32, Duration>);

impl Unejections {
    /// Returns the backends whose last check passed after the agreement was first seen. An earlier
    /// result does not count, because clients have met failures since.
    pub(super) fn due(
        &mut self,
        tables: &Tables,
        evidence: &BTreeMap<u32, Evidence>,
        report: &HealthReport,
        now: Duration,
    ) -> Vec<u32> {
        let ejected = evidence
            .iter()
            .filter(|(_, known)| known.agreement.standing == Standing::Ejected);
        let since = |index: &u32| self.0.get(index).copied().unwrap_or(now);
        self.0 = ejected.map(|(index, _)| (*index, since(index))).collect();
        let passes = |index: &u32, since: Duration| {
            let status = target(tables, *index).and_then(|target| report.targets.get(&target));
            status.is_some_and(|status| {
                let is_well = status.state == HealthState::Healthy && status.reason.is_empty();
                is_well && status.checked_at.is_some_and(|checked| checked > since)
            })
        };
        self.0
            .iter()
            .filter(|(index, since)| passes(index, **since))
            .map(|(index, _)| *index)
            .collect()
    }
}

fn target(tables: &Tables, index: u32) -> Option<Target> {
    let row = tables.backends.get(&index)?;
    let service = identified(tables.names.get(&row.service)?)?;
    Some(Target {
        service,
        address: IpAddr::from(row.addr),
        port: u16::from_be(row.port),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_common::agreement::Agreement;

    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::{World, compile, fixture},
        health::HealthStatus,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn status(state: HealthState, reason: &str, checked_at: Duration) -> HealthStatus {
        let (changed_at, checked_at) = (Duration::ZERO, Some(checked_at));
        HealthStatus {
            state,
            reason: reason.into(),
            changed_at,
            checked_at,
            streak: 2,
        }
    }

    #[test]
    fn health_check_that_passes_after_the_ejection_ends_it() {
        let cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:80", 1)]);
        let world = World {
            services: fixture::services([cart]),
            complete: true,
            ..World::default()
        };
        let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
        let index = *tables.backends.keys().next().unwrap();
        let known = |standing| {
            let agreement = Agreement {
                standing,
                until: 1 << 30,
                ejections: 1,
                voter: 0,
            };
            BTreeMap::from([(
                index,
                Evidence {
                    agreement,
                    ..Evidence::default()
                },
            )])
        };
        let target = Arc::new(target(&tables, index).unwrap());
        let report = |status| HealthReport {
            targets: [(Arc::clone(&target), status)].into(),
            ..HealthReport::default()
        };
        let mut unejections = Unejections::default();
        let mut due = |standing, status, now| {
            unejections.due(&tables, &known(standing), &report(status), now)
        };
        let passed = |at| status(HealthState::Healthy, "", at);
        assert_eq!(
            due(Standing::Ejected, passed(9 * SECOND), 10 * SECOND),
            [0; 0],
            "the check was before"
        );
        assert_eq!(
            due(
                Standing::Ejected,
                status(HealthState::Healthy, "refused", 11 * SECOND),
                11 * SECOND
            ),
            [0; 0]
        );
        assert_eq!(
            due(
                Standing::Ejected,
                status(HealthState::Unhealthy, "", 11 * SECOND),
                11 * SECOND
            ),
            [0; 0]
        );
        assert_eq!(
            due(Standing::Ejected, passed(11 * SECOND), 11 * SECOND),
            [index]
        );
        assert_eq!(
            due(Standing::Doubted, passed(12 * SECOND), 12 * SECOND),
            [0; 0]
        );
        assert_eq!(
            due(Standing::Ejected, passed(12 * SECOND), 13 * SECOND),
            [0; 0],
            "another ejection"
        );
    }
}
