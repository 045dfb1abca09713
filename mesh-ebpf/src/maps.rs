//! All maps of the kernel programs. Rows and their writers are described in [`mesh_common::abi`];
//! sizes are the defaults, which the agent may override when it creates the maps.

use core::sync::atomic::AtomicU64;

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, SkStorage},
    macros::btf_map,
};
use mesh_common::abi::{
    AffinityKey, AffinityRow, Backend, ClientUse, ExcludedKey, FrontendKey, LiveService, MoreFlows,
    NameRow, Outcome, OutcomeKey, ServiceCounters, ServiceRow, ShareKey, Slot, SocketFlows,
    SocketRecord, capacity,
};

/// `BPF_F_NO_PREALLOC`: the kernel allocates a row when it is added.
const NO_PREALLOC: usize = 1;
/// `BPF_F_MMAPABLE`: the agent can write a part of a row, and rows of 64 bytes are aligned to cache
/// lines.
const MMAPABLE: usize = 1 << 10;

#[btf_map]
pub static SERVICES: HashMap<FrontendKey, ServiceRow, { capacity::SERVICES as usize }> =
    HashMap::new();

#[btf_map]
pub static SLOTS: Array<Slot, { capacity::SLOTS as usize }> = Array::new();

#[btf_map]
pub static BACKENDS: Array<Backend, { capacity::BACKENDS as usize }, MMAPABLE> = Array::new();

#[btf_map]
pub static LOAD: Array<LiveService, { capacity::SERVICES as usize }> = Array::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<ServiceCounters, { capacity::SERVICES as usize }> =
    PerCpuArray::new();

#[btf_map]
pub static NAMES: HashMap<u32, NameRow, { capacity::SERVICES as usize }, NO_PREALLOC> =
    HashMap::new();

#[btf_map]
pub static SOCKETS: HashMap<u64, SocketRecord, { capacity::SOCKETS as usize }> = HashMap::new();

#[btf_map]
pub static COOKIE_FILTER: Array<AtomicU64, { capacity::COOKIE_FILTER as usize }> = Array::new();

#[btf_map]
pub static ADDRESS_FILTER: Array<u64, { capacity::ADDRESS_FILTER as usize }> = Array::new();

#[btf_map]
pub static FLOWS: SkStorage<SocketFlows> = SkStorage::new();

#[btf_map]
pub static MORE_FLOWS: SkStorage<MoreFlows> = SkStorage::new();

#[btf_map]
pub static AFFINITY: HashMap<AffinityKey, AffinityRow, { capacity::AFFINITY as usize }> =
    HashMap::new();

#[btf_map]
pub static LATENCIES: Array<AtomicU64, { capacity::LATENCIES as usize }> = Array::new();

#[btf_map]
pub static QUOTAS: Array<ClientUse, { capacity::QUOTAS as usize }> = Array::new();

#[btf_map]
pub static SHARES: HashMap<ShareKey, AtomicU64, { capacity::SHARES as usize }, NO_PREALLOC> =
    HashMap::new();

#[btf_map]
pub static EXCLUDED: HashMap<ExcludedKey, u64, { capacity::EXCLUDED as usize }, NO_PREALLOC> =
    HashMap::new();

#[btf_map]
pub static GROUPS: HashMap<u64, u64, { capacity::GROUPS as usize }, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub static CLIENTS: Array<u64, { capacity::CLIENTS as usize }> = Array::new();

#[btf_map]
pub static RANDOM: PerCpuArray<u64, 1> = PerCpuArray::new();

#[btf_map]
pub static OUTCOMES: LruHashMap<OutcomeKey, Outcome, { capacity::OUTCOMES as usize }> =
    LruHashMap::new();
