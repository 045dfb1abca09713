//! Limits the searches for each stale socket. A program may hold a closed socket for hours, and its
//! row stays in SOCKETS as long; without a limit every run would search the whole machine for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    close_schedule::BackendSet,
    destroy::CloseReport,
    tracked::{Tracked, TrackedSocket},
};

/// Searches per socket. A list of sockets is no snapshot: the kernel may skip one while others are
/// opened and closed, and a tracked socket may still be connecting.
const SEARCHES: u8 = 3;

/// Stale sockets that were searched for, with the number of searches left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attempts(BTreeMap<u64, (TrackedSocket, u8)>);

impl Attempts {
    /// Returns which sockets to search for. `stale` must list all stale sockets of the backends in
    /// `backends`; other records of these backends are dropped.
    pub fn due(&mut self, stale: &[Tracked], backends: &BackendSet) -> Vec<Tracked> {
        let now: BTreeMap<u64, TrackedSocket> = stale.iter().copied().collect();
        self.0.retain(|cookie, (socket, _)| match now.get(cookie) {
            Some(now) => now == socket,
            None => !backends.has(socket.backend_index),
        });
        stale
            .iter()
            .filter(|(cookie, _)| self.0.get(cookie).is_none_or(|(_, left)| *left > 0))
            .copied()
            .collect()
    }

    /// Records the result of a search for `sockets`.
    pub fn record(&mut self, sockets: &[Tracked], report: &CloseReport) {
        let closed: BTreeSet<u64> = report.closed.iter().copied().collect();
        for &(cookie, socket) in sockets {
            let (_, left) = self.0.entry(cookie).or_insert((socket, SEARCHES));
            *left = if closed.contains(&cookie) {
                0
            } else {
                left.saturating_sub(1)
            };
        }
    }

    /// Returns the backends with stale sockets that are left to search for.
    pub fn unfinished(&self) -> BackendSet {
        let sockets = self.0.values().filter(|(_, left)| *left > 0);
        BackendSet::Of(sockets.map(|(socket, _)| socket.backend_index).collect())
    }

    /// Drops the records of backends that leave, because their sockets may have been connected
    /// again since.
    pub fn forget(&mut self, backends: &BTreeSet<u32>) {
        if !backends.is_empty() {
            self.0
                .retain(|_, (socket, _)| !backends.contains(&socket.backend_index));
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_common::abi::protocol;

    use super::*;

    fn socket(generation: u32) -> TrackedSocket {
        TrackedSocket {
            generation,
            protocol: protocol::UDP,
            backend_index: 7,
            ..bytemuck::Zeroable::zeroed()
        }
    }

    fn of(backend: u32) -> BackendSet {
        BackendSet::Of([backend].into())
    }

    #[test]
    fn closed_socket_is_not_searched_for_again_until_it_is_connected_anew() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        assert_eq!(attempts.due(&stale, &BackendSet::All), stale);
        attempts.record(
            &stale,
            &CloseReport {
                closed: vec![1],
                ..CloseReport::default()
            },
        );
        assert_eq!(attempts.due(&stale, &BackendSet::All), []);
        assert_eq!(
            attempts.due(&[(1, socket(2))], &BackendSet::All),
            [(1, socket(2))]
        );
    }

    #[test]
    fn backend_that_is_down_for_the_second_time_closes_the_same_socket_again() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        attempts.record(
            &stale,
            &CloseReport {
                closed: vec![1],
                ..CloseReport::default()
            },
        );
        assert_eq!(attempts.due(&[], &BackendSet::All), []);
        assert_eq!(attempts.due(&stale, &BackendSet::All), stale);
    }

    #[test]
    fn socket_that_is_not_found_is_searched_for_three_times() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        let missed = CloseReport {
            not_found: vec![1],
            ..CloseReport::default()
        };
        for _ in 0..SEARCHES {
            assert_eq!(attempts.due(&stale, &of(7)), stale);
            attempts.record(&stale, &missed);
            let another_backends = attempts.due(&[], &of(8));
            assert_eq!(another_backends, []);
        }
        assert_eq!(
            (attempts.due(&stale, &of(7)), attempts.unfinished()),
            (vec![], BackendSet::Of(BTreeSet::new()))
        );
    }

    #[test]
    fn closed_socket_that_was_connected_to_another_backend_is_closed_when_that_one_leaves() {
        let mut attempts = Attempts::default();
        attempts.record(
            &[(1, socket(1))],
            &CloseReport {
                closed: vec![1],
                ..CloseReport::default()
            },
        );
        let elsewhere = [(
            1,
            TrackedSocket {
                backend_index: 8,
                ..socket(1)
            },
        )];
        assert_eq!(attempts.due(&elsewhere, &of(8)), elsewhere);
    }

    #[test]
    fn socket_that_is_not_found_is_unfinished() {
        let mut attempts = Attempts::default();
        attempts.record(
            &[(1, socket(1))],
            &CloseReport {
                not_found: vec![1],
                ..CloseReport::default()
            },
        );
        assert_eq!(attempts.unfinished(), of(7));
        attempts.record(
            &[(1, socket(1))],
            &CloseReport {
                closed: vec![1],
                ..CloseReport::default()
            },
        );
        assert_eq!(attempts.unfinished(), BackendSet::Of(BTreeSet::new()));
    }

    #[test]
    fn backend_that_leaves_for_the_second_time_closes_a_socket_that_was_connected_again() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        attempts.record(
            &stale,
            &CloseReport {
                closed: vec![1],
                ..CloseReport::default()
            },
        );
        attempts.forget(&[8].into());
        assert_eq!(attempts.due(&stale, &of(7)), []);
        attempts.forget(&[7].into());
        assert_eq!(attempts.due(&stale, &of(7)), stale);
    }
}
