//! Allocates indexes and service ids that have no row in the kernel.

use std::collections::VecDeque;

use super::Allocatable;
use crate::table::Table;

/// Allocates free indexes, single or contiguous, lowest first.
#[derive(Clone)]
pub(super) struct IndexAllocator {
    /// Start and end (exclusive) of each gap, ascending.
    gaps: Vec<(u32, u32)>,
    /// Gaps before this one are used up.
    first: usize,
}

impl IndexAllocator {
    pub(super) fn new<V>(taken: &Table<u32, V>) -> Self {
        Self {
            gaps: taken.gaps(),
            first: 0,
        }
    }

    /// Allocates one index.
    pub(super) fn take(&mut self) -> u32 {
        self.take_range(1)
    }

    /// Returns the index that [`take`](Self::take) would allocate.
    fn next(&self) -> u32 {
        self.gaps[self.first].0
    }

    /// Allocates `length` contiguous indexes and returns the first. Always succeeds, because the
    /// last gap has no end.
    pub(super) fn take_range(&mut self, length: u32) -> u32 {
        let gap = self.gaps[self.first..]
            .iter_mut()
            .find(|(start, end)| end - start >= length)
            .expect("the last gap has no end");
        let start = gap.0;
        gap.0 += length;
        while self.gaps[self.first].0 == self.gaps[self.first].1 {
            self.first += 1;
        }
        start
    }
}

/// Allocates free service ids, lowest first. Ids that connections still count for are allocated
/// last.
#[derive(Clone)]
pub(super) struct IdAllocator<'a> {
    free: IndexAllocator,
    allocatable: Allocatable<'a>,
    /// Free ids that were passed over, ascending.
    busy: VecDeque<u32>,
}

impl<'a> IdAllocator<'a> {
    pub(super) fn new<V>(taken: &Table<u32, V>, allocatable: Allocatable<'a>) -> Self {
        Self {
            free: IndexAllocator::new(taken),
            allocatable,
            busy: VecDeque::new(),
        }
    }

    /// Allocates an id. It is beyond the capacity only if no id within the capacity is left.
    pub(super) fn take(&mut self) -> u32 {
        while self.free.next() < self.allocatable.capacity.services {
            let id = self.free.take();
            if !self.allocatable.busy.contains(&id) {
                return id;
            }
            self.busy.push_back(id);
        }
        self.busy.pop_front().unwrap_or_else(|| self.free.take())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dataplane::memory::Memory;

    fn taken(indexes: &[u32]) -> Table<u32, ()> {
        indexes.iter().map(|&index| (index, ())).collect()
    }

    #[test]
    fn indexes_skip_what_is_taken() {
        let mut free = IndexAllocator::new(&taken(&[0, 2, 3]));
        assert_eq!([free.take(), free.take(), free.take()], [1, 4, 5]);
    }

    #[test]
    fn ranges_fill_the_first_gap_that_is_wide_enough() {
        let mut free = IndexAllocator::new(&taken(&[0, 3, 10]));
        assert_eq!(free.take_range(3), 4);
        assert_eq!(free.take_range(2), 1);
        assert_eq!(free.take_range(3), 7);
        assert_eq!(free.take_range(1), 11);
    }

    #[test]
    fn ids_that_connections_count_for_come_last() {
        let busy = BTreeSet::from([0, 3, 4]);
        let capacity = crate::desired::Capacity {
            services: 6,
            ..Memory::CAPACITY
        };
        let mut free = IdAllocator::new(
            &taken(&[1]),
            Allocatable {
                busy: &busy,
                ..capacity.into()
            },
        );
        let ids: Vec<u32> = (0..6).map(|_| free.take()).collect();
        assert_eq!(
            ids,
            [2, 5, 0, 3, 4, 6],
            "6 is too many, which the capacity says"
        );
    }
}
