//! The heap of the process: reading files and answering large questions take memory for a moment,
//! and the allocator of glibc keeps most of it for later unless it is told otherwise. Other
//! allocators are left as they are.

/// Allocations of this many bytes and more are given back as soon as they are freed. Said once, it
/// stays: by itself the threshold grows with what is freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 * 1024;
/// Heaps that threads share: one for each of the runtime's would keep the most that this thread
/// ever needed.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Before there are threads: from now on little is kept for later.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers; a parameter that it does not know is left alone.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Gives back every page on which nothing is left; a few milliseconds for a heap of 50 MiB.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers and may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
