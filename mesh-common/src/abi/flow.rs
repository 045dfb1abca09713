//! Rows of FLOWS and MORE_FLOWS: where the datagrams of a UDP socket go.

use bytemuck::{Pod, Zeroable};

use super::capacity;
use crate::addr::Addr;

/// Entry of FLOWS: where the datagrams of one socket to one service go. Written by the kernel
/// programs, which run one at a time for each socket: the kernel holds the socket's lock around
/// these hooks (`BPF_CGROUP_RUN_SA_PROG_LOCK`, include/linux/bpf-cgroup.h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct Flow {
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`](crate::abi::BackendRow::generation) at that time.
    pub generation: u32,
    /// Port to which the program sends, network byte order.
    pub frontend_port: u16,
    /// Port to which the datagrams go, network byte order; zero while the entry is free.
    pub backend_port: u16,
    /// [`LOCAL`](crate::abi::service_flags::LOCAL) of the service at that time, above it the
    /// service's id, and bits of [`flow_state`].
    pub flags: u32,
    /// Address to which the program sends.
    pub frontend: Addr,
    /// Address to which the datagrams go.
    pub backend: Addr,
}

/// Bits of [`Flow::flags`] beside [`LOCAL`](crate::abi::service_flags::LOCAL).
pub mod flow_state {
    /// Position of the service's id.
    pub const SERVICE: u32 = 3;
    /// The service's id, shifted.
    pub const SERVICE_BITS: u32 = SHARED - (1 << SERVICE);
    /// The flow counts in [`BackendLoad::live`](crate::abi::BackendLoad::live).
    pub const HELD: u32 = 1 << 31;
    /// The flow counts in [`ServiceLoad::connections`](crate::abi::ServiceLoad::connections).
    pub const LIMITED: u32 = 1 << 30;
    /// The flow is [LIMITED], and also counts in SHARES.
    pub const SHARED: u32 = 1 << 29;
}

/// Value of FLOWS. Small: its memory is charged to the agent, and every socket that sends to a
/// service has one.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct SocketFlows {
    /// Number of the entry that was used last, counted on into [`MoreFlows`]. The top bit is set
    /// after a datagram to its endpoint that named no service.
    pub last: u32,
    /// The [client](crate::client) for which the rows of this socket count.
    pub client: u32,
    /// Entries are used in order and never become free again; another service may take an entry
    /// over.
    pub flows: [Flow; capacity::FLOWS_AT_FIRST],
}

/// Value of MORE_FLOWS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct MoreFlows {
    /// As [`SocketFlows::flows`].
    pub flows: [Flow; capacity::FLOWS_PER_SOCKET - capacity::FLOWS_AT_FIRST],
}
