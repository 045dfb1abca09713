//! Requests of a test to its client process.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, Attack, Crowd, Protocol, SocketId, Transport};

/// One line from the test.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Connect a number of times, then [`ConnectReport`](super::ConnectReport).
    Connect {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        to: SocketAddr,
        /// Number of connects.
        times: u32,
    },
    /// Connect until the next line, then [`ConnectReport`](super::ConnectReport).
    KeepConnecting {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        to: SocketAddr,
    },
    /// Attack until the next line, then [`ConnectReport`](super::ConnectReport).
    Attack {
        /// How.
        attack: Attack,
        /// The IPv4 address.
        to: SocketAddr,
    },
    /// End of [`Request::KeepConnecting`] and [`Request::Attack`].
    Stop,
    /// Connect one UDP socket to each address in turn, then one [`Step`](super::Step) for each.
    Walk {
        /// The addresses.
        to: Vec<SocketAddr>,
    },
    /// Make a socket, then its [`SocketId`].
    Open {
        /// Kind of the socket.
        transport: Transport,
        /// Address to bind to, which also decides the family.
        bind: SocketAddr,
    },
    /// Take a socket from another process, then its [`SocketId`].
    Take {
        /// Path of the Unix socket over which it passes.
        path: PathBuf,
    },
    /// Use a socket, then the result.
    Act {
        /// The socket.
        socket: SocketId,
        /// How.
        act: Act,
    },
    /// Open streams that stay open, then [`ConnectReport`](super::ConnectReport).
    OpenStreams {
        /// The address.
        to: SocketAddr,
        /// Number of streams.
        count: u32,
    },
    /// Connect from several threads, then [`ConnectReport`](super::ConnectReport).
    Crowd(Crowd),
    /// Connect from several threads at the same moment, again and again, then
    /// [`Rushed`](super::Rushed).
    Rush(Crowd),
    /// Send a number over every open stream and read it back, then [`ConnectReport`](super::ConnectReport).
    Beat,
}
