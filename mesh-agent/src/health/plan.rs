//! What is checked on this node and how often, and what of the configuration the settings do not allow. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{rules::Rules, shares::level, verdicts::target};
use crate::{
    desired::{Target, World},
    model::{
        Condition, ConfigError, ConfigNote, Effect, Endpoint, HealthCheck, Origin, Protocol, Refused, Service,
        ServiceName,
    },
};

/// What is to be checked, and how.
pub type Wanted = BTreeMap<Target, Arc<HealthCheck>>;

/// Services that are noted to be checked more rarely than they ask for.
const NOTED: usize = 100;

/// What health checks do on this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// What is checked, at the intervals that the settings leave.
    pub wanted: Arc<Wanted>,
    /// Services that are checked more rarely than they ask for.
    pub slowed: BTreeMap<ServiceName, Duration>,
    /// What is not checked, and why.
    pub refused: Refused,
    /// What is checked more rarely, and why.
    pub notes: Vec<ConfigNote>,
}

/// The check of one service.
struct Checked<'a> {
    service: &'a Service,
    check: &'a HealthCheck,
    targets: BTreeSet<Target>,
}

impl Checked<'_> {
    /// Probes per second that it asks for, in millionths.
    fn demand(&self, min_interval: Duration) -> u64 {
        let interval = self.check.interval.max(min_interval).as_millis().max(1);
        self.targets.len() as u64 * u64::try_from(1_000_000_000 / interval).unwrap_or(u64::MAX)
    }
}

/// Returns the plan for the endpoints behind TCP ports of services with a health check, unless they take no connections
/// anyway.
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::default();
    let checks = world.services.values().filter_map(|it| Some((&**it, it.traffic.health.as_ref()?)));
    let checked: Vec<Checked<'_>> = checks.map(|(service, check)| plan.allow(world, service, check)).collect();
    plan.pace(world, &checked);
    plan
}

impl Plan {
    /// Notes which endpoints may not be checked, and returns the others.
    fn allow<'a>(&mut self, world: &World, service: &'a Service, check: &'a HealthCheck) -> Checked<'a> {
        let rules = Rules::new(world, service, check);
        let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        let serving = tcp.flat_map(|port| &port.endpoints).filter(|it| it.condition != Condition::NotReady);
        let mut refused: BTreeMap<SocketAddr, &Endpoint> = BTreeMap::new();
        let mut targets = BTreeSet::new();
        for endpoint in serving {
            match rules.refusal(endpoint) {
                Some(_) => _ = refused.insert(SocketAddr::new(endpoint.address, endpoint.port), endpoint),
                None => _ = targets.insert(target(service, endpoint)),
            }
        }
        if let Some((address, first)) = refused.first_key_value() {
            let why = rules.refusal(first).unwrap_or_default();
            let what = match (rules.whole(), refused.len() - 1) {
                (Some(_), _) => format!("service {} is", service.name),
                (None, 0) => format!("endpoint {address} of service {} is", service.name),
                (None, more) => format!("endpoint {address} and {more} more of service {} are", service.name),
            };
            self.refuse(service, format!("{what} not checked: {why}"));
        }
        Checked { service, check, targets }
    }

    fn refuse(&mut self, service: &Service, reason: String) {
        let (origin, field) = (origin(service), service.traffic.health_origin.field.clone());
        self.refused.add_error(service, ConfigError { origin, field, reason }, Effect::Part);
    }

    /// Gives each service its share of the node's rate: namespaces share it, and services share that of their namespace.
    fn pace(&mut self, world: &World, checked: &[Checked<'_>]) {
        let policy = &world.check_policy;
        let mut namespaces: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for it in checked {
            namespaces.entry(&it.service.name.namespace).or_default().push(it.demand(policy.min_interval));
        }
        let asked: u64 = namespaces.values().flatten().sum();
        let total = u64::from(policy.max_per_second) * 1_000_000;
        let most = level(total, namespaces.values().map(|demands| demands.iter().sum()));
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
            let interval = slowed(it.check.interval.max(policy.min_interval), it.demand(policy.min_interval), level);
            if interval != it.check.interval {
                self.slow(it, interval, asked / 1_000_000, policy.max_per_second);
            }
            let check = Arc::new(HealthCheck { interval, ..it.check.clone() });
            wanted.extend(it.targets.iter().map(|target| (target.clone(), Arc::clone(&check))));
        }
        if let Some(more) = self.slowed.len().checked_sub(NOTED).filter(|more| *more > 0)
            && let Some(last) = self.notes.last()
        {
            let message = format!("endpoints of {more} more services are checked more rarely than asked for");
            self.notes.push(ConfigNote { origin: last.origin.clone(), message });
        }
        self.wanted = Arc::new(wanted);
    }

    fn slow(&mut self, it: &Checked<'_>, interval: Duration, asked: u64, max: u32) {
        self.slowed.insert(it.service.name.clone(), interval);
        if self.notes.len() >= NOTED {
            return;
        }
        let why = if asked > u64::from(max) {
            format!("the checks of this node ask for {asked} a second, and `healthChecks.maxPerSecond` is {max}")
        } else {
            "that is `healthChecks.minInterval`".to_owned()
        };
        let message = format!(
            "endpoints of service {} are checked every {interval:?} instead of every {:?}: {why}",
            it.service.name, it.check.interval
        );
        self.notes.push(ConfigNote { origin: origin(it.service), message });
    }
}

/// Returns the interval at which a service has no more than `level` of what it asks for, in whole milliseconds.
fn slowed(interval: Duration, demand: u64, level: u64) -> Duration {
    if demand <= level {
        return interval;
    }
    let slower = interval.as_millis() * u128::from(demand) / u128::from(level.max(1));
    Duration::from_millis(u64::try_from(slower).unwrap_or(u64::MAX))
}

/// Where the health check of a service is written.
fn origin(service: &Service) -> Origin {
    let line = service.traffic.health_origin.line;
    let line = if line == 0 { service.origin.line } else { line };
    Origin { line, ..service.origin.clone() }
}

#[cfg(test)]
mod tests;
