//! Values that are written as one of a few words.

use std::marker::PhantomData;

use schemars::{Schema, json_schema};

use crate::{
    model::{
        AffinityClient, Balance, Condition, HashKey, InternalTraffic, LocalityLevel, Protocol,
        SourcePreference,
    },
    source::{
        document::Value,
        setting::{Kind, Wrong},
    },
};

/// A type of the model whose values are words.
pub trait Words: Copy + PartialEq + 'static {
    /// Each word and its value.
    const WORDS: &'static [(&'static str, Self)];

    /// Whether `leastConnections` may be written as `least-connections`, too.
    const HYPHENS: bool = false;
}

/// One of the words of this type.
pub struct Word<T>(PhantomData<T>);

impl<T: Words> Kind for Word<T> {
    type Value = T;

    fn read(value: &Value<'_>) -> Result<T, Wrong> {
        let is = |word: &str, text: &str| word == text || T::HYPHENS && hyphenated(word) == text;
        let word = value
            .text()
            .and_then(|text| T::WORDS.iter().find(|(word, _)| is(word, text)));
        match word {
            Some((_, value)) => Ok(*value),
            None => Err(Wrong::expected(any_of::<T>())),
        }
    }

    fn schema() -> Schema {
        let words = T::WORDS.iter().map(|(word, _)| *word);
        json_schema!({"type": "string", "enum": words.collect::<Vec<_>>()})
    }

    fn json(value: &T) -> serde_json::Value {
        let word = T::WORDS.iter().find(|(_, of)| of == value);
        word.map(|(word, _)| *word).into()
    }
}

/// `local, remote or none`
fn any_of<T: Words>() -> String {
    let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
    let (last, first) = words.split_last().expect("each type has a word");
    format!("{} or {last}", first.join(", "))
}

fn hyphenated(word: &str) -> String {
    word.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

impl Words for Protocol {
    const WORDS: &'static [(&'static str, Self)] = &[("TCP", Self::Tcp), ("UDP", Self::Udp)];
}

impl Words for InternalTraffic {
    const WORDS: &'static [(&'static str, Self)] =
        &[("Cluster", Self::Cluster), ("Local", Self::Local)];
}

impl Words for AffinityClient {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("namespace", Self::NetworkNamespace),
        ("cgroup", Self::Cgroup),
    ];
}

impl Words for Condition {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ready", Self::Ready),
        ("terminating", Self::Terminating),
        ("notReady", Self::NotReady),
    ];
}

impl Words for Balance {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("leastConnections", Self::LeastConnections),
        ("latencyAware", Self::LatencyAware),
        ("random", Self::Random),
        ("roundRobin", Self::RoundRobin),
        (
            "consistentHash",
            Self::ConsistentHash(HashKey::NetworkNamespace),
        ),
    ];
    const HYPHENS: bool = true;
}

impl Words for HashKey {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("namespace", Self::NetworkNamespace),
        ("cgroup", Self::Cgroup),
        ("sourceAddress", Self::SourceAddress),
    ];
    const HYPHENS: bool = true;
}

impl Words for LocalityLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("node", Self::Node),
        ("zone", Self::Zone),
        ("region", Self::Region),
        ("cloud", Self::Cloud),
    ];
}

impl Words for SourcePreference {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("local", Self::Local),
        ("remote", Self::Remote),
        ("none", Self::None),
    ];
}
