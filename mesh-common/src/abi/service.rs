//! Rows of a service: SERVICES, LOAD, COUNTERS and NAMES.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Transport protocol, by its IP protocol number.
pub mod protocol {
    /// `IPPROTO_TCP`
    pub const TCP: u8 = 6;
    /// `IPPROTO_UDP`
    pub const UDP: u8 = 17;
}

/// Key of SERVICES: the destination of a connect. Written by the agent.
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
/// The kernel may reuse the memory of a replaced or deleted row for another key while a program
/// still reads it: hash maps recycle their elements without waiting for readers. So the row
/// contains its key, which is written first. A reader that copies the row, and then finds its own
/// key and the same slot range in it, has a copy of one row.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct ServiceRow {
    /// The key of this row.
    pub key: FrontendKey,
    /// Index into COUNTERS and LOAD, key of NAMES; shared by all frontends of one service port.
    pub id: u32,
    /// First slot of the first tier; with [`service_flags::CONTIGUOUS`] the first backend.
    pub slot_base: u32,
    /// Number of slots of the first tier; zero when there is no backend.
    pub slot_count: u32,
    /// Bits of [`service_flags`].
    pub flags: u32,
    /// Time for which a client stays with its backend after its last connect, seconds; zero for no
    /// session affinity.
    pub affinity_seconds: u32,
    /// Limit of concurrent connections of the service; zero for none.
    pub max_connections: u32,
    /// Limit of concurrent connections of each of its backends; zero for none.
    pub max_backend_connections: u32,
    /// Limit of concurrent connections of one [client](crate::client); zero for none. Only where one
    /// of the two limits above is set.
    pub max_client_connections: u32,
    /// First ejection of a backend, milliseconds.
    pub base_ejection: u32,
    /// Longest ejection of a backend, milliseconds.
    pub max_ejection: u32,
    /// Time after which a connect without an answer has failed, milliseconds.
    pub connect_timeout: u16,
    /// Load per weight, relative to the next tier, above which a connect leaves a tier, in 1/100;
    /// zero for never.
    pub spill: u16,
    /// Consecutive failures that eject a backend; zero for no ejection.
    pub failures: u8,
    /// Share of a tier's capacity that a client's own ejections may take out, percent.
    pub max_ejected: u8,
    /// Share of the last tier's usable capacity below which a client's own ejections are ignored,
    /// percent.
    pub panic: u8,
    /// Share of a tier's usable capacity below which the next tier gets the missing part, percent.
    pub failover: u8,
    /// One of [`policy`].
    pub policy: u8,
    /// One of [`hash_key`]; for [`policy::CONSISTENT_HASH`].
    pub hash_key: u8,
    /// As `max_ejected`, for ejections by agreement of several clients.
    pub max_agreed: u8,
    /// As `panic`, for ejections by agreement of several clients.
    pub panic_agreed: u8,
    /// Zero in the map. In the copy that a decision works with, the [client](crate::client) of the
    /// connect.
    pub client: u32,
    /// Zero in the map. In the copy that a connect works with, the
    /// [epoch](crate::occupancy) of its reservations; zero where the service [has no
    /// limits](Self::has_limits).
    pub epoch: u32,
}

impl ServiceRow {
    /// Returns whether the service limits its connections. Then each of them must be recorded.
    #[inline(always)]
    pub const fn has_limits(&self) -> bool {
        self.max_connections | self.max_backend_connections != 0
    }

    /// Returns whether connects must enter the service as a whole before a backend is chosen.
    #[inline(always)]
    pub const fn is_entered(&self) -> bool {
        self.max_connections | self.max_client_connections != 0
    }

    /// Returns the epoch of the reservations of the connect that works with this copy.
    #[inline(always)]
    pub const fn epoch(&self) -> u64 {
        self.epoch as u64
    }
}

/// Bits of [`ServiceRow::flags`]
pub mod service_flags {
    /// The agent closes connected sockets when their backend leaves the configuration. Set for UDP,
    /// and for TCP on request.
    pub const TRACK: u32 = 1;
    /// Session affinity is per cgroup instead of per network namespace.
    pub const AFFINITY_BY_CGROUP: u32 = 2;
    /// The slots contain only endpoints of this node. Other frontends of the service may lead to
    /// other endpoints.
    pub const LOCAL: u32 = 4;
    /// The slot after the first tier is a [link](crate::abi::Slot::next) to the next.
    pub const TIERS: u32 = 8;
    /// The service has no slots: slot n is the backend with index `slot_base` + n, as a full
    /// column. Spares the lookup in SLOTS where backends with equal weights have consecutive
    /// indexes. Never with [`TIERS`].
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
    /// The slot to which the caller hashes.
    pub const CONSISTENT_HASH: u8 = 4;
}

/// [`ServiceRow::hash_key`]: the attribute of the caller that is hashed.
pub mod hash_key {
    /// Its network namespace.
    pub const NETNS: u8 = 0;
    /// Its cgroup.
    pub const CGROUP: u8 = 1;
    /// The address to which its socket is bound; its network namespace while the socket is not
    /// bound.
    pub const SOURCE_ADDRESS: u8 = 2;
}

/// Value of LOAD. Written by the kernel programs. Never cleared when an id is reused: sockets of
/// the previous service count until they close, and the count must not fall below zero then.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct ServiceLoad {
    /// Sockets that count against [`ServiceRow::max_connections`]: an
    /// [`occupancy`](crate::occupancy) word.
    pub connections: u64,
    /// Connects answered so far, for [`policy::ROUND_ROBIN`].
    pub turn: u64,
}

/// A [`ServiceLoad`] while other programs may write to it.
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
