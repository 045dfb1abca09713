//! Closes sockets whose backend left, and no others. A connected UDP socket gets no FIN and would
//! send to an address without a server for as long as it is open.
//!
//! ```text
//! backends that left ──► CloseSchedule ──► rows of SOCKETS ──stale()──► Attempts::due() ──destroy()──► SOCK_DESTROY in every
//!                            pure                          pure           pure            │           network namespace
//!                              ▲──────────────── unfinished() ──────────────┴◄─ record() ─┴── CloseReport
//! ```
//!
//! [`namespace`] finds the network namespaces, [`sock_diag`] lists and closes sockets in the one a thread is in.
//!
//! Also releases what sockets hold that ended without a hook:
//! ```text
//! rows of SOCKETS ──► scan() in every network namespace ──ScanResult──► MissingSockets ──► Request::Settle, then Forget
//!        └──────────► counts before and after ──────────────────────► CountDrift ──────► Request::Backend, Service
//!                                            └────────────────► expired() ─► the same, to clear reservations
//! ```

mod attempts;
mod sock_diag;
mod expired;
mod socket_scan;
mod close_schedule;
mod missing_sockets;
mod namespace;
mod count_drift;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io, thread,
};

use bytemuck::Zeroable;
use mesh_common::{
    abi::{BackendRow, SocketRow, backend_state, protocol, socket_state},
    addr::Addr,
};
use nix::errno::Errno;

use self::sock_diag::{Diag, Family, Found, Query};
pub use self::{
    attempts::Attempts,
    close_schedule::{BackendSet, CloseSchedule, DueClose},
    count_drift::{CountDrift, CountSamples},
    expired::expired,
    missing_sockets::MissingSockets,
    socket_scan::{ScanResult, scan},
};
use crate::table::Table;

/// A socket cookie and the backend of the socket.
pub type Tracked = (u64, TrackedSocket);

/// Backend of a connected socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Zeroable)]
pub struct TrackedSocket {
    /// Endpoint.
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

/// Network namespaces whose sockets are searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamespaceScope {
    /// The agent's own namespace.
    Own,
    /// All namespaces that can be found and entered.
    All,
}

impl From<bool> for NamespaceScope {
    /// Converts the setting `enterNamespaces`.
    fn from(enters: bool) -> Self {
        if enters { Self::All } else { Self::Own }
    }
}

/// Result of [`destroy`]. A socket in neither list was found but stays open, for a reason in
/// `failed`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CloseReport {
    /// Cookies of closed sockets.
    pub closed: Vec<u64>,
    /// Cookies of sockets that are not connected to their backend in any searched namespace: their
    /// program closed them or connected them elsewhere.
    pub not_found: Vec<u64>,
    /// Distinct reasons why the search was incomplete or sockets stay open.
    pub failed: Vec<String>,
}

