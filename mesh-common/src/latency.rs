//! Latency of connections: the time to connect, and the time until they close. Takes samples of
//! closed and established connections, returns how two backends compare for a client.
//!
//! Each [client](crate::client) learns from its own connections, and only these decide where its
//! connects go: for how long one client keeps its connections open says nothing about how fast a
//! backend is for another. The row of LATENCIES is found by a hash of client and backend, and
//! belongs to the pair that wrote it last. A pair that finds the row of another pair has no
//! latency, and its connects follow the number of connections.
//!
//! ```text
//!  63          42 41         21 20          0
//!  │    pair     │  duration   │  handshake  │
//! ```
//!
//! The averages of all clients together, in [`Backend::latency`], are only displayed.

use crate::{
    abi::{Backend, ServiceRow, maps, policy},
    atomic,
    hash::mix,
    kernel::Kernel,
};

/// A sample moves an average by one part in this number.
const SMOOTHING: u64 = 8;
/// Longest sample for all clients together, microseconds: half a minute.
const LONGEST: u64 = 1 << 25;
/// One half of the word of all clients together.
const HALF: u64 = 0xffff_ffff;
/// Bits of an average in a client's row.
const BITS: u32 = 21;
/// Latencies above this one count as this one, microseconds: two seconds.
pub(crate) const MAX_LATENCY: u64 = (1 << BITS) - 1;
/// Bits of a client's row that identify the pair.
const PAIR: u64 = u64::MAX << (2 * BITS);

/// The global functions of this module; see [`kernel`](crate::kernel).
pub trait Measure: Kernel {
    /// [`compare`]
    fn latencies(&self, service: &ServiceRow, one: u32, other: u32) -> u64 {
        compare(self, service, one, other)
    }

    /// [`learn`]
    fn learn_latency(&self, pair: Pair, part: Part, sample: u64) {
        learn(self, pair, part, sample);
    }
}

/// Kinds of samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Time to connect.
    Handshake,
    /// Time for which the connection was open.
    Duration,
}

/// A client and a backend.
#[derive(Clone, Copy)]
pub struct Pair {
    /// [`SocketRow::client`](crate::abi::SocketRow::client)
    pub client: u32,
    /// Backend index.
    pub backend: u32,
    /// [`BackendRow::generation`](crate::abi::BackendRow::generation)
    pub generation: u32,
}

impl Pair {
    /// Returns the hash of the pair: the row in its low bits, the identity in its high ones.
    #[inline(always)]
    const fn hash(self) -> u64 {
        mix(mix((self.client as u64) << 32 | self.backend as u64) ^ self.generation as u64)
    }
}

/// Returns the row of LATENCIES for a hash.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower bits")]
const fn row(hash: u64) -> u32 {
    hash as u32 & (maps::LATENCIES.capacity() - 1)
}

/// Returns the client's averages for a backend, in the form of [`Backend::latency`]; zero without a
/// row.
#[inline(always)]
fn known<K: Kernel>(kernel: &K, client: u32, index: u32) -> u64 {
    let Some(backend) = kernel.backend(index) else {
        return 0;
    };
    let hash = Pair {
        client,
        backend: index,
        generation: backend.row.generation,
    }
    .hash();
    let word = kernel.latency(row(hash)).map_or(0, atomic::read);
    if word & PAIR != hash & PAIR {
        return 0;
    }
    word & MAX_LATENCY | (word >> BITS & MAX_LATENCY) << 32
}

/// Returns the [`Latencies`] of two backends for the client in `service`, as a word.
///
/// This and [`learn`] are global functions.
#[inline(always)]
pub fn compare<K: Kernel>(kernel: &K, service: &ServiceRow, one: u32, other: u32) -> u64 {
    let Latencies { mine, others } = Latencies::from_known(
        known(kernel, service.client, one),
        known(kernel, service.client, other),
    );
    mine << 32 | others
}

/// Factors by which the connections of two backends are multiplied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Latencies {
    /// Factor of the one backend.
    pub mine: u64,
    /// Factor of the other.
    pub others: u64,
}

impl Latencies {
    /// Only the number of connections counts.
    pub(crate) const ALIKE: Self = Self { mine: 1, others: 1 };

    /// Returns the latencies of two backends where the policy of the service compares them.
    #[inline(always)]
    pub(crate) fn of<K: Measure>(kernel: &K, service: &ServiceRow, one: u32, other: u32) -> Self {
        if service.policy != policy::LATENCY_AWARE {
            return Self::ALIKE;
        }
        let word = kernel.latencies(service, one, other);
        Self {
            mine: word >> 32,
            others: word & HALF,
        }
    }

