//! The decisions' view of the kernel: [`mesh_common::kernel`] over the maps and the calling socket.
//!
//! This file reads and writes rows. [`clock`] has the coarse time; [`caller`] says which socket and
//! which client call; [`choose`] and [`sockets`] have the global functions.

mod caller;
mod choose;
mod clock;
mod global;
mod sockets;

use core::{mem::MaybeUninit, ptr, sync::atomic::AtomicU64};

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns};
use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, Backend, FrontendKey, LiveService, Outcome, OutcomeKey,
        OutcomeRow, Resource, ServiceCounters, ServiceRow, ShareKey, Slot, SocketRecord, SocketRow,
        capacity, maps,
    },
    atomic,
    counter::Counter,
    filter,
    hash::next_random,
    kernel::Kernel,
    quota,
    sum::Sum,
};

use self::global::global_functions;
pub use self::{caller::is_in_node, sockets::release};
use crate::maps::{
    ADDRESS_FILTER, AFFINITY, BACKENDS, COOKIE_FILTER, COUNTERS, LATENCIES, LOAD, OUTCOMES, QUOTAS,
    RANDOM, SERVICES, SHARES, SLOTS, SOCKETS,
};

/// Set by the agent before loading: a client's quota of rows of SOCKETS and FLOWS, and of AFFINITY.
#[unsafe(no_mangle)]
static SOCKETS_PER_CLIENT: u32 = capacity::SOCKETS / 4;
#[unsafe(no_mangle)]
static AFFINITY_PER_CLIENT: u32 = maps::AFFINITY.capacity() / 4;

/// `BPF_NOEXIST`: add, do not replace.
const NOEXIST: u64 = 1;

/// The maps, and the context of the calling hook.
pub struct Maps<C>(pub C);

