//! Policies: which slot of a tier a connect asks for, and which of two backends is less loaded.
//! Takes the service's row and random bits or the hash of the caller, returns a [`Draw`] or an
//! order of [`Cost`]s.

use crate::{
    abi::{Backend, ServiceRow, Slot, hash_key, policy},
    atomic,
    hash::mix,
    kernel::{Caller, Kernel},
    latency::{Latencies, Measure},
    occupancy,
};

/// Connections above this number count as this number.
const MAX_LIVE: u64 = (1 << 20) - 1;

/// A slot of a tier, and the position of the draw inside the slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// Slot, below the number of slots.
    pub slot: u32,
    /// Position inside the slot, uniform over 2^32.
    pub fraction: u32,
}

/// Returns a weighted random choice for one 32-bit random number: the product's high word is the
/// column, its low word the side (Lemire 2019). The bias is below `slots / 2^32`.
#[inline(always)]
pub fn draw(random: u32, slots: u32) -> Draw {
    let product = u64::from(random) * u64::from(slots);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the product"
    )]
    let (slot, fraction) = ((product >> 32) as u32, product as u32);
    Draw { slot, fraction }
}

/// Returns the backend index on the side of the column where the draw fell.
#[inline(always)]
pub fn side(slot: &Slot, fraction: u32) -> u32 {
    if fraction < slot.threshold {
        slot.backend
    } else {
        slot.alias
    }
}

/// Returns the draw of the policy for its `attempt`, from zero, among `slots` slots. `key` is that
/// of [`key`].
#[inline(always)]
pub(crate) fn choose<K: Kernel>(
    kernel: &K,
    service: &ServiceRow,
    key: u64,
    slots: u32,
    attempt: u32,
) -> Draw {
    if service.policy == policy::ROUND_ROBIN && attempt == 0 {
        return turn(kernel, service, slots);
    }
    draw(chance(kernel, service, key, attempt), slots)
}

/// Returns 32 random bits; for consistent hashing bits of the caller's key, different for each
/// `attempt`.
#[inline(always)]
pub(crate) fn chance<K: Kernel>(kernel: &K, service: &ServiceRow, key: u64, attempt: u32) -> u32 {
    if service.policy == policy::CONSISTENT_HASH {
        return (mix(key ^ u64::from(attempt)) >> 32) as u32;
    }
    kernel.random()
}

/// Returns how often a backend of this weight is in the slots, up to a factor that is the same for
/// all.
#[inline(always)]
pub(crate) const fn share(policy: u8, weight: u16) -> u32 {
    match policy {
        // The weight is in the number of its slots.
        policy::ROUND_ROBIN | policy::CONSISTENT_HASH => 1,
        _ => weight as u32,
    }
}

/// Returns the next slot in turn. All CPUs share one counter.
#[inline(always)]
fn turn<K: Kernel>(kernel: &K, service: &ServiceRow, slots: u32) -> Draw {
    let turn = kernel
        .live_service(service.id)
        .map_or(0, |live| atomic::add(&live.turn, 1));
    #[expect(clippy::cast_possible_truncation, reason = "below `slots`")]
    let slot = if slots == 0 {
        0
    } else {
        (turn % u64::from(slots)) as u32
    };
    Draw { slot, fraction: 0 }
}

/// Returns the hash of the caller for a service with consistent hashing; zero for other services.
#[inline(always)]
pub(crate) fn key<C: Caller>(caller: &C, service: &ServiceRow) -> u64 {
    if service.policy != policy::CONSISTENT_HASH {
        return 0;
    }
    let source = if service.hash_key == hash_key::SOURCE_ADDRESS {
        caller.source().v6_words()
    } else {
        [0; 4]
    };
    let low = u64::from(source[0]) << 32 | u64::from(source[1]);
    let high = u64::from(source[2]) << 32 | u64::from(source[3]);
    let client = match low | high {
        0 => caller.client(service.hash_key == hash_key::CGROUP),
        _ => mix(low) ^ high,
    };
    let family = u64::from(service.key.addr.is_v4());
    mix(mix(client) ^ u64::from(service.id) << 32 ^ family << 31)
}

/// Returns whether the policy compares two draws.
#[inline(always)]
pub(crate) const fn compares(policy: u8) -> bool {
    policy == policy::LEAST_CONNECTIONS || policy == policy::LATENCY_AWARE
}

/// Cost of choosing a backend: connections per weight. Where the policy says so, [`Latencies`]
/// multiply the connections.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Connections.
    load: u32,
    /// Divisor of the connections.
    weight: u32,
}

impl Cost {
    /// Returns the cost of a backend.
    #[inline(always)]
    pub(crate) fn of(backend: &Backend) -> Self {
        Self {
            load: load(backend),
            weight: backend.row.weight.into(),
        }
    }

    /// Returns whether this cost is less than another: fewer connections per weight. Latencies that
    /// differ multiply the connections there would be with one more.
    ///
    /// Draws follow the weights. So that weights do not count twice, two idle backends cost the
    /// same, unless their latencies differ.
    #[inline(always)]
    fn is_below(self, other: Self, latencies: Latencies) -> bool {
        let Latencies { mine, others } = latencies;
        let (mut ours, mut theirs) = (u64::from(self.load), u64::from(other.load));
        if mine != others {
            if ours | theirs == 0 {
                return mine < others;
            }
            ours = (ours + 1) * mine;
            theirs = (theirs + 1) * others;
        }
        ours * u64::from(other.weight) < theirs * u64::from(self.weight)
    }

