//! The decisions' view of the kernel: [`mesh_common::connect::Kernel`] over the maps and the calling socket.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{helpers::bpf_get_prandom_u32, programs::SockAddrContext};
use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot, SocketRecord},
    connect::Kernel,
    counter::Counter,
};

use crate::maps::{BACKENDS, COUNTERS, LOAD, SERVICES, SLOTS, SOCKETS};

/// The maps, and the socket on whose behalf a hook runs.
pub struct Maps<'a>(pub &'a SockAddrContext);

impl Kernel for Maps<'_> {
    #[inline(always)]
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow> {
        let row = SERVICES.get_ptr(key)?;
        // SAFETY: the kernel returned a row of this map.
        let seen = unsafe { read_row(row) };
        if seen.key == *key {
            return Some(seen);
        }
        // The row was recycled under our eyes, so it was replaced; its successor is there by now. Should that be gone
        // as well, nobody serves this key at the moment.
        let again = SERVICES.get_ptr(key)?;
        // SAFETY: as above.
        let seen = unsafe { read_row(again) };
        Some(if seen.key == *key { seen } else { ServiceRow { slot_count: 0, ..seen } })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        // Read whole: else the compiler chooses between two addresses in the row instead of between two values, and
        // the verifier refuses such arithmetic to agents without CAP_PERFMON.
        // SAFETY: the kernel returned a row of this map.
        SLOTS.get_ptr(index).map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&BackendRow> {
        BACKENDS.get(index)
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn count(&self, service: u32, counter: Counter) {
        let Some(row) = COUNTERS.get_ptr_mut(service) else { return };
        // SAFETY: the index is below the length of the row (tested in mesh-common), whose memory lives as long as the map.
        unsafe { increment(row.cast::<u64>().add(counter.index())) };
    }

    #[inline(always)]
    fn count_backend(&self, index: u32) {
        let Some(row) = LOAD.get_ptr_mut(index) else { return };
        // SAFETY: the row lives as long as the map.
        unsafe { increment(&raw mut (*row).connects) };
    }

    #[inline(always)]
    fn record(&self, record: &SocketRecord) -> bool {
        // SAFETY: the context's socket is valid while the hook runs.
        let row = unsafe { SOCKETS.get_or_insert_ptr_mut(self.0, None) };
        if row.is_null() {
            return false;
        }
        let words: [u64; size_of::<SocketRecord>() / 8] = bytemuck::cast(*record);
        for (index, word) in words.into_iter().enumerate() {
            // Word by word: for a plain copy the compiler calls a byte-wise `memset`, which is slow and which the
            // verifier refuses to agents without CAP_PERFMON.
            // SAFETY: the kernel returned storage of the record's size, owned by the calling socket.
            unsafe { row.cast::<u64>().add(index).write_volatile(word) };
        }
        true
    }

    #[inline(always)]
    fn forget(&self) {
        // SAFETY: the context's socket is valid while the hook runs, and so is its storage.
        if let Some(row) = unsafe { SOCKETS.get_ptr_mut(self.0).as_mut() } {
            row.backend_port = 0;
        }
    }
}

/// Reads the range in one load and the key after it; see [`ServiceRow`].
///
/// # Safety
/// `row` must be a row of SERVICES.
#[inline(always)]
unsafe fn read_row(row: *const ServiceRow) -> ServiceRow {
    // SAFETY: promised by the caller; `slot_base` and `slot_count` are one aligned word (tested in mesh-common).
    unsafe {
        let range = (&raw const (*row).slot_base).cast::<u64>().read_volatile();
        let id = (&raw const (*row).id).read_volatile();
        let key = (&raw const (*row).key).read_volatile();
        ServiceRow { key, id, slot_base: range as u32, slot_count: (range >> 32) as u32 }
    }
}

/// One atomic add. Per-CPU rows need it too: a program may be preempted by another on the same CPU.
///
/// # Safety
/// `cell` must lie in a map value.
#[inline(always)]
unsafe fn increment(cell: *mut u64) {
    // The target has no compare-and-swap by default, so `AtomicU64` lacks its methods; the intrinsic is what they call.
    // SAFETY: promised by the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(cell, 1) };
}
