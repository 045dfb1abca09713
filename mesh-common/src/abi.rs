//! The kernel ABI: rows of every map, with explicit padding. Any change here is a new
//! [`ABI_VERSION`].

mod clients;

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

pub use self::clients::{ClientRows, ClientUse, Resource, ShareKey};
use crate::addr::Addr;

/// Part of the pin path: an agent never opens the maps of another layout.
pub const ABI_VERSION: u32 = 6;

/// Map names, as in the object file, the pin directory and `bpftool map`.
pub mod maps {
    /// Frontend → service row.
    pub const SERVICES: &str = "SERVICES";
    /// Slot index → backend index.
    pub const SLOTS: &str = "SLOTS";
    /// Backend index → address, and what the kernel knows of it.
    pub const BACKENDS: &str = "BACKENDS";
    /// Service id → what the kernel knows of the service as a whole.
    pub const LOAD: &str = "LOAD";
    /// Service id → what the kernel counts for it, per CPU.
    pub const COUNTERS: &str = "COUNTERS";
    /// Service id → its name; read by the agent only, so that ids outlive it.
    pub const NAMES: &str = "NAMES";
    /// Socket cookie → how its connect was answered.
    pub const SOCKETS: &str = "SOCKETS";
    /// UDP socket → where its datagrams go, one entry for each service it sends to.
    pub const FLOWS: &str = "FLOWS";
    /// UDP socket that sends to more services than its entry of FLOWS has room for → the others.
    pub const MORE_FLOWS: &str = "MORE_FLOWS";
    /// Which sockets may be in SOCKETS.
    pub const COOKIE_FILTER: &str = "COOKIE_FILTER";
    /// Which addresses may be frontends.
    pub const ADDRESS_FILTER: &str = "ADDRESS_FILTER";
    /// Client and service → backend, for services with session affinity.
    pub const AFFINITY: &str = "AFFINITY";
    /// Cgroups and network namespaces that are not served.
    pub const EXCLUDED: &str = "EXCLUDED";
    /// Cgroups that hold clients and are none; see [`client`](crate::client).
    pub const GROUPS: &str = "GROUPS";
    /// Client and backend → how the client's connects ended.
    pub const OUTCOMES: &str = "OUTCOMES";
    /// Client and backend → how long the client's connections take.
    pub const LATENCIES: &str = "LATENCIES";
    /// Client → what it has of the tables that all clients share.
    pub const QUOTAS: &str = "QUOTAS";
    /// Service and client → how many of the service's connections the client has, where the service
    /// bounds that.
    pub const SHARES: &str = "SHARES";
    /// Which client a cgroup belongs to, as far as a CPU has met it lately.
    pub const CLIENTS: &str = "CLIENTS";
}

