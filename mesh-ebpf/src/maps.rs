//! The maps of the kernel programs: a static for each map that [`mesh_common::abi::maps`] declares.
//! Numbers of rows are the defaults, which the agent may override when it creates the maps.

use core::sync::atomic::AtomicU64;

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, SkStorage},
    macros::btf_map,
};
use mesh_common::{
    abi::{maps::Kind, *},
    for_each_map,
};

macro_rules! statics {
    ($(
        $(#[$doc:meta])*
        $name:ident: $kind:ident<$key:ident, $row:ident $(as $live:ident)?>, rows: $rows:expr, writer: $writer:ident;
    )+) => {$(
        new_static!($name, map_type!($kind<$key, live!($row $($live)?)>, maps::$name.capacity() as usize));
    )+};
}

macro_rules! new_static {
    ($name:ident, $type:ty) => {
        #[btf_map]
        pub static $name: $type = <$type>::new();
    };
}

/// Expands to the type of a map's static.
macro_rules! map_type {
    (Hash<$key:ty, $row:ty>, $rows:expr) => { HashMap<$key, $row, { $rows }> };
    (HashOnDemand<$key:ty, $row:ty>, $rows:expr) => {
        HashMap<$key, $row, { $rows }, { Kind::HashOnDemand.flags() as usize }>
    };
    (LruHash<$key:ty, $row:ty>, $rows:expr) => { LruHashMap<$key, $row, { $rows }> };
    (Array<u32, $row:ty>, $rows:expr) => { Array<$row, { $rows }> };
    (MappedArray<u32, $row:ty>, $rows:expr) => {
        Array<$row, { $rows }, { Kind::MappedArray.flags() as usize }>
    };
    (PerCpuArray<u32, $row:ty>, $rows:expr) => { PerCpuArray<$row, { $rows }> };
    (SkStorage<u32, $row:ty>, $rows:expr) => { SkStorage<$row> };
}

/// Expands to the type that programs use for rows.
macro_rules! live {
    ($row:ident) => {
        $row
    };
    ($row:ident $live:ident) => {
        $live
    };
}

for_each_map!(statics);