impl<C> Kernel for Maps<C> {
    #[inline(always)]
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow> {
        let (word, bit) = filter::place(&key.addr);
        // SAFETY: the kernel returned a row of this map.
        if unsafe { ADDRESS_FILTER.get_ptr(word)?.read_volatile() } & bit == 0 {
            return None;
        }
        // SAFETY: the kernel returned a row of this map.
        if !unsafe { read_row(SERVICES.get_ptr(key)?, key, into) }
            && read_again(key, into.as_mut_ptr()) == 0
        {
            return None;
        }
        // SAFETY: written above.
        Some(unsafe { into.assume_init_ref() })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        // Read whole: else the compiler chooses between two addresses in the row instead of between
        // two values, and the verifier refuses such arithmetic to agents without CAP_PERFMON.
        // SAFETY: the kernel returned a row of this map.
        SLOTS
            .get_ptr(index)
            .map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&Backend> {
        BACKENDS.get(index)
    }

    #[inline(always)]
    fn live_service(&self, id: u32) -> Option<&LiveService> {
        LOAD.get(id)
    }

    #[inline(always)]
    fn share(&self, key: &ShareKey) -> Option<&AtomicU64> {
        // SAFETY: the kernel returned a row of this map, whose memory lives as long as the map.
        SHARES.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn add_share(&self, key: &ShareKey) {
        _ = SHARES.insert(key, &AtomicU64::new(0), NOEXIST);
    }

    #[inline(always)]
    fn socket(&self, cookie: u64) -> *mut SocketRecord {
        if may_have_row(cookie) {
            SOCKETS.get_ptr_mut(cookie).unwrap_or(ptr::null_mut())
        } else {
            ptr::null_mut()
        }
    }

    #[inline(always)]
    fn remember(&self, cookie: u64, row: &SocketRow) -> bool {
        let Some((rows, one)) = rows_like(cookie) else {
            return false;
        };
        if !take(row.client, Resource::Sockets) {
            return false;
        }
        // Before the row, so that no program that looks for the row finds a count of zero.
        atomic::count(rows, one);
        // SAFETY: the kernel copies one value of the map's size; both types have the same layout.
        let record = unsafe { &*ptr::from_ref(row).cast::<SocketRecord>() };
        let made = SOCKETS.insert(cookie, record, NOEXIST).is_ok();
        if !made {
            atomic::count(rows, one.wrapping_neg());
            self.give_back(row.client, Resource::Sockets, 1);
        }
        made
    }

    #[inline(always)]
    fn forget(&self, cookie: u64, client: u32) {
        if SOCKETS.remove(cookie).is_ok()
            && let Some((rows, one)) = rows_like(cookie)
        {
            atomic::count(rows, one.wrapping_neg());
            self.give_back(client, Resource::Sockets, 1);
        }
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        // SAFETY: the kernel returned a row of this map.
        AFFINITY
            .get_ptr(key)
            .map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        if !take(row.owner, Resource::Affinity) {
            return false;
        }
        if AFFINITY.insert(key, row, NOEXIST).is_ok() {
            return true;
        }
        self.give_back(row.owner, Resource::Affinity, 1);
        AFFINITY.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow) {
        let Some(cell) = AFFINITY.get_ptr_mut(key) else {
            return;
        };
        // SAFETY: the kernel returned a row of this map; both words are aligned.
        unsafe {
            if atomic::replace(
                AtomicU64::from_ptr(&raw mut (*cell).backend),
                old,
                row.backend,
            ) {
                (&raw mut (*cell).used_at).write_volatile(row.used_at);
            }
        }
    }

    #[inline(always)]
    fn outcome(&self, key: &OutcomeKey) -> Option<&Outcome> {
        // SAFETY: the kernel returned a row of this map, whose memory lives as long as the map.
        OUTCOMES.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool {
        // SAFETY: the kernel copies one value of the map's size; both types have the same layout.
        let outcome = unsafe { &*ptr::from_ref(row).cast::<Outcome>() };
        if OUTCOMES.insert(key, outcome, NOEXIST).is_ok() {
            return true;
        }
        // A row of the same backend and generation was written by another connect of this client: keep it.
        let is_same = OUTCOMES.get_ptr(key).is_some_and(|known| {
            // SAFETY: the kernel returned a row of this map.
            unsafe {
                (&raw const (*known).generation).read_volatile() == row.generation
                    && (&raw const (*known).backend).read_volatile() == row.backend
            }
        });
        !is_same && OUTCOMES.insert(key, outcome, 0).is_ok()
    }

    #[inline(always)]
    fn drop_outcome(&self, key: &OutcomeKey) {
        _ = OUTCOMES.remove(key);
    }

    #[inline(always)]
    fn latency(&self, row: u32) -> Option<&AtomicU64> {
        LATENCIES.get(row)
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        let Some(row) = RANDOM.get_ptr_mut(0) else {
            return 0;
        };
        // SAFETY: the kernel returned a row of this map; the helper takes no arguments and cannot
        // fail. A program that preempts this one may get the same number.
        unsafe {
            let mut state = row.read_volatile();
            if state == 0 {
                state = u64::from(bpf_get_prandom_u32()) << 32 | 1;
            }
            let (next, bits) = next_random(state);
            row.write_volatile(next);
            bits
        }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn coarse_now(&self) -> u64 {
        clock::coarse_now()
    }

    #[inline(always)]
    fn tick_now(&self) -> u64 {
        clock::tick_now()
    }

    #[inline(always)]
    fn give_back(&self, client: u32, resource: Resource, rows: u32) {
        if let Some(used) = QUOTAS.get(quota::place(client)) {
            quota::give_back(used, resource, rows.into());
        }
    }

    #[inline(always)]
    fn count(&self, service: u32, counter: Counter) {
        let Some(row) = COUNTERS.get_ptr_mut(service) else {
            return;
        };
        // Per-CPU rows need an atomic add too: a program may be preempted by another on the same
        // CPU. SAFETY: the index is below the length of the row (tested in mesh-common), whose
        // memory lives as long as the map.
        let cell = unsafe { AtomicU64::from_ptr(row.cast::<u64>().add(counter.index())) };
        atomic::count(cell, 1);
    }

    #[inline(always)]
    fn add_to(&self, sum: Sum, row: u32, by: u64) {
        let cell = match sum {
            // SAFETY: as in `count`; the place is masked to the length of the row.
            Sum::Counter(place) => COUNTERS.get_ptr_mut(row).map(|row| unsafe {
                let last = size_of::<ServiceCounters>() / size_of::<u64>() - 1;
                AtomicU64::from_ptr(row.cast::<u64>().add(usize::from(place) & last))
            }),
            Sum::Connects => BACKENDS.get(row).map(|backend| &backend.connects),
            Sum::Quota(resource) => QUOTAS.get(row).map(|used| used.of(resource)),
            Sum::Cookies => COOKIE_FILTER.get(row),
        };
        if let Some(cell) = cell {
            atomic::count(cell, by);
        }
    }
}

global_functions! {
    // Few reads are repeated: the row was recycled meanwhile, so the agent has replaced it. If its
    // successor is recycled as well, the key has no backend at this moment.
    fn read_again(key: *const FrontendKey, into: *mut ServiceRow) -> u32 {
        // A copy on the stack: Linux 6.1 takes no other memory as the key of a map.
        let key = core::hint::black_box(*key);
        let Some(row) = SERVICES.get_ptr(&key) else {
            return 0;
        };
        // SAFETY: the kernel returned a row of this map; any row may be overwritten.
        let is_whole = unsafe { read_row(row, &key, &mut *ptr::from_mut(into).cast()) };
        if !is_whole {
            (into.slot_count, into.flags) = (0, 0);
        }
        1
    } or 0;
}

/// Counts a row for a client. Returns false at the client's quota.
#[inline(always)]
fn take(client: u32, resource: Resource) -> bool {
    let Some(used) = QUOTAS.get(quota::place(client)) else {
        return false;
    };
    // SAFETY: constants of this object, set before it was loaded.
    let most = unsafe {
        match resource {
            Resource::Sockets | Resource::Flows => (&raw const SOCKETS_PER_CLIENT).read_volatile(),
            Resource::MoreFlows => {
                (&raw const SOCKETS_PER_CLIENT).read_volatile() / quota::SMALL_PER_LARGE
            }
            Resource::Affinity => (&raw const AFFINITY_PER_CLIENT).read_volatile(),
        }
    };
    quota::take(used, resource, most)
}

/// Returns whether SOCKETS may have a row for this cookie.
#[inline(always)]
pub fn may_have_row(cookie: u64) -> bool {
    rows_like(cookie).is_some_and(|(rows, one)| {
        let rows = atomic::read(rows);
        (if one == 1 {
            rows as u32
        } else {
            (rows >> 32) as u32
        }) != 0
    })
}

/// Returns the word that has the number of rows of SOCKETS for cookies of this class, and the unit
/// in which that number counts in the word: the lower half, or the upper one. A counting filter in
/// front of the hash map: sockets opened one after the other on a CPU have consecutive cookies, so
/// their counts share cache lines, and a socket without a row costs no hash lookup.
#[inline(always)]
fn rows_like<'a>(cookie: u64) -> Option<(&'a AtomicU64, u64)> {
    let class = cookie as u32 & (2 * maps::COOKIE_FILTER.capacity() - 1);
    let rows = COOKIE_FILTER.get(class >> 1)?;
    Some((rows, if class & 1 == 0 { 1 } else { 1 << 32 }))
}

/// Copies a row. Returns whether the copy is of one row; see [`ServiceRow`].
///
/// # Safety
/// `row` must be a row of SERVICES.
#[inline(always)]
unsafe fn read_row(
    row: *const ServiceRow,
    key: &FrontendKey,
    into: &mut MaybeUninit<ServiceRow>,
) -> bool {
    // SAFETY: promised by the caller; `slot_base` and `slot_count` are one aligned word (tested in
    // mesh-common).
    unsafe {
        let range = (&raw const (*row).slot_base).cast::<u64>();
        let before = range.read_volatile();
        // Word by word into the caller's memory: a copy by value would be on the stack twice.
        for word in 0..size_of::<ServiceRow>() / 8 {
            let value = row.cast::<u64>().add(word).read_volatile();
            into.as_mut_ptr()
                .cast::<u64>()
                .add(word)
                .write_volatile(value);
        }
        let is_ours = (0..size_of::<FrontendKey>() / 4).all(|word| {
            row.cast::<u32>().add(word).read_volatile()
                == ptr::from_ref(key).cast::<u32>().add(word).read()
        });
        is_ours && range.read_volatile() == before
    }
}
