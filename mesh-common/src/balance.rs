//! Which slot of a service answers a connect.

use crate::abi::Slot;

/// A column of an alias table and where in it the draw fell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// Column, below the number of slots.
    pub slot: u32,
    /// Position inside the column, uniform over 2^32.
    pub fraction: u32,
}

/// Weighted random choice from one 32-bit random number: the product's high word picks the column, its low word the
/// side (Lemire 2019). The bias is below `slots / 2^32`.
#[inline(always)]
pub fn draw(random: u32, slots: u32) -> Draw {
    let product = u64::from(random) * u64::from(slots);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
    let (slot, fraction) = ((product >> 32) as u32, product as u32);
    Draw { slot, fraction }
}

/// The backend index on the side of the column that the draw fell on.
#[inline(always)]
pub fn side(slot: &Slot, fraction: u32) -> u32 {
    if fraction < slot.threshold { slot.backend } else { slot.alias }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draw_stays_in_range_and_covers_it() {
        assert_eq!(draw(0, 3), Draw { slot: 0, fraction: 0 });
        assert_eq!(draw(u32::MAX, 3).slot, 2);
        assert_eq!(draw(u32::MAX / 2 + 1, 2), Draw { slot: 1, fraction: 0 });
    }

    #[test]
    fn side_splits_at_the_threshold() {
        let slot = Slot { backend: 7, alias: 9, threshold: 1 << 31, pad: 0 };
        assert_eq!(side(&slot, (1 << 31) - 1), 7);
        assert_eq!(side(&slot, 1 << 31), 9);
    }
}
