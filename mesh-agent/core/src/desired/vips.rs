//! Allocates addresses from the pools to services with `address: auto`, and finds services that
//! claim such an address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use crate::hash::fnv1a;
use crate::model::{Addresses, ConfigError, Service, ServiceName, Services};

/// Addresses of every `auto` service, one from each pool.
pub type Vips = BTreeMap<ServiceName, Vec<IpAddr>>;

/// A pool has no address left.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "service {service}: no free address in pool {pool}; vipPool (--vip-pool) can name a larger one"
)]
pub struct PoolExhausted {
    /// The service without an address.
    pub service: ServiceName,
    /// The pool.
    pub pool: IpNet,
}

/// Allocates an address of each pool to every `auto` service: its `remembered` address if a pool
/// still holds it, else the address that its name hashes to, else the next free one. So nodes with
/// the same configuration agree, and a service keeps its address. Also returns the services that
/// got no address of a pool. While `services` is not complete, addresses of services that are
/// missing stay reserved.
pub fn allocate(
    services: &Services,
    pools: &[IpNet],
    remembered: &Vips,
    complete: bool,
) -> (Vips, Vec<PoolExhausted>) {
    let asks = |service: &Service| service.addresses == Addresses::Auto;
    if remembered.is_empty() && !services.values().any(|service| asks(service)) {
        return (Vips::new(), Vec::new());
    }
    let mut taken = BTreeSet::new();
    let (mut vips, mut exhausted) = (Vips::new(), Vec::new());
    for (name, kept) in held(services, pools, remembered, complete) {
        // Two services hold the same address only if the state file was edited by hand.
        let kept: Vec<IpAddr> = kept.into_iter().filter(|&vip| taken.insert(vip)).collect();
        if services.contains_key(name) {
            vips.insert(name.clone(), kept);
        }
    }
    taken.extend(services.values().flat_map(|service| fixed(service)));
    for service in services.values().filter(|service| asks(service)) {
        let mine = vips.entry(service.name.clone()).or_default();
        for pool in pools {
            if !mine.iter().any(|vip| pool.contains(vip)) {
                match free_address(&service.name, pool, &taken) {
                    Some(vip) => {
                        taken.insert(vip);
                        mine.push(vip);
                    }
                    None => exhausted.push(PoolExhausted {
                        service: service.name.clone(),
                        pool: *pool,
                    }),
                }
            }
        }
    }
    vips.retain(|_, mine| !mine.is_empty());
    (vips, exhausted)
}

/// Returns the services that claim a frontend of an `auto` service: its address and one of its
/// ports. The `auto` service keeps its address.
pub fn late_claims(
    services: &Services,
    pools: &[IpNet],
    remembered: &Vips,
    complete: bool,
) -> BTreeMap<ServiceName, Vec<ConfigError>> {
    let held = held(services, pools, remembered, complete)
        .flat_map(|(name, kept)| kept.into_iter().map(move |it| (it, name)));
    let holders: BTreeMap<IpAddr, &ServiceName> = held.collect();
    let claims = services
        .values()
        .filter(|_| !holders.is_empty())
        .map(|service| {
            let conflicts = fixed(service).filter_map(|address| {
                let holder = *holders
                    .get(&address)
                    .filter(|holder| ***holder != service.name)?;
                conflict(
                    service,
                    address,
                    holder,
                    services.get(holder).map(AsRef::as_ref),
                )
            });
            (service.name.clone(), conflicts.collect::<Vec<_>>())
        });
    claims
        .filter(|(_, conflicts)| !conflicts.is_empty())
        .collect()
}

/// Returns the conflict over `address`, if any. The ports of a holder that is not configured now
/// are unknown, so every port of its address conflicts.
fn conflict(
    service: &Service,
    address: IpAddr,
    holder: &ServiceName,
    known: Option<&Service>,
) -> Option<ConfigError> {
    let mut ports = service.ports.iter().map(|port| (port.port, port.protocol));
    let has = |known: &Service, at| {
        known
            .ports
            .iter()
            .any(|port| (port.port, port.protocol) == at)
    };
    let (port, protocol) = ports.find(|&at| known.is_none_or(|known| has(known, at)))?;
    let place = known.map_or_else(String::new, |known| format!(", in {}", known.origin));
    let reason = format!(
        "services {holder} and {} both ask for {address} port {port}/{protocol}: {holder} holds it from the pool \
         (`address: auto`{place}); give this service another address",
        service.name
    );
    Some(ConfigError {
        origin: service.origin.clone(),
        field: String::new(),
        reason,
    })
}

/// Returns the addresses of `auto` services, and of services that may be missing by mistake.
fn held<'a>(
    services: &Services,
    pools: &[IpNet],
    remembered: &'a Vips,
    complete: bool,
) -> impl Iterator<Item = (&'a ServiceName, Vec<IpAddr>)> {
    let holds = move |name: &ServiceName| match services.get(name) {
        Some(service) => service.addresses == Addresses::Auto,
        None => !complete,
    };
    let held = remembered.iter().filter(move |(name, _)| holds(name));
    held.map(|(name, vips)| {
        (
            name,
            vips.iter()
                .copied()
                .filter(|&vip| in_pools(pools, vip))
                .collect(),
        )
    })
}

