//! Operations on single sockets of a client process.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A socket of a client process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SocketId(pub usize);

/// Kind of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Transport {
    /// `IPPROTO_TCP`
    Tcp,
    /// `IPPROTO_UDP`
    Udp,
    /// `IPPROTO_MPTCP`
    Mptcp,
}

/// One or two system calls on a socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Act {
    /// `connect`, waiting until it is done.
    Connect(SocketAddr),
    /// `IORING_OP_CONNECT`
    ConnectByRing(SocketAddr),
    /// `connect` with `O_NONBLOCK`: its own errno, then poll and `SO_ERROR`.
    ConnectNonBlocking(SocketAddr),
    /// `connect` with `O_NONBLOCK` alone: EINPROGRESS until there is an answer.
    StartConnect(SocketAddr),
    /// `TCP_FASTOPEN_CONNECT`, then `connect`.
    ConnectFastOpen(SocketAddr),
    /// `sendto` with `MSG_FASTOPEN`.
    SendFastOpen(SocketAddr),
    /// `connect` to `AF_UNSPEC`
    Disconnect,
    /// `getpeername`
    Peer,
    /// `getsockname`
    Local,
    /// `send`
    Send,
    /// `sendto`
    SendTo(SocketAddr),
    /// One `sendmmsg` of a datagram to each address.
    SendMany(Vec<SocketAddr>),
    /// `recvfrom`
    Receive,
    /// `recvfrom` with `MSG_DONTWAIT`
    ReceiveNow,
    /// `SO_ERROR`, which also clears the error.
    Error,
    /// `shutdown` of both ways.
    Shutdown,
    /// `close`
    Close,
    /// `close` with a reset: `SO_LINGER` with a time of zero.
    Reset,
    /// Sends a copy of the descriptor to the process that takes it at this path.
    Pass(PathBuf),
}

/// Result of an act; the error is the name of an errno.
pub type Done<T = ()> = Result<T, String>;

/// An answer, and the source address that `recvfrom` returns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// Name of the server.
    pub name: String,
    /// The source address; absent on a stream.
    pub from: Option<SocketAddr>,
}
