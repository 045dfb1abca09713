//! Ctrl-C as a value, so that a demo that is interrupted still cleans up.

use std::{
    ffi::c_int,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::sys::signal::{SigHandler, Signal, signal};

/// Whether a signal has come. Handlers have no other way to be heard; children start without them.
static HEARD: AtomicBool = AtomicBool::new(false);

const POLL: Duration = Duration::from_millis(5);

/// Hears of signals that ask the process to end, instead of dying of them.
pub struct Interrupt(());

impl Interrupt {
    /// From here on.
    pub fn watch() -> anyhow::Result<Self> {
        for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler does nothing but store to an atomic.
            unsafe { signal(ending, SigHandler::Handler(hear))? };
        }
        Ok(Self(()))
    }

    /// Fails when interrupted.
    pub fn check(&self) -> anyhow::Result<()> {
        if HEARD.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits; fails at once when interrupted.
    pub fn wait(&self, duration: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.check()?;
            thread::sleep(POLL.min(duration));
        }
        self.check()
    }

    /// Waits for the interrupt.
    pub fn wait_for_it(&self) {
        while self.check().is_ok() {
            thread::sleep(POLL);
        }
    }
}

extern "C" fn hear(_: c_int) {
    HEARD.store(true, Ordering::Relaxed);
}
