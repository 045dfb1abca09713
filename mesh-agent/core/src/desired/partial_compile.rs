//! Compiles as many services as fit into the maps and quotas. A service that does not fit is served
//! without its new endpoints, keeps its present rows, or is left out. Known services come before
//! new ones, then services that need fewer new rows, then the order of names.

use std::collections::{BTreeSet, HashMap};

use super::{
    Allocatable, Quotas, Tables, World, changes::Changes, compiler::Compiler,
    port_identity::identified, quota::RowCounts, retain_unknown::retain_unknown,
};
use crate::model::{Effect, Service, ServiceName};

/// The tables of the services that fit, because not all do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial {
    /// Tables.
    pub tables: Tables,
    /// Services that do not fit.
    pub over_limit: Vec<OverLimit>,
}

/// A service that does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverLimit {
    /// Its name.
    pub service: ServiceName,
    /// Which rows are lacking, and which setting raises their number.
    pub reason: String,
    /// What is in force instead of the whole service.
    pub effect: Effect,
}

/// Compiles all services, one by one, as long as they fit.
pub(super) fn partial_compile(
    world: &World,
    now: std::time::Duration,
    current: &Tables,
    allocatable: Allocatable<'_>,
) -> Partial {
    let mut fitter = Fitter {
        compiler: Compiler::new(current, now, allocatable, Tables::default(), |_| true),
        current,
        allocatable,
        namespaces: HashMap::new(),
        new_frontends: 0,
    };
    let mut services = Changes::all(world).services;
    services.sort_by_cached_key(|service| (fitter.compiler.growth(service), service.name.clone()));
    let known: BTreeSet<ServiceName> = current
        .names
        .values()
        .filter_map(|name| identified(name))
        .collect();
    let (mut kept, mut misfits) = (world.uncertain.clone(), Vec::new());
    for service in services {
        let Err(reason) = fitter.add(world, service) else {
            continue;
        };
        let effect = match fitter.compiler.without_growth(service) {
            _ if !known.contains(&service.name) => Effect::LeftOut,
            Some(rest) if fitter.add(world, &rest).is_ok() => Effect::Part,
            _ => {
                fitter.count(service, RowCounts::of(&rows_of(current, &service.name)));
                kept.insert(service.name.clone());
                Effect::Kept
            }
        };
        misfits.push(OverLimit {
            service: service.name.clone(),
            reason,
            effect,
        });
    }
    let mut tables = fitter.compiler.tables;
    retain_unknown(current, &mut tables, &kept);
    Partial {
        tables,
        over_limit: misfits,
    }
}

/// Returns the present rows of a service.
fn rows_of(current: &Tables, service: &ServiceName) -> Tables {
    let mut rows = Tables::default();
    retain_unknown(current, &mut rows, &BTreeSet::from([service.clone()]));
    rows
}

/// Adds services while they fit.
struct Fitter<'a> {
    compiler: Compiler<'a>,
    current: &'a Tables,
    allocatable: Allocatable<'a>,
    /// Rows per namespace.
    namespaces: HashMap<String, RowCounts>,
    /// Number of frontends that are new to the kernel.
    new_frontends: usize,
}