/// Default number of rows. The agent may ask for others when it creates the maps.
pub mod capacity {
    /// Frontends: one per address, port and protocol.
    pub const SERVICES: u32 = 65_536;
    /// Twice the backends, because a service's old and new slots stand side by side while it
    /// switches.
    pub const SLOTS: u32 = 524_288;
    /// Endpoints of all services together.
    pub const BACKENDS: u32 = 262_144;
    /// Open sockets that were answered with a backend. One more is balanced as well, but forgotten
    /// at once.
    pub const SOCKETS: u32 = 131_072;
    /// A power of two.
    pub const COOKIE_FILTER: u32 = 65_536;
    /// Words of 64 bits, a power of two; see [`filter`](crate::filter).
    pub const ADDRESS_FILTER: u32 = 1024;
    /// Clients with session affinity. One more is balanced like any other.
    pub const AFFINITY: u32 = 65_536;
    /// Cgroups and network namespaces that are not served.
    pub const EXCLUDED: u32 = 1024;
    /// Cgroups that hold clients. One more makes clients coarser.
    pub const GROUPS: u32 = 1024;
    /// Clients and backends that failed them; the one that was looked at the longest ago makes
    /// room.
    pub const OUTCOMES: u32 = 65_536;
    /// Clients and backends of latency-aware services, a power of two; see
    /// [`latency`](crate::latency).
    pub const LATENCIES: u32 = 131_072;
    /// Clients that are told apart when rows are counted, a power of two.
    pub const QUOTAS: u32 = 65_536;
    /// Clients of services that bound a client's share. One more is bounded by the service's own
    /// limit alone.
    pub const SHARES: u32 = 65_536;
    /// Cgroups whose client each CPU remembers, a power of two.
    pub const CLIENTS: u32 = 64;
    /// Services that one UDP socket can send to with a stable endpoint for each.
    pub const FLOWS_PER_SOCKET: usize = 64;
    /// Those of them that a socket's first record has room for.
    pub const FLOWS_AT_FIRST: usize = 2;
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

/// Value of SERVICES. Written by the agent; one write switches a service from one set of slots to
/// the next.
///
/// The kernel may hand the memory of a replaced or deleted row to another key while a program still
/// reads it: hash maps recycle their elements without waiting for readers. So the row names its
/// key, which is written first: a reader that has copied the row, and then finds its own key and
/// the same range again, knows that all of it belongs together.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct ServiceRow {
    /// The key this row was written for.
    pub key: FrontendKey,
    /// Index into COUNTERS and LOAD, key of NAMES; shared by all frontends of one service port.
    pub id: u32,
    /// First slot of the first tier; with [`service_flags::CONTIGUOUS`] the first backend.
    pub slot_base: u32,
    /// Number of slots of the first tier; zero when there is no backend.
    pub slot_count: u32,
    /// Bits of [`service_flags`]. In the copy that a connect works with, above them the epoch of
    /// its reservations.
    pub flags: u32,
    /// Seconds that a client stays with its backend after its last connect; zero for no session
    /// affinity.
    pub affinity_seconds: u32,
    /// Connections that the service takes at the same time; zero for any number.
    pub max_connections: u32,
    /// Connections that each of its backends takes at the same time; zero for any number.
    pub max_backend_connections: u32,
    /// First ejection of a backend, milliseconds.
    pub base_ejection: u32,
    /// Longest ejection of a backend, milliseconds.
    pub max_ejection: u32,
    /// A connect that is not answered for so long has failed, milliseconds.
    pub connect_timeout: u16,
    /// Leave a tier when it is so many times busier per weight than the next, in 1/100; zero for
    /// never.
    pub spill: u16,
    /// Consecutive failures that eject a backend; zero for no ejection.
    pub failures: u8,
    /// Share of a tier's capacity that a client may eject for itself, percent.
    pub max_ejected: u8,
    /// A client's own ejections are ignored while less than this share of the last tier's capacity
    /// is usable, percent.
    pub panic: u8,
    /// The next tier gets the missing share while less than this share of a tier's capacity is
    /// usable, percent.
    pub failover: u8,
    /// One of [`policy`].
    pub policy: u8,
    /// One of [`hash_key`]; for [`policy::CONSISTENT_HASH`].
    pub hash_key: u8,
    /// As `max_ejected`, for ejections that clients agree on.
    pub max_agreed: u8,
    /// As `panic`, for ejections that clients agree on.
    pub panic_agreed: u8,
    /// Zero in the map. In the copy that a decision works with, the [client](crate::client) it is
    /// made for.
    pub client: u32,
}

impl ServiceRow {
    /// Returns whether the service limits its connections: then each of them must be recorded.
    #[inline(always)]
    pub const fn has_limits(&self) -> bool {
        self.max_connections | self.max_backend_connections != 0
    }

    /// Returns the [epoch](crate::occupancy) of the reservations of the connect that works with
    /// this copy; zero where the service [has no limits](Self::has_limits).
    #[inline(always)]
    pub const fn epoch(&self) -> u64 {
        (self.flags >> service_flags::EPOCH) as u64
    }
}

/// Bits of [`ServiceRow::flags`]
pub mod service_flags {
    /// Position of the epoch, 14 bits.
    pub const EPOCH: u32 = 18;
    /// Position of the percent of [`max_connections`](super::ServiceRow::max_connections) that one
    /// [client](crate::client) may hold, 7 bits; zero for all.
    pub const SHARE: u32 = 5;
    /// Connected sockets are closed when their backend leaves the configuration. Set for UDP, and
    /// for TCP on demand.
    pub const TRACK: u32 = 1;
    /// Session affinity is per cgroup instead of per network namespace.
    pub const AFFINITY_BY_CGROUP: u32 = 2;
    /// The slots hold only endpoints of this node, other frontends of the service may lead to
    /// others.
    pub const LOCAL: u32 = 4;
    /// The slot after the first tier is a [link](crate::abi::Slot::next) to the next.
    pub const TIERS: u32 = 8;
    /// There are no slots: slot n is the backend with the index n after `slot_base`, a full column.
    /// Where backends that are chosen alike stand beside each other, this spares a look at SLOTS.
    /// Never with [`TIERS`].
    pub const CONTIGUOUS: u32 = 16;
}

