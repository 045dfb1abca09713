//! The client process: handles requests from standard input until it ends.

use std::{
    io::{self, BufRead},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    ConnectReport, Request, Times,
    dial::{Dialled, dial, walk},
    protocol::say,
    sockets::Sockets,
    streams::Streams,
};
use crate::requirements;

/// Most connects of a loop that the test does not stop.
const AT_MOST: u32 = 5_000_000;

/// Serves requests from standard input.
pub fn serve() -> io::Result<()> {
    requirements::descriptors();
    let (mut sockets, mut streams) = (Sockets::default(), Streams::default());
    let stdin = io::stdin();
    let mut line = String::new();
    while stdin.lock().read_line(&mut line)? > 0 {
        match serde_json::from_str(&line)? {
            Request::Connect {
                protocol,
                to,
                times,
            } => say(&repeat(times, || false, || dial(protocol, to)))?,
            Request::KeepConnecting { protocol, to } => {
                say(&repeat(AT_MOST, line_is_waiting, || dial(protocol, to)))?;
            }
            Request::Attack { attack, to } => say(&attack.run(to, line_is_waiting))?,
            // Reads the line whose arrival ended the loop.
            Request::Stop => {}
            Request::Walk { to } => say(&walk(&to)?)?,
            Request::Open { transport, bind } => say(&sockets.open(transport, bind))?,
            Request::Take { path } => say(&sockets.take(&path))?,
            Request::Act { socket, act } => sockets.act(socket, &act)?,
            Request::OpenStreams { to, count } => say(&streams.open(to, count))?,
            Request::Crowd(crowd) => say(&crowd.connect())?,
            Request::Rush(crowd) => say(&crowd.rush())?,
            Request::Beat => say(&streams.beat())?,
        }
        line.clear();
    }
    Ok(())
}

fn repeat(times: u32, stop: impl Fn() -> bool, dial: impl Fn() -> Dialled) -> ConnectReport {
    let mut report = ConnectReport::default();
    let mut durations = Vec::new();
    for _ in 0..times {
        if stop() {
            break;
        }
        let Dialled { took, peer, answer } = dial();
        durations.push(took);
        if let Some(peer) = peer {
            *report.peers.entry(peer).or_default() += 1;
        }
        report.note(answer, String::clone);
    }
    report.took = Times::of(durations);
    report
}

/// Returns whether a line has arrived. Requests come one by one, so no part of the next one is in a
/// buffer of this process.
fn line_is_waiting() -> bool {
    let stdin = io::stdin();
    poll(
        &mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)],
        PollTimeout::ZERO,
    ) != Ok(0)
}
