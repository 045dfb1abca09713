//! The slots of a service in tiers: backends that are equally near, one tier after the other. Takes
//! a draw, returns the backend in that slot.

use crate::{
    abi::{Backend, ServiceRow, Slot, service_flags},
    balance::{self, Draw},
    kernel::Kernel,
};

/// Consecutive slots: backends that are equally near.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Tier {
    /// First slot, or with CONTIGUOUS the first backend.
    pub base: u32,
    /// Number of slots.
    pub count: u32,
    /// TIERS of [`service_flags`] when a link to the next tier follows, or CONTIGUOUS.
    flags: u32,
}

impl Tier {
    /// No tier.
    pub(crate) const NONE: Self = Self {
        base: 0,
        count: 0,
        flags: 0,
    };

    /// Returns the nearest tier.
    #[inline(always)]
    pub(crate) fn first(service: &ServiceRow) -> Self {
        let flags = service.flags & (service_flags::TIERS | service_flags::CONTIGUOUS);
        Self {
            base: service.slot_base,
            count: service.slot_count,
            flags,
        }
    }

    /// Returns the next tier, if there is one.
    #[inline(always)]
    pub(crate) fn next<K: Kernel>(self, kernel: &K) -> Option<Self> {
        if !self.has_more() {
            return None;
        }
        let link = kernel.slot(self.base.wrapping_add(self.count))?;
        let (base, count, more) = link.linked()?;
        Some(Self {
            base,
            count,
            flags: more.wrapping_mul(service_flags::TIERS),
        })
    }

    /// Returns whether a link to the next tier follows.
    #[inline(always)]
    pub(crate) const fn has_more(self) -> bool {
        self.flags & service_flags::TIERS != 0
    }

    /// Returns the slot at a position below `count`.
    #[inline(always)]
    pub(crate) fn slot<K: Kernel>(self, kernel: &K, slot: u32) -> Option<Slot> {
        let at = self.base.wrapping_add(slot);
        if self.flags & service_flags::CONTIGUOUS != 0 {
            Some(Slot::full(at))
        } else {
            kernel.slot(at)
        }
    }

    /// Returns the backend that was drawn, and its index.
    #[inline(always)]
    pub(crate) fn drawn<K: Kernel>(self, kernel: &K, draw: Draw) -> Option<(u32, &Backend)> {
        let slot = self.slot(kernel, draw.slot)?;
        let index = balance::side(&slot, draw.fraction);
        Some((index, written(kernel, index)?))
    }

    /// Returns a weighted draw from one random number, or a neighbour of the slot where the draw is
    /// `not`. Both neighbours are as likely, so that each of two backends is compared with the
    /// other equally often.
    #[inline(always)]
    pub(crate) fn draw_other<K: Kernel>(
        self,
        kernel: &K,
        random: u32,
        not: u32,
    ) -> Option<(u32, &Backend)> {
        let draw = balance::draw(random, self.count);
        let slot = self.slot(kernel, draw.slot)?;
        let mut index = balance::side(&slot, draw.fraction);
        if index == not {
            let step = if random & 1 == 0 { 1 } else { self.count - 1 };
            let next = draw.slot + step;
            index = self
                .slot(
                    kernel,
                    if next < self.count {
                        next
                    } else {
                        next - self.count
                    },
                )?
                .backend;
        }
        if index == not {
            return None;
        }
        Some((index, written(kernel, index)?))
    }
}

/// Returns the row unless it is unwritten (port 0, which the kernel rejects with EINVAL).
#[inline(always)]
pub(crate) fn written<K: Kernel>(kernel: &K, index: u32) -> Option<&Backend> {
    kernel
        .backend(index)
        .filter(|backend| backend.row.port != 0)
}
