//! Which endpoint takes a connect.

use crate::{
    model::{Balance, HashKey},
    source::{document::Value, field::Field},
};

const POLICIES: &str = "leastConnections, latencyAware, random, roundRobin or consistentHash";

/// A word, or a mapping of `policy` and `key`.
pub fn read(field: Field<'_>) -> Option<Balance> {
    if *field.value() != Value::Map {
        return policy(field);
    }
    field.only(&["policy", "key"]);
    with_key(field.required("policy").and_then(policy), field.get("key"), key)
}

/// The policy with what a client is known by, which one policy only asks for.
pub fn with_key<'a>(
    policy: Option<Balance>,
    field: Option<Field<'a>>,
    key: impl FnOnce(Field<'a>) -> Option<HashKey>,
) -> Option<Balance> {
    let Some(field) = field else { return policy };
    let key = key(field);
    match policy? {
        Balance::ConsistentHash(_) => key.map(Balance::ConsistentHash),
        Balance::LeastConnections | Balance::LatencyAware | Balance::Random | Balance::RoundRobin => {
            field.error("only the policy consistentHash has a key")
        }
    }
}

/// What of a client is hashed.
pub fn key(field: Field<'_>) -> Option<HashKey> {
    match field.value().text() {
        Some("namespace") => Some(HashKey::NetworkNamespace),
        Some("cgroup") => Some(HashKey::Cgroup),
        Some("sourceAddress" | "source-address") => Some(HashKey::SourceAddress),
        _ => field.expected("namespace, cgroup or sourceAddress"),
    }
}

/// Annotations are written with hyphens, and so are these words where people come from there.
fn policy(field: Field<'_>) -> Option<Balance> {
    match field.value().text() {
        Some("leastConnections" | "least-connections") => Some(Balance::LeastConnections),
        Some("latencyAware" | "latency-aware") => Some(Balance::LatencyAware),
        Some("random") => Some(Balance::Random),
        Some("roundRobin" | "round-robin") => Some(Balance::RoundRobin),
        Some("consistentHash" | "consistent-hash") => Some(Balance::ConsistentHash(HashKey::default())),
        _ => field.expected(POLICIES),
    }
}