fn fixed(service: &Service) -> impl Iterator<Item = IpAddr> {
    service
        .addresses
        .given()
        .iter()
        .copied()
        .chain(service.external.iter().map(|external| external.address))
}

fn in_pools(pools: &[IpNet], vip: IpAddr) -> bool {
    pools.iter().any(|pool| pool.contains(&vip))
}

/// Returns the address that a name hashes to, or the next free one. The pool's first and last
/// address are never used.
fn free_address(name: &ServiceName, pool: &IpNet, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let bits = u32::from(pool.max_prefix_len() - pool.prefix_len()).min(32);
    let size = (1_u64 << bits).saturating_sub(2);
    // One more try than addresses are taken finds a free address if there is one.
    let tries = size.min(taken.len() as u64 + 1);
    let start = fnv1a(name.to_string().bytes());
    (0..tries)
        .map(|step| nth(pool, (start.wrapping_add(step)) % size + 1))
        .find(|vip| !taken.contains(vip))
}

fn nth(pool: &IpNet, offset: u64) -> IpAddr {
    match pool.network() {
        IpAddr::V4(network) => {
            let offset = u32::try_from(offset).expect("an IPv4 pool has at most 2^32 addresses");
            IpAddr::V4((u32::from(network) + offset).into())
        }
        IpAddr::V6(network) => IpAddr::V6((u128::from(network) + u128::from(offset)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    fn pools() -> Vec<IpNet> {
        vec!["240.96.0.0/29".parse().unwrap()]
    }

    #[test]
    fn a_service_keeps_its_address_while_others_come_and_go() {
        let all: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(fixture::auto)
            .collect();
        let first = allocate(
            &fixture::services(all.clone()),
            &pools(),
            &Vips::new(),
            true,
        )
        .0;
        let fewer = allocate(
            &fixture::services(all[1..3].to_vec()),
            &pools(),
            &first,
            true,
        )
        .0;
        let again = allocate(&fixture::services(all), &pools(), &fewer, true).0;
        for name in ["b", "c"] {
            assert_eq!(again[&fixture::name(name)], first[&fixture::name(name)]);
        }
        let distinct: BTreeSet<_> = again.values().flatten().collect();
        assert_eq!(distinct.len(), 4);
    }

    /// Returns the late claims by service.
    fn late(
        services: &[Service],
        remembered: &Vips,
        complete: bool,
    ) -> BTreeMap<ServiceName, Vec<String>> {
        let claims = late_claims(
            &fixture::services(services.to_vec()),
            &pools(),
            remembered,
            complete,
        );
        let text = |errors: Vec<ConfigError>| errors.iter().map(ToString::to_string).collect();
        claims
            .into_iter()
            .map(|(name, errors)| (name, text(errors)))
            .collect()
    }

    #[test]
    fn an_address_from_the_pool_cannot_be_claimed_by_a_fixed_one() {
        let held = allocate(
            &fixture::services([fixture::auto("a")]),
            &pools(),
            &Vips::new(),
            true,
        )
        .0;
        let address = held[&fixture::name("a")][0];
        let thief = fixture::fixed("b", &address.to_string());
        let services = [fixture::auto("a"), thief.clone()];
        assert_eq!(
            allocate(&fixture::services(services.clone()), &pools(), &held, true).0,
            held
        );
        let reason = |place: &str| {
            format!(
                "test.yaml:1: services test/a and test/b both ask for {address} port 80/TCP: test/a holds it from the \
                 pool (`address: auto`{place}); give this service another address"
            )
        };
        let blamed = |place: &str| BTreeMap::from([(fixture::name("b"), vec![reason(place)])]);
        assert_eq!(late(&services, &held, true), blamed(", in test.yaml:1"));
        assert_eq!(
            late(std::slice::from_ref(&thief), &held, true),
            BTreeMap::new(),
            "a is gone"
        );
        assert_eq!(
            late(std::slice::from_ref(&thief), &held, false),
            blamed(""),
            "a may be missing by mistake"
        );
        let mut other_port = thief;
        other_port.ports[0].port = 81;
        assert_eq!(
            late(&[fixture::auto("a"), other_port], &held, true),
            BTreeMap::new()
        );
    }

    #[test]
    fn a_service_that_may_be_missing_by_mistake_keeps_its_address() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let kept = allocate(
            &fixture::services([fixture::auto("a")]),
            &[pool],
            &Vips::new(),
            true,
        )
        .0;
        let only_b = fixture::services([fixture::auto("b")]);
        let b = allocate(&only_b, &[pool], &kept, false).0;
        assert_ne!(b[&fixture::name("b")], kept[&fixture::name("a")]);
    }

    #[test]
    fn fixed_addresses_are_never_allocated() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let services = fixture::services([fixture::auto("a"), fixture::fixed("b", "240.96.0.1")]);
        let vips = allocate(&services, &[pool], &Vips::new(), true).0;
        assert_eq!(
            vips[&fixture::name("a")],
            ["240.96.0.2".parse::<IpAddr>().unwrap()]
        );
        let services = fixture::services([
            fixture::auto("a"),
            fixture::auto("c"),
            fixture::fixed("b", "240.96.0.1"),
        ]);
        let (after, exhausted) = allocate(&services, &[pool], &vips, true);
        assert_eq!(
            (after, exhausted),
            (
                vips,
                vec![PoolExhausted {
                    service: fixture::name("c"),
                    pool
                }]
            )
        );
    }
}
