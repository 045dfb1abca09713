//! Round robin: whose turn it is, as a row of slots that is gone through again and again.
//!
//! The smooth weighted order of nginx: at every turn each backend's account grows by its weight, the richest is taken
//! and pays the sum of all weights. In a whole cycle each has as many turns as its weight, evenly spread.
//! <https://github.com/nginx/nginx/blob/release-1.28.0/src/http/ngx_http_upstream_round_robin.c>

use std::{cmp::Reverse, collections::BTreeMap};

use mesh_common::abi::Slot;

use super::slots::Share;

/// A cycle is not much longer than this, or than [`PER_BACKEND`] turns for each backend.
const CYCLE: u64 = 1024;
const PER_BACKEND: u64 = 4;

/// One cycle; empty for no shares.
pub(super) fn turn_table(shares: &[Share]) -> Vec<Slot> {
    let weights = reduced(shares);
    let total: u64 = weights.iter().sum();
    let mut classes = classes(&weights);
    (0..total).map(|turn| Slot::full(shares[next(&mut classes, turn, total)].backend)).collect()
}

/// The weights by their greatest common divisor; where a cycle would still be too long, scaled so that it is not.
fn reduced(shares: &[Share]) -> Vec<u64> {
    let divisor = shares.iter().fold(0, |divisor, share| gcd(divisor, share.weight.into())).max(1);
    let weights: Vec<u64> = shares.iter().map(|share| u64::from(share.weight) / divisor).collect();
    let total: u64 = weights.iter().sum();
    let longest = CYCLE.max(PER_BACKEND * weights.len() as u64);
    if total <= longest {
        return weights;
    }
    weights.iter().map(|weight| ((weight * longest + total / 2) / total).max(1)).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Backends of one weight. Their accounts differ only by how often each was taken, so they take turns among themselves.
struct Class {
    weight: u64,
    members: Vec<usize>,
    taken: u64,
}

impl Class {
    /// Who of them is next.
    fn first(&self) -> usize {
        self.members[usize::try_from(self.taken % self.members.len() as u64).expect("below a length")]
    }

    /// The account of the one who is next.
    fn account(&self, turn: u64, total: u64) -> i128 {
        let rounds = self.taken / self.members.len() as u64;
        i128::from(turn + 1) * i128::from(self.weight) - i128::from(rounds) * i128::from(total)
    }
}

fn classes(weights: &[u64]) -> Vec<Class> {
    let mut classes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (position, &weight) in weights.iter().enumerate() {
        classes.entry(weight).or_default().push(position);
    }
    classes.into_iter().map(|(weight, members)| Class { weight, members, taken: 0 }).collect()
}

/// Position of the backend whose turn it is; of several that are equally rich, the first.
fn next(classes: &mut [Class], turn: u64, total: u64) -> usize {
    let richest = classes.iter_mut().max_by_key(|class| (class.account(turn, total), Reverse(class.first())));
    let richest = richest.expect("only backends make a cycle longer than nothing");
    let first = richest.first();
    richest.taken += 1;
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(weights: &[u32]) -> Vec<u32> {
        let shares: Vec<Share> = (0..).zip(weights).map(|(backend, &weight)| Share::new(backend, weight)).collect();
        turn_table(&shares).iter().map(|slot| slot.backend).collect()
    }

    /// As nginx has it.
    fn accounts(weights: &[u32]) -> Vec<u32> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut accounts = vec![0; weights.len()];
        let mut turn = || {
            accounts.iter_mut().zip(weights).for_each(|(account, &weight)| *account += i64::from(weight));
            let richest = (0..weights.len()).max_by_key(|&position| (accounts[position], Reverse(position))).unwrap();
            accounts[richest] -= total;
            u32::try_from(richest).unwrap()
        };
        (0..total).map(|_| turn()).collect()
    }

    #[test]
    fn turns_of_the_heavy_are_spread() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(turns(&[]), [0_u32; 0]);
    }

    #[test]
    fn long_cycles_are_cut_and_nobody_is_forgotten() {
        let turns = turns(&[4_294_901_760, 65_537, 1]);
        assert_eq!(turns.len(), 1026);
        assert_eq!((1..3).map(|who| turns.iter().filter(|turn| **turn == who).count()).collect::<Vec<_>>(), [1, 1]);
    }

    proptest! {
        #[test]
        fn a_cycle_is_exact_and_as_nginx_has_it(weights in prop::collection::vec(1_u32..40, 1..20)) {
            let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight.into()));
            let reduced: Vec<u32> = weights.iter().map(|&it| it / u32::try_from(divisor).unwrap()).collect();
            let turns = turns(&weights);
            for (position, &weight) in (0..).zip(&reduced) {
                prop_assert_eq!(turns.iter().filter(|turn| **turn == position).count(), weight as usize);
            }
            prop_assert_eq!(turns, accounts(&reduced));
        }
    }
}
