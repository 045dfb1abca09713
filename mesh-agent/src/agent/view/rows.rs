//! Services and their endpoints, joined with what the kernel and the health checks know of them.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use mesh_common::{
    abi::BackendLoad,
    addr::Addr,
    occupancy::{connecting, live},
};

use super::traffic;
use crate::{
    agent::{explain::explain, owner::Snapshot},
    api::types,
    dataplane::{Counters, Evidence},
    desired::{Eligibility, Target, Weight, World, has_family, out_of_reach, port_identity},
    health::{self, HealthReport, Rules},
    model::{Endpoint, HealthCheck, Locality, Protocol, Service, ServicePort},
};

/// The tables by what they stand for.
pub(super) struct Rows<'a> {
    snapshot: &'a Snapshot,
    ids: HashMap<&'a str, u32>,
    backends: HashMap<(u32, Addr, u16), u32>,
    counters: &'a Counters,
    report: &'a HealthReport,
    /// Monotonic clock.
    now: Duration,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        counters: &'a Counters,
        report: &'a HealthReport,
        now: Duration,
    ) -> Self {
        let tables = &snapshot.tables;
        Self {
            snapshot,
            ids: tables
                .names
                .iter()
                .map(|(&id, name)| (name.as_str(), id))
                .collect(),
            backends: tables
                .backends
                .iter()
                .map(|(&i, row)| ((row.service, row.addr, row.port), i))
                .collect(),
            counters,
            report,
            now,
        }
    }

    pub(super) fn service(&self, service: &Service) -> types::Service {
        let Snapshot { world, tables, .. } = self.snapshot;
        types::Service {
            namespace: service.name.namespace.clone(),
            name: service.name.name.clone(),
            origin: service.origin.to_string(),
            addresses: world
                .addresses(service)
                .iter()
                .map(ToString::to_string)
                .collect(),
            ports: service
                .ports
                .iter()
                .map(|port| self.port(world, service, port))
                .collect(),
            frontends: explain(world, tables, service),
            notes: self.notes(world, service),
            left_out: None,
        }
    }

    /// Orders for endpoints that it does not have, and endpoints in an address family that it does
    /// not have.
    fn notes(&self, world: &World, service: &Service) -> Vec<String> {
        let absent = self
            .snapshot
            .absent
            .iter()
            .filter(|it| it.service == service.name)
            .map(ToString::to_string);
        let lost = service.ports.iter().flat_map(|port| {
            let is_lost = |it: &&Endpoint| !has_family(world, service, it.address.is_ipv4());
            let lost = port.endpoints.iter().filter(is_lost);
            lost.map(|it| {
                let family = if it.address.is_ipv4() { 4 } else { 6 };
                let endpoint = SocketAddr::new(it.address, it.port);
                format!("{endpoint} takes no connection: the service has no IPv{family} address")
            })
        });
        absent.chain(lost).collect()
    }

    fn port(&self, world: &World, service: &Service, port: &ServicePort) -> types::ServicePort {
        let id = self
            .ids
            .get(port_identity(&service.name, port).as_str())
            .copied();
        let eligibility = Eligibility::of(world, self.now, service, port);
        let rules = check(service, port).map(|it| Rules::new(world, service, it));
        let endpoint =
            |(((it, active), weight), tier): (((&Endpoint, bool), &Weight), Option<u32>)| {
                types::Endpoint {
                    health: rules
                        .as_ref()
                        .and_then(|rules| self.health(world, service, rules, it)),
                    draining: world
                        .overrides
                        .get(&Target::of(service, it))
                        .is_some_and(|it| it.draining_since.is_some()),
                    effective_weight: weight.whole(),
                    out_of_reach: out_of_reach(world, service, port, it).map(str::to_owned),
                    tier,
                    ..self.endpoint(id, active, service, it)
                }
            };
        let known = port
            .endpoints
            .iter()
            .zip(eligibility.active())
            .zip(eligibility.weights());
        let endpoints: Vec<types::Endpoint> = known
            .zip(eligibility.tiers(world, service))
            .map(endpoint)
            .collect();
        let connections = endpoints.iter().map(|endpoint| endpoint.connections).sum();
        let (balance, hash_key) = traffic::balance(service.traffic.balance);
        types::ServicePort {
            port_name: port.name.clone(),
            port: port.port,
            protocol: port.protocol.to_string(),
            counters: id
                .and_then(|id| self.counters.services.get(&id))
                .copied()
                .unwrap_or_default()
                .into(),
            balance: balance.to_owned(),
            hash_key: hash_key.map(str::to_owned),
            connections,
            capacity: capacity(&endpoints, eligibility.weights(), connections),
            limits: traffic::limits(service.traffic.limits),
            outlier: traffic::outlier(service.traffic.outlier),
            health_check: check(service, port)
                .map(|it| traffic::health_check(it, self.interval(service, it))),
            endpoints,
        }
    }

    fn health(
        &self,
        world: &World,
        service: &Service,
        rules: &Rules<'_>,
        endpoint: &Endpoint,
    ) -> Option<types::EndpointHealth> {
        if let Some(reason) = rules.refusal(endpoint) {
            return Some(types::EndpointHealth::unchecked(reason));
        }
        let target = Target::of(service, endpoint);
        let verdict = self.report.targets.get(&target)?;
        Some(types::EndpointHealth::new(
            verdict,
            health::is_kept(verdict, world, &target),
            self.now,
        ))
    }

    /// How often endpoints are checked, which may be more rarely than the service asks for.
    fn interval(&self, service: &Service, check: &HealthCheck) -> Duration {
        self.snapshot
            .checks
            .slowed
            .get(&service.name)
            .copied()
            .unwrap_or(check.interval)
    }

    fn endpoint(
        &self,
        id: Option<u32>,
        active: bool,
        service: &Service,
        endpoint: &Endpoint,
    ) -> types::Endpoint {
        let key = id.map(|id| (id, Addr::from(endpoint.address), endpoint.port.to_be()));
        let index = key.and_then(|key| self.backends.get(&key)).copied();
        let counted = types::Endpoint {
            endpoint: SocketAddr::new(endpoint.address, endpoint.port).to_string(),
            weight: endpoint.weight,
            condition: endpoint.condition.to_string(),
            active,
            node: endpoint.node.as_deref().map(str::to_owned),
            index,
            locality: locality(&endpoint.locality),
            source: endpoint.source.as_deref().map(str::to_owned),
            capacity: endpoint.capacity,
            ..types::Endpoint::default()
        };
        let Some(index) = index else { return counted };
        // Ejections from a time when the service had them are ignored by the kernel.
        let ejects = service.traffic.outlier.consecutive_failures != 0;
        let known = self.counters.evidence.get(&index).filter(|_| ejects);
        let counted = known.map_or(counted.clone(), |known| judged(counted, known, self.now));
        match self.counters.backends.get(&index) {
            Some(load) => loaded(counted, load),
            None => counted,
        }
    }
}

