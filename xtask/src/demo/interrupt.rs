//! Handles Ctrl-C, so that an interrupted demo cleans up.

use std::{
    ffi::c_int,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::sys::signal::{SigHandler, Signal, signal};

/// Whether a signal was received. A signal handler can only set a static. Children do not inherit it.
static HEARD: AtomicBool = AtomicBool::new(false);

const POLL: Duration = Duration::from_millis(5);

/// Records signals that would end the process.
pub struct Interrupt(());

impl Interrupt {
    /// Starts to record signals.
    pub fn watch() -> anyhow::Result<Self> {
        for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler does nothing but store to an atomic.
            unsafe { signal(ending, SigHandler::Handler(hear))? };
        }
        Ok(Self(()))
    }

    /// Fails if a signal was received.
    pub fn check(&self) -> anyhow::Result<()> {
        if HEARD.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits for this time. Fails at once when a signal is received.
    pub fn wait(&self, duration: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.check()?;
            thread::sleep(POLL.min(duration));
        }
        self.check()
    }

    /// Waits for a signal.
    pub fn wait_for_it(&self) {
        while self.check().is_ok() {
            thread::sleep(POLL);
        }
    }
}

extern "C" fn hear(_: c_int) {
    HEARD.store(true, Ordering::Relaxed);
}
