//! How long connections take: to connect, and until they are closed.
//!
//! Each [client](crate::client) learns from its own connections, and only these decide where its connects go: a client that
//! keeps connections open to one backend, or never does, says nothing of how fast the backend is for others. The rows of
//! LATENCIES are found by a hash of client and backend. A row is the pair's that wrote to it last; a pair that finds the row
//! of another knows nothing, and its connects follow connections alone.
//!
//! ```text
//!  63          42 41         21 20          0
//!  │    pair     │  duration   │  handshake  │
//! ```
//! The averages of all clients together, in [`Backend::latency`], are for the eye.

use crate::{
    abi::{Backend, ServiceRow, capacity},
    atomic,
    balance::mix,
    kernel::Kernel,
};

/// A sample moves an average by one part in so many.
const SMOOTHING: u64 = 8;
/// Longest sample for all clients together, microseconds: half a minute.
const LONGEST: u64 = 1 << 25;
/// One half of the word of all clients.
const HALF: u64 = 0xffff_ffff;
/// Bits of an average in a client's row, microseconds: two seconds.
const BITS: u32 = 21;
const AVERAGE: u64 = (1 << BITS) - 1;
/// Bits of a client's row that say whose it is.
const PAIR: u64 = u64::MAX << (2 * BITS);

/// What a sample tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// How long it took to connect.
    Handshake,
    /// How long the connection was open.
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
    #[inline(always)]
    const fn hash(self) -> u64 {
        mix(mix((self.client as u64) << 32 | self.backend as u64) ^ self.generation as u64)
    }
}

/// The row of LATENCIES for a hash.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower bits")]
const fn row(hash: u64) -> u32 {
    hash as u32 & (capacity::LATENCIES - 1)
}

/// What the client in `service` knows of a backend: as [`Backend::latency`], zero where it knows nothing.
///
/// This and [`learn`] are functions by themselves in the kernel, as [`search`](crate::search::search) is.
#[inline(always)]
pub fn known<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32) -> u64 {
    let Some(backend) = kernel.backend(index) else { return 0 };
    let hash = Pair { client: service.client, backend: index, generation: backend.row.generation }.hash();
    let word = kernel.latency(row(hash)).map_or(0, atomic::read);
    if word & PAIR != hash & PAIR {
        return 0;
    }
    word & AVERAGE | (word >> BITS & AVERAGE) << 32
}

/// A client learns from one of its connections, microseconds. Not atomic: of two concurrent samples one may be dropped.
#[inline(always)]
pub fn learn<K: Kernel>(kernel: &K, pair: Pair, part: Part, sample: u64) {
    let hash = pair.hash();
    let Some(cell) = kernel.latency(row(hash)) else { return };
    let (word, sample) = (atomic::read(cell), if sample >= AVERAGE { AVERAGE } else { sample + 1 });
    let averages = if word & PAIR == hash & PAIR { word & !PAIR } else { 0 };
    let shift = if part == Part::Handshake { 0 } else { BITS };
    let next = moved(averages >> shift & AVERAGE, sample);
    atomic::write(cell, hash & PAIR | averages & !(AVERAGE << shift) | next << shift);
}

/// All clients learn together. As [`learn`].
#[inline(always)]
pub(crate) fn learn_together(backend: &Backend, part: Part, sample: u64) {
    // Zero would mean that there is none.
    let sample = if sample >= LONGEST { LONGEST } else { sample + 1 };
    let (word, shift) = (atomic::read(&backend.latency), if part == Part::Handshake { 0 } else { 32 });
    let next = moved(word >> shift & HALF, sample);
    atomic::write(&backend.latency, word & !(HALF << shift) | next << shift);
}

/// Exponentially weighted; the first sample is the average. Zero means that there is none.
#[inline(always)]
const fn moved(average: u64, sample: u64) -> u64 {
    let next = if average == 0 { sample } else { (average * (SMOOTHING - 1) + sample) / SMOOTHING };
    if next == 0 { 1 } else { next }
}
