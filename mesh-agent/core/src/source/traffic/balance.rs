//! Reads the balancing policy.

use crate::{
    model::{Balance, HashKey, Words},
    source::{document::Value, field::Field},
};

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
        _ => field.error("only the policy consistentHash has a key"),
    }
}

/// Reads the client attribute to hash.
pub fn key(field: Field<'_>) -> Option<HashKey> {
    word(field)
}

/// Reads a policy name, in camel case or with hyphens as in other annotations.
fn policy(field: Field<'_>) -> Option<Balance> {
    word(field)
}

fn word<T: Words>(field: Field<'_>) -> Option<T> {
    let value = field.value().text().and_then(T::of_word);
    value.or_else(|| field.expected(&T::any()))
}
