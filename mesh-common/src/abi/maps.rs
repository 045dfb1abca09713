//! Declares all maps: name, key, row, capacity and writer of each. Each is declared once, in
//! [`for_each_map`](crate::for_each_map). From its line follow the static of the kernel programs, a
//! [`MapDef`] here by which the agent creates, checks and opens the map, and its pin.

use core::{marker::PhantomData, sync::atomic::AtomicU64};

use super::{
    AffinityKey, AffinityRow, Backend, BackendEntry, ClientRows, ClientUse, ExcludedKey,
    FrontendKey, LiveService, MoreFlows, NameRow, Outcome, OutcomeKey, OutcomeRow, ServiceCounters,
    ServiceLoad, ServiceRow, ShareKey, Slot, SocketFlows, SocketRecord, SocketRow,
    capacity::{
        Capacity,
        Rows::{self, Backends, Fixed, PerSocket, Services, Slots, Sockets},
    },
};

/// Calls a macro with the table of all maps, one line for each:
///
/// ```text
/// /// What the key is → what the row is.
/// NAME: Kind<Key, Row>, rows: Rows, writer: agent;
/// ```
///
/// `NAME` is the name in the object file, the pin directory and `bpftool map`. `Kind` and `Rows` are
/// a [`Kind`](crate::abi::maps::Kind) and a [`Rows`](crate::abi::capacity::Rows). A row that changes
/// while it is read has two types of one layout, `Row as Live`: programs use `Live`, the agent
/// copies a `Row`.
#[macro_export]
macro_rules! for_each_map {
    ($callback:ident) => {
        $callback! {
            /// Frontend → service row.
            SERVICES: Hash<FrontendKey, ServiceRow>, rows: Services, writer: agent;
            /// Slot index → backend index.
            SLOTS: Array<u32, Slot>, rows: Slots, writer: agent;
            /// Backend index → address, configuration and live state of the backend.
            BACKENDS: MappedArray<u32, BackendEntry as Backend>, rows: Backends, writer: both;
            /// Service id → connections of the service as a whole.
            LOAD: Array<u32, ServiceLoad as LiveService>, rows: Services, writer: programs;
            /// Service id → its counters, per CPU.
            COUNTERS: PerCpuArray<u32, ServiceCounters>, rows: Services, writer: programs;
            /// Service id → its name. Only the agent reads it, so that a service keeps its id over
            /// a restart.
            NAMES: HashOnDemand<u32, NameRow>, rows: Services, writer: agent;
            /// Socket cookie → how its connect was answered.
            SOCKETS: Hash<u64, SocketRow as SocketRecord>, rows: Sockets, writer: programs;
            /// UDP socket → where its datagrams go, one entry for each service.
            FLOWS: SkStorage<u32, SocketFlows>, rows: PerSocket, writer: programs;
            /// UDP socket → the entries for which its row of FLOWS has no room.
            MORE_FLOWS: SkStorage<u32, MoreFlows>, rows: PerSocket, writer: programs;
            /// Pair of classes of socket cookies → for each, the number of rows in SOCKETS, 32 bits,
            /// so that sockets without a row need no hash lookup. A power of two.
            COOKIE_FILTER: Array<u32, u64 as AtomicU64>, rows: Fixed(32_768), writer: programs;
            /// Class of addresses → whether it has a frontend, a bit each; see
            /// [`filter`](crate::filter).
            ADDRESS_FILTER: Array<u32, u64>, rows: Fixed(1024), writer: agent;
            /// Client and service → backend, for services with session affinity. Further clients
            /// have none.
            AFFINITY: Hash<AffinityKey, AffinityRow>, rows: Fixed(65_536), writer: programs;
            /// Cgroups and network namespaces whose connects stay untouched.
            EXCLUDED: HashOnDemand<ExcludedKey, u64>, rows: Fixed(1024), writer: agent;
            /// Cgroups that contain clients and are not clients; see [`client`](crate::client).
            /// Below a group that has no row, all cgroups count as one client.
            GROUPS: HashOnDemand<u64, u64>, rows: Fixed(1024), writer: agent;
            /// Client and class of backends → outcomes of the client's connects. A new pair evicts the least
            /// recently used one.
            OUTCOMES: LruHash<OutcomeKey, OutcomeRow as Outcome>, rows: Fixed(65_536), writer: programs;
            /// Client and backend → latencies of the client's connections. A power of two; see
            /// [`latency`](crate::latency).
            LATENCIES: Array<u32, u64 as AtomicU64>, rows: Fixed(131_072), writer: programs;
            /// Class of clients → number of their rows in tables that all clients share. A power of
            /// two; see [`quota`](crate::quota).
            QUOTAS: Array<u32, ClientRows as ClientUse>, rows: Fixed(65_536), writer: programs;
            /// Service and client → the client's connections to the service, where the service
            /// limits them for each client. For further pairs only the service's own limit applies.
            SHARES: HashOnDemand<ShareKey, u64 as AtomicU64>, rows: Fixed(65_536), writer: programs;
            /// Cgroup → its client: a cache. A power of two.
            CLIENTS: Array<u32, u64>, rows: Fixed(1024), writer: both;
            /// State of the random numbers of each CPU.
            RANDOM: PerCpuArray<u32, u64>, rows: Fixed(1), writer: programs;
        }
    };
}

