//! Rows of FLOWS and MORE_FLOWS: where the datagrams of a UDP socket go.

use bytemuck::{Pod, Zeroable};

use super::capacity;
use crate::addr::Addr;

/// One entry of FLOWS: where the datagrams of one socket to one service go. Written by the kernel
/// programs, which the kernel runs one at a time for each socket: it holds the socket's lock around
/// these hooks (`BPF_CGROUP_RUN_SA_PROG_LOCK`, include/linux/bpf-cgroup.h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct Flow {
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
    /// Port the program sends to, network byte order.
    pub frontend_port: u16,
    /// Port the datagrams go to, network byte order; zero while the entry is free.
    pub backend_port: u16,
    /// [`service_flags::LOCAL`] of the service at that time, bits of [`flow_state`], and between them the service's id.
    pub flags: u32,
    /// Address the program sends to.
    pub frontend: Addr,
    /// Address the datagrams go to.
    pub backend: Addr,
}

/// Bits of [`Flow::flags`] beside [`service_flags::LOCAL`].
pub mod flow_state {
    /// Position of the service's id.
    pub const SERVICE: u32 = 3;
    /// The service's id, shifted.
    pub const SERVICE_BITS: u32 = SHARED - (1 << SERVICE);
    /// It counts in [`BackendLoad::live`](super::BackendLoad::live).
    pub const HELD: u32 = 1 << 31;
    /// It counts in [`ServiceLoad::connections`](super::ServiceLoad::connections).
    pub const LIMITED: u32 = 1 << 30;
    /// It is [LIMITED], and counts in SHARES as well.
    pub const SHARED: u32 = 1 << 29;
}

/// Value of FLOWS. Small, because its memory is charged to the agent, and every socket that sends
/// to a service has one.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct SocketFlows {
    /// Number of the entry that was used last, those of [`MoreFlows`] counted after these; the top
    /// bit says that its endpoint was sent to directly.
    pub last: u32,
    /// The [client](crate::client) that the rows of this socket count for.
    pub client: u32,
    /// Entries are used in order and never become free again, only another service's.
    pub flows: [Flow; capacity::FLOWS_AT_FIRST],
}

/// Value of MORE_FLOWS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct MoreFlows {
    /// As [`SocketFlows::flows`].
    pub flows: [Flow; capacity::FLOWS_PER_SOCKET - capacity::FLOWS_AT_FIRST],
}
