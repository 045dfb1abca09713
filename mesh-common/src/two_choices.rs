//! Power of two choices: for policies that compare, the less loaded of two draws from a tier.

use crate::{
    abi::{Backend, ServiceRow, policy},
    balance::{Cost, compares},
    evidence::Evidence,
    hash::scatter,
    latency::{Latencies, Measure},
    status::{Status, status},
    tiers::Tier,
};

/// One in this number of connects to a latency-aware service takes the first draw.
const EXPLORE: u32 = 64;

/// Returns the less loaded of `first` and another draw from its tier where the policy compares, else
/// `first`. `chance` is 32 random bits.
#[inline(always)]
pub(crate) fn less_loaded<K: Evidence + Measure>(
    kernel: &K,
    service: &ServiceRow,
    tier: Tier,
    chance: u32,
    first: u32,
    backend: &Backend,
) -> u32 {
    if !compares(service.policy) || explores(service, chance) || tier.count < 2 {
        return first;
    }
    let cost = Cost::of(backend);
    let Some((second, backend)) = tier.draw_other(kernel, chance, first) else {
        return first;
    };
    let latencies = Latencies::of(kernel, service, second, first);
    let is_less = Cost::of(backend).replaces(cost, latencies, scatter(chance));
    let is_taken = is_less && status(kernel, service, second, backend) == Status::Usable;
    if is_taken { second } else { first }
}

/// Returns whether the first draw is taken without a comparison. Otherwise a backend whose latency
/// was bad once would not be chosen again where there are others, and its recovery would not be
/// seen.
#[inline(always)]
const fn explores(service: &ServiceRow, chance: u32) -> bool {
    service.policy == policy::LATENCY_AWARE && chance.is_multiple_of(EXPLORE)
}

#[cfg(test)]
mod tests;
