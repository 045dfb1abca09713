//! Ends ejections that clients agreed on where the agent's own health check passes.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mesh_common::agreement::Standing;

use crate::{
    dataplane::Evidence,
    desired::{Tables, Target, identified},
    health::{HealthReport, HealthState},
};

/// Since when each backend is seen ejected by agreement, by the monotonic clock.
#[derive(Default)]
pub(super) struct Lifts(BTreeMap<u32, Duration>);

impl Lifts {
    /// The backends whose last check passed, and ended after the agreement was seen for the first
    /// time: an earlier result says nothing of what clients have met since.
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
            let verdict = target(tables, *index).and_then(|target| report.targets.get(&target));
            verdict.is_some_and(|verdict| {
                let is_well = verdict.state == HealthState::Healthy && verdict.reason.is_empty();
                is_well && verdict.checked_at.is_some_and(|checked| checked > since)
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

    fn verdict(state: HealthState, reason: &str, checked_at: Duration) -> HealthStatus {
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
    fn a_check_that_passes_after_the_ejection_lifts_it() {
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
        let report = |verdict| HealthReport {
            targets: [(Arc::clone(&target), verdict)].into(),
            ..HealthReport::default()
        };
        let mut lifts = Lifts::default();
        let mut due =
            |standing, verdict, now| lifts.due(&tables, &known(standing), &report(verdict), now);
        let passed = |at| verdict(HealthState::Healthy, "", at);
        assert_eq!(
            due(Standing::Ejected, passed(9 * SECOND), 10 * SECOND),
            [0; 0],
            "the check was before"
        );
        assert_eq!(
            due(
                Standing::Ejected,
                verdict(HealthState::Healthy, "refused", 11 * SECOND),
                11 * SECOND
            ),
            [0; 0]
        );
        assert_eq!(
            due(
                Standing::Ejected,
                verdict(HealthState::Unhealthy, "", 11 * SECOND),
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
