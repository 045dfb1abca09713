//! Tracks sockets that are closed when their backend leaves, and when that is due. Pure.

use bytemuck::Zeroable;
use mesh_common::{
    abi::{BackendRow, SocketRow, backend_state, protocol, socket_state},
    addr::Addr,
};
use serde::{Deserialize, Serialize};

use super::json;
use crate::table::Table;

/// A socket cookie and the backend of the socket.
pub type Tracked = (u64, TrackedSocket);

/// Backend of a connected socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Zeroable, Serialize, Deserialize)]
pub struct TrackedSocket {
    /// Endpoint.
    #[serde(with = "json::address")]
    pub backend: Addr,
    /// Endpoint port, network byte order.
    pub port: u16,
    /// One of [`protocol`].
    pub protocol: u8,
    /// Backend index.
    pub backend_index: u32,
    /// [`BackendRow::generation`] at the time of the connect.
    pub generation: u32,
}

impl From<&SocketRow> for TrackedSocket {
    fn from(row: &SocketRow) -> Self {
        Self {
            backend: row.backend,
            port: row.backend_port,
            protocol: if row.started == 0 {
                protocol::UDP
            } else {
                protocol::TCP
            },
            backend_index: row.backend_index,
            generation: row.generation,
        }
    }
}

/// Whether a socket is closed when its backend leaves.
pub const fn is_tracked(row: &SocketRow) -> bool {
    row.state & socket_state::TRACKED != 0
}

/// Returns the sockets whose backend left or was replaced, and UDP sockets whose backend is down: a
/// TCP connection notices that by itself, a connected UDP socket does not. A backend that left with
/// time to drain keeps its sockets until its row is freed.
pub fn stale(tracked: &[Tracked], backends: &Table<u32, BackendRow>) -> Vec<Tracked> {
    tracked
        .iter()
        .filter(|(_, socket)| is_stale(socket, backends.get(&socket.backend_index)))
        .copied()
        .collect()
}

fn is_stale(socket: &TrackedSocket, row: Option<&BackendRow>) -> bool {
    let Some(row) = row.filter(|row| row.generation == socket.generation) else {
        return true;
    };
    closes(row) && (row.state != backend_state::DOWN || socket.protocol == protocol::UDP)
}

/// Whether a backend in this state may have stale sockets.
pub const fn closes(row: &BackendRow) -> bool {
    match row.state {
        backend_state::FREE | backend_state::DOWN => true,
        backend_state::RETIRED => row.drain_seconds == 0,
        _ => false,
    }
}
