//! Quotas: the share of the maps that one service, and all services of one namespace, may use.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Capacity, Tables,
    slot_ranges::{contiguous_backends, slot_ranges},
};
use crate::model::{Effect, Refused, Service, ServicePort, Services};

/// Percentages of the rows of each map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// For one service, from 1 to 100.
    pub service_percent: u8,
    /// For all services of one namespace, from 1 to 100.
    pub namespace_percent: u8,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            service_percent: 25,
            namespace_percent: 50,
        }
    }
}

/// Number of rows in each map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RowCounts {
    pub(super) frontends: usize,
    pub(super) slots: usize,
    pub(super) backends: usize,
}

impl RowCounts {
    /// Counts the rows of these tables.
    pub(super) fn of(tables: &Tables) -> Self {
        Self {
            frontends: tables.services.len(),
            slots: tables.slots.len(),
            backends: tables.backends.len(),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            frontends: self.frontends + other.frontends,
            slots: self.slots + other.slots,
            backends: self.backends + other.backends,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            frontends: self.frontends.saturating_sub(other.frontends),
            slots: self.slots.saturating_sub(other.slots),
            backends: self.backends.saturating_sub(other.backends),
        }
    }

    /// Returns the first kind of row that exceeds this percentage of the capacity, the number of
    /// rows, and the number allowed.
    pub(super) fn beyond(
        self,
        capacity: Capacity,
        percent: u8,
    ) -> Option<(&'static str, usize, usize)> {
        let Self {
            frontends,
            slots,
            backends,
        } = self;
        let kinds = [
            (
                "service addresses with their ports",
                frontends,
                capacity.services,
            ),
            ("slots", slots, capacity.slots),
            ("endpoints", backends, capacity.backends),
        ];
        let bounded = kinds.map(|(kind, rows, all)| (kind, rows, share(all, percent)));
        bounded.into_iter().find(|(_, rows, most)| rows > most)
    }
}

/// Returns this percentage of a map's rows, at least one.
fn share(rows: u32, percent: u8) -> usize {
    usize::try_from(u64::from(rows) * u64::from(percent) / 100)
        .unwrap_or(usize::MAX)
        .max(1)
}

impl Quotas {
    /// No restriction.
    pub const NONE: Self = Self {
        service_percent: 100,
        namespace_percent: 100,
    };

    /// Whether the tables are within the quotas.
    pub fn hold(self, tables: &Tables, capacity: Capacity) -> bool {
        // A name is `namespace/name:port/PROTOCOL`.
        is_within(self.service_percent, tables, capacity, |name| {
            name.rsplit_once(':').map(|(service, _)| service)
        }) && is_within(self.namespace_percent, tables, capacity, |name| {
            name.split_once('/').map(|(namespace, _)| namespace)
        })
    }

    /// Cuts each service down to the endpoints that its quota allows, and reports the services that
    /// were cut. Ready endpoints come first, then those listed first, so nodes with the same files
    /// serve the same endpoints.
    pub fn cut(self, services: &mut Services, capacity: Capacity) -> Refused {
        let most = share(capacity.backends, self.service_percent);
        let mut refused = Refused::default();
        let all = |service: &Service| {
            service
                .ports
                .iter()
                .map(|port| port.endpoints.len())
                .sum::<usize>()
        };
        let large: Vec<Arc<Service>> = services
            .values()
            .filter(|service| all(service) > most)
            .cloned()
            .collect();
        for service in large {
            let rest = cut(&service, most);
            let reason = format!(
                "{} of {} endpoints of service {} are served: one service may have {most}, which quotaPerService \
                 (--quota-per-service) or maxBackends (--max-backends) can raise",
                all(&rest),
                all(&service),
                service.name
            );
            refused.add(&service, "", reason, Effect::Part);
            services.insert(service.name.clone(), Arc::new(rest));
        }
        refused
    }
}

