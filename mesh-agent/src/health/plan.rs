//! Plans the checks of this node: which endpoints are checked and how often, and which checks the
//! settings do not allow. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{fair_share::level, rules::Rules};
use crate::{
    desired::{Target, World},
    model::{
        Condition, ConfigError, ConfigNote, Effect, Endpoint, HealthCheck, Origin, Protocol,
        Refused, Service, ServiceName,
    },
};

/// Checks by endpoint.
pub type Wanted = BTreeMap<Target, Arc<HealthCheck>>;

/// Most notes about services that are checked less often than configured.
const NOTED: usize = 100;

/// Checks of this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Checks with the intervals that the settings allow.
    pub wanted: Arc<Wanted>,
    /// Interval of services that are checked less often than configured.
    pub slowed: BTreeMap<ServiceName, Duration>,
    /// Endpoints that are not checked, with the reason.
    pub refused: Refused,
    /// Notes about services that are checked less often, with the reason.
    pub notes: Vec<ConfigNote>,
}

/// The check of one service.
struct Checked<'a> {
    service: &'a Service,
    check: &'a HealthCheck,
    targets: BTreeSet<Target>,
}

impl Checked<'_> {
    /// Returns the configured probes per second, in millionths.
    fn demand(&self, min_interval: Duration) -> u64 {
        let interval = self.check.interval.max(min_interval).as_millis().max(1);
        self.targets.len() as u64 * u64::try_from(1_000_000_000 / interval).unwrap_or(u64::MAX)
    }
}

/// Returns the checks of endpoints that may take connections, behind TCP ports of services with a
/// health check.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::default();
    let checks = world
        .services
        .values()
        .filter_map(|it| Some((&**it, it.traffic.health.as_deref()?)));
    let checked: Vec<Checked<'_>> = checks
        .map(|(service, check)| plan.allow(world, service, check))
        .collect();
    plan.pace(world, &checked);
    plan
}

impl Plan {
    /// Notes which endpoints may not be checked, and returns the others.
    fn allow<'a>(
        &mut self,
        world: &World,
        service: &'a Service,
        check: &'a HealthCheck,
    ) -> Checked<'a> {
        let rules = Rules::new(world, service, check);
        let tcp = service
            .ports
            .iter()
            .filter(|port| port.protocol == Protocol::Tcp);
        let serving = tcp
            .flat_map(|port| &port.endpoints)
            .filter(|it| it.condition != Condition::NotReady);
        let mut refused: BTreeMap<SocketAddr, &Endpoint> = BTreeMap::new();
        let mut targets = BTreeSet::new();
        for endpoint in serving {
            match rules.refusal(endpoint) {
                Some(_) => {
                    _ = refused.insert(SocketAddr::new(endpoint.address, endpoint.port), endpoint);
                }
                None => _ = targets.insert(Target::of(service, endpoint)),
            }
        }
        if let Some((address, first)) = refused.first_key_value() {
            let why = rules.refusal(first).unwrap_or_default();
            let what = match (rules.whole(), refused.len() - 1) {
                (Some(_), _) => format!("service {} is", service.name),
                (None, 0) => format!("endpoint {address} of service {} is", service.name),
                (None, more) => format!(
                    "endpoint {address} and {more} more of service {} are",
                    service.name
                ),
            };
            self.refuse(service, format!("{what} not checked: {why}"));
        }
        Checked {
            service,
            check,
            targets,
        }
    }

    fn refuse(&mut self, service: &Service, reason: String) {
        let (origin, field) = (origin(service), service.traffic.health_origin.field.clone());
        self.refused.add_error(
            service,
            ConfigError {
                origin,
                field,
                reason,
            },
            Effect::Part,
        );
    }

    /// Assigns each service its share of the node's rate: first among namespaces, then among the
    /// services of each.
    fn pace(&mut self, world: &World, checked: &[Checked<'_>]) {
        let policy = &world.check_policy;
        let mut namespaces: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for it in checked {
            namespaces
                .entry(&it.service.name.namespace)
                .or_default()
                .push(it.demand(policy.min_interval));
        }
        let asked: u64 = namespaces.values().flatten().sum();
        let total = u64::from(policy.max_per_second) * 1_000_000;
        let most = level(
            total,
            namespaces.values().map(|demands| demands.iter().sum()),
        );
        let levels: BTreeMap<&str, u64> = namespaces
            .into_iter()
            .map(|(namespace, demands)| {
                let share = most.min(demands.iter().sum());
                (namespace, level(share, demands))
            })
            .collect();
        let mut wanted = Wanted::new();
        for it in checked.iter().filter(|it| !it.targets.is_empty()) {
            let level = levels[it.service.name.namespace.as_str()];
            let interval = slowed(
                it.check.interval.max(policy.min_interval),
                it.demand(policy.min_interval),
                level,
            );
            if interval != it.check.interval {
                self.slow(it, interval, asked / 1_000_000, policy.max_per_second);
            }
            let check = Arc::new(HealthCheck {
                interval,
                ..it.check.clone()
            });
            wanted.extend(
                it.targets
                    .iter()
                    .map(|target| (target.clone(), Arc::clone(&check))),
            );
        }
        if let Some(more) = self
            .slowed
            .len()
            .checked_sub(NOTED)
            .filter(|more| *more > 0)
            && let Some(last) = self.notes.last()
        {
            let message =
                format!("endpoints of {more} more services are checked less often than configured");
            self.notes.push(ConfigNote {
                origin: last.origin.clone(),
                message,
            });
        }
        self.wanted = Arc::new(wanted);
    }

    fn slow(&mut self, it: &Checked<'_>, interval: Duration, asked: u64, max: u32) {
        self.slowed.insert(it.service.name.clone(), interval);
        if self.notes.len() >= NOTED {
            return;
        }
        let why = if asked > u64::from(max) {
            format!(
                "the checks of this node ask for {asked} a second, and `healthChecks.maxPerSecond` is {max}"
            )
        } else {
            "that is `healthChecks.minInterval`".to_owned()
        };
        let message = format!(
            "endpoints of service {} are checked every {interval:?} instead of every {:?}: {why}",
            it.service.name, it.check.interval
        );
        self.notes.push(ConfigNote {
            origin: origin(it.service),
            message,
        });
    }
}

/// Returns the interval, in whole milliseconds, at which the demand of a service is at most
/// `level`.
fn slowed(interval: Duration, demand: u64, level: u64) -> Duration {
    if demand <= level {
        return interval;
    }
    let slower = interval.as_millis() * u128::from(demand) / u128::from(level.max(1));
    Duration::from_millis(u64::try_from(slower).unwrap_or(u64::MAX))
}

/// Returns the origin of a service's health check.
fn origin(service: &Service) -> Origin {
    match service.traffic.health_origin.line {
        0 => service.origin.clone(),
        line => service.origin.at(line),
    }
}

#[cfg(test)]
mod tests;
