//! Sockets that a client without privileges hoards. Each takes a row of a table that all clients
//! share.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::Duration,
};

use nix::sys::socket::{MsgFlags, SockaddrStorage, connect, sendto, setsockopt, sockopt};
use serde::{Deserialize, Serialize};

use super::{ConnectReport, Transport, sockets};

/// Number of sockets that a process keeps, below its limit of descriptors.
const KEPT: usize = 19_000;
/// Number of connects between two checks whether to stop.
const AT_ONCE: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// Kind of hoarded socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hoard {
    /// Connected UDP sockets.
    Connected,
    /// UDP sockets that are not connected and have sent a datagram.
    Sent,
    /// Closed MPTCP sockets, for whose end no hook runs.
    Closed,
}

impl Hoard {
    /// Hoards sockets until `stop`. The report counts what the kernel answered.
    pub(super) fn run(self, to: SocketAddr, stop: impl Fn() -> bool) -> ConnectReport {
        let (mut report, mut kept) = (ConnectReport::default(), Vec::new());
        while !stop() {
            for _ in 0..AT_ONCE {
                if kept.len() == KEPT {
                    thread::sleep(PAUSE);
                    break;
                }
                match self.one(to) {
                    Ok((socket, answer)) => {
                        report.note(answer.map_err(|errno| format!("{errno:?}")), |()| {
                            "done".into()
                        });
                        kept.extend((self != Self::Closed).then_some(socket));
                    }
                    Err(errno) => {
                        _ = report.note::<()>(Err(format!("socket {errno:?}")), |()| String::new());
                    }
                }
            }
        }
        report
    }

    /// Opens one more socket. Returns it and the result of its connect or datagram.
    fn one(self, to: SocketAddr) -> nix::Result<(OwnedFd, nix::Result<()>)> {
        let transport = if self == Self::Closed {
            Transport::Mptcp
        } else {
            Transport::Udp
        };
        let socket = sockets::open(transport, ([0, 0, 0, 0], 0).into())?;
        let (descriptor, to) = (socket.as_raw_fd(), SockaddrStorage::from(to));
        // There are more sockets than ports, so sockets share ports.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        let answer = match self {
            Self::Sent => sendto(descriptor, b"a row", &to, MsgFlags::empty()).map(drop),
            Self::Connected | Self::Closed => connect(descriptor, &to),
        };
        Ok((socket, answer))
    }
}