/// Returns the service with at most this number of endpoints. Ports with few endpoints keep all of
/// them.
fn cut(service: &Service, mut most: usize) -> Service {
    let mut rest = service.clone();
    let mut ports: Vec<&mut ServicePort> = rest.ports.iter_mut().collect();
    ports.sort_by_key(|port| port.endpoints.len());
    let mut left = ports.len();
    for port in ports {
        let keep = port.endpoints.len().min(most / left);
        (most, left) = (most - keep, left - 1);
        if keep < port.endpoints.len() {
            // The sort is stable, so the order of the file decides among endpoints of one
            // condition.
            port.endpoints.sort_by_key(|endpoint| endpoint.condition);
            port.endpoints.truncate(keep);
        }
    }
    rest
}

/// Whether no service, or no namespace, has more than this percentage of the rows; `of` returns which
/// one a name belongs to.
fn is_within(
    percent: u8,
    tables: &Tables,
    capacity: Capacity,
    of: impl Fn(&str) -> Option<&str>,
) -> bool {
    // The sum of all rows is an upper bound.
    if RowCounts::of(tables).beyond(capacity, percent).is_none() {
        return true;
    }
    let mut all: HashMap<&str, RowCounts> = HashMap::new();
    let by_id = by_id(tables);
    for (id, name) in tables.names.iter() {
        if let (Some(of), Some(rows)) = (of(name), by_id.get(*id as usize)) {
            let sum = all.entry(of).or_default();
            *sum = sum.plus(*rows);
        }
    }
    all.values()
        .all(|rows| rows.beyond(capacity, percent).is_none())
}

/// Returns the row counts by service id. Frontends that lead to the same endpoints share their
/// slots.
fn by_id(tables: &Tables) -> Vec<RowCounts> {
    let ids = tables
        .names
        .keys()
        .next_back()
        .map_or(0, |last| *last as usize + 1);
    let (mut all, mut ranges) = (vec![RowCounts::default(); ids], HashSet::new());
    for row in tables.services.values() {
        let Some(rows) = all.get_mut(row.id as usize) else {
            continue;
        };
        rows.frontends += 1;
        if contiguous_backends(row).is_none() && ranges.insert((row.slot_base, row.slot_count)) {
            rows.slots += slot_ranges(&tables.slots, row)
                .into_iter()
                .map(|range| range.len())
                .sum::<usize>();
        }
    }
    for row in tables.backends.values() {
        if let Some(rows) = all.get_mut(row.service as usize) {
            rows.backends += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{desired::fixture, model::Condition};

    const CAPACITY: Capacity = Capacity {
        services: 100,
        slots: 200,
        backends: 40,
        sockets: 1,
        sockets_per_client: 1,
    };

    #[test]
    fn a_large_service_keeps_the_endpoints_of_its_quota() {
        let mut large = fixture::fixed("large", "10.96.0.1");
        let endpoints: Vec<(String, u32)> = (1..=30)
            .map(|number| (format!("10.0.0.{number}:80"), 1))
            .collect();
        let endpoints: Vec<(&str, u32)> = endpoints
            .iter()
            .map(|(address, weight)| (&**address, *weight))
            .collect();
        large = fixture::with(large, &endpoints);
        large.ports[0].endpoints[0].condition = Condition::NotReady;
        let mut second = large.ports[0].clone();
        (second.port, second.name) = (81, "b".into());
        second.endpoints.truncate(2);
        large.ports.push(second);
        let small = fixture::with(fixture::fixed("small", "10.96.0.2"), &endpoints[..10]);
        let mut services = fixture::services([large, small.clone()]);
        let refused = Quotas::default().cut(&mut services, CAPACITY);
        let reason = "test.yaml:1: 10 of 32 endpoints of service test/large are served: one service may have 10, which \
                      quotaPerService (--quota-per-service) or maxBackends (--max-backends) can raise";
        assert_eq!(
            refused
                .errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            [reason]
        );
        assert_eq!(refused.wrong.len(), 1);
        let served: Vec<Vec<String>> = services[&fixture::name("large")]
            .ports
            .iter()
            .map(|port| {
                port.endpoints
                    .iter()
                    .map(|it| it.address.to_string())
                    .collect()
            })
            .collect();
        let first: Vec<String> = (2..=9).map(|number| format!("10.0.0.{number}")).collect();
        assert_eq!(
            served,
            [first, vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]]
        );
        assert_eq!(*services[&fixture::name("small")], small);
    }
}
