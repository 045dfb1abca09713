//! Scans the sockets of the whole machine: which sockets with rows exist, and which namespaces
//! could not be searched.

use std::{
    collections::{HashMap, HashSet},
    thread,
};

use mesh_common::{
    abi::{SocketRow, protocol},
    addr::Addr,
};
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    json,
    namespace::{self, NamespaceScope},
    sock_diag::{Diag, Family, Query},
    tracked::TrackedSocket,
};

/// Result of a scan.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ScanResult {
    /// Existing sockets by cookie, with their peer if it is known.
    #[serde(with = "json::peers")]
    sockets: HashMap<u64, Option<(Addr, u16)>>,
    #[serde(skip)]
    not_looked_for: HashSet<u64>,
    /// Network namespaces that were searched completely, by the lower half of their cookie.
    searched: HashSet<u32>,
    /// Distinct reasons why other namespaces were not searched.
    pub unsearched: Vec<String>,
    /// Existing clients, if known.
    #[serde(skip)]
    clients: Option<HashSet<u32>>,
    /// Whether sockets were left out on purpose.
    is_partial: bool,
}

/// State of the socket of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SocketFate {
    /// The socket may be connected as its row says.
    There,
    /// The UDP socket is not connected as its row says: the kernel refused its connect, or its
    /// program disconnected it.
    Elsewhere,
    /// The socket is gone.
    Gone,
}

impl ScanResult {
    /// Returns the state of a socket. A socket that was not found is gone in three cases: its
    /// namespace was searched; all namespaces were searched and its own no longer exists; or its
    /// client (a pod) is gone.
    pub(super) fn fate(&self, cookie: u64, row: &SocketRow) -> SocketFate {
        let TrackedSocket {
            backend,
            port,
            protocol,
            ..
        } = row.into();
        if self.not_looked_for.contains(&cookie) {
            return SocketFate::There;
        }
        match self.sockets.get(&cookie) {
            Some(&at) if protocol == protocol::UDP && at != Some((backend, port)) => {
                SocketFate::Elsewhere
            }
            Some(_) => SocketFate::There,
            None if self.searched.contains(&row.netns) || self.is_complete() => SocketFate::Gone,
            None if !self.has_client(row.client) => SocketFate::Gone,
            None => SocketFate::There,
        }
    }

    /// Marks these sockets as not searched for.
    pub fn leave_out(&mut self, cookies: impl Iterator<Item = u64>) {
        self.not_looked_for.extend(cookies);
    }

    /// Sets the clients that exist.
    pub fn set_clients(&mut self, clients: Option<HashSet<u32>>) {
        self.clients = clients;
    }

    fn has_client(&self, client: u32) -> bool {
        self.clients
            .as_ref()
            .is_none_or(|clients| clients.contains(&client))
    }

    fn is_complete(&self) -> bool {
        self.unsearched.is_empty() && !self.is_partial
    }

    fn note(&mut self, error: &Error) {
        let error = error.to_string();
        if !self.unsearched.contains(&error) {
            self.unsearched.push(error);
        }
    }

    /// Lists the sockets of this thread's network namespace.
    fn here(&mut self, wanted: &HashSet<u64>) -> Result<(), Error> {
        let mut diag = Diag::open()?;
        for protocol in [protocol::UDP, protocol::TCP] {
            for family in [Family::V4, Family::V6] {
                let query = Query {
                    family,
                    protocol,
                    port: None,
                    all: true,
                };
                diag.list_each(&query, |found| {
                    if wanted.contains(&found.cookie()) {
                        let at = found.is_established().then(|| found.destination());
                        self.sockets.insert(found.cookie(), at);
                    }
                })?;
            }
        }
        let netns = diag.netns().map_err(Error::Netns)?;
        self.searched.insert(netns);
        Ok(())
    }
}

/// Searches these sockets in every network namespace in scope. A namespace that cannot be searched
/// is reported and skipped. Runs on its own thread, which changes its namespace.
pub fn scan(wanted: &HashSet<u64>, reach: NamespaceScope) -> ScanResult {
    thread::scope(|scope| {
        let search = scope.spawn(|| search(wanted, reach));
        search.join().expect("the search does not panic")
    })
}

