//! Rows of SLOTS and BACKENDS: which backends a service has, and the state of each.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Value of SLOTS: one column of an alias table (Walker 1977, built as in Vose 1991); for policies
/// that do not draw, a single backend, which is its own alias. Written by the agent.
///
/// The tiers of a service follow each other in the order in which they are used. Each tier but the
/// last is followed by a [link](Self::next) to the next.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct Slot {
    /// Backend index taken with probability `threshold / 2^32`; in a link the first slot of the
    /// next tier.
    pub backend: u32,
    /// Backend index taken otherwise. Equal to `backend` in a full column. In a link the number of
    /// slots of the next tier.
    pub alias: u32,
    /// Share of `backend` in this column, in 2^-32; in a link one when the next tier is followed by
    /// a link as well.
    pub threshold: u32,
    /// One in a link, else zero.
    pub link: u32,
}

impl Slot {
    /// Returns a column of one backend.
    pub const fn full(backend: u32) -> Self {
        Self {
            backend,
            alias: backend,
            threshold: u32::MAX,
            link: 0,
        }
    }

    /// Returns the link to a tier.
    pub const fn next(base: u32, count: u32, more: bool) -> Self {
        Self {
            backend: base,
            alias: count,
            threshold: more as u32,
            link: 1,
        }
    }

    /// Returns first slot and number of slots of the tier that a link leads to, and one when another
    /// link follows it, else zero; nothing for a column.
    #[inline(always)]
    pub const fn linked(&self) -> Option<(u32, u32, u32)> {
        if self.link == 0 {
            return None;
        }
        Some((self.backend, self.alias, self.threshold))
    }
}

/// The half of a row of BACKENDS that the agent writes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct BackendRow {
    /// Endpoint address; same family as every frontend that leads here.
    pub addr: Addr,
    /// Endpoint port, network byte order.
    pub port: u16,
    /// One of [`backend_state`].
    pub state: u16,
    /// Id of the service this endpoint belongs to.
    pub service: u32,
    /// Distinguishes the uses of an index: milliseconds of the monotonic clock when the agent
    /// assigned it.
    pub generation: u32,
    /// Divisor of the load when backends of one service are compared; draws read the slots instead.
    /// Above zero for a backend that is in a slot.
    pub weight: u16,
    /// Time for which tracked sockets stay open after the endpoint left, seconds; then the agent
    /// frees the row.
    pub drain_seconds: u16,
}

/// The half of a row of BACKENDS that the kernel programs write. Cleared when the agent assigns the
/// index.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct BackendLoad {
    /// Sockets that hold this backend: an [`occupancy`](crate::occupancy) word.
    pub live: u64,
    /// Connects answered with this backend.
    pub connects: u64,
    /// An [`Agreement`](crate::agreement::Agreement) word. The agent writes it, too.
    pub health: u64,
    /// Moving average of the time to connect, over all clients, microseconds; zero while there is
    /// none.
    pub handshake: u32,
    /// Moving average of the time for which connections are open, at most one second each, over all
    /// clients, microseconds; zero while there is none. Only for
    /// [`LATENCY_AWARE`](crate::abi::policy::LATENCY_AWARE).
    pub duration: u32,
}

/// Value of BACKENDS: 64 bytes, one cache line.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct BackendEntry {
    /// Written by the agent.
    pub row: BackendRow,
    /// Written by the kernel programs.
    pub load: BackendLoad,
}

/// A [`BackendEntry`] while other programs may write to it.
#[repr(C)]
#[derive(Debug)]
pub struct Backend {
    /// Written by the agent: state, weight and drain at any time, the rest only while no slot
    /// refers to the row.
    pub row: BackendRow,
    /// [`BackendLoad::live`]
    pub live: AtomicU64,
    /// [`BackendLoad::connects`]
    pub connects: AtomicU64,
    /// [`BackendLoad::health`]
    pub health: AtomicU64,
    /// [`BackendLoad::handshake`] in the low half, [`BackendLoad::duration`] in the high one.
    pub latency: AtomicU64,
}

/// [`BackendRow::state`]
pub mod backend_state {
    /// The index is free.
    pub const FREE: u16 = 0;
    /// Takes new connections.
    pub const ACTIVE: u16 = 1;
    /// Left the configuration. The row stays for lookups in progress.
    pub const RETIRED: u16 = 2;
    /// Takes no new connections, but still serves its UDP flows.
    pub const DRAINING: u16 = 3;
    /// In the configuration but not serving, for instance not ready.
    pub const DOWN: u16 = 4;
}
