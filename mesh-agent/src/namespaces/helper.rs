//! The process of the helper, as the daemon sees it.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{COMMAND, UNFILTERED, channel::Channel, request::Request};

const UNTIL: &str = "until the agent is restarted, which interrupts no traffic, other network namespaces are not entered: sockets of pods \
     and containers stay open when their endpoint leaves";

/// Why the helper did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its process ended.
    #[error("the namespace helper ended ({0}); {UNTIL}")]
    Ended(ExitStatus),
    /// The request failed.
    #[error("the namespace helper did not answer ({0}) and was ended; {UNTIL}")]
    Failed(io::Error),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

/// A running helper. It ends when its control socket is closed, as it is when the daemon ends in any
/// way.
pub struct Helper {
    channel: Channel,
    process: Mutex<Child>,
}

impl Helper {
    /// Starts this program again as the helper, with the capabilities of this thread. `filters` says
    /// whether its system calls are filtered.
    pub fn start(filters: bool) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let process = Command::new("/proc/self/exe")
            .arg0("mesh-agent")
            .arg(COMMAND)
            .args((!filters).then_some(UNFILTERED))
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            channel: Channel::new(ours),
            process: Mutex::new(process),
        })
    }

    /// Returns why the helper ended, if it did.
    pub(super) fn ended(&self) -> Option<Error> {
        let status = self.process().try_wait().ok().flatten();
        status.map(Error::Ended)
    }

    /// Sends a request and waits for its answer; fails at `stop`. A helper that does not answer is
    /// ended, so that it delays the daemon only once.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        request: &Request,
        stop: &CancellationToken,
    ) -> Result<T, Error> {
        if let Some(ended) = self.ended() {
            return Err(ended);
        }
        self.channel.ask(request, stop).map_err(|error| {
            if stop.is_cancelled() {
                return Error::Stopping;
            }
            let mut process = self.process();
            // Both fail only for a process that has ended.
            _ = process.kill();
            match process.wait() {
                Ok(status) if error.kind() == io::ErrorKind::BrokenPipe => Error::Ended(status),
                _ => Error::Failed(error),
            }
        })
    }

    fn process(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