fn search(wanted: &HashSet<u64>, reach: NamespaceScope) -> ScanResult {
    let mut seen = ScanResult {
        is_partial: reach == NamespaceScope::Own,
        ..ScanResult::default()
    };
    if let Err(error) = seen.here(wanted) {
        seen.note(&error);
    }
    for namespace in namespace::others().take_while(|_| reach == NamespaceScope::All) {
        if seen.sockets.len() == wanted.len() {
            break;
        }
        let searched =
            namespace.and_then(|namespace| namespace.enter().and_then(|()| seen.here(wanted)));
        match searched {
            Ok(()) => {}
            Err(error @ Error::SysAdminMissing) => {
                seen.note(&error);
                break;
            }
            Err(error) => seen.note(&error),
        }
    }
    seen
}

#[cfg(test)]
pub(super) mod tests {
    use mesh_common::abi::socket_state;

    use super::*;

    const HERE: u32 = 7;
    const THERE: u32 = 8;

    /// A scan that found no socket in the only namespace.
    pub(in crate::stale) fn searched(netns: u32) -> ScanResult {
        ScanResult {
            searched: [netns].into(),
            ..ScanResult::default()
        }
    }

    /// A scan that found a socket that is not connected.
    pub(in crate::stale) fn found(cookie: u64) -> ScanResult {
        ScanResult {
            sockets: [(cookie, None)].into(),
            ..ScanResult::default()
        }
    }

    fn udp(netns: u32) -> SocketRow {
        SocketRow {
            netns,
            backend_port: 53,
            state: socket_state::HELD,
            ..bytemuck::Zeroable::zeroed()
        }
    }

    fn at(port: u16) -> Option<(Addr, u16)> {
        Some((udp(HERE).backend, port))
    }

    #[test]
    fn a_namespace_that_cannot_be_searched_keeps_its_own_sockets_and_no_others() {
        let failed = ScanResult {
            unsearched: vec!["a reason".into()],
            ..searched(HERE)
        };
        for seen in [
            failed,
            ScanResult {
                is_partial: true,
                ..searched(HERE)
            },
        ] {
            assert_eq!(
                (seen.fate(1, &udp(HERE)), seen.fate(1, &udp(THERE))),
                (SocketFate::Gone, SocketFate::There)
            );
        }
    }

    #[test]
    fn sockets_of_a_client_that_is_gone_are_gone_wherever_they_are() {
        let mut seen = ScanResult {
            is_partial: true,
            ..ScanResult::default()
        };
        seen.set_clients(Some([5].into()));
        let of = |client: u32| SocketRow {
            client,
            ..udp(THERE)
        };
        assert_eq!(
            [5, 6].map(|client| seen.fate(1, &of(client))),
            [SocketFate::There, SocketFate::Gone]
        );
    }

    #[test]
    fn sockets_of_a_namespace_that_is_gone_are_gone_when_all_were_searched() {
        let seen = ScanResult {
            searched: [HERE].into(),
            ..ScanResult::default()
        };
        assert_eq!(seen.fate(1, &udp(THERE)), SocketFate::Gone);
    }

    #[test]
    fn a_udp_socket_that_is_not_connected_to_its_backend_is_elsewhere() {
        let sockets = [(1, at(53)), (2, at(54)), (3, None)].into();
        let seen = ScanResult {
            sockets,
            searched: [HERE].into(),
            ..ScanResult::default()
        };
        let fates = [1, 2, 3].map(|cookie| seen.fate(cookie, &udp(HERE)));
        assert_eq!(
            fates,
            [
                SocketFate::There,
                SocketFate::Elsewhere,
                SocketFate::Elsewhere
            ]
        );
        let tcp = SocketRow {
            started: 1,
            ..udp(HERE)
        };
        assert_eq!(
            seen.fate(3, &tcp),
            SocketFate::There,
            "hooks report the end of a TCP socket"
        );
    }
}
