//! Checks between rounds: only rows of open sockets are left, and the agent needs no more memory and
//! descriptors than before.

use std::fmt;

use super::{
    acts::Acts,
    load::{Load, STREAMS},
    rows::sockets,
};
use crate::{Node, node::PATIENCE, wait};

/// Descriptors of connections to the control socket that the agent may not have closed yet.
const CLOSING: usize = 4;
/// Growth of memory, in KiB, that the allocator causes without a leak.
const GROWTH: u64 = 4096;

/// Memory and descriptors of the agent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rest {
    memory_kib: u64,
    descriptors: usize,
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory_kib,
            descriptors,
        } = self;
        write!(f, "{memory_kib} KiB, {descriptors} descriptors")
    }
}

impl Rest {
    /// Reads them of the running agent.
    pub fn of(node: &Node) -> Self {
        Self {
            memory_kib: node.agent_memory_kib(),
            descriptors: node.agent_descriptors(),
        }
    }
}

/// Waits until only the open streams are left, and the agent has no more descriptors than at the
/// start and no problem.
pub fn expect(acts: &Acts, _streams_are_open: &Load, base: Rest) -> Rest {
    let pins = &acts.node.directories().pins;
    let streams = STREAMS as usize;
    wait::until_equal("rows of SOCKETS", PATIENCE, &streams, || sockets(pins));
    wait::until("descriptors to be closed", PATIENCE, || {
        acts.node.agent_descriptors() <= base.descriptors + CLOSING
    });
    let status = acts.node.status();
    assert_eq!(
        (status.problems, status.errors.len()),
        (Vec::<String>::new(), 0)
    );
    Rest::of(&acts.node)
}

/// Memory of one agent, round by round.
#[derive(Default)]
pub struct Life(Vec<u64>);

impl Life {
    /// Adds a round.
    pub fn note(&mut self, rest: Rest) {
        self.0.push(rest.memory_kib);
    }

    /// Panics if the second half of the life needed more memory than the first.
    pub fn expect_flat(&self) {
        let (first, second) = self.halves();
        assert!(second <= first + GROWTH, "memory grows: {:?} KiB", self.0);
    }

    /// Most memory in each half.
    fn halves(&self) -> (u64, u64) {
        let (first, second) = self.0.split_at(self.0.len() / 2);
        let most = |half: &[u64]| half.iter().copied().max();
        let second = most(second).unwrap_or_default();
        (most(first).unwrap_or(second), second)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.halves();
        write!(
            f,
            "one agent over {} rounds: at most {first} KiB in the first half, {second} KiB in the second",
            self.0.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_an_agent_that_stays_as_large_is_flat() {
        Life(vec![31_000, 30_000, 31_000, 32_000]).expect_flat();
        Life(vec![31_000]).expect_flat();
        Life::default().expect_flat();
    }

    #[test]
    #[should_panic(expected = "memory grows")]
    fn memory_that_grows_from_round_to_round_is_not_flat() {
        Life((0..20).map(|round| 30_000 + 500 * round).collect()).expect_flat();
    }
}
