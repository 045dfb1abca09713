//! Rows of a [client](crate::client): AFFINITY, OUTCOMES, QUOTAS, SHARES and EXCLUDED.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

use super::capacity;

/// Key of AFFINITY.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityKey {
    /// Cookie of the client's network namespace, or id of its cgroup.
    pub client: u64,
    /// Service id.
    pub service: u32,
    /// Distinguishes frontends of a service that lead to different backends: bit 0 is set for IPv4,
    /// bit 1 for [`LOCAL`](crate::abi::service_flags::LOCAL).
    pub variant: u32,
}

/// Value of AFFINITY. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityRow {
    /// Backend index in the low half,
    /// [`BackendRow::generation`](crate::abi::BackendRow::generation) in the high one: replaced as
    /// one word.
    pub backend: u64,
    /// Monotonic clock at the last use, nanoseconds.
    pub used_at: u64,
    /// The [client](crate::client) for which the row counts.
    pub owner: u32,
    /// Zero.
    pub pad: u32,
}

/// Key of OUTCOMES.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct OutcomeKey {
    /// [`SocketRow::client`](crate::abi::SocketRow::client)
    pub client: u32,
    /// Backend index modulo [`OUTCOMES_PER_CLIENT`](crate::abi::capacity::OUTCOMES_PER_CLIENT), so
    /// that one client has no more rows than that.
    pub class: u32,
}

impl OutcomeKey {
    /// Returns the key of a client's row for a backend.
    #[inline(always)]
    pub const fn new(client: u32, backend: u32) -> Self {
        Self {
            client,
            class: backend & (capacity::OUTCOMES_PER_CLIENT - 1),
        }
    }
}

/// Value of OUTCOMES. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct OutcomeRow {
    /// A [`Health`](crate::ejection::Health) word.
    pub health: u64,
    /// [`BackendRow::generation`](crate::abi::BackendRow::generation) at that time.
    pub generation: u32,
    /// [`OutcomeKey::client`]
    pub client: u32,
    /// Backend index.
    pub backend: u32,
    /// Zero.
    pub pad: u32,
}

/// An [`OutcomeRow`] while other programs may write to it.
#[repr(C)]
#[derive(Debug)]
pub struct Outcome {
    /// [`OutcomeRow::health`]
    pub health: AtomicU64,
    /// [`OutcomeRow::generation`]
    pub generation: u32,
    /// [`OutcomeRow::client`]
    pub client: u32,
    /// [`OutcomeRow::backend`]
    pub backend: u32,
    /// Zero.
    pub pad: u32,
}

/// Kinds of rows that have a quota for each client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// Rows of SOCKETS; each also counts in COOKIE_FILTER.
    Sockets,
    /// Rows of FLOWS.
    Flows,
    /// Rows of MORE_FLOWS.
    MoreFlows,
    /// Rows of AFFINITY.
    Affinity,
}

/// Value of QUOTAS: numbers of rows of a class of [clients](crate::client). Written by the kernel
/// programs.
#[repr(C)]
#[derive(Debug, Default)]
pub struct ClientUse {
    /// Rows of SOCKETS.
    pub sockets: AtomicU64,
    /// Rows of FLOWS.
    pub flows: AtomicU64,
    /// Rows of MORE_FLOWS.
    pub more_flows: AtomicU64,
    /// Rows of AFFINITY.
    pub affinity: AtomicU64,
}

impl ClientUse {
    /// Returns the number of rows of one kind.
    #[inline(always)]
    pub const fn of(&self, resource: Resource) -> &AtomicU64 {
        match resource {
            Resource::Sockets => &self.sockets,
            Resource::Flows => &self.flows,
            Resource::MoreFlows => &self.more_flows,
            Resource::Affinity => &self.affinity,
        }
    }
}

/// A [`ClientUse`] as it was at one moment.
pub type ClientRows = [u64; 4];

/// Key of SHARES. Written by the kernel programs; its value is an [`occupancy`](crate::occupancy)
/// word.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct ShareKey {
    /// Service id.
    pub service: u32,
    /// The [client](crate::client).
    pub client: u32,
}

/// Key of EXCLUDED. Written by the agent.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct ExcludedKey {
    /// Cgroup id, or cookie of a network namespace.
    pub id: u64,
    /// One of [`excluded_kind`].
    pub kind: u64,
}

/// [`ExcludedKey::kind`]
pub mod excluded_kind {
    /// A cgroup and all cgroups below it.
    pub const CGROUP: u64 = 1;
    /// A network namespace.
    pub const NETNS: u64 = 2;
}
