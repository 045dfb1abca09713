//! Ctrl-C as a value, so that a demo that is interrupted still cleans up.

use std::{sync::mpsc, thread, time::Duration};

use anyhow::bail;
use nix::sys::signal::{SigSet, Signal};

/// Hears of signals that ask the process to end, instead of dying of them.
pub struct Interrupt(mpsc::Receiver<()>);

impl Interrupt {
    /// Must be called before any thread is started: threads inherit the blocked signals. Children do not, the
    /// standard library empties their mask.
    pub fn watch() -> anyhow::Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block()?;
        let (heard, receiver) = mpsc::channel();
        thread::spawn(move || while signals.wait().is_ok_and(|_| heard.send(()).is_ok()) {});
        Ok(Self(receiver))
    }

    /// Waits; fails at once when interrupted.
    pub fn wait(&self, duration: Duration) -> anyhow::Result<()> {
        match self.0.recv_timeout(duration) {
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => bail!("interrupted"),
        }
    }

    /// Fails when interrupted.
    pub fn check(&self) -> anyhow::Result<()> {
        self.wait(Duration::ZERO)
    }

    /// Waits for the interrupt.
    pub fn wait_for_it(&self) {
        let _ = self.0.recv();
    }
}
