//! The kernel ABI: rows of every map, with explicit padding. Any change here is a new [`ABI_VERSION`].

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Part of the pin path: an agent never opens the maps of another layout.
pub const ABI_VERSION: u32 = 2;

/// Map names, as in the object file, the pin directory and `bpftool map`.
pub mod maps {
    /// Frontend → service row.
    pub const SERVICES: &str = "SERVICES";
    /// Slot index → backend index.
    pub const SLOTS: &str = "SLOTS";
    /// Backend index → address.
    pub const BACKENDS: &str = "BACKENDS";
    /// Backend index → what the kernel counts for it.
    pub const LOAD: &str = "LOAD";
    /// Service id → what the kernel counts for it, per CPU.
    pub const COUNTERS: &str = "COUNTERS";
    /// Service id → its name; read by the agent only, so that ids outlive it.
    pub const NAMES: &str = "NAMES";
    /// Socket → how its connect was answered.
    pub const SOCKETS: &str = "SOCKETS";
    /// UDP socket → where its datagrams go, one entry for each service it sends to.
    pub const FLOWS: &str = "FLOWS";
    /// Socket cookie → backend, for sockets that are closed when their backend leaves.
    pub const TRACKED: &str = "TRACKED";
    /// Client and service → backend, for services with session affinity.
    pub const AFFINITY: &str = "AFFINITY";
    /// Cgroups and network namespaces that are not served.
    pub const EXCLUDED: &str = "EXCLUDED";
}

/// Default number of rows. The agent may ask for others when it creates the maps.
pub mod capacity {
    /// Frontends: one per address, port and protocol.
    pub const SERVICES: u32 = 65_536;
    /// Twice the backends, because a service's old and new slots stand side by side while it switches.
    pub const SLOTS: u32 = 524_288;
    /// Endpoints of all services together.
    pub const BACKENDS: u32 = 262_144;
    /// Open sockets that are closed when their backend leaves.
    pub const TRACKED: u32 = 131_072;
    /// Clients with session affinity; the one that was idle longest makes room.
    pub const AFFINITY: u32 = 65_536;
    /// Cgroups and network namespaces that are not served.
    pub const EXCLUDED: u32 = 1024;
    /// Services that one UDP socket can send to with a stable endpoint for each.
    pub const FLOWS_PER_SOCKET: usize = 64;
}

/// Transport protocol, by its IP protocol number.
pub mod protocol {
    /// `IPPROTO_TCP`
    pub const TCP: u8 = 6;
    /// `IPPROTO_UDP`
    pub const UDP: u8 = 17;
}

/// Key of SERVICES: what a program asks to connect to. Written by the agent.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct FrontendKey {
    /// Service address.
    pub addr: Addr,
    /// Port, network byte order.
    pub port: u16,
    /// One of [`protocol`].
    pub protocol: u8,
    /// Zero.
    pub pad: u8,
}

/// Value of SERVICES. Written by the agent; one write switches a service from one set of slots to the next.
///
/// The kernel may hand the memory of a replaced or deleted row to another key while a program still reads it: hash
/// maps recycle their elements without waiting for readers. So the row names its key, first, and the range is one
/// aligned 64-bit word: a reader that takes the range and then finds its own key knows that both belong together.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct ServiceRow {
    /// The key this row was written for.
    pub key: FrontendKey,
    /// Index into COUNTERS and key of NAMES; shared by all frontends of one service port.
    pub id: u32,
    /// First slot.
    pub slot_base: u32,
    /// Number of slots; zero when no backend is usable.
    pub slot_count: u32,
    /// Bits of [`service_flags`].
    pub flags: u32,
    /// Seconds that a client stays with its backend after its last connect; zero for no session affinity.
    pub affinity_seconds: u32,
}

/// Bits of [`ServiceRow::flags`]
pub mod service_flags {
    /// Connected sockets are closed when their backend leaves the configuration. Set for UDP, and for TCP on demand.
    pub const TRACK: u32 = 1;
    /// Session affinity is per cgroup instead of per network namespace.
    pub const AFFINITY_BY_CGROUP: u32 = 2;
    /// The slots hold only endpoints of this node, other frontends of the service may lead to others.
    pub const LOCAL: u32 = 4;
}

/// Value of SLOTS: one column of an alias table (Walker 1977, built as in Vose 1991). Written by the agent.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct Slot {
    /// Backend index taken with probability `threshold / 2^32`.
    pub backend: u32,
    /// Backend index taken otherwise. Equal to `backend` in a full column.
    pub alias: u32,
    /// Share of `backend` in this column, in 2^-32.
    pub threshold: u32,
    /// Zero.
    pub pad: u32,
}

/// Value of BACKENDS. Written by the agent.
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
    /// Tells one use of this index from the next: milliseconds of the monotonic clock when it was taken.
    pub generation: u32,
    /// Configured weight, for display; balancing reads the slots.
    pub weight: u16,
    /// How long tracked sockets go on after the endpoint left; the agent frees the row then.
    pub drain_seconds: u16,
}

