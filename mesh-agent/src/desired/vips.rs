//! Addresses for services that ask for `address: auto`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use crate::model::{Addresses, Service, ServiceName, Services};

/// Address of every `auto` service, one from each pool.
pub type Vips = BTreeMap<ServiceName, Vec<IpAddr>>;

/// A pool has no address left.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("service {service}: no free address in pool {pool}; name a larger one with --vip-pool")]
pub struct PoolExhausted {
    /// Who got none.
    pub service: ServiceName,
    /// The pool.
    pub pool: IpNet,
}

/// Gives every `auto` service its `remembered` address where the pools still hold it, else the one its name hashes
/// to, else the next that is free. So nodes with the same configuration agree, and a service keeps what it has. While
/// `services` is not complete the others may be missing by mistake, and their addresses stay reserved.
pub fn allocate(
    services: &Services,
    pools: &[IpNet],
    remembered: &Vips,
    complete: bool,
) -> Result<Vips, PoolExhausted> {
    let asks = |service: &Service| service.addresses == Addresses::Auto;
    if remembered.is_empty() && !services.values().any(|service| asks(service)) {
        return Ok(Vips::new());
    }
    let mut taken: BTreeSet<IpAddr> = services.values().flat_map(|service| fixed(service)).collect();
    if !complete {
        let missing = remembered.iter().filter(|(name, _)| !services.contains_key(name));
        taken.extend(missing.flat_map(|(_, vips)| vips));
    }
    let mut vips = Vips::new();
    for (name, kept) in remembered {
        if services.get(name).is_some_and(|service| asks(service)) {
            let kept: Vec<IpAddr> =
                kept.iter().copied().filter(|&vip| in_pools(pools, vip) && taken.insert(vip)).collect();
            vips.insert(name.clone(), kept);
        }
    }
    for service in services.values().filter(|service| asks(service)) {
        let mine = vips.entry(service.name.clone()).or_default();
        for pool in pools {
            if !mine.iter().any(|vip| pool.contains(vip)) {
                let vip = free_address(&service.name, pool, &taken)
                    .ok_or_else(|| PoolExhausted { service: service.name.clone(), pool: *pool })?;
                taken.insert(vip);
                mine.push(vip);
            }
        }
    }
    Ok(vips)
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
        let first = allocate(&fixture::services(all.clone()), &pools(), &Vips::new(), true).unwrap();
        let fewer = allocate(&fixture::services(all[1..3].to_vec()), &pools(), &first, true).unwrap();
        let again = allocate(&fixture::services(all), &pools(), &fewer, true).unwrap();
        for name in ["b", "c"] {
            assert_eq!(again[&fixture::name(name)], first[&fixture::name(name)]);
        }
        let distinct: BTreeSet<_> = again.values().flatten().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn what_may_be_missing_by_mistake_keeps_its_address() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let kept = allocate(&fixture::services([fixture::auto("a")]), &[pool], &Vips::new(), true).unwrap();
        let only_b = fixture::services([fixture::auto("b")]);
        let b = allocate(&only_b, &[pool], &kept, false).unwrap();
        assert_ne!(b[&fixture::name("b")], kept[&fixture::name("a")]);
    }

    #[test]
    fn addresses_given_by_hand_are_never_handed_out() {
        let pool: IpNet = "240.96.0.0/30".parse().unwrap();
        let services = fixture::services([fixture::auto("a"), fixture::fixed("b", "240.96.0.1")]);
        let vips = allocate(&services, &[pool], &Vips::new(), true).unwrap();
        assert_eq!(vips[&fixture::name("a")], ["240.96.0.2".parse::<IpAddr>().unwrap()]);
        let services = fixture::services([fixture::auto("a"), fixture::auto("c"), fixture::fixed("b", "240.96.0.1")]);
        let error = allocate(&services, &[pool], &vips, true).unwrap_err();
        assert_eq!(error, PoolExhausted { service: fixture::name("c"), pool });
    }
}
