//! The walk over the tiers of a service, one slot at a time. Takes a service, returns what it has
//! seen: the [search](crate::search) and the outcome of a failed connect read that.
//!
//! Of each tier it looks at a sample, from a random slot on; the sample shows how much of the tier
//! is usable. When the sample has no usable backend, the walk goes on until it finds one or has
//! seen the whole tier.

use crate::{
    abi::{Backend, ServiceRow},
    balance::{self, choose, compares},
    evidence::{Evidence, health},
    hash::scatter,
    kernel::Kernel,
    latency::Measure,
    status::{Status, status},
    tiers::{Tier, written},
    two_choices::less_loaded,
};

/// Slots of a tier that show how much of it is usable.
const SAMPLE: u8 = 64;
/// Steps of a [`stride`].
const STRIDE: u32 = 1024;
/// Strides of a walk: together as many steps as SLOTS has rows by default.
const STRIDES: u32 = 512;
/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// The global functions of this decision; see [`kernel`](crate::kernel).
pub trait Walk: Evidence + Measure {
    /// [`Progress::step`]
    fn step(&self, service: &ServiceRow, walk: &mut Progress) -> bool {
        walk.step(self, service)
    }

    /// [`stride`]
    fn stride(&self, service: &ServiceRow, walk: &mut Progress) -> bool {
        stride(self, service, walk)
    }

    /// [`Progress::redraw`]
    fn redraw(&self, service: &ServiceRow, walk: &Progress, key: u64, attempt: u32) -> u32 {
        walk.redraw(self, service, key, attempt)
    }

    /// [`balance::costs_less`]
    fn costs_less(&self, service: &ServiceRow, one: u32, other: u32) -> bool {
        balance::costs_less(self, service, one, other)
    }
}

/// What a walk has seen so far; each [step](Self::step) looks at one slot.
#[repr(C)]
pub struct Progress {
    /// The caller's hash, for consistent hashing.
    key: u64,
    /// [`Health::tried_at`](crate::ejection::Health::tried_at) of `resort`, milliseconds.
    resort_tried_at: u64,
    tier: Tier,
    /// The next slot.
    at: u32,
    /// Slots of this tier that are not looked at yet.
    left: u32,
    /// Weight of the usable backends in the sample.
    usable: u32,
    /// Weight of all backends in the sample.
    total: u32,
    /// A usable backend of this tier: the first, or the least loaded where the policy compares.
    pub(crate) best: u32,
    /// A usable backend of an earlier tier, which the walk left because too little of it is usable.
    pub(crate) spare: u32,
    /// The nearest backend on probation with its bound of connects in progress.
    pub(crate) bounded: u32,
    /// The first backend of this tier that the client has ejected.
    ejected: u32,
    /// The first backend of this tier that other clients agree to eject.
    agreed: u32,
    /// The last resort: of the ejected and failing backends of all tiers, the one with the oldest
    /// attempt.
    pub(crate) resort: u32,
    /// Index that the walk skips from now on.
    pub(crate) except: u32,
    /// Slots of `left` that belong to the sample.
    sample: u8,
    /// Number of the current tier, from one; at most 255.
    pub(crate) tiers: u8,
    /// One when a backend is at its connection limit.
    pub(crate) full: u8,
    /// One when no more of the first tier is missing than the client may eject.
    pub(crate) within: u8,
    /// One when no more of it is missing than clients may agree to eject.
    pub(crate) within_agreed: u8,
    /// One when the ejection of `except` is over: this connect may become the trial.
    pub(crate) trial: u8,
    /// Zero.
    pad: [u8; 2],
}

/// Numbers of attempts that no draw has, for the random bits that choose the first slot in a tier, and
/// whether the connect stays in it.
const BEGINS: u32 = 1 << 16;
const STAYS: u32 = 1 << 17;

