//! Addresses for services that ask for `address: auto`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use crate::model::{Addresses, ConfigError, Service, ServiceName, Services};

/// Address of every `auto` service, one from each pool.
pub type Vips = BTreeMap<ServiceName, Vec<IpAddr>>;

/// A pool has no address left.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("service {service}: no free address in pool {pool}; vipPool (--vip-pool) can name a larger one")]
pub struct PoolExhausted {
    /// The service that got none.
    pub service: ServiceName,
    /// The pool.
    pub pool: IpNet,
}

/// Gives every `auto` service its `remembered` address where the pools still hold it, else the one its name hashes
/// to, else the next that is free; also says which services got none of a pool. So nodes with the same configuration agree, and a service keeps what it has. While
/// `services` is not complete the others may be missing by mistake, and their addresses stay reserved.
pub fn allocate(services: &Services, pools: &[IpNet], remembered: &Vips, complete: bool) -> (Vips, Vec<PoolExhausted>) {
    let asks = |service: &Service| service.addresses == Addresses::Auto;
    if remembered.is_empty() && !services.values().any(|service| asks(service)) {
        return (Vips::new(), Vec::new());
    }
    let mut taken = BTreeSet::new();
    let (mut vips, mut exhausted) = (Vips::new(), Vec::new());
    for (name, kept) in held(services, pools, remembered, complete) {
        // Two services hold one address only where the file that remembers them was edited.
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
                    None => exhausted.push(PoolExhausted { service: service.name.clone(), pool: *pool }),
                }
            }
        }
    }
    vips.retain(|_, mine| !mine.is_empty());
    (vips, exhausted)
}

/// Services that ask, with front ends that they may not have: at an address that an `auto` service holds, on a port of
/// it. What holds an address from the pool keeps it.
pub fn late_claims(
    services: &Services,
    pools: &[IpNet],
    remembered: &Vips,
    complete: bool,
) -> BTreeMap<ServiceName, Vec<ConfigError>> {
    let held =
        held(services, pools, remembered, complete).flat_map(|(name, kept)| kept.into_iter().map(move |it| (it, name)));
    let holders: BTreeMap<IpAddr, &ServiceName> = held.collect();
    let claims = services.values().filter(|_| !holders.is_empty()).map(|service| {
        let conflicts = fixed(service).filter_map(|address| {
            let holder = *holders.get(&address).filter(|holder| ***holder != service.name)?;
            conflict(service, address, holder, services.get(holder).map(AsRef::as_ref))
        });
        (service.name.clone(), conflicts.collect::<Vec<_>>())
    });
    claims.filter(|(_, conflicts)| !conflicts.is_empty()).collect()
}

/// What a service that is not configured now answers on is not known, so its address is its own.
fn conflict(service: &Service, address: IpAddr, holder: &ServiceName, known: Option<&Service>) -> Option<ConfigError> {
    let mut ports = service.ports.iter().map(|port| (port.port, port.protocol));
    let has = |known: &Service, at| known.ports.iter().any(|port| (port.port, port.protocol) == at);
    let (port, protocol) = ports.find(|&at| known.is_none_or(|known| has(known, at)))?;
    let place = known.map_or_else(String::new, |known| format!(", in {}", known.origin));
    let reason = format!(
        "services {holder} and {} both ask for {address} port {port}/{protocol}: {holder} holds it from the pool \
         (`address: auto`{place}); give this service another address",
        service.name
    );
    Some(ConfigError { origin: service.origin.clone(), field: String::new(), reason })
}

/// Addresses that `auto` services have, and those of services that may be missing by mistake.
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
    held.map(|(name, vips)| (name, vips.iter().copied().filter(|&vip| in_pools(pools, vip)).collect()))
}

fn fixed(service: &Service) -> impl Iterator<Item = IpAddr> {
    service.addresses.given().iter().copied().chain(service.external.iter().map(|external| external.address))
}

fn in_pools(pools: &[IpNet], vip: IpAddr) -> bool {
    pools.iter().any(|pool| pool.contains(&vip))
}