/// [`BackendRow::state`]
pub mod backend_state {
    /// The index is free.
    pub const FREE: u16 = 0;
    /// Takes new connections.
    pub const ACTIVE: u16 = 1;
    /// Left the configuration; the row stays for lookups under way.
    pub const RETIRED: u16 = 2;
    /// Takes no new connections but still serves: UDP flows stay.
    pub const DRAINING: u16 = 3;
    /// In the configuration but not serving, for instance not ready.
    pub const DOWN: u16 = 4;
}

/// Value of LOAD. Written by the kernel programs with atomic adds; cleared by the agent when an index is taken.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct BackendLoad {
    /// Connects answered with this backend.
    pub connects: u64,
}

/// Value of COUNTERS: one `u64` per [`Counter`](crate::counter::Counter), room for four more. Written by the kernel programs.
pub type ServiceCounters = [u64; 8];

/// Value of NAMES: UTF-8 padded with zeros. `namespace/name:port/PROTOCOL` is at most 63 + 63 + 63 + 6 bytes long.
pub type NameRow = [u8; 200];

/// Value of SOCKETS: how a socket's last connect was answered. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct SocketRecord {
    /// What the program asked for.
    pub frontend: Addr,
    /// What it got.
    pub backend: Addr,
    /// Port asked for, network byte order.
    pub frontend_port: u16,
    /// Port it got, network byte order; zero when the record is void, since no peer has that port.
    pub backend_port: u16,
    /// Service id.
    pub service: u32,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
    /// One when the socket is in TRACKED.
    pub tracked: u64,
    /// Zero; room for later programs to read what earlier ones wrote.
    pub spare: u64,
}

/// One entry of FLOWS: where the datagrams of one socket to one service go. Written by the kernel programs, which the
/// kernel runs one at a time for each socket: it holds the socket's lock around these hooks
/// (`BPF_CGROUP_RUN_SA_PROG_LOCK`, include/linux/bpf-cgroup.h).
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
    /// [`service_flags::LOCAL`] of the service at that time.
    pub local: u32,
    /// Address the program sends to.
    pub frontend: Addr,
    /// Address the datagrams go to.
    pub backend: Addr,
}

/// Value of FLOWS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct SocketFlows {
    /// Entry that was used last; the top bit says that its endpoint was sent to directly.
    pub last: u32,
    /// Entries are used in order and never become free again, only another service's.
    pub flows: [Flow; capacity::FLOWS_PER_SOCKET],
}

/// Value of TRACKED. Written by the kernel programs, removed when the socket is closed.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct TrackedSocket {
    /// Endpoint the socket is connected to.
    pub backend: Addr,
    /// Endpoint port, network byte order.
    pub port: u16,
    /// One of [`protocol`].
    pub protocol: u8,
    /// Zero.
    pub pad: u8,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
}

/// Key of AFFINITY.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityKey {
    /// Cookie of the client's network namespace, or id of its cgroup.
    pub client: u64,
    /// Service id.
    pub service: u32,
    /// Tells apart the frontends of a service that lead to different backends: bit 0 is set for IPv4, bit 1 for
    /// [`service_flags::LOCAL`].
    pub variant: u32,
}

/// Value of AFFINITY. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityRow {
    /// Backend index in the low half, [`BackendRow::generation`] in the high one: swapped as one word.
    pub backend: u64,
    /// Monotonic clock at the last use, nanoseconds.
    pub used_at: u64,
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
    /// A cgroup and all below it.
    pub const CGROUP: u64 = 1;
    /// A network namespace.
    pub const NETNS: u64 = 2;
}

#[cfg(test)]
mod tests {
    use core::mem::{align_of, offset_of, size_of};

    use super::*;

    #[test]
    fn layout_is_what_running_kernels_hold() {
        assert_eq!((size_of::<FrontendKey>(), align_of::<FrontendKey>()), (20, 4));
        assert_eq!((size_of::<ServiceRow>(), align_of::<ServiceRow>()), (40, 4));
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (16, 4));
        assert_eq!((size_of::<BackendRow>(), align_of::<BackendRow>()), (32, 4));
        assert_eq!((size_of::<BackendLoad>(), align_of::<BackendLoad>()), (8, 8));
        assert_eq!((size_of::<SocketRecord>(), align_of::<SocketRecord>()), (64, 8));
        assert_eq!((size_of::<Flow>(), align_of::<Flow>()), (48, 4));
        assert_eq!(size_of::<TrackedSocket>(), 28);
        assert_eq!((size_of::<AffinityKey>(), size_of::<AffinityRow>()), (16, 16));
        assert_eq!(offset_of!(ServiceRow, slot_base) % 8, 0, "base and count are read as one word");
        assert_eq!(offset_of!(BackendRow, state), 18);
        assert_eq!(offset_of!(BackendRow, generation), 24);
        assert_eq!(offset_of!(SocketRecord, service), 36);
    }

    #[test]
    fn every_counter_has_room() {
        assert!(crate::counter::Counter::ALL.len() <= size_of::<ServiceCounters>() / 8);
    }
}