impl Progress {
    /// Returns the state before the first tier. The walk skips the index `except`; then it offers
    /// no trial either.
    #[inline(always)]
    pub(crate) const fn new(key: u64, except: u32) -> Self {
        Self {
            key,
            resort_tried_at: u64::MAX,
            tier: Tier::NONE,
            at: 0,
            left: 0,
            usable: 0,
            total: 0,
            best: NONE,
            spare: NONE,
            bounded: NONE,
            ejected: NONE,
            agreed: NONE,
            resort: NONE,
            except,
            sample: 0,
            tiers: 0,
            full: 0,
            within: 0,
            within_agreed: 0,
            trial: 0,
            pad: [0; 2],
        }
    }

    /// Looks at one more slot, or goes on to the next tier. Returns false when the walk is over.
    #[inline(always)]
    pub fn step<K: Walk>(&mut self, kernel: &K, service: &ServiceRow) -> bool {
        if self.left == 0 || (self.sample == 0 && self.best != NONE) {
            return self.leave(kernel, service);
        }
        self.left -= 1;
        let at = if self.at >= self.tier.count {
            0
        } else {
            self.at
        };
        self.at = at + 1;
        if let Some(slot) = self.tier.slot(kernel, at)
            && let Some(backend) = written(kernel, slot.backend)
        {
            self.look_at(kernel, service, slot.backend, backend);
        }
        if self.sample != 0 {
            self.sample -= 1;
        }
        self.trial == 0
    }

    /// Goes on to the next tier, unless the connect stays in this one.
    #[inline(always)]
    fn leave<K: Kernel>(&mut self, kernel: &K, service: &ServiceRow) -> bool {
        if self.tiers == 1 {
            let missing = u64::from(self.total - self.usable) * 100;
            let fits = |percent: u8| (missing <= u64::from(self.total) * u64::from(percent)).into();
            (self.within, self.within_agreed) =
                (fits(service.max_ejected), fits(service.max_agreed));
        }
        if self.best != NONE && (!self.tier.has_more() || self.keeps(kernel, service)) {
            return false;
        }
        let next = if self.tiers == 0 {
            Some(Tier::first(service))
        } else {
            self.tier.next(kernel)
        };
        let Some(tier) = next else { return false };
        if self.spare == NONE {
            self.spare = self.best;
        }
        (self.usable, self.total, self.best) = (0, 0, NONE);
        (self.ejected, self.agreed) = (NONE, NONE);
        self.tier = tier;
        let chance = balance::chance(kernel, service, self.key, BEGINS | u32::from(self.tiers));
        self.tiers = self.tiers.saturating_add(1);
        self.at = balance::draw(chance, tier.count).slot;
        (self.left, self.sample) = (tier.count, SAMPLE);
        true
    }

    /// Adds one backend to what the walk has seen.
    #[inline(always)]
    fn look_at<K: Walk>(
        &mut self,
        kernel: &K,
        service: &ServiceRow,
        index: u32,
        backend: &Backend,
    ) {
        let share = if self.sample == 0 {
            0
        } else {
            balance::share(service.policy, backend.row.weight)
        };
        self.total += share;
        if index == self.except {
            return;
        }
        match status(kernel, service, index, backend) {
            Status::Usable => {
                self.usable += share;
                if self.best == NONE
                    || (compares(service.policy) && kernel.costs_less(service, index, self.best))
                {
                    self.best = index;
                }
            }
            Status::Full => {
                // The backend works; it is just full.
                self.usable += share;
                self.full = 1;
            }
            Status::Bounded if self.bounded == NONE => self.bounded = index,
            Status::Due if self.except == NONE => (self.except, self.trial) = (index, 1),
            Status::Due | Status::Ejected => {
                if self.ejected == NONE {
                    self.ejected = index;
                }
                self.resort_to(kernel, service, index, backend);
            }
            Status::Agreed => {
                if self.agreed == NONE {
                    self.agreed = index;
                }
                self.resort_to(kernel, service, index, backend);
            }
            Status::Failing => self.resort_to(kernel, service, index, backend),
            Status::Bounded | Status::Down => {}
        }
    }