/// How the endpoints of a port are checked. One may have the same number for UDP, which is not
/// checked.
fn check<'a>(service: &'a Service, port: &ServicePort) -> Option<&'a HealthCheck> {
    service
        .traffic
        .health
        .as_ref()
        .filter(|_| port.protocol == Protocol::Tcp)
}

/// The endpoint with what clients know of it.
fn judged(endpoint: types::Endpoint, known: &Evidence, now: Duration) -> types::Endpoint {
    let ejection = types::Ejection::of(known, now);
    let agreed = ejection.filter(|ejection| ejection.is_agreed);
    let streak = known.records.values().map(|health| health.streak).max();
    types::Endpoint {
        ejected_for_seconds: agreed.map(|ejection| ejection.for_seconds),
        ejected_by_clients: ejection.map_or(0, |ejection| ejection.by_clients),
        consecutive_failures: streak.unwrap_or_default().into(),
        ejections: ejection.map_or(0, |ejection| ejection.times),
        ..endpoint
    }
}

/// The endpoint with its load.
fn loaded(endpoint: types::Endpoint, load: &BackendLoad) -> types::Endpoint {
    let BackendLoad {
        live: word,
        connects,
        health: _,
        handshake,
        duration,
    } = *load;
    types::Endpoint {
        connects,
        connections: live(word),
        connecting: connecting(word),
        handshake_microseconds: (handshake != 0).then_some(handshake),
        duration_microseconds: (duration != 0).then_some(duration),
        ..endpoint
    }
}

fn locality(locality: &Locality) -> types::Locality {
    let text = |part: &Option<Arc<str>>| part.as_deref().map(str::to_owned);
    let Locality {
        cloud,
        region,
        zone,
    } = locality;
    types::Locality {
        cloud: text(cloud),
        region: text(region),
        zone: text(zone),
    }
}

