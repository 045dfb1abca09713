//! Rows of SOCKETS: how a socket's last connect was answered.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Value of SOCKETS: how a socket's last connect was answered. Written by the kernel programs, and
/// removed when the connection or the socket ends.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct SocketRow {
    /// Address to which the program connects.
    pub frontend: Addr,
    /// Address of its backend.
    pub backend: Addr,
    /// Port to which the program connects, network byte order.
    pub frontend_port: u16,
    /// Port of its backend, network byte order.
    pub backend_port: u16,
    /// Service id.
    pub service: u32,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`](crate::abi::BackendRow::generation) at that time.
    pub generation: u32,
    /// The [client](crate::client) that connected.
    pub client: u32,
    /// Lower half of the cookie of the socket's network namespace.
    pub netns: u32,
    /// Bits of [`socket_state`], above them the [epoch](crate::occupancy) of the socket's
    /// reservations, and above that the socket's cookie. Rows are recycled while they are read, so
    /// a hook compares the cookie before it changes a state.
    pub state: u64,
    /// Monotonic clock at the connect, nanoseconds: accurate to some milliseconds, or exact for a
    /// [timed](socket_state::TIMED) socket; zero for UDP.
    pub started: u64,
}

/// A [`SocketRow`] while other hooks may write its state.
#[repr(C)]
#[derive(Debug)]
pub struct SocketRecord {
    /// [`SocketRow::frontend`]
    pub frontend: Addr,
    /// [`SocketRow::backend`]
    pub backend: Addr,
    /// [`SocketRow::frontend_port`]
    pub frontend_port: u16,
    /// [`SocketRow::backend_port`]
    pub backend_port: u16,
    /// [`SocketRow::service`]
    pub service: u32,
    /// [`SocketRow::backend_index`]
    pub backend_index: u32,
    /// [`SocketRow::generation`]
    pub generation: u32,
    /// [`SocketRow::client`]
    pub client: u32,
    /// [`SocketRow::netns`]
    pub netns: u32,
    /// [`SocketRow::state`]
    pub state: AtomicU64,
    /// [`SocketRow::started`]
    pub started: u64,
}

/// [`SocketRecord::state`]
pub mod socket_state {
    /// Number of bits, and position of the epoch, which has 14.
    pub const BITS: u32 = 16;
    /// Position of the cookie, of which the 34 lower bits fit.
    pub const COOKIE: u32 = 30;
    /// The agent closes the socket when its backend leaves.
    pub const TRACKED: u64 = 1;
    /// The socket counts in [`BackendLoad::live`](crate::abi::BackendLoad::live).
    pub const HELD: u64 = 2;
    /// The socket counts there as connecting.
    pub const CONNECTING: u64 = 4;
    /// The socket counts in [`ServiceLoad::connections`](crate::abi::ServiceLoad::connections);
    /// while it is [pending](PENDING), as a reservation.
    pub const LIMITED: u64 = 8;
    /// The connect counted as failed.
    pub const FAILED: u64 = 16;
    /// The connect is the trial of an ejected backend.
    pub const TRIAL: u64 = 32;
    /// The time for which the connection is open counts in
    /// [`BackendLoad::duration`](crate::abi::BackendLoad::duration).
    pub const TIMED: u64 = 64;
    /// The SYN is not sent yet: the socket holds nothing, but may have reservations.
    pub const PENDING: u64 = 128;
    /// The socket has a reservation in [`BackendLoad::live`](crate::abi::BackendLoad::live).
    pub const RESERVED: u64 = 256;
    /// The agent found the socket gone or not connected. The next connect of the socket clears
    /// this.
    pub const SUSPECTED: u64 = 512;
    /// The agent released what the suspected socket held. The next connect of the socket replaces
    /// the row; the agent removes it once no hook can still use it.
    pub const SETTLED: u64 = 1024;
    /// The socket is [LIMITED], and also counts in SHARES.
    pub const SHARED: u64 = 2048;
}
