//! Free places in a table: whatever the kernel holds no row for.

use std::collections::BTreeMap;

/// Hands out free indexes in ascending order.
pub(super) struct FreeIndexes<'a, V> {
    taken: &'a BTreeMap<u32, V>,
    next: u32,
}

impl<'a, V> FreeIndexes<'a, V> {
    pub(super) fn new(taken: &'a BTreeMap<u32, V>) -> Self {
        Self { taken, next: 0 }
    }

    /// The next index without a row.
    pub(super) fn take(&mut self) -> u32 {
        while self.taken.contains_key(&self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }
}

/// Hands out runs of free indexes, lowest first.
pub(super) struct FreeRanges {
    /// Start and end (exclusive) of each gap, ascending.
    gaps: Vec<(u32, u32)>,
    /// Gaps before this one are used up.
    first: usize,
}

impl FreeRanges {
    pub(super) fn new<V>(taken: &BTreeMap<u32, V>) -> Self {
        let mut gaps = Vec::new();
        let mut start = 0;
        for &index in taken.keys() {
            if index > start {
                gaps.push((start, index));
            }
            start = index + 1;
        }
        gaps.push((start, u32::MAX));
        Self { gaps, first: 0 }
    }

    /// Start of `length` consecutive indexes without rows. The last gap has no end, so there always is one.
    pub(super) fn take(&mut self, length: u32) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(indexes: &[u32]) -> BTreeMap<u32, ()> {
        indexes.iter().map(|&index| (index, ())).collect()
    }

    #[test]
    fn indexes_skip_what_is_taken() {
        let taken = taken(&[0, 2, 3]);
        let mut free = FreeIndexes::new(&taken);
        assert_eq!([free.take(), free.take(), free.take()], [1, 4, 5]);
    }

    #[test]
    fn ranges_fill_the_first_gap_that_is_wide_enough() {
        let mut free = FreeRanges::new(&taken(&[0, 3, 10]));
        assert_eq!(free.take(3), 4);
        assert_eq!(free.take(2), 1);
        assert_eq!(free.take(3), 7);
        assert_eq!(free.take(1), 11);
    }
}
