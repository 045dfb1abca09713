//! The coarse clock, which the kernel advances once a tick. The call of a helper is dear, so one
//! connect a tick reads the clock, and the others use the time that this one stored.

use core::sync::atomic::AtomicU64;

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns};
use mesh_common::{atomic, hash::GOLDEN_64};

/// The stored time, nanoseconds.
static TIME: AtomicU64 = AtomicU64::new(0);
/// The stored time, combined with its tick. Two words that were stored in different ticks, by
/// processors that stored at the same moment, do not give the tick of now.
static TIME_AND_TICK: AtomicU64 = AtomicU64::new(0);

/// Returns the coarse monotonic clock, nanoseconds.
#[inline(always)]
pub fn coarse_now() -> u64 {
    // SAFETY: the helper takes no arguments and cannot fail.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Returns the coarse monotonic clock as it was read in this tick, nanoseconds.
#[inline(always)]
pub fn tick_now() -> u64 {
    // The verifier replaces this helper by a read of the kernel's counter.
    // SAFETY: as above.
    let tick = unsafe { bpf_jiffies64() }.wrapping_mul(GOLDEN_64);
    let stored = atomic::read(&TIME);
    if atomic::read(&TIME_AND_TICK) ^ tick == stored {
        return stored;
    }
    let now = coarse_now();
    atomic::write(&TIME, now);
    atomic::write(&TIME_AND_TICK, now ^ tick);
    now
}