    /// Returns equal factors unless both latencies are known and differ by more than
    /// [noise](is_noise). The time for which connections are open counts once one of each has
    /// ended: until then a slow backend, whose connections end last, would look fastest.
    #[inline(always)]
    const fn from_known(one: u64, other: u64) -> Self {
        if one & HALF == 0 || other & HALF == 0 {
            return Self::ALIKE;
        }
        let is_whole = one >> 32 != 0 && other >> 32 != 0;
        let (mine, others) = (sum(one, is_whole), sum(other, is_whole));
        if is_noise(mine, others) {
            Self::ALIKE
        } else {
            Self { mine, others }
        }
    }
}

/// Returns whether two latencies, microseconds, differ by no more than the scheduling of tasks and
/// timers explains: less than a millisecond, or a quarter of the shorter.
#[inline(always)]
const fn is_noise(one: u64, other: u64) -> bool {
    const MILLISECOND: u64 = 1000;
    let (short, long) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    long - short < MILLISECOND || (long - short) * 4 < short
}

/// Returns the latency of a connection, microseconds: the time to connect and, if `is_whole`, the
/// time until it closes.
#[inline(always)]
const fn sum(word: u64, is_whole: bool) -> u64 {
    let sum = (word & HALF) + if is_whole { word >> 32 } else { 0 };
    if sum > MAX_LATENCY { MAX_LATENCY } else { sum }
}

/// Adds a sample of one of the client's connections, microseconds. Not atomic: of two concurrent
/// samples one may be dropped.
#[inline(always)]
pub fn learn<K: Kernel>(kernel: &K, pair: Pair, part: Part, sample: u64) {
    let hash = pair.hash();
    let Some(cell) = kernel.latency(row(hash)) else {
        return;
    };
    let (word, sample) = (
        atomic::read(cell),
        if sample >= MAX_LATENCY {
            MAX_LATENCY
        } else {
            sample + 1
        },
    );
    let averages = if word & PAIR == hash & PAIR {
        word & !PAIR
    } else {
        0
    };
    let shift = if part == Part::Handshake { 0 } else { BITS };
    let next = moved(averages >> shift & MAX_LATENCY, sample);
    atomic::write(
        cell,
        hash & PAIR | averages & !(MAX_LATENCY << shift) | next << shift,
    );
}

/// Adds a sample to the averages of all clients together. Not atomic, as [`learn`].
#[inline(always)]
pub(crate) fn learn_together(backend: &Backend, part: Part, sample: u64) {
    // Zero stands for no sample.
    let sample = if sample >= LONGEST {
        LONGEST
    } else {
        sample + 1
    };
    let (word, shift) = (
        atomic::read(&backend.latency),
        if part == Part::Handshake { 0 } else { 32 },
    );
    let next = moved(word >> shift & HALF, sample);
    atomic::write(&backend.latency, word & !(HALF << shift) | next << shift);
}

/// Returns the exponentially weighted average; the first sample is the average. Zero means that
/// there is none.
#[inline(always)]
const fn moved(average: u64, sample: u64) -> u64 {
    let next = if average == 0 {
        sample
    } else {
        (average * (SMOOTHING - 1) + sample) / SMOOTHING
    };
    if next == 0 { 1 } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_count_beyond_noise() {
        let is_faster = |one, other| {
            Latencies::from_known(one, other)
                == Latencies {
                    mine: one,
                    others: other,
                }
        };
        assert_eq!(
            [(50, 90), (100, 1_050), (10_000, 12_400)].map(|(a, b)| is_faster(a, b)),
            [false; 3]
        );
        assert_eq!(
            [(50, 1_100), (1_000, 2_000), (10_000, 12_600)].map(|(a, b)| is_faster(a, b)),
            [true; 3]
        );
    }

    #[test]
    fn durations_count_once_both_are_known() {
        let known = |handshake: u64, duration: u64| duration << 32 | handshake;
        let from = |one, other| Latencies::from_known(one, other);
        assert_eq!(
            from(known(100, 90_000), known(100, 5_000)),
            Latencies {
                mine: 90_100,
                others: 5_100
            }
        );
        assert_eq!(from(known(100, 90_000), known(100, 0)), Latencies::ALIKE);
        assert_eq!(from(known(100, 90_000), known(0, 0)), Latencies::ALIKE);
    }
}
