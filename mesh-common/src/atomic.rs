//! Atomic words in map rows, on the host and in the kernel.
//!
//! For the kernel's target the standard library has the types but not their read-modify-write
//! methods: the target claims no compare-and-swap by default, though its second generation has one.
//! So the intrinsics behind the methods are called. The code generator of that target cannot select
//! atomic loads and stores either; volatile ones do the same there.

use core::sync::atomic::AtomicU64;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Adds, wrapping. Returns the value before.
#[inline(always)]
pub fn add(word: &AtomicU64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the word is valid for as long as it is borrowed.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::SeqCst }>(
            word.as_ptr(),
            value,
        )
    }
    #[cfg(not(target_arch = "bpf"))]
    word.fetch_add(value, SeqCst)
}

/// Adds, wrapping: cheaper than [`add`], because it returns nothing.
#[inline(always)]
pub fn count(word: &AtomicU64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the word is valid for as long as it is borrowed.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
            word.as_ptr(),
            value,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    word.fetch_add(value, Relaxed);
}

/// Replaces the word if it is `old`. Returns whether it was.
#[inline(always)]
pub fn replace(word: &AtomicU64, old: u64, new: u64) -> bool {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the word is valid for as long as it is borrowed.
    unsafe {
        use core::intrinsics::AtomicOrdering::SeqCst;
        core::intrinsics::atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(word.as_ptr(), old, new).1
    }
    #[cfg(not(target_arch = "bpf"))]
    word.compare_exchange(old, new, SeqCst, Relaxed).is_ok()
}

/// Reads the word.
#[inline(always)]
pub fn read(word: &AtomicU64) -> u64 {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the word is valid for as long as it is borrowed; an aligned word is read whole.
    unsafe {
        word.as_ptr().read_volatile()
    }
    #[cfg(not(target_arch = "bpf"))]
    word.load(Relaxed)
}

/// Writes the word.
#[inline(always)]
pub fn write(word: &AtomicU64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the word is valid for as long as it is borrowed; an aligned word is written whole.
    unsafe {
        word.as_ptr().write_volatile(value);
    }
    #[cfg(not(target_arch = "bpf"))]
    word.store(value, Relaxed);
}