/// [`ServiceRow::policy`]: which slot answers a connect.
pub mod policy {
    /// Weighted random.
    pub const RANDOM: u8 = 0;
    /// The less loaded per weight of two different weighted random choices.
    pub const LEAST_CONNECTIONS: u8 = 1;
    /// As least connections, the load multiplied by the backend's latency.
    pub const LATENCY_AWARE: u8 = 2;
    /// One slot after the other.
    pub const ROUND_ROBIN: u8 = 3;
    /// The slot that the caller hashes to.
    pub const CONSISTENT_HASH: u8 = 4;
}

/// [`ServiceRow::hash_key`]: what of the caller is hashed.
pub mod hash_key {
    /// Its network namespace.
    pub const NETNS: u8 = 0;
    /// Its cgroup.
    pub const CGROUP: u8 = 1;
    /// The address its socket is bound to; its network namespace while it is bound to none.
    pub const SOURCE_ADDRESS: u8 = 2;
}

/// Value of SLOTS: one column of an alias table (Walker 1977, built as in Vose 1991), or, for
/// policies that do not draw, just a backend; then it is its own alias. Written by the agent.
///
/// A service's tiers stand one after the other, in the order in which they are to be used. Each but
/// the last is followed by a [link](Self::next) to the next.
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
    /// All of it one backend's.
    pub const fn full(backend: u32) -> Self {
        Self {
            backend,
            alias: backend,
            threshold: u32::MAX,
            link: 0,
        }
    }

    /// The link to a tier.
    pub const fn next(base: u32, count: u32, more: bool) -> Self {
        Self {
            backend: base,
            alias: count,
            threshold: more as u32,
            link: 1,
        }
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
    /// Tells one use of this index from the next: milliseconds of the monotonic clock when it was
    /// taken.
    pub generation: u32,
    /// What load is divided by when backends of one service are compared; drawing reads the slots.
    /// Above zero where the backend is in a slot.
    pub weight: u16,
    /// How long tracked sockets go on after the endpoint left; the agent frees the row then.
    pub drain_seconds: u16,
}

/// The half of a row of BACKENDS that the kernel programs write; cleared when the agent takes an
/// index.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct BackendLoad {
    /// Sockets that hold this backend: an [`occupancy`](crate::occupancy) word.
    pub live: u64,
    /// Connects answered with this backend.
    pub connects: u64,
    /// An [`Agreement`](crate::agreement::Agreement) word; the agent writes to it, too.
    pub health: u64,
    /// Moving average of the time to connect, of all clients, microseconds; zero while there is
    /// none.
    pub handshake: u32,
    /// Moving average of the time that connections of all clients are open, none for more than a
    /// second, microseconds; only for
    /// [`policy::LATENCY_AWARE`], zero while there is none.
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

/// A [`BackendEntry`] while others may write to it.
#[repr(C)]
#[derive(Debug)]
pub struct Backend {
    /// Written by the agent while nothing points at it, except for state, weight and drain.
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
    /// Left the configuration; the row stays for lookups under way.
    pub const RETIRED: u16 = 2;
    /// Takes no new connections but still serves: UDP flows stay.
    pub const DRAINING: u16 = 3;
    /// In the configuration but not serving, for instance not ready.
    pub const DOWN: u16 = 4;
}

/// Value of LOAD. Written by the kernel programs. Never cleared: sockets of the service that had an
/// id before count until they are closed, and whoever has the id by then must not see them counted
/// below zero.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct ServiceLoad {
    /// Sockets that count against [`ServiceRow::max_connections`]: an
    /// [`occupancy`](crate::occupancy) word.
    pub connections: u64,
    /// Connects answered in turn, for [`policy::ROUND_ROBIN`].
    pub turn: u64,
}

