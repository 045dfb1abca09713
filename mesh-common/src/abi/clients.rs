//! Rows that count what a [client](crate::client) has.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

/// Rows that are counted for each client, so that one client cannot use up a table.
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

/// Value of QUOTAS: rows of a [client](crate::client). Written by the kernel programs.
#[repr(C)]
#[derive(Debug, Default)]
pub struct ClientUse {
    /// Of SOCKETS.
    pub sockets: AtomicU64,
    /// Of FLOWS.
    pub flows: AtomicU64,
    /// Of MORE_FLOWS.
    pub more_flows: AtomicU64,
    /// Of AFFINITY.
    pub affinity: AtomicU64,
}

impl ClientUse {
    /// The count of one kind of rows.
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
