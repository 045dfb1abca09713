//! Ctrl-C as an orderly end: whatever a measurement has made is dropped on the way out.

use std::{
    ffi::c_int,
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::sys::signal::{SigHandler, Signal, signal};

/// Whether a signal has come. Handlers have no other way to be heard; children start without them.
static HEARD: AtomicBool = AtomicBool::new(false);

struct Interrupted;

/// Runs `work`, which looks for signals by [`check`]; none when it was interrupted.
pub fn guard<T>(work: impl FnOnce() -> T + panic::UnwindSafe) -> Option<T> {
    for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { signal(ending, SigHandler::Handler(hear)) }.expect("these signals can be handled");
    }
    match panic::catch_unwind(work) {
        Ok(value) => Some(value),
        Err(reason) if reason.is::<Interrupted>() => None,
        Err(reason) => panic::resume_unwind(reason),
    }
}

/// Unwinds to [`guard`] when a signal has come.
pub fn check() {
    if HEARD.load(Ordering::Relaxed) {
        panic::resume_unwind(Box::new(Interrupted));
    }
}

extern "C" fn hear(_: c_int) {
    HEARD.store(true, Ordering::Relaxed);
}
