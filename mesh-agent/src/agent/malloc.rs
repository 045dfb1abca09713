//! Settings of the glibc allocator. Reading files and answering large requests needs memory for a
//! moment, and glibc keeps most of it for later by default. Other allocators are not changed.

/// Allocations of this many bytes and more return to the system when they are freed. Setting the
/// threshold once also stops glibc from raising it.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 * 1024;
/// Number of heaps, which threads share. With a heap for each thread, each would keep the most
/// that its thread ever needed.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Limits how much freed memory is kept. Call it before the first thread starts.
pub fn limit_caching() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers; an unknown parameter is ignored.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Returns every unused page to the system; takes a few milliseconds for a heap of 50 MiB.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers and may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
