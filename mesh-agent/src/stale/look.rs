//! A look at the sockets of the whole machine: which of those that have rows are there, and which namespaces could not be
//! searched.

use std::collections::{HashMap, HashSet};

use mesh_common::{
    abi::{SocketRow, protocol},
    addr::Addr,
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Reach, TrackedSocket,
    diag::{Diag, Family, Query},
    namespace,
};

/// What a look saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Sockets that are there, by cookie; and where they are connected, if that is known and they are.
    sockets: HashMap<u64, Option<(Addr, u16)>>,
    not_looked_for: HashSet<u64>,
    /// Network namespaces in which every socket was listed, by the lower half of their cookie.
    searched: HashSet<u32>,
    /// Why other namespaces were not searched; each reason once.
    pub unsearched: Vec<String>,
    /// Clients that there are, if known.
    clients: Option<HashSet<u32>>,
    /// Whether others were left out on purpose.
    is_partial: bool,
}

/// What became of the socket of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It may be where the row says.
    There,
    /// It is a UDP socket that is not connected where the row says: the kernel refused its connect, or its program
    /// disconnected it.
    Elsewhere,
    /// It is gone.
    Gone,
}

impl Seen {
    /// What became of a socket. One that was not seen is gone if its namespace was searched; if all could be searched, and its
    /// own is not among them any more; or if its client is gone, a pod that ended.
    pub(super) fn fate(&self, cookie: u64, row: &SocketRow) -> Fate {
        let TrackedSocket { backend, port, protocol, .. } = row.into();
        if self.not_looked_for.contains(&cookie) {
            return Fate::There;
        }
        match self.sockets.get(&cookie) {
            Some(&at) if protocol == protocol::UDP && at != Some((backend, port)) => Fate::Elsewhere,
            Some(_) => Fate::There,
            None if self.searched.contains(&row.netns) || self.is_complete() => Fate::Gone,
            None if !self.has_client(row.client) => Fate::Gone,
            None => Fate::There,
        }
    }

    /// These sockets were not looked for.
    pub fn leave_out(&mut self, cookies: impl Iterator<Item = u64>) {
        self.not_looked_for.extend(cookies);
    }

    /// These clients there are, and no others.
    pub fn set_clients(&mut self, clients: Option<HashSet<u32>>) {
        self.clients = clients;
    }

    fn has_client(&self, client: u32) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients.contains(&client))
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

    /// Lists the sockets of the network namespace that this thread is in.
    fn here(&mut self, wanted: &HashSet<u64>) -> Result<(), Error> {
        let mut diag = Diag::open()?;
        for protocol in [protocol::UDP, protocol::TCP] {
            for family in [Family::V4, Family::V6] {
                let query = Query { family, protocol, port: None, all: true };
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

/// Looks for these sockets in every network namespace that is in reach, each by itself: one that cannot be searched is named, and the others
/// are searched all the same. To be called on a thread of its own, which ends in another namespace; ends early at `stop`.
pub fn look(wanted: &HashSet<u64>, reach: Reach, stop: &CancellationToken) -> Seen {
    let mut seen = Seen { is_partial: reach == Reach::Own, ..Seen::default() };
    if let Err(error) = seen.here(wanted) {
        seen.note(&error);
    }
    for namespace in namespace::others().take_while(|_| reach == Reach::All) {
        if stop.is_cancelled() || seen.sockets.len() == wanted.len() {
            break;
        }
        let searched = namespace.and_then(|namespace| namespace.enter().and_then(|()| seen.here(wanted)));
        match searched {
            Ok(()) => {}
            Err(error @ Error::SysAdminMissing) => {
                seen.note(&error);
                break;
            }
            Err(error) => seen.note(&error),
        }
    }
    seen.is_partial |= stop.is_cancelled();
    seen
}

#[cfg(test)]
pub(super) mod tests {
    use mesh_common::abi::socket_state;

    use super::*;

    const HERE: u32 = 7;
    const THERE: u32 = 8;

    /// A look that found no socket in the only namespace.
    pub(in crate::stale) fn searched(netns: u32) -> Seen {
        Seen { searched: [netns].into(), ..Seen::default() }
    }

    /// A look that found a socket that is not connected.
    pub(in crate::stale) fn found(cookie: u64) -> Seen {
        Seen { sockets: [(cookie, None)].into(), ..Seen::default() }
    }

    fn udp(netns: u32) -> SocketRow {
        SocketRow { netns, backend_port: 53, state: socket_state::HELD, ..bytemuck::Zeroable::zeroed() }
    }

    fn at(port: u16) -> Option<(Addr, u16)> {
        Some((udp(HERE).backend, port))
    }

    #[test]
    fn a_namespace_that_cannot_be_searched_keeps_its_own_sockets_and_no_others() {
        let failed = Seen { unsearched: vec!["a reason".into()], ..searched(HERE) };
        for seen in [failed, Seen { is_partial: true, ..searched(HERE) }] {
            assert_eq!((seen.fate(1, &udp(HERE)), seen.fate(1, &udp(THERE))), (Fate::Gone, Fate::There));
        }
    }

    #[test]
    fn sockets_of_a_client_that_is_gone_are_gone_wherever_they_are() {
        let mut seen = Seen { is_partial: true, ..Seen::default() };
        seen.set_clients(Some([5].into()));
        let of = |client: u32| SocketRow { client, ..udp(THERE) };
        assert_eq!([5, 6].map(|client| seen.fate(1, &of(client))), [Fate::There, Fate::Gone]);
    }

    #[test]
    fn sockets_of_a_namespace_that_is_gone_are_gone_when_all_were_searched() {
        let seen = Seen { searched: [HERE].into(), ..Seen::default() };
        assert_eq!(seen.fate(1, &udp(THERE)), Fate::Gone);
    }

    #[test]
    fn a_udp_socket_that_is_not_connected_to_its_backend_is_elsewhere() {
        let sockets = [(1, at(53)), (2, at(54)), (3, None)].into();
        let seen = Seen { sockets, searched: [HERE].into(), ..Seen::default() };
        let fates = [1, 2, 3].map(|cookie| seen.fate(cookie, &udp(HERE)));
        assert_eq!(fates, [Fate::There, Fate::Elsewhere, Fate::Elsewhere]);
        let tcp = SocketRow { started: 1, ..udp(HERE) };
        assert_eq!(seen.fate(3, &tcp), Fate::There, "a TCP socket's end is told by hooks");
    }
}
