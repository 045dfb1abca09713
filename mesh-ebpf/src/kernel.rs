//! The decisions' view of the kernel: [`mesh_common::kernel::Kernel`] over the maps and the calling socket.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
    ptr,
};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_netns_cookie, bpf_get_prandom_u32,
        bpf_get_socket_cookie, bpf_ktime_get_ns,
    },
    programs::SockAddrContext,
};
use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, BackendRow, ExcludedKey, FrontendKey, ServiceRow, Slot, SocketFlows, SocketRecord,
        TrackedSocket, excluded_kind,
    },
    counter::Counter,
    kernel::Kernel,
};

use crate::maps::{AFFINITY, BACKENDS, COUNTERS, EXCLUDED, FLOWS, LOAD, SERVICES, SLOTS, SOCKETS, TRACKED};

/// Set by the agent before loading: whether EXCLUDED has rows. While it has none the verifier drops the check.
#[unsafe(no_mangle)]
static EXCLUSIONS: u32 = 0;

/// Cgroups deeper than this below the root are not looked at for exclusion.
const CGROUP_DEPTH: i32 = 12;

/// `BPF_NOEXIST`: add, do not replace.
const NOEXIST: u64 = 1;

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
    fn now(&self) -> u64 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn client(&self, by_cgroup: bool) -> u64 {
        // SAFETY: the helpers take the context or nothing, and cannot fail.
        unsafe { if by_cgroup { bpf_get_current_cgroup_id() } else { bpf_get_netns_cookie(self.0.as_ptr()) } }
    }

    #[inline(always)]
    fn excluded(&self) -> bool {
        // SAFETY: a constant of this object, set before it was loaded.
        if unsafe { (&raw const EXCLUSIONS).read_volatile() } == 0 {
            return false;
        }
        if is_excluded(excluded_kind::NETNS, self.client(false)) {
            return true;
        }
        for level in 0..CGROUP_DEPTH {
            // SAFETY: the helper returns zero for a level that the task's cgroup does not have.
            let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
            if id == 0 {
                break;
            }
            if is_excluded(excluded_kind::CGROUP, id) {
                return true;
            }
        }
        false
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
    fn recorded(&self) -> Option<&SocketRecord> {
        // SAFETY: the context's socket is valid while the hook runs, and so is its storage.
        unsafe { SOCKETS.get_ptr_mut(self.0).as_ref() }
    }

    #[inline(always)]
    fn forget(&self) {
        // SAFETY: as above.
        let Some(row) = (unsafe { SOCKETS.get_ptr_mut(self.0).as_mut() }) else { return };
        row.backend_port = 0;
        if row.tracked != 0 {
            row.tracked = 0;
            // Whether it was there does not matter.
            _ = TRACKED.remove(self.cookie());
        }
    }

    #[inline(always)]
    fn track(&self, socket: &TrackedSocket) -> bool {
        TRACKED.insert(self.cookie(), socket, 0).is_ok()
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        // SAFETY: the kernel returned a row of this map.
        AFFINITY.get_ptr(key).map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        match AFFINITY.insert(key, row, NOEXIST) {
            Ok(()) => true,
            Err(_) => AFFINITY.get_ptr(key).is_some(),
        }
    }

    #[inline(always)]
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow) {
        let Some(cell) = AFFINITY.get_ptr_mut(key) else { return };
        // SAFETY: the kernel returned a row of this map; both words are aligned.
        unsafe {
            let (_, moved) = atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                &raw mut (*cell).backend,
                old,
                row.backend,
            );
            if moved {
                (&raw mut (*cell).used_at).write_volatile(row.used_at);
            }
        }
    }

    #[inline(always)]
    fn flows(&self, create: bool) -> *mut SocketFlows {
        // SAFETY: the context's socket is valid while the hook runs.
        unsafe {
            let flows = FLOWS.get_ptr_mut(self.0);
            if flows.is_null() && create { FLOWS.get_or_insert_ptr_mut(self.0, None) } else { flows }
        }
    }
}

impl Maps<'_> {
    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context and cannot fail.
        unsafe { bpf_get_socket_cookie(self.0.as_ptr()) }
    }
}

#[inline(always)]
fn is_excluded(kind: u64, id: u64) -> bool {
    EXCLUDED.get_ptr(ExcludedKey { id, kind }).is_some()
}

/// A socket is closed: what is kept outside of it goes with it. `socket` is the hook's context.
#[inline(always)]
pub fn release(socket: *mut core::ffi::c_void) {
    // SAFETY: the hook's context is the socket; a map is named by its address, as everywhere.
    let record = unsafe {
        aya_ebpf::helpers::generated::bpf_sk_storage_get(
            (&raw const SOCKETS).cast_mut().cast(),
            socket,
            ptr::null_mut(),
            0,
        )
        .cast::<SocketRecord>()
        .as_ref()
    };
    if record.is_some_and(|record| record.tracked != 0) {
        // SAFETY: the helper takes the context and cannot fail.
        let cookie = unsafe { bpf_get_socket_cookie(socket) };
        // Whether it was there does not matter.
        _ = TRACKED.remove(cookie);
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
        let flags = (&raw const (*row).flags).read_volatile();
        let affinity_seconds = (&raw const (*row).affinity_seconds).read_volatile();
        let key = (&raw const (*row).key).read_volatile();
        ServiceRow { key, id, slot_base: range as u32, slot_count: (range >> 32) as u32, flags, affinity_seconds }
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
