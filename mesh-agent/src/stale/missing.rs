//! Sockets that looks did not find. A list of sockets may lack some while others come and go, and a connect may be under way,
//! so what holds for several looks in a row is believed.

use std::collections::BTreeMap;

use mesh_common::{
    abi::{SocketRow, socket_state},
    settle::Request,
};

use super::look::{Fate, Seen};

/// So many looks in a row have to agree for each step.
const LOOKS: u8 = 2;

/// What the last looks did not find, by cookie: the row, and how many looks in a row.
#[derive(Debug, Default)]
pub struct Missing(BTreeMap<u64, (SocketRow, Fate, u8)>);

impl Missing {
    /// Takes note of a look; returns what is to be done. A socket is suspected first, so that hooks take care; then what it
    /// holds is given back, and then its row goes: each time any hook that had the row in hand before has ended.
    pub fn take(&mut self, rows: &[(u64, SocketRow)], seen: &Seen) -> Vec<Request> {
        let before = std::mem::take(&mut self.0);
        let mut requests = Vec::new();
        for &(cookie, row) in rows {
            let fate = seen.fate(cookie, &row);
            let is_settled = row.state & socket_state::SETTLED != 0;
            if fate == Fate::There || fate == Fate::Elsewhere && is_settled {
                continue;
            }
            let earlier = before.get(&cookie).filter(|(known, known_fate, _)| (*known, *known_fate) == (row, fate));
            let looks = earlier.map_or(0, |(_, _, looks)| *looks) + 1;
            if looks >= LOOKS {
                requests.push(next(row.state)(cookie));
            }
            self.0.insert(cookie, (row, fate, looks.min(LOOKS)));
        }
        requests
    }

    /// Whether some are missed, so that the next look is of use.
    pub fn has_some(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The step that follows for a row in this state.
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
    use crate::stale::look::tests::{found, searched};

    const NETNS: u32 = 7;
    const ONE: u64 = 1;

    fn row(started: u64, state: u64) -> [(u64, SocketRow); 1] {
        [(ONE, SocketRow { netns: NETNS, started, state, ..SocketRow::zeroed() })]
    }

    #[test]
    fn a_socket_that_looks_miss_is_suspected_then_settled_then_forgotten() {
        let (mut missing, held) = (Missing::default(), row(5, socket_state::HELD));
        let looks = [(); 2].map(|()| missing.take(&held, &searched(NETNS)));
        assert_eq!(looks, [vec![], vec![Request::Suspect(ONE)]]);
        let suspected = row(5, socket_state::HELD | socket_state::SUSPECTED);
        let looks = [(); 2].map(|()| missing.take(&suspected, &searched(NETNS)));
        assert_eq!(looks, [vec![], vec![Request::Settle(ONE)]]);
        let settled = row(5, socket_state::SETTLED);
        let looks = [(); 2].map(|()| missing.take(&settled, &searched(NETNS)));
        assert_eq!(looks, [vec![], vec![Request::Forget(ONE)]]);
    }

    #[test]
    fn a_socket_that_connected_again_or_was_found_is_missed_from_the_start() {
        let mut missing = Missing::default();
        let seen = searched(NETNS);
        for between in [(row(6, socket_state::HELD), &seen), (row(5, socket_state::HELD), &found(ONE))] {
            assert_eq!(missing.take(&row(5, socket_state::HELD), &seen), []);
            assert_eq!(missing.take(&between.0, between.1), []);
            assert_eq!(missing.take(&row(5, socket_state::HELD), &seen), []);
            missing = Missing::default();
        }
    }

    #[test]
    fn a_udp_socket_that_is_not_connected_is_settled_and_keeps_its_row() {
        let (mut missing, held) = (Missing::default(), row(0, socket_state::HELD));
        let looks = [(); 2].map(|()| missing.take(&held, &found(ONE)));
        assert_eq!(looks, [vec![], vec![Request::Suspect(ONE)]]);
        let suspected = row(0, socket_state::HELD | socket_state::SUSPECTED);
        let looks = [(); 2].map(|()| missing.take(&suspected, &found(ONE)));
        assert_eq!(looks, [vec![], vec![Request::Settle(ONE)]]);
        let settled = row(0, socket_state::SETTLED);
        let looks = [(); 4].map(|()| missing.take(&settled, &found(ONE)));
        assert_eq!(looks, [const { vec![] }; 4]);
    }
}