    /// Makes the backend the last resort if its attempt is the oldest.
    #[inline(always)]
    fn resort_to<K: Evidence>(
        &mut self,
        kernel: &K,
        service: &ServiceRow,
        index: u32,
        backend: &Backend,
    ) {
        let tried_at = health(kernel, service, index, backend).tried_at(service);
        if tried_at < self.resort_tried_at {
            (self.resort, self.resort_tried_at) = (index, tried_at);
        }
    }

    /// Returns whether a connect whose first choice was not usable stays in the tier. Together with
    /// the connects whose first choice was usable, the tier keeps `usable / (failover · total)` of
    /// all, as Envoy's priority levels do with an overprovisioning factor of 1 / failover.
    #[inline(always)]
    fn keeps<K: Kernel>(&self, kernel: &K, service: &ServiceRow) -> bool {
        let (usable, total, failover) = (
            u64::from(self.usable),
            u64::from(self.total),
            u64::from(service.failover),
        );
        if usable * 100 >= failover * total {
            return true;
        }
        // u (1 − f) / (f (1 − u)), with u = usable / total and f = failover / 100
        let odds = usable * (100 - failover);
        let against = failover * (total - usable);
        let chance = balance::chance(kernel, service, self.key, STAYS | u32::from(self.tiers));
        u64::from(chance) * against < odds << 32
    }

    /// Returns the choice of the policy in this tier at its `attempt`, if it is usable, else
    /// [`u32::MAX`].
    #[inline(always)]
    pub fn redraw<K: Walk>(&self, kernel: &K, service: &ServiceRow, key: u64, attempt: u32) -> u32 {
        let draw = choose(kernel, service, key, self.tier.count, attempt);
        match self.tier.drawn(kernel, draw) {
            Some((index, backend)) if status(kernel, service, index, backend) == Status::Usable => {
                less_loaded(
                    kernel,
                    service,
                    self.tier,
                    scatter(draw.fraction),
                    index,
                    backend,
                )
            }
            _ => NONE,
        }
    }

    /// Returns the backend that takes the connect although it is ejected, because too few are left
    /// and there is no farther tier; else [`NONE`].
    #[inline(always)]
    pub(crate) fn panics(&self, service: &ServiceRow) -> u32 {
        let too_little =
            |percent: u8| u64::from(self.usable) * 100 < u64::from(percent) * u64::from(self.total);
        if self.tier.has_more() {
            return NONE;
        }
        if self.ejected != NONE && too_little(service.panic) {
            return self.ejected;
        }
        if too_little(service.panic_agreed) {
            self.agreed
        } else {
            NONE
        }
    }
}

/// Takes up to 1024 steps. Returns false when the walk is over.
#[inline(always)]
pub fn stride<K: Walk>(kernel: &K, service: &ServiceRow, walk: &mut Progress) -> bool {
    repeat(STRIDE, || kernel.step(service, walk))
}

/// Walks until the end.
#[inline(always)]
pub(crate) fn walk<K: Walk>(kernel: &K, service: &ServiceRow, walk: &mut Progress) {
    repeat(STRIDES, || kernel.stride(service, walk));
}

/// Goes on until `go` returns false, or `times` times, a multiple of four. Returns the last answer.
///
/// The verifier follows every iteration. Four calls in one iteration have fewer instructions than four
/// iterations. More calls multiply the call paths, for each of which Linux 7.1 analyses a function
/// anew.
#[inline(always)]
fn repeat(times: u32, mut go: impl FnMut() -> bool) -> bool {
    for _ in 0..times / 4 {
        if !(go() && go() && go() && go()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_has_no_byte_that_is_not_written() {
        assert_eq!(size_of::<Tier>(), 12);
        assert_eq!(
            size_of::<Progress>(),
            size_of::<Tier>() + 2 * 8 + 11 * 4 + 8
        );
    }
}
