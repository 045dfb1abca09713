//! Reads the balancing policy.

use crate::{
    model::{Balance, HashKey},
    source::{document::Value, field::Field},
};

const POLICIES: &str = "leastConnections, latencyAware, random, roundRobin or consistentHash";

/// Reads a policy name, or a mapping of `policy` and `key`.
pub fn read(field: Field<'_>) -> Option<Balance> {
    if *field.value() != Value::Map {
        return policy(field);
    }
    field.only(&["policy", "key"]);
    with_key(
        field.required("policy").and_then(policy),
        field.get("key"),
        key,
    )
}

/// Adds the hash key, which only consistent hashing has, to a policy.
pub fn with_key<'a>(
    policy: Option<Balance>,
    field: Option<Field<'a>>,
    key: impl FnOnce(Field<'a>) -> Option<HashKey>,
) -> Option<Balance> {
    let Some(field) = field else { return policy };
    let key = key(field);
    match policy? {
        Balance::ConsistentHash(_) => key.map(Balance::ConsistentHash),
        Balance::LeastConnections
        | Balance::LatencyAware
        | Balance::Random
        | Balance::RoundRobin => field.error("only the policy consistentHash has a key"),
    }
}

/// Reads the client attribute to hash.
pub fn key(field: Field<'_>) -> Option<HashKey> {
    match field.value().text() {
        Some("namespace") => Some(HashKey::NetworkNamespace),
        Some("cgroup") => Some(HashKey::Cgroup),
        Some("sourceAddress" | "source-address") => Some(HashKey::SourceAddress),
        _ => field.expected("namespace, cgroup or sourceAddress"),
    }
}

/// Reads a policy name, in camel case or with hyphens as in other annotations.
fn policy(field: Field<'_>) -> Option<Balance> {
    match field.value().text() {
        Some("leastConnections" | "least-connections") => Some(Balance::LeastConnections),
        Some("latencyAware" | "latency-aware") => Some(Balance::LatencyAware),
        Some("random") => Some(Balance::Random),
        Some("roundRobin" | "round-robin") => Some(Balance::RoundRobin),
        Some("consistentHash" | "consistent-hash") => {
            Some(Balance::ConsistentHash(HashKey::default()))
        }
        _ => field.expected(POLICIES),
    }
}
