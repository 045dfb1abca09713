//! Builds Maglev tables for consistent hashing: adding or removing a backend moves few entries of
//! the others.
//!
//! D. E. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016),
//! section 3.4. Every backend has its own permutation of the entries, and the backends take turns
//! to claim the next free one. With weights, the number of turns is proportional to the weight, as
//! in Envoy.
//! <https://github.com/envoyproxy/envoy/blob/v1.34.0/source/extensions/load_balancing_policies/maglev/maglev_lb.cc>
//!
//! The permutation depends only on the endpoint's address and port, so all nodes build the same
//! table.

use std::net::{IpAddr, SocketAddr};

use mesh_common::abi::Slot;

use super::alias_table::WeightedBackend;
use crate::hash::{fnv1a, mix};

/// Table sizes: primes just below powers of two.
const SIZES: [u32; 10] = [
    251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071,
];

/// Entries per backend, enough to keep the shares of equal backends within one per cent.
const PER_BACKEND: usize = 100;

/// Returns the table; empty without backends.
pub(super) fn maglev_table(shares: &[WeightedBackend]) -> Vec<Slot> {
    let Some(heaviest) = shares.iter().map(|share| u64::from(share.weight)).max() else {
        return Vec::new();
    };
    let size = size(shares.len());
    let mut claimants: Vec<Claimant> = shares
        .iter()
        .map(|share| Claimant::new(share, size))
        .collect();
    claimants.sort_unstable_by_key(|claimant| claimant.address);
    let mut table: Vec<Option<u32>> = vec![None; size as usize];
    let mut free = size;
    for round in 1.. {
        for claimant in &mut claimants {
            if free == 0 {
                return table.into_iter().flatten().map(Slot::full).collect();
            }
            if round * claimant.weight > claimant.turns * heaviest {
                claimant.turns += 1;
                claimant.claim(&mut table);
                free -= 1;
            }
        }
    }
    unreachable!("the heaviest claims an entry in every round")
}

/// Returns the smallest size with enough entries per backend, or the largest.
fn size(backends: usize) -> u32 {
    let wanted = backends.saturating_mul(PER_BACKEND);
    SIZES
        .into_iter()
        .find(|&size| size as usize >= wanted)
        .unwrap_or(SIZES[SIZES.len() - 1])
}

/// A backend and its permutation: every `skip`-th entry, which visits all entries because the size
/// is prime.
struct Claimant {
    address: SocketAddr,
    backend: u32,
    weight: u64,
    turns: u64,
    /// Next entry of the permutation.
    next: u32,
    skip: u32,
}

impl Claimant {
    fn new(share: &WeightedBackend, size: u32) -> Self {
        let hash = hash(share.address);
        Self {
            address: share.address,
            backend: share.backend,
            weight: share.weight.into(),
            turns: 0,
            next: below(mix(hash ^ OFFSET), size),
            skip: below(mix(hash ^ SKIP), size - 1) + 1,
        }
    }

    /// Claims the next free entry of the permutation.
    fn claim(&mut self, table: &mut [Option<u32>]) {
        let size = u32::try_from(table.len()).expect("one of the sizes");
        loop {
            let entry = &mut table[self.next as usize];
            self.next = (self.next + self.skip) % size;
            if entry.is_none() {
                *entry = Some(self.backend);
                return;
            }
        }
    }
}

fn below(hash: u64, bound: u32) -> u32 {
    u32::try_from(hash % u64::from(bound)).expect("below a 32-bit number")
}

/// Derive two hashes from one. All nodes must agree on these values and on the functions below.
const OFFSET: u64 = 0x6f66_6673_6574;
const SKIP: u64 = 0x736b_6970;

/// FNV-1a (64 bits) over the 16 bytes of the address (IPv4 is mapped) and the 2 bytes of the port,
/// in network byte order.
fn hash(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let bytes = ip.octets().into_iter().chain(address.port().to_be_bytes());
    fnv1a(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(weights: impl IntoIterator<Item = u32>) -> Vec<WeightedBackend> {
        let share = |(backend, weight): (u32, u32)| {
            let address = SocketAddr::from(((0x0a00_0000 + backend).to_be_bytes(), 8080));
            WeightedBackend {
                backend,
                weight,
                address,
            }
        };
        (0..).zip(weights).map(share).collect()
    }

    fn counts(table: &[Slot], backends: usize) -> Vec<usize> {
        let mut counts = vec![0; backends];
        table
            .iter()
            .for_each(|slot| counts[slot.backend as usize] += 1);
        counts
    }

    #[test]
    fn equal_shares_are_equal() {
        for backends in [1, 2, 7, 40, 300] {
            let table = maglev_table(&shares(vec![1; backends]));
            let counts = counts(&table, backends);
            assert!(table.len() >= 100 * backends);
            assert!(
                counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn the_table_is_the_same_everywhere() {
        let mut shares = shares([3, 1, 2, 5, 1]);
        let table = maglev_table(&shares);
        shares.reverse();
        assert_eq!(maglev_table(&shares), table);
        let digest = table
            .iter()
            .fold(0, |digest, slot| mix(digest ^ u64::from(slot.backend)));
        assert_eq!(
            digest, 4_230_249_058_039_730_981,
            "another table would send clients of a running cluster elsewhere"
        );
    }

    #[test]
    fn the_largest_table_is_filled_for_more_backends_than_it_is_made_for() {
        assert_eq!(maglev_table(&shares(vec![1; 3000])).len(), 131_071);
        assert_eq!(maglev_table(&[]), []);
    }

    /// Entries of others that change when one of `backends` leaves.
    fn disrupted(backends: usize, leaving: u32) -> (usize, usize) {
        let all = shares(vec![1; backends]);
        let rest: Vec<WeightedBackend> = all
            .iter()
            .copied()
            .filter(|share| share.backend != leaving)
            .collect();
        let (before, after) = (maglev_table(&all), maglev_table(&rest));
        assert_eq!(
            before.len(),
            after.len(),
            "the same size, or nothing can be compared"
        );
        let others = before
            .iter()
            .zip(&after)
            .filter(|(before, _)| before.backend != leaving);
        (
            others.filter(|(before, after)| before != after).count(),
            before.len(),
        )
    }

    #[test]
    fn a_backend_that_leaves_moves_few_entries_of_others() {
        for backends in [5, 20, 80, 320] {
            let (mut worst, mut sum) = (0.0_f64, 0.0);
            for leaving in 0..5 {
                let (moved, size) = disrupted(backends, leaving);
                let share = moved as f64 / size as f64;
                worst = worst.max(share);
                sum += share;
            }
            // The paper gives up a little of the minimum for even shares (section 3.4, figure 12):
            // a few per cent.
            assert!(
                sum / 5.0 < 0.025 && worst < 0.04,
                "{backends} backends: {sum} {worst}"
            );
        }
    }

    proptest! {
        #[test]
        fn weights_are_honoured(weights in prop::collection::vec(1_u32..=8, 1..60)) {
            let table = maglev_table(&shares(weights.iter().copied()));
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts(&table, weights.len()).into_iter().zip(&weights) {
                let ideal = f64::from(*weight) * table.len() as f64 / f64::from(total);
                // A turn is never split.
                prop_assert!((count as f64 - ideal).abs() <= 2.0 + ideal * 0.02, "{} instead of {}", count, ideal);
            }
        }
    }
}
