//! Rows of SOCKETS: how a socket's last connect was answered.

use core::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Value of SOCKETS: how a socket's last connect was answered. Written by the kernel programs, and
/// removed when the connection or the socket ends.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct SocketRow {
    /// What the program asked for.
    pub frontend: Addr,
    /// What it got.
    pub backend: Addr,
    /// Port asked for, network byte order.
    pub frontend_port: u16,
    /// Port it got, network byte order.
    pub backend_port: u16,
    /// Service id.
    pub service: u32,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at that time.
    pub generation: u32,
    /// The [client](crate::client) that connected.
    pub client: u32,
    /// Lower half of the cookie of the socket's network namespace.
    pub netns: u32,
    /// Bits of [`socket_state`], above them the [epoch](crate::occupancy) of the socket's
    /// reservations, and above that the socket's cookie: rows are recycled while they are read, so
    /// a hook that changes a state first compares the cookie.
    pub state: u64,
    /// Monotonic clock at the connect, nanoseconds, to some milliseconds unless the socket is
    /// [timed](socket_state::TIMED); zero for UDP.
    pub started: u64,
}

/// A [`SocketRow`] while other hooks may write to its state.
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
    /// Position of the cookie. Its 34 lower bits fit.
    pub const COOKIE: u32 = 30;
    /// The socket is to be closed when its backend leaves.
    pub const TRACKED: u64 = 1;
    /// It counts in [`BackendLoad::live`](super::BackendLoad::live).
    pub const HELD: u64 = 2;
    /// It counts there as connecting.
    pub const CONNECTING: u64 = 4;
    /// It counts in [`ServiceLoad::connections`](super::ServiceLoad::connections); while it is
    /// [pending](PENDING), as a reservation.
    pub const LIMITED: u64 = 8;
    /// Its connect counted as failed.
    pub const FAILED: u64 = 16;
    /// Its connect shows whether an ejected backend works.
    pub const TRIAL: u64 = 32;
    /// How long it is open counts in [`BackendLoad::duration`](super::BackendLoad::duration).
    pub const TIMED: u64 = 64;
    /// Its SYN is not sent yet: it holds nothing, but may have reservations.
    pub const PENDING: u64 = 128;
    /// It has a reservation in [`BackendLoad::live`](super::BackendLoad::live).
    pub const RESERVED: u64 = 256;
    /// The agent found that the socket is gone or not connected. Another connect of it takes this
    /// back.
    pub const SUSPECTED: u64 = 512;
    /// It was suspected for a while, and the agent gave back what it held. Its next connect makes a
    /// new row; this one goes, but not while a hook may have it in hand.
    pub const SETTLED: u64 = 1024;
    /// It is [LIMITED], and counts in SHARES as it does for the service.
    pub const SHARED: u64 = 2048;
}