/// A [`ServiceLoad`] while others may write to it.
#[repr(C)]
#[derive(Debug)]
pub struct LiveService {
    /// [`ServiceLoad::connections`]
    pub connections: AtomicU64,
    /// [`ServiceLoad::turn`]
    pub turn: AtomicU64,
}

/// Value of COUNTERS: one `u64` per [`Counter`](crate::counter::Counter). Written by the kernel
/// programs.
pub type ServiceCounters = [u64; 16];

/// Value of NAMES: UTF-8 padded with zeros. `namespace/name:port/PROTOCOL` is at most 63 + 63 + 63
/// + 6 bytes long.
pub type NameRow = [u8; 200];

/// Value of SOCKETS: how a socket's last connect was answered. Written by the kernel programs, and
/// removed when the connection or the socket ends.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct SocketRow {
    /// What the program asked for.
    pub frontend: Addr,
    /// What it got.
    pub backend: Addr,
    /// Port asked for, network byte order.
    pub frontend_port: u16,
    /// Port it got, network byte order.
    pub backend_port: u16,
    /// Service id.
    pub service: u32,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
    /// The [client](crate::client) that connected.
    pub client: u32,
    /// Lower half of the cookie of the socket's network namespace.
    pub netns: u32,
    /// Bits of [`socket_state`], above them the [epoch](crate::occupancy) of the socket's
    /// reservations, and above that the socket's cookie: rows are recycled while they are read, so
    /// a hook that changes a state first compares the cookie.
    pub state: u64,
    /// Monotonic clock at the connect, nanoseconds, to some milliseconds unless the socket is
    /// [timed](socket_state::TIMED); zero for UDP.
    pub started: u64,
}

/// A [`SocketRow`] while other hooks may write to its state.
#[repr(C)]
#[derive(Debug)]
pub struct SocketRecord {
    /// [`SocketRow::frontend`]
    pub frontend: Addr,
    /// [`SocketRow::backend`]
    pub backend: Addr,
    /// [`SocketRow::frontend_port`]
    pub frontend_port: u16,
    /// [`SocketRow::backend_port`]
    pub backend_port: u16,
    /// [`SocketRow::service`]
    pub service: u32,
    /// [`SocketRow::backend_index`]
    pub backend_index: u32,
    /// [`SocketRow::generation`]
    pub generation: u32,
    /// [`SocketRow::client`]
    pub client: u32,
    /// [`SocketRow::netns`]
    pub netns: u32,
    /// [`SocketRow::state`]
    pub state: AtomicU64,
    /// [`SocketRow::started`]
    pub started: u64,
}

/// [`SocketRecord::state`]
pub mod socket_state {
    /// Number of bits, and position of the epoch, which has 14.
    pub const BITS: u32 = 16;
    /// Position of the cookie. Its 34 lower bits fit.
    pub const COOKIE: u32 = 30;
    /// The socket is to be closed when its backend leaves.
    pub const TRACKED: u64 = 1;
    /// It counts in [`BackendLoad::live`](super::BackendLoad::live).
    pub const HELD: u64 = 2;
    /// It counts there as connecting.
    pub const CONNECTING: u64 = 4;
    /// It counts in [`ServiceLoad::connections`](super::ServiceLoad::connections); while it is
    /// [pending](PENDING), as a reservation.
    pub const LIMITED: u64 = 8;
    /// Its connect counted as failed.
    pub const FAILED: u64 = 16;
    /// Its connect shows whether an ejected backend works.
    pub const TRIAL: u64 = 32;
    /// How long it is open counts in [`BackendLoad::duration`](super::BackendLoad::duration).
    pub const TIMED: u64 = 64;
    /// Its SYN is not sent yet: it holds nothing, but may have reservations.
    pub const PENDING: u64 = 128;
    /// It has a reservation in [`BackendLoad::live`](super::BackendLoad::live).
    pub const RESERVED: u64 = 256;
    /// The agent found that the socket is gone or not connected. Another connect of it takes this
    /// back.
    pub const SUSPECTED: u64 = 512;
    /// It was suspected for a while, and the agent gave back what it held. Its next connect makes a
    /// new row; this one goes, but not while a hook may have it in hand.
    pub const SETTLED: u64 = 1024;
    /// It is [LIMITED], and counts in SHARES as it does for the service.
    pub const SHARED: u64 = 2048;
}

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

