//! The helper: enters network namespaces for the daemon, and does nothing else.

use std::{
    io::{self, BufReader, BufWriter, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    thread,
};

use anyhow::Context as _;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::{pass_socket, request::Request};
use crate::{
    confinement::{capabilities, system_calls::Filters},
    dataplane::exclude,
    stale::{self, NamespaceScope},
};

/// Serves the daemon whose socket is the standard input, until that is closed.
pub fn run(filters: bool) -> anyhow::Result<()> {
    let control: UnixStream = io::stdin().as_fd().try_clone_to_owned()?.into();
    control
        .peer_addr()
        .context("`mesh-agent run` starts this command; do not start it by hand")?;
    ignore_signals()?;
    capabilities::keep_for_helper()?;
    if filters {
        Filters::helper()?.install()?;
    }
    serve(&control)?;
    Ok(())
}

/// The daemon ends first: service managers and terminals send their signals to both.
fn ignore_signals() -> nix::Result<()> {
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Answers each request on a thread, until the other side is closed.
pub(super) fn serve(control: &UnixStream) -> io::Result<()> {
    while let Some(request) = pass_socket::receive(control)? {
        thread::Builder::new().spawn(move || {
            // Fails when the daemon has given up the request.
            _ = answer(&request);
        })?;
    }
    Ok(())
}

fn answer(stream: &UnixStream) -> io::Result<()> {
    let request = serde_json::from_reader(BufReader::new(stream))?;
    let mut out = BufWriter::new(stream);
    match request {
        Request::Close(sockets) => {
            serde_json::to_writer(&mut out, &stale::destroy(&sockets, NamespaceScope::All))
        }
        Request::Scan(wanted) => {
            serde_json::to_writer(&mut out, &stale::scan(&wanted, NamespaceScope::All))
        }
        Request::Cookie(path) => {
            let cookie = exclude::netns_cookie_at(&path).map_err(|error| error.to_string());
            serde_json::to_writer(&mut out, &cookie)
        }
    }?;
    out.flush()
}
