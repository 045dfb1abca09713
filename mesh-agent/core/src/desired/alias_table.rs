//! Builds alias tables: slots from which one random number chooses a weighted backend in constant
//! time.
//!
//! The algorithm is that of M. D. Vose, "A linear algorithm for generating random numbers with a
//! given distribution" (1991), in integers, so the same input gives the same slots on every
//! machine. A weight is exact to 2^-32 of a slot.

use std::net::SocketAddr;

use mesh_common::abi::Slot;

/// A backend and its weight in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeightedBackend {
    /// Backend index.
    pub backend: u32,
    /// Relative weight, above zero.
    pub weight: u32,
    /// Address of the endpoint, which is the same on every node.
    pub address: SocketAddr,
}

/// Returns one slot per backend; empty without backends.
pub fn alias_table(shares: &[WeightedBackend]) -> Vec<Slot> {
    let columns = shares.len() as u128;
    let total: u128 = shares.iter().map(|share| u128::from(share.weight)).sum();
    // Scaled so that the average column holds exactly `total`.
    let mut left: Vec<u128> = shares
        .iter()
        .map(|share| u128::from(share.weight) * columns)
        .collect();
    let mut slots: Vec<Slot> = shares
        .iter()
        .map(|share| Slot::full(share.backend))
        .collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..shares.len()).partition(|&column| left[column] < total);
    while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
        slots[poor].alias = shares[rich].backend;
        slots[poor].threshold =
            u32::try_from((left[poor] << 32) / total).expect("a poor column is below the average");
        left[rich] -= total - left[poor];
        if left[rich] < total {
            large.pop();
            small.push(rich);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl WeightedBackend {
        /// A backend at any address.
        pub(crate) fn new(backend: u32, weight: u32) -> Self {
            Self {
                backend,
                weight,
                address: ([10, 0, 0, 1], 80).into(),
            }
        }
    }

    /// Returns the probability of each backend, in 2^-32 of a slot.
    fn mass(slots: &[Slot]) -> BTreeMap<u32, u64> {
        let mut mass = BTreeMap::new();
        for slot in slots {
            let own = if slot.backend == slot.alias {
                1 << 32
            } else {
                u64::from(slot.threshold)
            };
            *mass.entry(slot.backend).or_default() += own;
            *mass.entry(slot.alias).or_default() += (1 << 32) - own;
        }
        mass
    }

    #[test]
    fn equal_weights_need_no_alias() {
        let shares = [WeightedBackend::new(4, 5), WeightedBackend::new(9, 5)];
        assert_eq!(alias_table(&shares), [Slot::full(4), Slot::full(9)]);
    }

    #[test]
    fn no_backends_give_no_slots() {
        assert_eq!(alias_table(&[]), []);
    }

    proptest! {
        #[test]
        fn every_backend_gets_its_share(weights in prop::collection::vec(1_u32..=65_535, 1..200)) {
            let shares: Vec<WeightedBackend> = (0..).zip(&weights).map(|(backend, &weight)| WeightedBackend::new(backend, weight)).collect();
            let slots = alias_table(&shares);
            prop_assert_eq!(slots.len(), shares.len());
            let mass = mass(&slots);
            let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
            for share in &shares {
                let ideal = (u128::from(share.weight) * shares.len() as u128) << 32;
                let error = (u128::from(mass[&share.backend]) * total).abs_diff(ideal) / total;
                // Each column that gives to this backend rounds by at most one.
                prop_assert!(error <= shares.len() as u128, "backend {} is off by {error} x 2^-32", share.backend);
            }
        }
    }
}