/// Σ capacity × weight: of those that take new connections by the weight in effect, of all within
/// reach by the configured one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of small numbers above zero"
)]
fn capacity(endpoints: &[types::Endpoint], weights: &[Weight], used: u64) -> types::PortCapacity {
    let usable = endpoints
        .iter()
        .zip(weights)
        .zip(types::Endpoint::takers(endpoints))
        .filter(|(_, takes)| *takes);
    let usable: f64 = usable
        .map(|((it, weight), _)| f64::from(it.capacity) * weight.effective())
        .sum();
    let within_reach = endpoints.iter().filter(|it| it.out_of_reach.is_none());
    let total = within_reach.map(|it| u64::from(it.capacity) * u64::from(it.weight));
    types::PortCapacity {
        usable: usable.round() as u64,
        total: total.sum(),
        used,
    }
}

#[cfg(test)]
mod tests {
    use mesh_common::{
        agreement::{Agreement, Standing},
        ejection::{Health, State},
        occupancy::{CONNECTING, LIVE},
    };

    use super::*;
    use crate::{
        agent::owner::Owner,
        dataplane::memory::Memory,
        desired::fixture,
        model::{InternalTraffic, LocalityLevel, Outlier, Update},
    };

    /// Ejected by agreement.
    fn agreed(until: u64, ejections: u8) -> Evidence {
        let agreement = Agreement {
            standing: Standing::Ejected,
            until,
            ejections,
            voter: 0,
        };
        Evidence {
            agreement,
            ..Evidence::default()
        }
    }

