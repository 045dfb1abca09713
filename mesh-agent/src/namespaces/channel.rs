//! Sends requests to the helper. Each has its own socket, so that a slow one delays no other.

use std::{
    io::{self, BufWriter, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{pass_socket, request::Request};

/// Most time of a request. The helper reads a few hundred namespaces in a second.
const TIME: Duration = Duration::from_secs(60);
/// Time between two looks at `stop`.
const LOOK: Duration = Duration::from_millis(100);

/// A connection to the helper.
pub(super) struct Channel(UnixStream);

impl Channel {
    pub(super) fn new(control: UnixStream) -> Self {
        Self(control)
    }

    /// Sends a request and waits for its answer. Blocks; fails at `stop`.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        request: &Request,
        stop: &CancellationToken,
    ) -> io::Result<T> {
        let (ours, theirs) = UnixStream::pair()?;
        pass_socket::send(&self.0, &theirs)?;
        drop(theirs);
        ours.set_write_timeout(Some(TIME))?;
        ours.set_read_timeout(Some(LOOK))?;
        let mut out = BufWriter::new(&ours);
        serde_json::to_writer(&mut out, request)?;
        out.flush()?;
        ours.shutdown(Shutdown::Write)?;
        let answer = read_all(&ours, stop)?;
        serde_json::from_slice(&answer).map_err(io::Error::from)
    }
}

/// Reads to the end, which a thread of the helper that panics reaches without data.
fn read_all(mut from: &UnixStream, stop: &CancellationToken) -> io::Result<Vec<u8>> {
    let start = Instant::now();
    let (mut all, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match from.read(&mut part) {
            Ok(0) => return Ok(all),
            Ok(length) => all.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if stop.is_cancelled() || start.elapsed() > TIME {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