/// Why sockets could not be searched for or closed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("stale sockets stay open: this kernel is built without CONFIG_INET_DIAG_DESTROY")]
    KernelCannotDestroy,
    #[error("stale {0} sockets stay open: this kernel is built without CONFIG_INET_{0}_DIAG")]
    KernelCannotList(&'static str),
    #[error("stale sockets stay open: closing them needs CAP_NET_ADMIN")]
    NetAdminMissing,
    #[error(
        "stale sockets outside the agent's own network namespace stay open: entering another namespace needs \
         CAP_SYS_ADMIN"
    )]
    SysAdminMissing,
    #[error(
        "network namespaces of some processes cannot be searched for stale sockets: that needs CAP_SYS_PTRACE"
    )]
    PtraceMissing,
    #[error("cannot open network namespace {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("cannot enter network namespace {path}: {source}")]
    Enter { path: String, source: Errno },
    #[error("cannot tell which network namespace this is: {0}")]
    Netns(io::Error),
    #[error("cannot {action} sockets: {source}")]
    Netlink { action: &'static str, source: Errno },
    #[error("cannot start a thread that searches for stale sockets: {0}")]
    Thread(io::Error),
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

/// Closes these sockets in the network namespaces in scope; blocks until done.
///
/// A socket is closed only if its cookie and the address and port it is connected to are still the
/// tracked ones when it is listed; to close it, the kernel looks it up by its addresses and
/// compares the cookie once more. Its program gets `ECONNABORTED` from the next call and may
/// connect a UDP socket again; the peer of a TCP connection gets a reset.
pub fn destroy(sockets: &[Tracked], reach: NamespaceScope) -> CloseReport {
    if sockets.is_empty() {
        return CloseReport::default();
    }
    // Runs on a thread of its own, which changes its network namespace and must not be reused.
    thread::scope(|scope| {
        let search = thread::Builder::new()
            .name("stale-sockets".into())
            .spawn_scoped(scope, || Search::run(sockets, reach));
        match search {
            Ok(search) => search.join().expect("the search does not panic"),
            Err(error) => CloseReport {
                failed: vec![Error::Thread(error).to_string()],
                ..CloseReport::default()
            },
        }
    })
}

/// A search through network namespaces. It ends when every socket is found.
struct Search {
    wanted: BTreeMap<u64, TrackedSocket>,
    report: CloseReport,
}

impl Search {
    fn run(sockets: &[Tracked], reach: NamespaceScope) -> CloseReport {
        let mut search = Self {
            wanted: sockets.iter().copied().collect(),
            report: CloseReport::default(),
        };
        search.here();
        if reach == NamespaceScope::All {
            search.elsewhere();
        }
        search.report.not_found = search.wanted.into_keys().collect();
        search.report
    }

    /// Searches the other namespaces. A namespace that cannot be searched is reported only if a
    /// socket may be in it.
    fn elsewhere(&mut self) {
        let mut unsearched = Vec::new();
        for namespace in namespace::others() {
            if self.wanted.is_empty() {
                return;
            }
            match namespace.and_then(|namespace| namespace.enter()) {
                Ok(()) => self.here(),
                Err(error) => unsearched.push(error),
            }
            if let Some(Error::SysAdminMissing) = unsearched.last() {
                break;
            }
        }
        if !self.wanted.is_empty() {
            unsearched.iter().for_each(|error| self.note(error));
        }
    }

    /// Closes the sockets in the network namespace of this thread.
    fn here(&mut self) {
        let mut diag = match Diag::open() {
            Ok(diag) => diag,
            Err(error) => return self.note(&error),
        };
        for query in queries(&self.wanted) {
            match diag.list(&query) {
                Ok(found) => self.close(&mut diag, &found),
                Err(error) => self.note(&error),
            }
        }
    }

    fn close(&mut self, diag: &mut Diag, listed: &[Found]) {
        let is_wanted = |found: &&Found| {
            self.wanted
                .get(&found.cookie())
                .is_some_and(|socket| leads(found, socket))
        };
        let targets: Vec<&Found> = listed.iter().filter(is_wanted).collect();
        for found in targets {
            match diag.destroy(found) {
                Ok(true) => self.report.closed.push(found.cookie()),
                Ok(false) => continue,
                Err(error) => self.note(&error),
            }
            self.wanted.remove(&found.cookie());
        }
    }

    fn note(&mut self, error: &Error) {
        let error = error.to_string();
        if !self.report.failed.contains(&error) {
            self.report.failed.push(error);
        }
    }
}

/// Whether a socket is connected to its tracked backend.
fn leads(found: &Found, tracked: &TrackedSocket) -> bool {
    let TrackedSocket {
        backend,
        port,
        protocol,
        backend_index: _,
        generation: _,
    } = *tracked;
    found.protocol() == protocol && found.destination() == (backend, port)
}

/// Returns the queries that can list any of these sockets. An IPv6 socket may be connected to an
/// IPv4 address.
fn queries(wanted: &BTreeMap<u64, TrackedSocket>) -> Vec<Query> {
    let (mut queries, all) = (Vec::new(), false);
    for protocol in [protocol::UDP, protocol::TCP] {
        let sockets = || wanted.values().filter(|socket| socket.protocol == protocol);
        let ports: BTreeSet<u16> = sockets().map(|socket| socket.port).collect();
        // The kernel filters by one port; the endpoints of a service mostly share it.
        let port = ports.first().copied().filter(|_| ports.len() == 1);
        if sockets().any(|socket| socket.backend.is_v4()) {
            queries.push(Query {
                family: Family::V4,
                protocol,
                port,
                all,
            });
        }
        if !ports.is_empty() {
            queries.push(Query {
                family: Family::V6,
                protocol,
                port,
                all,
            });
        }
    }
    queries
}
