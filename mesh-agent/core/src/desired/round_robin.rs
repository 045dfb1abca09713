//! Builds round-robin tables: the order in which backends are chosen, as slots that the kernel
//! cycles through.
//!
//! The order is nginx's smooth weighted round robin. In every turn each backend's current weight
//! grows by its weight; the backend with the largest current weight is chosen, and the sum of all
//! weights is subtracted from it. In one cycle each backend has as many turns as its weight, evenly
//! spread.
//! <https://github.com/nginx/nginx/blob/release-1.28.0/src/http/ngx_http_upstream_round_robin.c>

use std::{cmp::Reverse, collections::BTreeMap};

use mesh_common::abi::Slot;

use super::alias_table::WeightedBackend;

/// Bounds a cycle: about this many turns, or [`PER_BACKEND`] turns per backend if that is more.
const CYCLE: u64 = 1024;
const PER_BACKEND: u64 = 4;

/// Returns one cycle; empty without backends.
pub(super) fn round_robin_table(shares: &[WeightedBackend]) -> Vec<Slot> {
    let weights = reduced(shares);
    let total: u64 = weights.iter().sum();
    let mut classes = classes(&weights);
    (0..total)
        .map(|turn| Slot::full(shares[next(&mut classes, turn, total)].backend))
        .collect()
}

/// Divides the weights by their greatest common divisor, and scales them down if the cycle would
/// still be too long.
fn reduced(shares: &[WeightedBackend]) -> Vec<u64> {
    let divisor = shares
        .iter()
        .fold(0, |divisor, share| gcd(divisor, share.weight.into()))
        .max(1);
    let weights: Vec<u64> = shares
        .iter()
        .map(|share| u64::from(share.weight) / divisor)
        .collect();
    let total: u64 = weights.iter().sum();
    let longest = CYCLE.max(PER_BACKEND * weights.len() as u64);
    if total <= longest {
        return weights;
    }
    weights
        .iter()
        .map(|weight| ((weight * longest + total / 2) / total).max(1))
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Backends of equal weight. Their current weights differ only by how often each was chosen, so
/// they alternate.
struct Class {
    weight: u64,
    members: Vec<usize>,
    taken: u64,
}

impl Class {
    /// Returns the backend of this class that is next.
    fn first(&self) -> usize {
        self.members
            [usize::try_from(self.taken % self.members.len() as u64).expect("below a length")]
    }

    /// Returns the current weight of the next backend.
    fn current_weight(&self, turn: u64, total: u64) -> i128 {
        let rounds = self.taken / self.members.len() as u64;
        i128::from(turn + 1) * i128::from(self.weight) - i128::from(rounds) * i128::from(total)
    }
}

fn classes(weights: &[u64]) -> Vec<Class> {
    let mut classes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (position, &weight) in weights.iter().enumerate() {
        classes.entry(weight).or_default().push(position);
    }
    classes
        .into_iter()
        .map(|(weight, members)| Class {
            weight,
            members,
            taken: 0,
        })
        .collect()
}

/// Returns the position of the backend with the largest current weight; the first of several.
fn next(classes: &mut [Class], turn: u64, total: u64) -> usize {
    let found = classes
        .iter_mut()
        .max_by_key(|class| (class.current_weight(turn, total), Reverse(class.first())));
    let largest = found.expect("a cycle with turns has backends");
    let first = largest.first();
    largest.taken += 1;
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(weights: &[u32]) -> Vec<u32> {
        let shares: Vec<WeightedBackend> = (0..)
            .zip(weights)
            .map(|(backend, &weight)| WeightedBackend::new(backend, weight))
            .collect();
        round_robin_table(&shares)
            .iter()
            .map(|slot| slot.backend)
            .collect()
    }

    /// The algorithm as nginx implements it.
    fn nginx_turns(weights: &[u32]) -> Vec<u32> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut current = vec![0; weights.len()];
        let mut turn = || {
            current
                .iter_mut()
                .zip(weights)
                .for_each(|(current, &weight)| *current += i64::from(weight));
            let largest = (0..weights.len())
                .max_by_key(|&position| (current[position], Reverse(position)))
                .unwrap();
            current[largest] -= total;
            u32::try_from(largest).unwrap()
        };
        (0..total).map(|_| turn()).collect()
    }

    #[test]
    fn turns_of_heavy_backends_are_spread() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(turns(&[]), [0_u32; 0]);
    }

    #[test]
    fn long_cycles_are_scaled_down_and_every_backend_has_a_turn() {
        let turns = turns(&[4_294_901_760, 65_537, 1]);
        assert_eq!(turns.len(), 1026);
        let count = |backend| turns.iter().filter(|turn| **turn == backend).count();
        assert_eq!([count(1), count(2)], [1, 1]);
    }

    proptest! {
        #[test]
        fn a_cycle_is_exact_and_equal_to_nginx(weights in prop::collection::vec(1_u32..40, 1..20)) {
            let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight.into()));
            let reduced: Vec<u32> = weights.iter().map(|&it| it / u32::try_from(divisor).unwrap()).collect();
            let turns = turns(&weights);
            for (position, &weight) in (0..).zip(&reduced) {
                prop_assert_eq!(turns.iter().filter(|turn| **turn == position).count(), weight as usize);
            }
            prop_assert_eq!(turns, nginx_turns(&reduced));
        }
    }
}
