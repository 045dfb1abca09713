//! Builds the part of a service row that holds the settings of balancing, ejection, limits and
//! locality.

use std::time::Duration;

use bytemuck::Zeroable as _;
use mesh_common::abi::{ServiceRow, hash_key, policy, service_flags};

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

/// The share of one client, in the flags of a row.
pub(super) fn share(limits: Limits) -> u32 {
    limits
        .percent_per_client
        .map_or(0, |percent| u32::from(percent) << service_flags::SHARE)
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
