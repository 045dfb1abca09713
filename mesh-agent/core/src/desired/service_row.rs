//! Builds the part of a service row that holds the settings of balancing, ejection, limits and
//! locality.

use std::time::Duration;

use bytemuck::Zeroable as _;
use mesh_common::abi::{ServiceRow, hash_key, policy};

use crate::model::{
    Balance, HashKey, Limits, MAX_EJECTED_PERCENT, PANIC_PERCENT, Traffic, Words as _,
};

/// Returns a row with these settings; all other fields are zero.
pub(super) fn service_row(traffic: &Traffic) -> ServiceRow {
    let Traffic {
        balance,
        outlier,
        limits,
        locality,
        ..
    } = traffic;
    let (policy, hash_key) = balanced(*balance);
    ServiceRow {
        max_connections: limits.connections.map_or(0, u32::from),
        max_backend_connections: limits.connections_per_endpoint.map_or(0, u32::from),
        base_ejection: milliseconds(outlier.base_ejection),
        max_ejection: milliseconds(outlier.max_ejection),
        connect_timeout: u16::try_from(outlier.connect_timeout.as_millis()).unwrap_or(u16::MAX),
        spill: locality.spill.unwrap_or(0),
        failures: outlier.consecutive_failures,
        max_ejected: outlier.max_ejected_percent.unwrap_or(100),
        panic: outlier.panic_percent.unwrap_or(0),
        max_agreed: outlier.max_ejected_percent.unwrap_or(MAX_EJECTED_PERCENT),
        panic_agreed: outlier.panic_percent.unwrap_or(PANIC_PERCENT),
        failover: locality.failover_percent,
        policy,
        hash_key,
        ..ServiceRow::zeroed()
    }
}

/// Returns the limit of one client, a share of what the service and its usable `endpoints` may have;
/// zero for none.
pub(super) fn client_limit(limits: Limits, endpoints: impl FnOnce() -> u32) -> u32 {
    let Some(percent) = limits.percent_per_client else {
        return 0;
    };
    let all = limits
        .connections
        .map_or(u64::from(u32::MAX), |all| u32::from(all).into());
    let by_endpoints = limits.connections_per_endpoint.map_or(all, |each| {
        u64::from(u32::from(each)) * u64::from(endpoints())
    });
    let most = (all.min(by_endpoints) * u64::from(percent)).div_ceil(100);
    u32::try_from(most.max(1)).unwrap_or(u32::MAX)
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Returns the balancing of a row; nothing if another process wrote an unknown number.
pub fn balance(row: &ServiceRow) -> Option<Balance> {
    let hashing = HashKey::ALL.iter().map(|key| Balance::ConsistentHash(*key));
    let mut all = Balance::ALL.iter().copied().chain(hashing);
    all.find(|it| balanced(*it) == (row.policy, row.hash_key))
}

const fn balanced(balance: Balance) -> (u8, u8) {
    match balance {
        Balance::LeastConnections => (policy::LEAST_CONNECTIONS, 0),
        Balance::LatencyAware => (policy::LATENCY_AWARE, 0),
        Balance::Random => (policy::RANDOM, 0),
        Balance::RoundRobin => (policy::ROUND_ROBIN, 0),
        Balance::ConsistentHash(HashKey::NetworkNamespace) => {
            (policy::CONSISTENT_HASH, hash_key::NETNS)
        }
        Balance::ConsistentHash(HashKey::Cgroup) => (policy::CONSISTENT_HASH, hash_key::CGROUP),
        Balance::ConsistentHash(HashKey::SourceAddress) => {
            (policy::CONSISTENT_HASH, hash_key::SOURCE_ADDRESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn most(connections: u32, each: u32, percent: u8, endpoints: u32) -> u32 {
        let limits = Limits {
            connections: NonZeroU32::new(connections),
            connections_per_endpoint: NonZeroU32::new(each),
            percent_per_client: (percent > 0).then_some(percent),
        };
        client_limit(limits, || endpoints)
    }

    #[test]
    fn a_share_is_rounded_up_and_at_least_one() {
        let shares = [(20, 25), (20, 26), (1, 1), (10, 100), (10, 0)];
        assert_eq!(
            shares.map(|(all, percent)| most(all, 0, percent, 3)),
            [5, 6, 1, 10, 0]
        );
        assert_eq!(most(u32::MAX, 0, 100, 1), u32::MAX);
    }

    #[test]
    fn a_share_is_of_the_lower_of_what_the_service_and_its_endpoints_may_have() {
        assert_eq!(most(0, 10, 25, 3), 8);
        assert_eq!(most(12, 10, 25, 3), 3);
        assert_eq!(most(100, 10, 25, 3), 8);
        assert_eq!(most(0, 10, 25, 0), 1);
        assert_eq!(most(0, u32::MAX, 100, 2), u32::MAX);
    }
}