    /// The only port of a service with an endpoint in this zone and one in another; the first is
    /// ejected.
    fn shown(outlier: Outlier) -> types::ServicePort {
        let state = tempfile::tempdir().unwrap();
        let place = |zone: &str| Locality {
            zone: Some(zone.into()),
            ..Locality::default()
        };
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        owner.set_locality(place("z1"));
        let mut cart = fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
        );
        cart.ports[0].endpoints[0].locality = place("z2");
        cart.ports[0].endpoints[1].locality = place("z1");
        (cart.traffic.outlier, cart.traffic.locality.order) = (outlier, vec![LocalityLevel::Zone]);
        owner.accept(Update {
            services: fixture::services([cart.clone()]),
            complete: true,
            ..Update::default()
        });
        owner.reconcile(Duration::from_secs(1));
        let snapshot = owner.snapshot();
        let first = Addr::from(std::net::IpAddr::from([10, 0, 0, 1]));
        let ejected = snapshot
            .tables
            .backends
            .iter()
            .filter(|(_, row)| row.addr == first)
            .map(|(&index, _)| (index, agreed(9_000, 1)));
        let counters = Counters {
            evidence: ejected.collect(),
            ..Counters::default()
        };
        let rows = Rows::new(
            &snapshot,
            &counters,
            &HealthReport::default(),
            Duration::from_secs(2),
        )
        .service(&cart);
        rows.ports.into_iter().next().unwrap()
    }

    #[test]
    fn endpoints_know_their_tier_and_whether_they_are_usable() {
        let port = shown(Outlier::default());
        let told: Vec<_> = port
            .endpoints
            .iter()
            .map(|it| (it.tier, it.state()))
            .collect();
        assert_eq!(
            told,
            [
                (Some(2), "ejected 7s".to_owned()),
                (Some(1), "active".to_owned())
            ]
        );
        assert_eq!(
            (port.usable(), port.capacity.usable, port.capacity.total),
            (1, 1, 2)
        );
        let port = shown(Outlier {
            consecutive_failures: 0,
            ..Outlier::default()
        });
        assert_eq!(
            (port.usable(), port.capacity.usable),
            (2, 2),
            "the kernel ignores ejections that are switched off"
        );
    }

    #[test]
    fn endpoints_that_no_front_end_leads_to_say_why_and_do_not_count() {
        let state = tempfile::tempdir().unwrap();
        let mut owner = Owner::new(Memory::default(), vec![], state.path()).unwrap();
        owner.set_node("n1", [].into());
        let endpoints = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("[fd00::1]:80", 1)];
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &endpoints);
        cart.internal_traffic = InternalTraffic::Local;
        cart.ports[0].endpoints[0].node = Some("n1".into());
        cart.ports[0].endpoints[1].node = Some("n2".into());
        owner.accept(Update {
            services: fixture::services([cart.clone()]),
            complete: true,
            ..Update::default()
        });
        owner.reconcile(Duration::from_secs(1));
        let (snapshot, counters, report) = (
            owner.snapshot(),
            Counters::default(),
            HealthReport::default(),
        );
        let shown = Rows::new(&snapshot, &counters, &report, Duration::from_secs(2)).service(&cart);
        let states: Vec<String> = shown.ports[0]
            .endpoints
            .iter()
            .map(types::Endpoint::state)
            .collect();
        assert_eq!(
            states,
            ["active", "not on this node", "no IPv6 service address"]
        );
        let capacity = types::PortCapacity {
            usable: 1,
            total: 1,
            used: 0,
        };
        assert_eq!(
            (shown.ports[0].usable(), shown.ports[0].capacity),
            (1, capacity)
        );
        assert_eq!(
            shown.notes,
            ["[fd00::1]:80 takes no connection: the service has no IPv6 address"]
        );
    }

    #[test]
    fn load_is_told_in_words_and_seconds() {
        let load = BackendLoad {
            live: 3 * LIVE + CONNECTING,
            connects: 7,
            health: 1,
            handshake: 40,
            duration: 0,
        };
        let endpoint = types::Endpoint {
            active: true,
            condition: "ready".into(),
            ..types::Endpoint::default()
        };
        let known = agreed(9_500, 2);
        let shown = judged(
            loaded(endpoint.clone(), &load),
            &known,
            Duration::from_millis(2_400),
        );
        let expected = types::Endpoint {
            connects: 7,
            connections: 3,
            connecting: 1,
            ejected_for_seconds: Some(8),
            ejections: 2,
            handshake_microseconds: Some(40),
            ..endpoint.clone()
        };
        assert_eq!((shown.state().as_str(), &shown), ("ejected 8s", &expected));
        let due = judged(endpoint.clone(), &known, Duration::from_secs(10));
        assert_eq!(due.state(), "ejected, on trial");
        let agreement = Agreement {
            standing: Standing::Doubted,
            until: 90_000,
            ..Agreement::default()
        };
        let probation = Health {
            state: State::Probation,
            until: 0,
            streak: 1,
            ejections: 0,
        };
        let own = Health {
            state: State::Ejected,
            until: 19_500,
            streak: 0,
            ejections: 3,
        };
        let doubted = |records: &[(u32, Health)]| Evidence {
            agreement,
            records: records.iter().copied().collect(),
        };
        let well = judged(
            endpoint.clone(),
            &doubted(&[(7, probation)]),
            Duration::from_secs(10),
        );
        assert_eq!(
            (well.state().as_str(), well.consecutive_failures),
            ("active", 1)
        );
        let one = judged(
            endpoint.clone(),
            &doubted(&[(7, probation), (8, own)]),
            Duration::from_secs(10),
        );
        assert_eq!(
            (one.state().as_str(), one.ejected_by_clients, one.ejections),
            ("active, ejected by 1 client", 1, 3)
        );
        let forgotten = judged(endpoint, &doubted(&[(8, own)]), Duration::from_secs(90));
        assert_eq!(forgotten.state(), "active");
    }

    #[test]
    fn capacity_is_that_of_endpoints_that_take_connections() {
        let one = types::Endpoint {
            active: true,
            capacity: 10,
            weight: 2,
            ..Default::default()
        };
        let draining = types::Endpoint {
            draining: true,
            ..one.clone()
        };
        let ejected = types::Endpoint {
            ejected_for_seconds: Some(1),
            ..one.clone()
        };
        let down = types::Endpoint {
            active: false,
            ..one.clone()
        };
        let weights = [Weight {
            target: 2,
            share: 0.2,
        }; 4];
        let expected = types::PortCapacity {
            usable: 4,
            total: 80,
            used: 5,
        };
        assert_eq!(
            capacity(
                &[one, draining.clone(), ejected.clone(), down.clone()],
                &weights,
                5
            ),
            expected
        );
        let last = [draining, ejected.clone(), down, ejected];
        let expected = types::PortCapacity {
            usable: 8,
            total: 80,
            used: 5,
        };
        assert_eq!(
            capacity(&last, &weights, 5),
            expected,
            "where none is usable, ejected ones take connects in turn"
        );
        assert_eq!(
            types::ServicePort {
                endpoints: last.into(),
                ..Default::default()
            }
            .usable(),
            2
        );
    }
}