    /// Returns whether a connect that was drawn for `first` goes to this less loaded backend
    /// instead. `chance` is 32 random bits.
    ///
    /// Connections are whole numbers. With few of them, a light backend without connections is
    /// always less loaded than a heavy one with some, and one with a connection is always busier:
    /// loads alone would undo the draw by weights. So between different weights the connect goes to
    /// the less loaded backend with a probability that rises with the difference, and is one from
    /// two connections of the lighter backend on. Below that, a lighter backend takes fewer
    /// connects, in the ratio of the weights: then as many go from the heavy to the light backend
    /// as back (detailed balance, as in Metropolis and others, 1953). With equal weights this is
    /// [`Self::is_below`].
    #[inline(always)]
    pub(crate) fn replaces(self, first: Self, latencies: Latencies, chance: u32) -> bool {
        if self.weight == first.weight {
            return self.is_below(first, latencies);
        }
        let (w, of) = narrowed(self.weight, first.weight);
        let heavy = if w < of { of } else { w };
        let Latencies { mine, others } = latencies;
        // (load / weight + 1 / heavy) · latency, times both weights and the heavier one
        let ours = (clamped(self.load) * heavy + w) * mine * of;
        let theirs = (clamped(first.load) * heavy + of) * others * w;
        // Two connections of the lighter backend, times the same.
        let two = if w < of { mine } else { others } * heavy * heavy * 2;
        if ours >= theirs || theirs - ours >= two {
            return ours < theirs;
        }
        let part = ((theirs - ours) << 16).checked_div(two).unwrap_or(0);
        let chance = u64::from(chance >> 16);
        if w < of {
            chance * of < part * w
        } else {
            chance < part
        }
    }

    /// Returns whether this load per weight is more than `factor`/100 times another's, each with
    /// one more connection.
    #[inline(always)]
    pub(crate) fn is_much_above(self, other: Self, factor: u16) -> bool {
        let ours = (u64::from(self.load) + 1) * u64::from(other.weight) * 100;
        ours > (u64::from(other.load) + 1) * u64::from(self.weight) * u64::from(factor)
    }
}

/// Reduces two weights to 12 bits at most, in about the same ratio, so that products of loads,
/// latencies and weights fit into 64 bits.
#[inline(always)]
fn narrowed(one: u32, other: u32) -> (u64, u64) {
    let shift = if (one | other) >> 12 == 0 { 0 } else { 4 };
    let narrow = |weight: u32| {
        if weight >> shift == 0 {
            1
        } else {
            u64::from(weight >> shift)
        }
    };
    (narrow(one), narrow(other))
}

/// Limits a number of connections to 16 bits.
#[inline(always)]
fn clamped(load: u32) -> u64 {
    if load > 0xffff { 0xffff } else { load.into() }
}

/// Returns the live connections of a backend.
#[inline(always)]
fn load(backend: &Backend) -> u32 {
    let live = occupancy::live(atomic::read(&backend.live));
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    if live > MAX_LIVE {
        MAX_LIVE as u32
    } else {
        live as u32
    }
}

/// Returns whether backend `one` costs less than backend `other`.
///
/// A global function.
#[inline(always)]
pub fn costs_less<K: Measure>(kernel: &K, service: &ServiceRow, one: u32, other: u32) -> bool {
    let (Some(mine), Some(others)) = (kernel.backend(one), kernel.backend(other)) else {
        return false;
    };
    Cost::of(mine).is_below(Cost::of(others), Latencies::of(kernel, service, one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::MAX_LATENCY;

    #[test]
    fn draw_stays_in_range_and_covers_it() {
        assert_eq!(
            draw(0, 3),
            Draw {
                slot: 0,
                fraction: 0
            }
        );
        assert_eq!(draw(u32::MAX, 3).slot, 2);
        assert_eq!(
            draw(u32::MAX / 2 + 1, 2),
            Draw {
                slot: 1,
                fraction: 0
            }
        );
    }

    #[test]
    fn side_splits_at_the_threshold() {
        let slot = Slot {
            backend: 7,
            alias: 9,
            threshold: 1 << 31,
            link: 0,
        };
        assert_eq!(side(&slot, (1 << 31) - 1), 7);
        assert_eq!(side(&slot, 1 << 31), 9);
    }

    fn cost(load: u32, weight: u32) -> Cost {
        Cost { load, weight }
    }

    #[test]
    fn a_latency_multiplies_connections() {
        let latencies = |mine, others| Latencies { mine, others };
        let is_below = |mine, others, times| cost(mine, 1).is_below(cost(others, 1), times);
        assert!(is_below(0, 0, latencies(1_000, 2_000)));
        assert!(!is_below(0, 0, latencies(2_000, 1_000)));
        assert!(is_below(2, 1, latencies(1_000, 2_000)));
        assert!(!is_below(1, 0, latencies(1_000, 2_000)));
        assert!(is_below(1, 2, Latencies::ALIKE), "connections decide");
    }

    #[test]
    fn the_largest_costs_fit() {
        let (idle, busy) = (cost(0, 1), cost(u32::MAX, 65_535));
        assert!(idle.replaces(
            busy,
            Latencies {
                mine: 1,
                others: MAX_LATENCY
            },
            u32::MAX
        ));
        assert!(!busy.replaces(
            idle,
            Latencies {
                mine: MAX_LATENCY,
                others: 1
            },
            0
        ));
    }

    #[test]
    fn equal_weights_are_compared_by_connections_alone() {
        for chance in [0, u32::MAX] {
            assert!(cost(1, 7).replaces(cost(2, 7), Latencies::ALIKE, chance));
            assert!(!cost(2, 7).replaces(cost(2, 7), Latencies::ALIKE, chance));
        }
    }
}