impl Fitter<'_> {
    /// Adds a whole service, or returns why it does not fit.
    fn add(&mut self, world: &World, service: &Service) -> Result<(), String> {
        let before = self.compiler.checkpoint();
        self.compiler.add(world, service);
        let rows = RowCounts::of(&self.compiler.tables).minus(RowCounts::of(&before.tables));
        let differences = before
            .tables
            .services
            .differences(&self.compiler.tables.services);
        let new = differences
            .filter(|(key, _, _)| !self.current.services.contains_key(key))
            .count();
        let reason = self
            .over_quota(service, rows)
            .or_else(|| self.over_capacity(service, self.new_frontends + new));
        match reason {
            None => {
                self.new_frontends += new;
                self.count(service, rows);
                Ok(())
            }
            Some(reason) => {
                self.compiler.return_to(before);
                Err(reason)
            }
        }
    }

    /// Adds the rows of a service to the count of its namespace.
    fn count(&mut self, service: &Service, rows: RowCounts) {
        let all = self
            .namespaces
            .entry(service.name.namespace.clone())
            .or_default();
        *all = all.plus(rows);
    }

    fn over_quota(&self, service: &Service, rows: RowCounts) -> Option<String> {
        let Quotas {
            service_percent,
            namespace_percent,
        } = self.allocatable.quotas;
        let ServiceName { namespace, .. } = &service.name;
        let capacity = self.allocatable.capacity;
        if let Some((kind, needed, most)) = rows.beyond(capacity, service_percent) {
            return Some(format!(
                "service {} needs {needed} {kind}: one service may have {most}, which quotaPerService \
                 (--quota-per-service) can raise",
                service.name
            ));
        }
        let together = self
            .namespaces
            .get(namespace)
            .copied()
            .unwrap_or_default()
            .plus(rows);
        let (kind, needed, most) = together.beyond(capacity, namespace_percent)?;
        Some(format!(
            "service {} does not fit: namespace {namespace} would have {needed} {kind}, of {most} that one namespace may \
             have, which quotaPerNamespace (--quota-per-namespace) can raise",
            service.name
        ))
    }

    /// Returns why a service is over the capacity of the maps. New frontends are written before
    /// old ones are deleted, so both must fit. Indexes are allocated around the rows in use, so the
    /// highest one decides.
    fn over_capacity(&self, service: &Service, new_frontends: usize) -> Option<String> {
        let (tables, capacity) = (&self.compiler.tables, self.allocatable.capacity);
        let needed = |last: Option<&u32>| last.map_or(0, |index| *index as usize + 1);
        let maps = [
            (
                "service addresses with their ports",
                capacity.services,
                self.current.services.len() + new_frontends,
            ),
            (
                "ports of services",
                capacity.services,
                needed(tables.names.keys().next_back()),
            ),
            (
                "slots",
                capacity.slots,
                needed(tables.slots.keys().next_back()),
            ),
            (
                "endpoints",
                capacity.backends,
                needed(tables.backends.keys().next_back()),
            ),
        ];
        let (kind, all, _) = maps
            .into_iter()
            .find(|(_, all, needed)| *needed > *all as usize)?;
        let setting = match kind {
            "slots" | "endpoints" => "maxBackends (--max-backends)",
            _ => "maxServices (--max-services)",
        };
        Some(format!(
            "service {} does not fit: there is room for {all} {kind} of all services (those that are being replaced count \
             until they are deleted); {setting} can raise that",
            service.name
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        desired::{Capacity, compile, fixture},
        model::Endpoint,
    };

    /// Compiles, and returns the services that do not fit as well.
    fn fitting(world: &World, current: &Tables, quotas: Quotas) -> (Tables, Vec<OverLimit>) {
        let allocatable = Allocatable {
            quotas,
            ..CAPACITY.into()
        };
        match compile(world, NOW, current, allocatable) {
            Ok(tables) => (tables, vec![]),
            Err(partial) => (partial.tables, partial.over_limit),
        }
    }

    /// A service with this number of endpoints.
    fn service(namespace: &str, name: &str, number: u8, endpoints: u8) -> Service {
        let mut service = fixture::fixed(name, &format!("10.96.0.{number}"));
        service.name.namespace = namespace.into();
        let endpoint = |last: u8| Endpoint::new([10, 0, number, last].into(), 80);
        service.ports[0].endpoints = (1..=endpoints).map(endpoint).collect();
        service
    }

    fn world(services: impl IntoIterator<Item = Service>) -> World {
        World {
            services: fixture::services(services),
            complete: true,
            ..World::default()
        }
    }

    const CAPACITY: Capacity = Capacity {
        services: 20,
        slots: 40,
        backends: 20,
        sockets: 1,
        sockets_per_client: 1,
    };
    const NOW: Duration = Duration::ZERO;

    /// Services that do not fit.
    fn names(misfits: &[OverLimit]) -> Vec<String> {
        misfits.iter().map(|it| it.service.to_string()).collect()
    }

    fn endpoints(tables: &Tables, service: &str) -> usize {
        let id = tables
            .names
            .iter()
            .find(|(_, name)| name.starts_with(service))
            .map(|(id, _)| *id);
        tables
            .backends
            .values()
            .filter(|row| Some(row.service) == id)
            .count()
    }

    #[test]
    fn known_services_and_small_changes_come_first() {
        let old = [service("a", "grows", 1, 5), service("z", "moves", 2, 5)];
        let (current, misfits) = fitting(&world(old), &Tables::default(), Quotas::NONE);
        assert_eq!(misfits, []);
        // One endpoint more, thirteen more, and a new service that sorts first.
        let new = [
            service("a", "grows", 1, 18),
            service("z", "moves", 2, 6),
            service("a", "a-new", 3, 11),
        ];
        let (tables, misfits) = fitting(&world(new), &current, Quotas::NONE);
        assert_eq!(names(&misfits), ["a/grows", "a/a-new"]);
        assert_eq!(
            misfits
                .iter()
                .map(|it| it.effect.clone())
                .collect::<Vec<_>>(),
            [Effect::Part, Effect::LeftOut]
        );
        let reason = "service a/grows does not fit: there is room for 20 endpoints of all services (those that are being \
                      replaced count until they are deleted); maxBackends (--max-backends) can raise that";
        assert_eq!(misfits[0].reason, reason);
        assert_eq!(
            (endpoints(&tables, "a/grows"), endpoints(&tables, "z/moves")),
            (5, 6)
        );
        assert_eq!(endpoints(&tables, "a/a-new"), 0);
        let rows = |tables: &Tables| tables.services[&fixture::key("10.96.0.1:80")];
        assert_eq!(rows(&tables), rows(&current), "its rows stay as they are");
    }

    #[test]
    fn a_service_whose_endpoints_are_replaced_is_served_while_the_maps_are_full() {
        let old = [service("a", "rolls", 1, 10), service("z", "other", 2, 10)];
        let (current, _) = fitting(&world(old.clone()), &Tables::default(), Quotas::NONE);
        // Half of its endpoints are replaced. The rows of the old ones are freed later.
        let mut new = old;
        for (position, endpoint) in new[0].ports[0].endpoints[..5].iter_mut().enumerate() {
            endpoint.address = [10, 0, 9, u8::try_from(position).unwrap()].into();
        }
        let (tables, misfits) = fitting(&world(new.clone()), &current, Quotas::NONE);
        assert_eq!(
            (endpoints(&tables, "a/rolls"), endpoints(&tables, "z/other")),
            (5, 10)
        );
        assert_eq!(
            misfits
                .iter()
                .map(|it| it.effect.clone())
                .collect::<Vec<_>>(),
            [Effect::Part]
        );
        let (tables, misfits) = fitting(&world(new), &tables, Quotas::NONE);
        assert_eq!((endpoints(&tables, "a/rolls"), misfits), (10, vec![]));
    }

    #[test]
    fn one_namespace_leaves_capacity_for_others() {
        let quotas = Quotas {
            service_percent: 40,
            namespace_percent: 50,
        };
        let all = [
            service("a", "one", 1, 6),
            service("a", "two", 2, 6),
            service("z", "three", 3, 6),
        ];
        let (tables, misfits) = fitting(&world(all), &Tables::default(), quotas);
        assert_eq!(names(&misfits), ["a/two"]);
        let reason = "service a/two does not fit: namespace a would have 12 endpoints, of 10 that one namespace may have, \
                      which quotaPerNamespace (--quota-per-namespace) can raise";
        assert_eq!(misfits[0].reason, reason);
        assert_eq!(
            (endpoints(&tables, "a/one"), endpoints(&tables, "z/three")),
            (6, 6)
        );
        assert!(quotas.hold(&tables, CAPACITY));
        let unbounded = fitting(
            &world([service("a", "one", 1, 9)]),
            &Tables::default(),
            Quotas::NONE,
        )
        .0;
        assert!(!quotas.hold(&unbounded, CAPACITY));
    }

    #[test]
    fn a_service_with_too_many_addresses_affects_no_other() {
        let mut many = service("a", "many", 1, 1);
        many.addresses =
            crate::model::Addresses::Fixed((1..=6).map(|last| [10, 96, 1, last].into()).collect());
        let all = [many, service("a", "other", 2, 1)];
        let (_, misfits) = fitting(&world(all), &Tables::default(), Quotas::default());
        let reason = "service a/many needs 6 service addresses with their ports: one service may have 5, which \
                      quotaPerService (--quota-per-service) can raise";
        let expected = OverLimit {
            service: ServiceName {
                namespace: "a".into(),
                name: "many".into(),
            },
            reason: reason.into(),
            effect: Effect::LeftOut,
        };
        assert_eq!(misfits, [expected]);
    }
}
