//! Rows of maps: single ones, and batches.

use std::{io, os::fd::AsFd};

use bytemuck::{Pod, Zeroable};

use super::{address, bpf, raw};

const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Elem {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Whether the kernel refuses this thread the use of maps by their descriptors. It looks at
/// capabilities before it looks at the descriptor, which is not one.
/// <https://github.com/torvalds/linux/blob/v5.15/kernel/bpf/syscall.c>
pub(in crate::dataplane) fn refuses_map_access() -> bool {
    let mut attr = Elem {
        map_fd: u32::MAX,
        ..Zeroable::zeroed()
    };
    let refused = bpf(BPF_MAP_LOOKUP_ELEM, &mut attr);
    refused.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// Reads the value of one key.
pub(in crate::dataplane) fn lookup<K: Pod, V: Pod>(map: &impl AsFd, key: &K) -> io::Result<V> {
    let (key, mut value) = (address(key), V::zeroed());
    let attr = Elem {
        map_fd: raw(map.as_fd()),
        pad: 0,
        key,
        value: address(&raw mut value),
        flags: 0,
    };
    bpf(BPF_MAP_LOOKUP_ELEM, &mut { attr }).map(|_| value)
}

/// Deletes one key.
pub(in crate::dataplane) fn delete<K: Pod>(map: &impl AsFd, key: &K) -> io::Result<()> {
    let key = address(key);
    bpf(
        BPF_MAP_DELETE_ELEM,
        &mut Elem {
            map_fd: raw(map.as_fd()),
            pad: 0,
            key,
            value: 0,
            flags: 0,
        },
    )
    .map(drop)
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Writes `keys[i] → values[i]`. For a per-CPU map, each key has as many values as there are CPUs.
/// An error comes with the number of rows that were written.
pub(in crate::dataplane) fn update_batch<K: Pod, V: Pod>(
    map: &impl AsFd,
    keys: &[K],
    values: &[V],
) -> Result<(), (usize, io::Error)> {
    assert!(values.len() >= keys.len(), "a value for every key");
    let mut attr = Batch {
        keys: address(keys.as_ptr()),
        values: address(values.as_ptr()),
        count: u32::try_from(keys.len()).expect("a batch fits into 32 bits"),
        map_fd: raw(map.as_fd()),
        ..Batch::zeroed()
    };
    bpf(BPF_MAP_UPDATE_BATCH, &mut attr)
        .map(drop)
        .map_err(|error| (attr.count as usize, error))
}

/// Position of a scan of a map, in the kernel's own format.
#[derive(Clone, Copy, Default)]
pub(in crate::dataplane) struct Cursor(Option<u64>);

impl Cursor {
    /// Creates the cursor of a scan of an array from `index` on.
    pub(in crate::dataplane) fn at(index: u32) -> Self {
        // The kernel continues after the key of the cursor.
        Self(index.checked_sub(1).map(u64::from))
    }
}

/// Reads up to `keys.len()` rows from `cursor` on and advances it. Returns the number of rows, and
/// whether the map has ended. `values` holds `keys.len()` values of the map's size (of all CPUs,
/// for a per-CPU map).
pub(in crate::dataplane) fn lookup_batch<K: Pod, V: Pod>(
    map: &impl AsFd,
    cursor: &mut Cursor,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<(usize, bool)> {
    let (count, values) = (keys.len(), bytemuck::cast_slice_mut(values));
    lookup_batch_bytes(map, cursor, count, bytemuck::cast_slice_mut(keys), values)
}

/// Does what [`lookup_batch`] does, for up to `count` rows of any size, which must fit.
pub(in crate::dataplane) fn lookup_batch_bytes(
    map: &impl AsFd,
    cursor: &mut Cursor,
    count: usize,
    keys: &mut [u8],
    values: &mut [u8],
) -> io::Result<(usize, bool)> {
    let start = cursor.0.unwrap_or_default();
    let mut next = 0_u64;
    let mut attr = Batch {
        in_batch: if cursor.0.is_some() {
            address(&raw const start)
        } else {
            0
        },
        out_batch: address(&raw mut next),
        keys: address(keys.as_mut_ptr()),
        values: address(values.as_mut_ptr()),
        count: u32::try_from(count).expect("a batch fits into 32 bits"),
        map_fd: raw(map.as_fd()),
        ..Batch::zeroed()
    };
    let result = bpf(BPF_MAP_LOOKUP_BATCH, &mut attr);
    cursor.0 = Some(next);
    match result {
        Ok(_) => Ok((attr.count as usize, false)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((attr.count as usize, true)),
        Err(error) => Err(error),
    }
}
