//! Tracks sockets that scans did not find. A list of sockets may lack some while others come and
//! go, and a connect may be under way, so several consecutive scans must agree.

use std::collections::BTreeMap;

use mesh_common::{
    abi::{SocketRow, socket_state},
    settle::Request,
};

use super::socket_scan::{ScanResult, SocketFate};

/// Consecutive scans that must agree before a socket is suspected, and before it is settled. A settled
/// row only waits until no hook is using it.
const SCANS: u8 = 2;

/// Sockets that the last scans did not find, by cookie: the row, its state, and the number of
/// consecutive scans.
#[derive(Debug, Default)]
pub struct MissingSockets(BTreeMap<u64, (SocketRow, SocketFate, u8)>);

impl MissingSockets {
    /// Records a scan, and returns the requests to make. A socket is first suspected, so that hooks
    /// are careful; then what it holds is released; then its row is deleted. By each step, any hook
    /// that was using the row before has ended.
    pub fn take(&mut self, rows: &[(u64, SocketRow)], seen: &ScanResult) -> Vec<Request> {
        let before = std::mem::take(&mut self.0);
        let mut requests = Vec::new();
        for &(cookie, row) in rows {
            let fate = seen.fate(cookie, &row);
            let is_settled = row.state & socket_state::SETTLED != 0;
            if fate == SocketFate::There || fate == SocketFate::Elsewhere && is_settled {
                continue;
            }
            let earlier = before
                .get(&cookie)
                .filter(|(known, known_fate, _)| (*known, *known_fate) == (row, fate));
            let scans = earlier.map_or(0, |(_, _, scans)| *scans) + 1;
            if is_settled || scans >= SCANS {
                requests.push(next(row.state)(cookie));
            }
            self.0.insert(cookie, (row, fate, scans.min(SCANS)));
        }
        requests
    }

    /// Whether any missing socket was suspected before the last scan.
    pub fn has_suspects(&self) -> bool {
        const SUSPECT: u64 = socket_state::SUSPECTED | socket_state::SETTLED;
        let mut rows = self.0.values();
        rows.any(|(row, ..)| row.state & SUSPECT != 0)
    }

    /// Whether any socket is missing, so that another scan is useful.
    pub fn has_some(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Returns the next step for a row in this state.
const fn next(state: u64) -> fn(u64) -> Request {
    if state & socket_state::SETTLED != 0 {
        Request::Forget
    } else if state & socket_state::SUSPECTED != 0 {
        Request::Settle
    } else {
        Request::Suspect
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::stale::socket_scan::tests::{found, searched};

    const NETNS: u32 = 7;
    const ONE: u64 = 1;

    fn row(started: u64, state: u64) -> [(u64, SocketRow); 1] {
        [(
            ONE,
            SocketRow {
                netns: NETNS,
                started,
                state,
                ..SocketRow::zeroed()
            },
        )]
    }

    #[test]
    fn a_missing_socket_is_suspected_then_settled_then_forgotten() {
        let (mut missing, held) = (MissingSockets::default(), row(5, socket_state::HELD));
        let scans = [(); 2].map(|()| missing.take(&held, &searched(NETNS)));
        assert_eq!(scans, [vec![], vec![Request::Suspect(ONE)]]);
        assert!(!missing.has_suspects());
        let suspected = row(5, socket_state::HELD | socket_state::SUSPECTED);
        let scans = [(); 2].map(|()| missing.take(&suspected, &searched(NETNS)));
        assert_eq!(scans, [vec![], vec![Request::Settle(ONE)]]);
        assert!(missing.has_suspects());
        let settled = row(5, socket_state::SETTLED);
        let scan = missing.take(&settled, &searched(NETNS));
        assert_eq!(scan, [Request::Forget(ONE)]);
    }

    #[test]
    fn a_socket_that_connected_again_or_was_found_starts_over() {
        let mut missing = MissingSockets::default();
        let seen = searched(NETNS);
        for between in [
            (row(6, socket_state::HELD), &seen),
            (row(5, socket_state::HELD), &found(ONE)),
        ] {
            assert_eq!(missing.take(&row(5, socket_state::HELD), &seen), []);
            assert_eq!(missing.take(&between.0, between.1), []);
            assert_eq!(missing.take(&row(5, socket_state::HELD), &seen), []);
            missing = MissingSockets::default();
        }
    }

    #[test]
    fn a_udp_socket_that_is_not_connected_is_settled_and_keeps_its_row() {
        let (mut missing, held) = (MissingSockets::default(), row(0, socket_state::HELD));
        let scans = [(); 2].map(|()| missing.take(&held, &found(ONE)));
        assert_eq!(scans, [vec![], vec![Request::Suspect(ONE)]]);
        let suspected = row(0, socket_state::HELD | socket_state::SUSPECTED);
        let scans = [(); 2].map(|()| missing.take(&suspected, &found(ONE)));
        assert_eq!(scans, [vec![], vec![Request::Settle(ONE)]]);
        let settled = row(0, socket_state::SETTLED);
        let scans = [(); 4].map(|()| missing.take(&settled, &found(ONE)));
        assert_eq!(scans, [const { vec![] }; 4]);
    }
}