/// Key of AFFINITY.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityKey {
    /// Cookie of the client's network namespace, or id of its cgroup.
    pub client: u64,
    /// Service id.
    pub service: u32,
    /// Tells apart the frontends of a service that lead to different backends: bit 0 is set for
    /// IPv4, bit 1 for
    /// [`service_flags::LOCAL`].
    pub variant: u32,
}

/// Value of AFFINITY. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct AffinityRow {
    /// Backend index in the low half, [`BackendRow::generation`] in the high one: swapped as one
    /// word.
    pub backend: u64,
    /// Monotonic clock at the last use, nanoseconds.
    pub used_at: u64,
    /// The [client](crate::client) that the row counts for.
    pub owner: u32,
    /// Zero.
    pub pad: u32,
}

/// Key of OUTCOMES.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct OutcomeKey {
    /// [`SocketRow::client`]
    pub client: u32,
    /// Backend index.
    pub backend: u32,
}

/// Value of OUTCOMES. Written by the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct OutcomeRow {
    /// A [`Health`](crate::ejection::Health) word.
    pub health: u64,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
    /// [`OutcomeKey::client`]
    pub client: u32,
}

/// An [`OutcomeRow`] while others may write to it.
#[repr(C)]
#[derive(Debug)]
pub struct Outcome {
    /// [`OutcomeRow::health`]
    pub health: AtomicU64,
    /// [`OutcomeRow::generation`]
    pub generation: u32,
    /// [`OutcomeRow::client`]
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
        assert_eq!(
            (size_of::<FrontendKey>(), align_of::<FrontendKey>()),
            (20, 4)
        );
        assert_eq!((size_of::<ServiceRow>(), align_of::<ServiceRow>()), (72, 8));
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (16, 4));
        assert_eq!((size_of::<BackendRow>(), align_of::<BackendRow>()), (32, 4));
        assert_eq!(
            (size_of::<BackendLoad>(), align_of::<BackendLoad>()),
            (32, 8)
        );
        assert_eq!((size_of::<BackendEntry>(), size_of::<Backend>()), (64, 64));
        assert_eq!(offset_of!(Backend, live), offset_of!(BackendEntry, load));
        assert_eq!(
            offset_of!(Backend, latency),
            size_of::<BackendRow>() + offset_of!(BackendLoad, handshake)
        );
        assert_eq!(
            offset_of!(BackendLoad, duration),
            offset_of!(BackendLoad, handshake) + 4,
            "little endian"
        );
        assert_eq!(size_of::<ServiceLoad>(), size_of::<LiveService>());
        assert_eq!(
            (size_of::<SocketRecord>(), align_of::<SocketRecord>()),
            (72, 8)
        );
        assert_eq!(size_of::<SocketRow>(), size_of::<SocketRecord>());
        assert_eq!(
            offset_of!(SocketRow, state),
            offset_of!(SocketRecord, state)
        );
        assert_eq!((size_of::<Flow>(), align_of::<Flow>()), (48, 4));
        assert_eq!(
            (size_of::<SocketFlows>(), size_of::<MoreFlows>()),
            (104, 2976)
        );
        assert_eq!(
            (size_of::<AffinityKey>(), size_of::<AffinityRow>()),
            (16, 24)
        );
        assert_eq!(size_of::<ClientUse>(), size_of::<ClientRows>());
        assert_eq!(
            offset_of!(ServiceRow, slot_base) % 8,
            0,
            "base and count are read as one word"
        );
        assert_eq!(offset_of!(BackendRow, state), 18);
        assert_eq!(offset_of!(BackendRow, generation), 24);
        assert_eq!(offset_of!(SocketRecord, service), 36);
        assert_eq!(offset_of!(ServiceRow, client), 68);
        assert_eq!(
            (
                size_of::<OutcomeRow>(),
                size_of::<Outcome>(),
                size_of::<OutcomeKey>()
            ),
            (16, 16, 8)
        );
    }

    #[test]
    fn every_counter_has_room() {
        assert!(crate::counter::Counter::ALL.len() <= size_of::<ServiceCounters>() / 8);
    }
}
