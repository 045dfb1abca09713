//! Ends a measurement at Ctrl-C by unwinding, so that everything that it created is dropped.

use std::{
    ffi::c_int,
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::sys::signal::{SigHandler, Signal, signal};

/// Whether a signal was received. A signal handler can only set a static. Children do not inherit it.
static HEARD: AtomicBool = AtomicBool::new(false);

struct Interrupted;

/// Runs `work`, which calls [`check`] from time to time. Returns nothing when it was interrupted.
pub fn guard<T>(work: impl FnOnce() -> T + panic::UnwindSafe) -> Option<T> {
    for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { signal(ending, SigHandler::Handler(hear)) }.expect("these signals can be handled");
    }
    match panic::catch_unwind(work) {
        Ok(value) => Some(value),
        Err(reason) if reason.is::<Interrupted>() => None,
        Err(reason) => panic::resume_unwind(reason),
    }
}

/// Unwinds to [`guard`] if a signal was received.
pub fn check() {
    if HEARD.load(Ordering::Relaxed) {
        panic::resume_unwind(Box::new(Interrupted));
    }
}

extern "C" fn hear(_: c_int) {
    HEARD.store(true, Ordering::Relaxed);
}
