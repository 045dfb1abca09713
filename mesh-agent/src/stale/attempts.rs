//! Which stale sockets deserve another search. A program may keep a closed socket open for hours, and all that time
//! its row stays in SOCKETS; without a memory every sweep would search the whole machine for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Tracked, TrackedSocket, Whose};

/// A list of sockets is not a snapshot: while others are opened and closed the kernel may skip one, and one that is
/// tracked already may not have finished its connect.
const SEARCHES: u8 = 3;

/// Stale sockets that were searched for, and how many searches are left for each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attempts(BTreeMap<u64, (TrackedSocket, u8)>);

impl Attempts {
    /// Of `stale`, all sockets of the backends in `whose` that are stale now, those to search for. What is stale no
    /// longer, or was connected anew since, is forgotten.
    pub fn due(&mut self, stale: &[Tracked], whose: &Whose) -> Vec<Tracked> {
        let now: BTreeMap<u64, TrackedSocket> = stale.iter().copied().collect();
        self.0.retain(|cookie, (socket, _)| match now.get(cookie) {
            Some(now) => now == socket,
            None => !whose.has(socket.backend_index),
        });
        stale.iter().filter(|(cookie, _)| self.0.get(cookie).is_none_or(|(_, left)| *left > 0)).copied().collect()
    }

    /// Takes note of a search for `sockets`.
    pub fn record(&mut self, sockets: &[Tracked], report: &Report) {
        let closed: BTreeSet<u64> = report.closed.iter().copied().collect();
        for &(cookie, socket) in sockets {
            let (_, left) = self.0.entry(cookie).or_insert((socket, SEARCHES));
            *left = if closed.contains(&cookie) { 0 } else { left.saturating_sub(1) };
        }
    }

    /// Backends that have stale sockets left to search for.
    pub fn unfinished(&self) -> Whose {
        let sockets = self.0.values().filter(|(_, left)| *left > 0);
        Whose::Of(sockets.map(|(socket, _)| socket.backend_index).collect())
    }

    /// These backends leave, perhaps not for the first time: their sockets may have been connected again meanwhile.
    pub fn forget(&mut self, backends: &BTreeSet<u32>) {
        if !backends.is_empty() {
            self.0.retain(|_, (socket, _)| !backends.contains(&socket.backend_index));
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_common::abi::protocol;

    use super::*;

    fn socket(generation: u32) -> TrackedSocket {
        TrackedSocket { generation, protocol: protocol::UDP, backend_index: 7, ..bytemuck::Zeroable::zeroed() }
    }

    fn of(backend: u32) -> Whose {
        Whose::Of([backend].into())
    }

    #[test]
    fn closed_socket_is_not_searched_for_again_until_it_is_connected_anew() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        assert_eq!(attempts.due(&stale, &Whose::All), stale);
        attempts.record(&stale, &Report { closed: vec![1], ..Report::default() });
        assert_eq!(attempts.due(&stale, &Whose::All), []);
        assert_eq!(attempts.due(&[(1, socket(2))], &Whose::All), [(1, socket(2))]);
    }

    #[test]
    fn backend_that_is_down_for_the_second_time_closes_the_same_socket_again() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        attempts.record(&stale, &Report { closed: vec![1], ..Report::default() });
        assert_eq!(attempts.due(&[], &Whose::All), []);
        assert_eq!(attempts.due(&stale, &Whose::All), stale);
    }

    #[test]
    fn socket_that_is_not_found_is_searched_for_three_times() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        let missed = Report { not_found: vec![1], ..Report::default() };
        for _ in 0..SEARCHES {
            assert_eq!(attempts.due(&stale, &of(7)), stale);
            attempts.record(&stale, &missed);
            let another_backends = attempts.due(&[], &of(8));
            assert_eq!(another_backends, []);
        }
        assert_eq!((attempts.due(&stale, &of(7)), attempts.unfinished()), (vec![], Whose::Of(BTreeSet::new())));
    }

    #[test]
    fn closed_socket_that_was_connected_to_another_backend_is_closed_when_that_one_leaves() {
        let mut attempts = Attempts::default();
        attempts.record(&[(1, socket(1))], &Report { closed: vec![1], ..Report::default() });
        let elsewhere = [(1, TrackedSocket { backend_index: 8, ..socket(1) })];
        assert_eq!(attempts.due(&elsewhere, &of(8)), elsewhere);
    }

    #[test]
    fn socket_that_is_not_found_is_unfinished() {
        let mut attempts = Attempts::default();
        attempts.record(&[(1, socket(1))], &Report { not_found: vec![1], ..Report::default() });
        assert_eq!(attempts.unfinished(), of(7));
        attempts.record(&[(1, socket(1))], &Report { closed: vec![1], ..Report::default() });
        assert_eq!(attempts.unfinished(), Whose::Of(BTreeSet::new()));
    }

    #[test]
    fn backend_that_leaves_for_the_second_time_closes_a_socket_that_was_connected_again() {
        let mut attempts = Attempts::default();
        let stale = [(1, socket(1))];
        attempts.record(&stale, &Report { closed: vec![1], ..Report::default() });
        attempts.forget(&[8].into());
        assert_eq!(attempts.due(&stale, &of(7)), []);
        attempts.forget(&[7].into());
        assert_eq!(attempts.due(&stale, &of(7)), stale);
    }
}
