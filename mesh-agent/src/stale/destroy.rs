//! Closes sockets in the network namespaces in scope.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use mesh_common::abi::protocol;
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    namespace::{self, NamespaceScope},
    sock_diag::{Diag, Family, Found, Query},
    tracked::{Tracked, TrackedSocket},
};

/// Result of [`destroy`]. A socket in neither list was found but stays open, for a reason in
/// `failed`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CloseReport {
    /// Cookies of closed sockets.
    pub closed: Vec<u64>,
    /// Cookies of sockets that are not connected to their backend in any searched namespace: their
    /// program closed them or connected them elsewhere.
    pub not_found: Vec<u64>,
    /// Distinct reasons why the search was incomplete or sockets stay open.
    pub failed: Vec<String>,
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
    // Runs on its own thread, which changes its network namespace and must not be reused.
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