/// The address a name hashes to, or the next free one after it; the pool's first and last address are left out.
fn free_address(name: &ServiceName, pool: &IpNet, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let bits = u32::from(pool.max_prefix_len() - pool.prefix_len()).min(32);
    let size = (1_u64 << bits).saturating_sub(2);
    // One more try than there are addresses taken must hit a free one, if there is one.
    let tries = size.min(taken.len() as u64 + 1);
    let start = hash(&name.to_string());
    (0..tries).map(|step| nth(pool, (start.wrapping_add(step)) % size + 1)).find(|vip| !taken.contains(vip))
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

/// FNV-1a, 64 bits: the same on every node and in every release.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    fn pools() -> Vec<IpNet> {
        vec!["240.96.0.0/29".parse().unwrap()]
    }

    #[test]
    fn a_service_keeps_its_address_whatever_comes_and_goes() {
        let all: Vec<_> = ["a", "b", "c", "d"].into_iter().map(fixture::auto).collect();
        let first = allocate(&fixture::services(all.clone()), &pools(), &Vips::new(), true).0;
        let fewer = allocate(&fixture::services(all[1..3].to_vec()), &pools(), &first, true).0;
        let again = allocate(&fixture::services(all), &pools(), &fewer, true).0;
        for name in ["b", "c"] {
            assert_eq!(again[&fixture::name(name)], first[&fixture::name(name)]);
        }
        let distinct: BTreeSet<_> = again.values().flatten().collect();
        assert_eq!(distinct.len(), 4);
    }

    /// Late claims by service.
    fn late(services: &[Service], remembered: &Vips, complete: bool) -> BTreeMap<ServiceName, Vec<String>> {
        let claims = late_claims(&fixture::services(services.to_vec()), &pools(), remembered, complete);
        let text = |errors: Vec<ConfigError>| errors.iter().map(ToString::to_string).collect();
        claims.into_iter().map(|(name, errors)| (name, text(errors))).collect()
    }

    #[test]
    fn an_address_from_the_pool_is_not_taken_by_writing_it_down() {
        let held = allocate(&fixture::services([fixture::auto("a")]), &pools(), &Vips::new(), true).0;
        let address = held[&fixture::name("a")][0];
        let thief = fixture::fixed("b", &address.to_string());
        let services = [fixture::auto("a"), thief.clone()];
        assert_eq!(allocate(&fixture::services(services.clone()), &pools(), &held, true).0, held);
        let reason = |place: &str| {
            format!(
                "test.yaml:1: services test/a and test/b both ask for {address} port 80/TCP: test/a holds it from the \
                 pool (`address: auto`{place}); give this service another address"
            )
        };
        let blamed = |place: &str| BTreeMap::from([(fixture::name("b"), vec![reason(place)])]);
        assert_eq!(late(&services, &held, true), blamed(", in test.yaml:1"));
        assert_eq!(late(std::slice::from_ref(&thief), &held, true), BTreeMap::new(), "a is gone");
        assert_eq!(late(std::slice::from_ref(&thief), &held, false), blamed(""), "a may be missing by mistake");
        let mut other_port = thief;
        other_port.ports[0].port = 81;
        assert_eq!(late(&[fixture::auto("a"), other_port], &held, true), BTreeMap::new());
    }

    #[test]
    fn what_may_be_missing_by_mistake_keeps_its_address() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let kept = allocate(&fixture::services([fixture::auto("a")]), &[pool], &Vips::new(), true).0;
        let only_b = fixture::services([fixture::auto("b")]);
        let b = allocate(&only_b, &[pool], &kept, false).0;
        assert_ne!(b[&fixture::name("b")], kept[&fixture::name("a")]);
    }

    #[test]
    fn addresses_given_by_hand_are_never_handed_out() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let services = fixture::services([fixture::auto("a"), fixture::fixed("b", "240.96.0.1")]);
        let vips = allocate(&services, &[pool], &Vips::new(), true).0;
        assert_eq!(vips[&fixture::name("a")], ["240.96.0.2".parse::<IpAddr>().unwrap()]);
        let services = fixture::services([fixture::auto("a"), fixture::auto("c"), fixture::fixed("b", "240.96.0.1")]);
        let (after, exhausted) = allocate(&services, &[pool], &vips, true);
        assert_eq!((after, exhausted), (vips, vec![PoolExhausted { service: fixture::name("c"), pool }]));
    }
}
