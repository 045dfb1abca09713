//! Quotas: the number of rows that one [client](crate::client) may have in tables that all clients
//! share. Takes a client, counts its rows in QUOTAS.
//!
//! A row of QUOTAS counts for all clients of one class: two of 65,536 clients may share a row, and
//! then its quota.

use crate::{
    abi::{ClientUse, Resource, maps},
    atomic,
    hash::GOLDEN,
};

const BITS: u32 = maps::QUOTAS.capacity().trailing_zeros();

/// Rows of FLOWS that take as much memory as one row of MORE_FLOWS. The quota of MORE_FLOWS is
/// lower by this factor.
pub const SMALL_PER_LARGE: u32 = 16;

/// Returns the row of QUOTAS for a client.
#[inline(always)]
pub const fn place(client: u32) -> u32 {
    client.wrapping_mul(GOLDEN) >> (32 - BITS)
}

/// Counts one more row unless the client has `most`. Returns whether it did. A count may be below
/// zero until the agent corrects it: programs of two agents may both give back one row while they
/// are switched.
#[inline(always)]
pub fn take(used: &ClientUse, resource: Resource, most: u32) -> bool {
    let word = used.of(resource);
    if atomic::add(word, 1).cast_signed() < i64::from(most) {
        return true;
    }
    atomic::count(word, 1_u64.wrapping_neg());
    false
}

/// Counts `rows` fewer rows.
#[inline(always)]
pub fn give_back(used: &ClientUse, resource: Resource, rows: u64) {
    atomic::count(used.of(resource), rows.wrapping_neg());
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

    use super::*;

    #[test]
    fn a_client_has_as_many_rows_as_it_may_have_and_no_more() {
        let used = ClientUse::default();
        assert_eq!(
            [(); 3].map(|()| take(&used, Resource::Sockets, 2)),
            [true, true, false]
        );
        assert!(take(&used, Resource::Flows, 1), "each kind by itself");
        give_back(&used, Resource::Sockets, 1);
        assert_eq!(
            [(); 2].map(|()| take(&used, Resource::Sockets, 2)),
            [true, false]
        );
        assert_eq!(
            [&used.sockets, &used.flows, &used.affinity].map(|word| word.load(Relaxed)),
            [2, 1, 0]
        );
    }

    #[test]
    fn a_count_below_zero_refuses_no_row() {
        let used = ClientUse::default();
        give_back(&used, Resource::Sockets, 2);
        assert_eq!(
            [(); 4].map(|()| take(&used, Resource::Sockets, 1)),
            [true, true, true, false]
        );
    }

    #[test]
    fn neighbours_do_not_share_a_row() {
        let places: BTreeSet<u32> = (0..1000).map(place).collect();
        assert_eq!(places.len(), 1000);
        assert!(places.iter().all(|&place| place < maps::QUOTAS.capacity()));
    }
}