/// What a map is in the kernel: its type, and when rows are allocated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `BPF_MAP_TYPE_HASH`. All rows are allocated with the map.
    Hash,
    /// `BPF_MAP_TYPE_HASH`. A row is allocated when it is added.
    HashOnDemand,
    /// `BPF_MAP_TYPE_LRU_HASH`
    LruHash,
    /// `BPF_MAP_TYPE_ARRAY`
    Array,
    /// `BPF_MAP_TYPE_ARRAY`. The agent can map rows into its memory and write a part of a row; rows
    /// of 64 bytes are aligned to cache lines.
    MappedArray,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray,
    /// `BPF_MAP_TYPE_SK_STORAGE`
    SkStorage,
}

impl Kind {
    /// Returns the flags of the map, `include/uapi/linux/bpf.h`.
    pub const fn flags(self) -> u32 {
        const NO_PREALLOC: u32 = 1;
        const MMAPABLE: u32 = 1 << 10;
        match self {
            Self::Hash | Self::LruHash | Self::Array | Self::PerCpuArray => 0,
            Self::HashOnDemand | Self::SkStorage => NO_PREALLOC,
            Self::MappedArray => MMAPABLE,
        }
    }
}

/// Definition of a map whose keys are `K` and whose rows the agent copies as `V`.
#[derive(Clone, Copy, Debug)]
pub struct MapDef<K = (), V = ()> {
    /// Name in the object file, the pin directory and `bpftool map`.
    pub name: &'static str,
    /// Type and flags.
    pub kind: Kind,
    /// Size of a key, bytes.
    pub key_size: u32,
    /// Size of a row, bytes.
    pub row_size: u32,
    /// What decides the number of rows.
    pub rows: Rows,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> MapDef<K, V> {
    #[expect(clippy::cast_possible_truncation, reason = "keys and rows are small")]
    const fn new(name: &'static str, kind: Kind, rows: Rows) -> Self {
        Self {
            name,
            kind,
            key_size: size_of::<K>() as u32,
            row_size: size_of::<V>() as u32,
            rows,
            types: PhantomData,
        }
    }

    /// Returns the number of rows without settings, as in the object file.
    pub const fn capacity(&self) -> u32 {
        Capacity::DEFAULT.of(self.rows)
    }

    const fn untyped(&self) -> MapDef {
        MapDef {
            name: self.name,
            kind: self.kind,
            key_size: self.key_size,
            row_size: self.row_size,
            rows: self.rows,
            types: PhantomData,
        }
    }
}

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        $name:ident: $kind:ident<$key:ident, $row:ident $(as $live:ident)?>, rows: $rows:expr, writer: $writer:ident;
    )+) => {
        $(
            $(#[$doc])*
            #[doc = ""]
            #[doc = concat!("Writer: ", stringify!($writer), ".")]
            pub const $name: MapDef<$key, $row> = MapDef::new(stringify!($name), Kind::$kind, $rows);
            $(const _: () = assert!(size_of::<$row>() == size_of::<$live>());)?
        )+

        /// All maps.
        pub const ALL: &[MapDef] = &[$($name.untyped()),+];
    };
}

for_each_map!(define);
